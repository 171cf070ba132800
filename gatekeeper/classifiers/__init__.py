"""Frozen classifiers behind one seam; one line in ``CLASSIFIERS`` enters a new kind.

The names below load on first use: naming a classifier costs neither torch nor timm nor
onnxruntime, and a kind pulls in its own library only.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatekeeper.errors import InputError

if TYPE_CHECKING:
    from gatekeeper.classifiers.module import ModuleClassifier
    from gatekeeper.classifiers.onnx import OnnxClassifier
    from gatekeeper.classifiers.preprocessing import Preprocessing
    from gatekeeper.classifiers.remote import RemoteClassifier
    from gatekeeper.classifiers.timm import TimmClassifier, small_resnet, untrained_network
    from gatekeeper.classifiers.weights import (
        import_weights,
        load_safetensors,
        save_safetensors,
        state_digest,
    )
    from gatekeeper.protocols import Classifier

__all__ = [
    "CLASSIFIERS",
    "ModuleClassifier",
    "OnnxClassifier",
    "Preprocessing",
    "RemoteClassifier",
    "TimmClassifier",
    "build_classifier",
    "import_weights",
    "load_safetensors",
    "save_safetensors",
    "small_resnet",
    "state_digest",
    "untrained_network",
]

CLASSIFIERS: dict[str, str] = {
    "module": "gatekeeper.classifiers.module:ModuleClassifier",
    "onnx": "gatekeeper.classifiers.onnx:OnnxClassifier",
    "remote": "gatekeeper.classifiers.remote:RemoteClassifier",
    "timm": "gatekeeper.classifiers.timm:TimmClassifier",
}

_HOME_OF = {
    "ModuleClassifier": "gatekeeper.classifiers.module",
    "OnnxClassifier": "gatekeeper.classifiers.onnx",
    "Preprocessing": "gatekeeper.classifiers.preprocessing",
    "RemoteClassifier": "gatekeeper.classifiers.remote",
    "TimmClassifier": "gatekeeper.classifiers.timm",
    "import_weights": "gatekeeper.classifiers.weights",
    "load_safetensors": "gatekeeper.classifiers.weights",
    "save_safetensors": "gatekeeper.classifiers.weights",
    "small_resnet": "gatekeeper.classifiers.timm",
    "state_digest": "gatekeeper.classifiers.weights",
    "untrained_network": "gatekeeper.classifiers.timm",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'gatekeeper.classifiers' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def build_classifier(kind: str, /, **options: Any) -> Classifier:  # noqa: ANN401  # each kind's own
    """The classifier of that kind, built from a recipe's options.

    Args:
        kind: A key of ``CLASSIFIERS``.
        **options: Arguments of that kind's class, by name; ``kind`` among them is what its logits
            hold.

    Returns:
        A frozen classifier that has looked at one grey image, so its shapes are known to fit.

    Raises:
        InputError: the kind is unknown (near matches are named), an option is unknown or
            missing, or the class refuses an option's value.
        DataError: a weights file is missing or damaged.
    """
    if kind not in CLASSIFIERS:
        raise InputError(
            f"expected a classifier kind among {', '.join(CLASSIFIERS)}, got {kind!r}"
            f"{_near(kind, CLASSIFIERS)}"
        )
    home, _, name = CLASSIFIERS[kind].partition(":")
    chosen = getattr(import_module(home), name)
    known = inspect.signature(chosen).parameters
    for option in options:
        if option not in known:
            raise InputError(
                f"classifier kind {kind!r} takes {', '.join(known)}, got {option!r}"
                f"{_near(option, known)}"
            )
    needed = [key for key, p in known.items() if p.default is p.empty and key not in options]
    if needed:
        raise InputError(f"classifier kind {kind!r} also needs {', '.join(needed)}: declare them")
    built: Classifier = chosen(**options)
    return built


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""
