"""Cameras to adapt to: real ones, as pairs of files, and a synthetic one that photographs images.

A domain has clean images, unlabelled noisy ones, and others on which a restorer is judged. No
clean version of an unlabelled image is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.signals import load_photos
from benchmarks.study import Study
from gatekeeper.corruptions import CORRUPTIONS, SEVERITIES
from gatekeeper.errors import DataError
from gatekeeper.images import seeds_for, tensor_digests
from gatekeeper.types import IntArray, StrArray

_REAL, _MEAN = "real", "mean"
_QUICK_SIDE_PX = 96
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """One crop of a scene: a single shot and the mean of many, both (3, H, W) in [0, 1]."""

    camera: str
    scene: str
    name: str
    real: Tensor
    mean: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What a training is shown and what its restorer is judged on.

    Attributes:
        name: ``"camera"`` or ``"synthetic camera"``.
        clean: Images (3, H, W), without noise.
        unlabelled: Images (3, H, W) of the camera.
        noisy: Judged images, each (3, H, W).
        truth: What they should look like, in the same order.
        sets: Shape (N,), the part that a judged image belongs to.
        groups: Shape (N,), the scene of each: images of one scene are dependent.
        labels: True classes, shape (N,), or None where there are none.
        facts: What the images are, JSON-ready.
    """

    name: str
    clean: Sequence[Tensor]
    unlabelled: Sequence[Tensor]
    noisy: Sequence[Tensor]
    truth: Sequence[Tensor]
    sets: StrArray
    groups: StrArray
    labels: IntArray | None
    facts: Mapping[str, Any]


def load_pairs(place: Path) -> list[Pair]:
    """Pairs of a folder or zip archive with ``real/`` and ``mean/``, in the order of their names.

    A file is called ``CAMERA_…_SCENE_NUMBER_real.JPG``, its partner ``…_mean.JPG``.

    Raises:
        DataError: there is nothing, a name has too few parts, or a partner is missing.
    """
    files = _files(place)
    pairs = []
    for name in sorted(n for n in files if Path(n).parent.name == _REAL):
        stem = Path(name).stem
        parts = stem.split("_")
        wanted = f"{stem.removesuffix(_REAL)}{_MEAN}{Path(name).suffix}"
        partner = next((n for n in files if Path(n).name == wanted), None)
        if len(parts) < 4 or partner is None:
            raise DataError(
                f"expected CAMERA_…_SCENE_NUMBER_{_REAL} and a partner {wanted}, got {name}: "
                "check the names"
            )
        real, mean = _pixels(files[name]), _pixels(files[partner])
        pairs.append(Pair(parts[0], parts[-3], stem, real, mean))
    if not pairs:
        raise DataError(f"expected pairs in {_REAL}/ and {_MEAN}/ of {place}, found none")
    return pairs


def _files(place: Path) -> dict[str, bytes]:
    if place.is_dir():
        return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    if not place.is_file():
        raise DataError(f"expected a folder or a zip archive of pairs, found none at {place}")
    with ZipFile(place) as archive:
        return {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}


def _pixels(data: bytes) -> Tensor:
    with Image.open(BytesIO(data)) as image:
        values = np.array(image.convert("RGB"))
    return torch.from_numpy(values).permute(2, 0, 1).float() / 255


def camera_domain(pairs: Sequence[Pair], clean: Sequence[Tensor]) -> Domain:
    """Adapt to the camera with most scenes, on every second scene; judge on all that is left.

    Args:
        pairs: Of several scenes, and best of several cameras.
        clean: Photographs without noise, each (3, H, W).

    Raises:
        DataError: no camera has two scenes.
    """
    scenes = {camera: sorted({p.scene for p in pairs if p.camera == camera})
              for camera in sorted({p.camera for p in pairs})}  # fmt: skip
    camera = max(scenes, key=lambda name: len(scenes[name]))
    shown = set(scenes[camera][::2])
    if len(scenes[camera]) < 2:
        raise DataError("expected a camera with at least two scenes: one to adapt to, one to judge")
    adapted = [p for p in pairs if p.camera == camera and p.scene in shown]
    judged = [p for p in pairs if p.camera != camera or p.scene not in shown]
    return Domain(
        name="camera",
        clean=clean,
        unlabelled=[p.real for p in adapted],
        noisy=[p.real for p in judged],
        truth=[p.mean for p in judged],
        sets=np.array(["other scenes" if p.camera == camera else "other cameras" for p in judged]),
        groups=np.array([f"{p.camera} {p.scene}" for p in judged]),
        labels=None,
        facts={
            "name": f"pairs of {len(scenes)} cameras, adapted to {camera}",
            "scenes": sorted(shown),
            "n_unlabelled": len(adapted),
            "n_judged": len(judged),
            "digest": _digest(
                [*clean, *(i for p in (*adapted, *judged) for i in (p.real, p.mean))]
            ),
        },
    )


def photos_of(spec: str) -> list[Tensor]:
    """Photographs (3, H, W) of a folder or a zip archive.

    Raises:
        DataError: there are none.
    """
    kind = "folder" if Path(spec).is_dir() else "zip"
    return [photo.pixels[0] for photo in load_photos(f"{kind}:{spec}")]


def quick_pairs() -> tuple[list[Pair], list[Tensor]]:
    """Pairs and clean photographs from scikit-image's, "shot" with the synthetic camera."""
    photos = load_photos(None)
    side = _QUICK_SIDE_PX
    crops = [photo.pixels[:, :, :side, :side] for photo in photos]
    pairs = []
    for number, (photo, crop) in enumerate(zip(photos[:8], crops[:8], strict=True)):
        seeds = seeds_for(0, tensor_digests(crop), "noise adaptation")
        real = CORRUPTIONS["camera"](crop, severity=2, seeds=seeds)
        pairs.append(Pair("AB"[number >= 6], photo.name, photo.name, real[0], crop[0]))
    return pairs, [crop[0] for crop in crops[8:]]


def synthetic_domain(study: Study) -> Domain:
    """A synthetic camera that photographs half of *train*, and *test*, at drawn severities.

    The other half of *train* is the clean images. Each judged image is seen at one severity.
    """
    train, test = study.splits.train, study.splits.test
    clean = study.data.batch(train[::2])
    unlabelled, _ = _photographed(study, train[1::2], "unlabelled")
    noisy, severities = _photographed(study, test, "judged")
    truth = study.data.batch(test)
    return Domain(
        name="synthetic camera",
        clean=list(clean),
        unlabelled=list(unlabelled),
        noisy=list(noisy),
        truth=list(truth),
        sets=np.array([f"severity {severity}" for severity in severities]),
        groups=study.data.digests[test],
        labels=study.data.labels[test],
        facts={
            "name": f"{study.data.name} with a synthetic camera",
            "n_unlabelled": len(unlabelled),
            "n_judged": len(test),
            "corruption": CORRUPTIONS["camera"].table_for(*noisy.shape[2:]),
            "digest": _digest([*clean, *unlabelled, *noisy, *truth]),
        },
    )


def _photographed(study: Study, positions: IntArray, purpose: str) -> tuple[Tensor, IntArray]:
    digests = study.data.digests[positions]
    seeds = seeds_for(0, digests, f"noise adaptation/{purpose}")
    severities = np.array(SEVERITIES)[np.abs(seeds) % len(SEVERITIES)]
    made = []
    for start in range(0, len(positions), _CHUNK):
        rows = slice(start, start + _CHUNK)
        severity = torch.from_numpy(severities[rows]).double()
        images = study.data.batch(positions[rows])
        made.append(CORRUPTIONS["camera"].at_severity(images, severity=severity, seeds=seeds[rows]))
    return torch.cat(made), severities


def _digest(images: Sequence[Tensor]) -> str:
    total = hashlib.sha256()
    for image in images:
        total.update(str(tuple(image.shape)).encode())
        total.update((image * 255).round().to(torch.uint8).contiguous().numpy().tobytes())
    return total.hexdigest()
