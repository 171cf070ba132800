"""Mean PSNR of imagecorruptions on photographs, written to ``peer_psnr.json`` beside this file.

Run once, by hand, in an environment of its own; the tests read the file only:

    python -m pip install imagecorruptions opencv-python-headless "scikit-image<0.26" "numpy<2"
    python -m tests.corruptions.measure_peer

The package is of 2020: with newer releases of scipy and scikit-image, imports that moved and the
argument ``multichannel`` have to be renamed in its source. Its enlargement, which since then cuts
the upper left corner, is replaced here by the one of ImageNet-C, which cuts the middle.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from tests.corruptions.photos import photos

SEED = 0
HERE = Path(__file__).parent


def psnr(clean: np.ndarray, degraded: np.ndarray) -> float:
    error = np.mean((clean.astype(np.float64) - degraded.astype(np.float64)) ** 2)
    return float(10 * np.log10(255.0**2 / max(error, 1e-9)))


def middle_zoom(image: np.ndarray, factor: float) -> np.ndarray:
    from scipy import ndimage

    side = image.shape[0]
    kept = int(np.ceil(side / factor))
    top = (side - kept) // 2
    cut = image[top : top + kept, top : top + kept]
    large = ndimage.zoom(cut, (factor, factor, 1), order=1)
    skip = (large.shape[0] - side) // 2
    return large[skip : skip + side, skip : skip + side]


def main() -> None:
    import imagecorruptions
    from imagecorruptions import corruptions

    corruptions.clipped_zoom = middle_zoom
    clean = [(image * 255).round().astype(np.uint8).transpose(1, 2, 0) for image in photos(224)]
    table = {}
    for name in imagecorruptions.get_corruption_names("all"):
        rows = []
        for severity in range(1, 6):
            np.random.seed(SEED)  # noqa: NPY002 - the peer draws from it
            degraded = [
                imagecorruptions.corrupt(image, corruption_name=name, severity=severity)
                for image in clean
            ]
            rows.append([psnr(a, b) for a, b in zip(clean, degraded, strict=True)])
        table[name] = [round(float(np.mean(row)), 3) for row in rows]
        sys.stdout.write(f"{name} {table[name]}\n")
        sys.stdout.flush()
    record = {
        "command": "python -m tests.corruptions.measure_peer",
        "peer": "imagecorruptions 1.1.2",
        "photos": len(clean),
        "side_px": 224,
        "seed": SEED,
        "mean_psnr_db": table,
    }
    (HERE / "peer_psnr.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
