"""Synthetic degradations with severities; one line here enters a new one.

``CORRUPTIONS`` is the mapping from name to corruption, ``GROUPS`` the one table that maps every
fine family to its coarse group.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

from gatekeeper.corruptions.base import SEVERITIES, TabulatedCorruption, store_8_bit
from gatekeeper.corruptions.blur import DefocusBlur, GaussianBlur, MotionBlur, ZoomBlur
from gatekeeper.corruptions.camera import Camera
from gatekeeper.corruptions.composition import Composition
from gatekeeper.corruptions.digital import ElasticTransform, JpegCompression, Pixelate
from gatekeeper.corruptions.geometric import (
    Crop,
    HorizontalShift,
    Perspective,
    Rotation,
    Scale,
    Shear,
    Shift,
)
from gatekeeper.corruptions.glass import GlassBlur
from gatekeeper.corruptions.noise import (
    GaussianNoise,
    ImpulseNoise,
    PeriodicNoise,
    PublishedGaussianNoise,
    PublishedImpulseNoise,
    PublishedSpeckleNoise,
    ShotNoise,
    SpeckleNoise,
)
from gatekeeper.corruptions.spatter import Spatter
from gatekeeper.corruptions.tone import Brightness, Contrast, Dark, Saturate
from gatekeeper.corruptions.unlike import (
    BlueNoise,
    CausticWarp,
    CheckerboardCutout,
    ConcentricWaves,
    PlasmaNoise,
    Sparkles,
)
from gatekeeper.corruptions.weather import Fog, Frost, Snow
from gatekeeper.errors import InputError

__all__ = [
    "CORRUPTIONS",
    "GROUPS",
    "SEVERITIES",
    "Composition",
    "TabulatedCorruption",
    "corruption",
    "groups_of",
    "names_in_group",
    "store_8_bit",
]

CORRUPTIONS: dict[str, TabulatedCorruption] = {
    "blue_noise": BlueNoise(),
    "brightness": Brightness(),
    "camera": Camera(),
    "caustic_warp": CausticWarp(),
    "checkerboard_cutout": CheckerboardCutout(),
    "concentric_waves": ConcentricWaves(),
    "contrast": Contrast(),
    "crop": Crop(),
    "dark": Dark(),
    "defocus_blur": DefocusBlur(),
    "elastic_transform": ElasticTransform(),
    "fog": Fog(),
    "frost": Frost(),
    "gaussian": GaussianNoise(),
    "gaussian_blur": GaussianBlur(),
    "gaussian_noise": PublishedGaussianNoise(),
    "glass_blur": GlassBlur(),
    "horizontal_shift": HorizontalShift(),
    "impulse": ImpulseNoise(),
    "impulse_noise": PublishedImpulseNoise(),
    "jpeg_compression": JpegCompression(),
    "motion_blur": MotionBlur(),
    "periodic": PeriodicNoise(),
    "perspective": Perspective(),
    "pixelate": Pixelate(),
    "plasma_noise": PlasmaNoise(),
    "rotation": Rotation(),
    "saturate": Saturate(),
    "scale": Scale(),
    "shear": Shear(),
    "shift": Shift(),
    "shot_noise": ShotNoise(),
    "snow": Snow(),
    "sparkles": Sparkles(),
    "spatter": Spatter(),
    "speckle": SpeckleNoise(),
    "speckle_noise": PublishedSpeckleNoise(),
    "zoom_blur": ZoomBlur(),
}

for _parts in (
    ("dark", "shot_noise"),
    ("fog", "jpeg_compression"),
    ("gaussian_blur", "jpeg_compression"),
    ("motion_blur", "gaussian_noise"),
    ("rotation", "pixelate"),
    ("snow", "defocus_blur"),
):
    _both = Composition(*(CORRUPTIONS[part] for part in _parts))
    CORRUPTIONS[_both.name] = _both

GROUPS: dict[str, str] = {
    "blue_noise": "C-bar-like",
    "brightness": "tone and weather",
    "camera_noise": "noise",
    "caustic_warp": "C-bar-like",
    "checkerboard_cutout": "C-bar-like",
    "concentric_waves": "C-bar-like",
    "contrast": "tone and weather",
    "crop": "geometric",
    "dark": "tone and weather",
    "defocus_blur": "blur",
    "elastic_transform": "digital",
    "fog": "tone and weather",
    "frost": "tone and weather",
    "gaussian": "noise",
    "gaussian_blur": "blur",
    "glass_blur": "blur",
    "impulse": "noise",
    "jpeg": "digital",
    "motion_blur": "blur",
    "periodic": "noise",
    "perspective": "geometric",
    "pixelate": "digital",
    "plasma_noise": "C-bar-like",
    "rotation": "geometric",
    "saturate": "tone and weather",
    "scale": "geometric",
    "shear": "geometric",
    "shift": "geometric",
    "shot": "noise",
    "snow": "tone and weather",
    "sparkles": "C-bar-like",
    "spatter": "tone and weather",
    "speckle": "noise",
    "white_balance": "tone and weather",
    "zoom_blur": "blur",
}


def corruption(name: str) -> TabulatedCorruption:
    """The corruption of that name, or ``"first+second"`` for one after the other.

    Raises:
        InputError: the name, or a part of it, is unknown; the message lists near matches and all
            names.
    """
    if name in CORRUPTIONS:
        return CORRUPTIONS[name]
    parts = name.split("+")
    if len(parts) == 2 and all(part in CORRUPTIONS for part in parts):
        return _composed(*parts)
    unknown = next((part for part in parts if part not in CORRUPTIONS), name)
    near = get_close_matches(unknown, CORRUPTIONS, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise InputError(
        f"expected one of the corruptions {', '.join(sorted(CORRUPTIONS))}, or two of them joined "
        f"by +, got {name!r}{hint}"
    )


@cache
def _composed(first: str, second: str) -> Composition:
    return Composition(CORRUPTIONS[first], CORRUPTIONS[second])


def groups_of(name: str) -> frozenset[str]:
    """The groups of all families of the corruption of that name.

    Raises:
        InputError: the name is unknown.
    """
    return frozenset(GROUPS[family] for family in corruption(name).families)


def names_in_group(group: str) -> tuple[str, ...]:
    """Names in ``CORRUPTIONS`` with at least one family in the group, sorted.

    Raises:
        InputError: no family belongs to a group of that name.
    """
    if group not in GROUPS.values():
        raise InputError(
            f"expected one of the groups {', '.join(sorted(set(GROUPS.values())))}, got {group!r}"
        )
    return tuple(sorted(name for name in CORRUPTIONS if group in groups_of(name)))
