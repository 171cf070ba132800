"""How well the signals measure noise, and what they cost.

    python -m benchmarks.signals [--data folder:PATH|zip:PATH] [--quick] [--no-timing]

Photographs are the image files of a folder or an archive, each at its full size; without
``--data`` those that scikit-image ships. Gaussian noise is added to all channels, clipped and
rounded, and its sigma estimated: by ours and, in the same run, by scikit-image's
``estimate_sigma``. Costs are of one core; ``--no-timing`` leaves them out on a busy machine, and
then nothing is written to the results folder.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import skimage
import torch
from skimage.restoration import estimate_sigma
from torch import Tensor

from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.signals_cost import cost_figures
from gatekeeper.corruptions import store_8_bit
from gatekeeper.corruptions.randomness import pixel_normal
from gatekeeper.errors import DataError, InputError
from gatekeeper.images import decode_image, seeds_for, tensor_digests
from gatekeeper.signals import SIGNAL_NAMES, image_signals
from gatekeeper.types import FloatArray

SIGMAS = (5, 10, 15, 20, 25, 30, 40, 50)
"""Standard deviations of the noise, in grey levels of 255."""

QUICK_SIGMAS = (5, 10, 30, 50)
_RESAMPLES = 2000
_SUFFIXES = {".png", ".jpg", ".jpeg"}
# Of the files of scikit-image, the photographs: no drawings, no text, no microscopy.
_SHIPPED = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "rocket.jpg",
)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph by name, pixels of shape (1, 3, H, W)."""

    name: str
    pixels: Tensor


def load_photos(spec: str | None) -> list[Photo]:
    """The photographs of ``folder:PATH`` or ``zip:PATH``, or those that scikit-image ships.

    Raises:
        InputError: another kind of spec.
        DataError: there is nothing, or no image in it.
    """
    kind, _, place = (spec or "").partition(":")
    if spec is None:
        folder = Path(skimage.__file__).parent / "data"
        files = {name: (folder / name).read_bytes() for name in _SHIPPED}
    elif kind == "folder":
        found = [p for p in Path(place).rglob("*") if p.suffix.lower() in _SUFFIXES]
        files = {str(p.relative_to(place)): p.read_bytes() for p in found}
    elif kind == "zip":
        if not Path(place).is_file():
            raise DataError(f"expected an archive of photographs, found none at {place}")
        with ZipFile(place) as archive:
            names = [n for n in archive.namelist() if Path(n).suffix.lower() in _SUFFIXES]
            files = {name: archive.read(name) for name in names}
    else:
        raise InputError(f"expected folder:PATH or zip:PATH, got {spec!r}")
    if not files:
        raise DataError(f"expected photographs (PNG or JPEG) in {place}, found none")
    return [Photo(name, decode_image(files[name])[None]) for name in sorted(files)]


def noisy(photo: Photo, sigma: int, seed: int) -> Tensor:
    """The photograph with noise of this sigma (grey levels), as storing it leaves it."""
    seeds = seeds_for(seed, tensor_digests(photo.pixels), f"signals {sigma}")
    return store_8_bit(photo.pixels + sigma / 255 * pixel_normal(photo.pixels, seeds))


def our_sigma(image: Tensor) -> float:
    """The signal ``noise_sigma``, in grey levels."""
    return float(image_signals(image)[0, SIGNAL_NAMES.index("noise_sigma")] * 255)


def peer_sigma(image: Tensor) -> float:
    """What scikit-image estimates, mean of the channels, in grey levels."""
    pixels = image[0].permute(1, 2, 0).numpy()
    return float(estimate_sigma(pixels, channel_axis=-1, average_sigmas=True) * 255)


METHODS = {"noise_sigma": our_sigma, "skimage_estimate_sigma": peer_sigma}


def errors(photos: Sequence[Photo], sigmas: Sequence[int], seed: int) -> dict[str, FloatArray]:
    """Relative error of each method, shape (sigmas, photographs)."""
    found = {method: np.zeros((len(sigmas), len(photos))) for method in METHODS}
    for column, photo in enumerate(photos):
        for row, sigma in enumerate(sigmas):
            image = noisy(photo, sigma, seed)
            for method, estimate in METHODS.items():
                found[method][row, column] = abs(estimate(image) / sigma - 1)
    return found


def worst_median(name: str, error: FloatArray, target: float, note: str) -> Figure:
    """The largest, over sigmas, of the medians over photographs; bootstrap over photographs."""
    generator = np.random.default_rng(0)
    picks = generator.integers(0, error.shape[1], size=(_RESAMPLES, error.shape[1]))
    drawn = np.median(error[:, picks], axis=2).max(axis=0)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Figure(
        name=name,
        value=float(np.median(error, axis=1).max()),
        low=float(low),
        high=float(high),
        target=target,
        direction="lower",
        judged="high",
        note=note,
    )


def sigma_figures(error: FloatArray, sigmas: Sequence[int]) -> list[Figure]:
    """The two figures of accuracy."""
    small = np.asarray(sigmas) < 10
    return [
        worst_median(
            "sigma_error_10_50",
            error[~small],
            0.05,
            "median over photographs of the relative error, at the worst sigma from 10 to 50",
        ),
        worst_median("sigma_error_5", error[small], 0.15, "the same at sigma 5"),
    ]


def sigma_table(error: dict[str, FloatArray], sigmas: Sequence[int]) -> list[dict[str, Any]]:
    """Median, mean and 90 % quantile of each method's relative error at each sigma."""
    return [
        {
            "method": method,
            "sigma": sigma,
            "median_error": float(np.median(row)),
            "mean_error": float(np.mean(row)),
            "error_quantile_90": float(np.quantile(row, 0.9)),
        }
        for method, rows in error.items()
        for sigma, row in zip(sigmas, rows, strict=True)
    ]


def described(photos: Sequence[Photo], spec: str | None) -> dict[str, Any]:
    """What the figures were judged on."""
    digests = sorted(str(tensor_digests(photo.pixels)[0]) for photo in photos)
    return {
        "name": "photographs of scikit-image" if spec is None else Path(spec).stem,
        "split": "all",
        "n": len(photos),
        "digest": hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        "spec": "built in" if spec is None else spec.partition(":")[0],
        "peers": {name: metadata.version(name) for name in ("scikit-image", "PyWavelets")},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=None, help="folder:PATH or zip:PATH")
    parser.add_argument("--quick", action="store_true", help="few sigmas, small cost runs")
    parser.add_argument("--no-timing", action="store_true", help="leave the costs out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="folder for signals.json")
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    photos = load_photos(arguments.data)
    sigmas = QUICK_SIGMAS if arguments.quick else SIGMAS
    found = errors(photos, sigmas, arguments.seed)
    figures = sigma_figures(found["noise_sigma"], sigmas)
    table = sigma_table(found, sigmas)
    if not arguments.no_timing:
        costs, rows = cost_figures(quick=arguments.quick)
        figures += costs
        table += rows
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<24}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    # Neither a quick run nor half of one must pass for the benchmark.
    partial = arguments.quick or arguments.no_timing
    command = ["python -m benchmarks.signals"]
    command += [f"--data {arguments.data.partition(':')[0]}"] if arguments.data else []
    command += [f"--{flag}" for flag in ("quick", "no-timing") if _given(arguments, flag)]
    path = write_results(
        "signals",
        command=" ".join([*command, f"--seed {arguments.seed}"]),
        seeds=[arguments.seed],
        data=described(photos, arguments.data),
        seconds=time.perf_counter() - started,
        figures=figures,
        table=table,
        folder=arguments.out or (Path("runs") / "benchmarks" if partial else RESULTS),
    )
    print(f"wrote {path}")


def _given(arguments: argparse.Namespace, flag: str) -> bool:
    return bool(getattr(arguments, flag.replace("-", "_")))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
