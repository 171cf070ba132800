"""Mean PSNR of imagecorruptions on photographs, written to ``peer_psnr.json`` beside this file.

Run once, by hand, in an environment of its own; the tests read the file only:

    python -m pip install imagecorruptions opencv-python-headless "scikit-image<0.26" "numpy<2"
    python -m tests.corruptions.measure_peer [NAME …]

The package is of 2020: with newer releases of scipy and scikit-image, imports that moved and the
argument ``multichannel`` have to be renamed in its source. Two of its functions are not those of
ImageNet-C and are replaced here: its enlargement keeps the upper left corner, not the middle; its
elastic transform has other constants and no affine map.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from tests.corruptions.photos import photos

SEED = 0
ROUNDS = {"elastic_transform": 4, "fog": 8, "frost": 4, "snow": 4, "spatter": 4}  # draws, else 1
CAP_DB = 50.0  # of one photograph: some corruptions leave a grey one as it is


def psnr(clean: np.ndarray, degraded: np.ndarray) -> float:
    error = np.mean((clean.astype(np.float64) - degraded.astype(np.float64)) ** 2)
    return float(min(CAP_DB, 10 * np.log10(255.0**2 / max(error, 1e-9))))


def middle_zoom(image: np.ndarray, factor: float) -> np.ndarray:
    from scipy import ndimage

    side = image.shape[0]
    kept = int(np.ceil(side / factor))
    top = (side - kept) // 2
    cut = image[top : top + kept, top : top + kept]
    large = ndimage.zoom(cut, (factor, factor, 1), order=1)
    skip = (large.shape[0] - side) // 2
    return large[skip : skip + side, skip : skip + side]


ELASTIC = ((488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88),
           (29.28, 2.44, 4.88))  # fmt: skip


def elastic(image: np.ndarray, severity: int) -> np.ndarray:
    """The elastic transform of ImageNet-C on OpenCV, scikit-image and scipy."""
    import cv2
    from scipy import ndimage
    from skimage.filters import gaussian

    strength, sigma, corners = ELASTIC[severity - 1]
    height, width = image.shape[:2]
    middle, arm = np.array([height // 2, width // 2]), min(height, width) // 3
    fixed = np.float32([middle + arm, middle + np.array([arm, -arm]), middle - arm])
    moved = fixed + np.random.uniform(-corners, corners, fixed.shape).astype(np.float32)  # noqa: NPY002
    affine = cv2.getAffineTransform(fixed, moved)
    bent = cv2.warpAffine(
        image.astype(np.float32), affine, (width, height), borderMode=cv2.BORDER_REFLECT_101
    )
    down, across = (
        strength
        * gaussian(
            np.random.uniform(-1, 1, (height, width)),  # noqa: NPY002
            sigma, mode="reflect", truncate=3,
        )
        for _ in range(2)
    )  # fmt: skip
    y, x = np.mgrid[:height, :width]
    channels = [
        ndimage.map_coordinates(bent[:, :, c], [y + down, x + across], order=1, mode="reflect")
        for c in range(3)
    ]
    return np.stack(channels, axis=2).clip(0, 255).astype(np.uint8)


def degrade(name: str, image: np.ndarray, severity: int) -> np.ndarray:
    import imagecorruptions

    if name == "elastic_transform":
        return elastic(image, severity)
    return imagecorruptions.corrupt(image, corruption_name=name, severity=severity)


def measured(name: str, clean: list[np.ndarray]) -> list[float]:
    """Mean PSNR of each severity."""
    means = []
    for severity in range(1, 6):
        np.random.seed(SEED)  # noqa: NPY002 - the peer draws from it
        rounds = range(ROUNDS.get(name, 1))
        found = [psnr(a, degrade(name, a, severity)) for _ in rounds for a in clean]
        means.append(round(float(np.mean(found)), 3))
    return means


def main(names: list[str]) -> None:
    """Measure the named corruptions, or all, and write them into the file."""
    import imagecorruptions
    from imagecorruptions import corruptions

    corruptions.clipped_zoom = middle_zoom
    clean = [(image * 255).round().astype(np.uint8).transpose(1, 2, 0) for image in photos(224)]
    path = Path(__file__).with_name("peer_psnr.json")
    table = json.loads(path.read_text())["mean_psnr_db"] if path.exists() else {}
    for name in names or imagecorruptions.get_corruption_names("all"):
        table[name] = measured(name, clean)
        record = {
            "command": "python -m tests.corruptions.measure_peer",
            "peer": "imagecorruptions 1.1.2",
            "photos": len(clean),
            "side_px": 224,
            "rounds": ROUNDS,
            "seed": SEED,
            "cap_db": CAP_DB,
            "mean_psnr_db": dict(sorted(table.items())),
        }
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1:])
