"""Any torch module as a classifier, with declared preprocessing."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatekeeper.classifiers.network import LayerTap, TorchClassifier, own_randomness
from gatekeeper.classifiers.preprocessing import CropMode, Interpolation, Preprocessing
from gatekeeper.classifiers.weights import load_into
from gatekeeper.errors import InputError


class ModuleClassifier(TorchClassifier):
    """A torch module that maps normalised images (B, 3, *size) to logits (B, K).

    Features are the output of ``feature_layer``, averaged over height and width where it is a
    map, taken in the pass that gives the logits. A layer in the middle tells the reliability
    predictor more about corruptions than the last one.

    Args:
        module: ``"package.module:factory"``, found on the import path or in the current folder,
            whose factory returns the module; or the module itself, of which a copy is taken.
        checkpoint: Weights as ``.safetensors``; None keeps those that the module comes with (a
            factory that draws initial weights draws them from a fixed seed).
        class_names: Length K; position = label.
        mean: Per channel (RGB), subtracted from values in [0, 1].
        std: Per channel, divides afterwards.
        size: Input height and width in pixels; one number for a square.
        feature_layer: Dotted name of a layer inside the module; None for no features.
        model_id: Name under which the classifier is known; by default the module's.
        kwargs: Arguments of the factory.
        interpolation: ``"bilinear"`` or ``"bicubic"``.
        crop_pct: Share of the resized image that the centre crop keeps, in (0, 1].
        crop_mode: ``"center"`` or ``"squash"``.
        device: Such as ``"cpu"`` or ``"cuda:1"``; None takes CUDA where there is any.
        bf16: Compute in bfloat16 where that is safe: faster, but answers near a tie may differ.

    Raises:
        InputError: the factory cannot be imported or returns no module, the checkpoint is not
            safetensors or does not fit, the layer is unknown or gives neither maps nor vectors,
            or the output is not (B, K).
        DataError: the checkpoint is missing or damaged.
    """

    def __init__(
        self,
        module: str | nn.Module,
        *,
        class_names: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        size: int | Sequence[int],
        checkpoint: Path | str | None = None,
        feature_layer: str | None = None,
        model_id: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        interpolation: Interpolation = "bilinear",
        crop_pct: float = 1.0,
        crop_mode: CropMode = "center",
        device: torch.device | str | None = None,
        bf16: bool = False,
    ) -> None:
        network, origin = _network(module, dict(kwargs or {}))
        if checkpoint is not None:
            load_into(network, checkpoint)
        self._feature_layer = feature_layer
        self._tap = None if feature_layer is None else _tap(network, feature_layer)
        super().__init__(
            network,
            class_names=class_names,
            preprocessing=Preprocessing.from_json(
                {
                    "size": size,
                    "mean": mean,
                    "std": std,
                    "interpolation": interpolation,
                    "crop_pct": crop_pct,
                    "crop_mode": crop_mode,
                }
            ),
            model_id=model_id or origin,
            identity={
                "module": origin,
                "kwargs": dict(kwargs or {}),
                "feature_layer": feature_layer,
            },
            device=device,
            bf16=bf16,
        )

    def _forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        logits: Tensor = self._network(inputs)
        if self._tap is None:
            return logits, None
        features = self._tap.take()
        if features is None:
            raise InputError(
                f"expected layer {self._feature_layer!r} to give maps (B, F, H, W) or vectors "
                "(B, F) in every pass, got neither: name another layer"
            )
        return logits, features


def _network(module: str | nn.Module, kwargs: dict[str, Any]) -> tuple[nn.Module, str]:
    """The network and the name of where it comes from."""
    if isinstance(module, nn.Module):
        if kwargs:
            raise InputError("expected kwargs only with a factory's name, got a ready module")
        # A copy: freezing and listening must not change the caller's module, nor its training us.
        return copy.deepcopy(module), f"{type(module).__module__}:{type(module).__qualname__}"
    with _current_folder_importable(), own_randomness():
        made = _factory(module)(**kwargs)
    if not isinstance(made, nn.Module):
        raise InputError(
            f"expected {module!r} to return a torch module, got {type(made).__name__}: "
            "name a function or class that builds one"
        )
    return made, module


def _factory(spec: str) -> Callable[..., object]:
    home, _, name = spec.partition(":")
    if not home or not name:
        raise InputError(f'expected a module as "package.module:factory", got {spec!r}')
    try:
        found: object = import_module(home)
    except ImportError as error:
        raise InputError(
            f"expected {home!r} to be importable, got {error}: install it or run in the folder "
            "that holds it"
        ) from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(f"expected a callable {name!r} in {home!r}, got none: check its name")
    return found


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """A console script's import path lacks the current folder; last, so that it hides nothing."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.reverse()
        sys.path.remove(folder)
        sys.path.reverse()


def _tap(network: nn.Module, layer: str) -> LayerTap:
    layers = dict(network.named_modules())
    if layer not in layers or not layer:
        near = get_close_matches(layer, layers, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"expected the name of a layer as feature_layer, got {layer!r}{hint}")
    return LayerTap(layers[layer], side="output")
