"""Restorers by name; one line here enters a new one.

``RESTORERS`` maps names to classes. Those without weights are built with no argument; those with
weights (:class:`gatekeeper.protocols.WeightedRestorer`) are rebuilt from their tensors and
configuration, as bundles and records keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from gatekeeper.errors import BundleError
from gatekeeper.protocols import Restorer, WeightedRestorer
from gatekeeper.restorers.autoencoder import AutoencoderRestorer
from gatekeeper.restorers.exposure import Exposure
from gatekeeper.restorers.identity import Identity
from gatekeeper.restorers.median import TripleMedian
from gatekeeper.restorers.resshift import ResShiftRestorer
from gatekeeper.restorers.unet import UNetRestorer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "RESTORERS",
    "WEIGHTED",
    "AutoencoderRestorer",
    "Exposure",
    "Identity",
    "ResShiftRestorer",
    "TripleMedian",
    "UNetRestorer",
    "rebuilt_restorer",
]

RESTORERS: dict[str, type[Restorer]] = {
    "autoencoder": AutoencoderRestorer,
    "exposure": Exposure,
    "identity": Identity,
    "median": TripleMedian,
    "resshift": ResShiftRestorer,
    "unet": UNetRestorer,
}

WEIGHTED: frozenset[str] = frozenset(
    name for name, kind in RESTORERS.items() if hasattr(kind, "from_state")
)
"""Names of those that have weights."""


def rebuilt_restorer(
    method: str,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    device: str | None = None,
) -> WeightedRestorer:
    """A restorer from its kept weights.

    Args:
        method: A name in :data:`WEIGHTED`.
        state: What its ``state()`` gave.
        config: What its ``config()`` gave.
        device: Where it computes; None takes CUDA where there is any.

    Raises:
        BundleError: the method is unknown or has no weights, or the tensors do not fit it.
    """
    if method not in WEIGHTED:
        near = get_close_matches(method, WEIGHTED, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise BundleError(
            f"expected one of the restorers with weights {', '.join(sorted(WEIGHTED))}, got "
            f"{method!r}{hint}"
        )
    kind = cast("type[WeightedRestorer]", RESTORERS[method])
    return kind.from_state(state, config, device=device)
