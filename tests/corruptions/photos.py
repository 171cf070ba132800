"""The photographs that scikit-image brings, for comparisons of image quality."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import skimage
from PIL import Image


@cache
def photos(side: int) -> np.ndarray:
    """All pictures of the package, middle square, resized: (N, 3, side, side) in [0, 1], 8 bit."""
    folder = Path(skimage.__file__).parent / "data"
    squares = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in {".jpg", ".png"}:
            continue
        with Image.open(path) as picture:
            image = picture.convert("RGB")
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        image = image.crop((left, top, left + edge, top + edge)).resize((side, side))
        squares.append(np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255)
    return np.stack(squares)
