"""Array aliases and the two conventions that every module relies on.

Images are float32 tensors of shape (B, 3, H, W), RGB, values in [0, 1], not normalised. Resizing
and normalisation belong to the classifier. Greyscale sources are repeated to three channels.

Shape letters: B batch, N data-set size, K classes, F features, D signals, P probes, H W pixels,
M points of a curve.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
StrArray: TypeAlias = npt.NDArray[np.str_]
