"""Synthetic degradations with severities; one line here enters a new one.

``CORRUPTIONS`` is the mapping from name to corruption, ``GROUPS`` the one table that maps every
fine family to its coarse group.
"""

from __future__ import annotations

from difflib import get_close_matches

from gatekeeper.corruptions.base import SEVERITIES, TabulatedCorruption, store_8_bit
from gatekeeper.corruptions.blur import GaussianBlur
from gatekeeper.corruptions.geometric import HorizontalShift
from gatekeeper.corruptions.noise import GaussianNoise, ImpulseNoise, PeriodicNoise, SpeckleNoise
from gatekeeper.corruptions.tone import Contrast, Dark
from gatekeeper.errors import InputError
from gatekeeper.protocols import Corruption

__all__ = [
    "CORRUPTIONS",
    "GROUPS",
    "SEVERITIES",
    "TabulatedCorruption",
    "corruption",
    "store_8_bit",
]

CORRUPTIONS: dict[str, TabulatedCorruption] = {
    "contrast": Contrast(),
    "dark": Dark(),
    "gaussian": GaussianNoise(),
    "gaussian_blur": GaussianBlur(),
    "horizontal_shift": HorizontalShift(),
    "impulse": ImpulseNoise(),
    "periodic": PeriodicNoise(),
    "speckle": SpeckleNoise(),
}

GROUPS: dict[str, str] = {
    "contrast": "tone and weather",
    "dark": "tone and weather",
    "gaussian": "noise",
    "gaussian_blur": "blur",
    "impulse": "noise",
    "periodic": "noise",
    "shift": "geometric",
    "speckle": "noise",
}


def corruption(name: str) -> Corruption:
    """The corruption of that name.

    Raises:
        InputError: the name is unknown; the message lists near matches and all names.
    """
    if name not in CORRUPTIONS:
        near = get_close_matches(name, CORRUPTIONS, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(
            f"expected one of the corruptions {', '.join(sorted(CORRUPTIONS))}, got {name!r}{hint}"
        )
    return CORRUPTIONS[name]
