"""Classifiers exported to ONNX, run by onnxruntime; the only module that imports onnxruntime."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gatekeeper.classifiers.inputs import check_images, checked_class_names, checked_look
from gatekeeper.classifiers.preprocessing import CropMode, Interpolation, Preprocessing
from gatekeeper.errors import DataError, InputError
from gatekeeper.protocols import LogitsKind, Look
from gatekeeper.types import FloatArray

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxClassifier:
    """A single-file ONNX network that maps normalised images (B, 3, *size) to logits (B, K).

    Args:
        path: The ``.onnx`` file, with its weights inside (no external data).
        class_names: Length K; position = label.
        mean: Per channel (RGB), subtracted from values in [0, 1].
        std: Per channel, divides afterwards.
        size: Input height and width in pixels; one number for a square.
        logits_output: Name of the output with the logits; may be left out if there is only one.
        features_output: Name of an output with features (B, F) or maps (B, F, H, W), which are
            averaged over H and W; None for no features.
        kind: ``"logits"`` or ``"log_probabilities"``: what that output holds; never guessed.
        model_id: Name under which the classifier is known; by default the file's stem.
        interpolation: ``"bilinear"`` or ``"bicubic"``.
        crop_pct: Share of the resized image that the centre crop keeps, in (0, 1].
        crop_mode: ``"center"`` or ``"squash"``.
        device: ``"cpu"``, or ``"cuda"`` where onnxruntime was built for it.

    Raises:
        InputError: onnxruntime is not installed (extra ``[onnx]``), the file is not a readable
            single-file network, or its input, outputs or classes are not as declared.
        DataError: the file is missing.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        class_names: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        size: int | Sequence[int],
        logits_output: str | None = None,
        features_output: str | None = None,
        kind: LogitsKind = "logits",
        model_id: str | None = None,
        interpolation: Interpolation = "bilinear",
        crop_pct: float = 1.0,
        crop_mode: CropMode = "center",
        device: Literal["cpu", "cuda"] = "cpu",
    ) -> None:
        path = Path(path)
        if not path.is_file():
            raise DataError(f"expected a network in {path}, got no such file: check the path")
        if kind not in ("logits", "log_probabilities"):
            raise InputError(f"expected kind logits or log_probabilities, got {kind!r}")
        self._class_names = checked_class_names(class_names)
        self._preprocessing = Preprocessing.from_json(
            {
                "size": size,
                "mean": mean,
                "std": std,
                "interpolation": interpolation,
                "crop_pct": crop_pct,
                "crop_mode": crop_mode,
            }
        )
        self._kind: LogitsKind = kind
        self._model_id = model_id or path.stem
        content = path.read_bytes()
        self._session = _session(content, path.name, device)
        self._input, self._one_by_one = _checked_input(self._session, self._preprocessing.size)
        self._outputs = _checked_outputs(
            self._session, logits_output, features_output, len(self._class_names)
        )
        facts = {
            "kind": kind,
            "outputs": self._outputs,
            "preprocessing": self._preprocessing.to_json(),
        }
        self._digest = hashlib.sha256(
            f"{json.dumps(facts, sort_keys=True)}\n{hashlib.sha256(content).hexdigest()}".encode()
        ).hexdigest()
        # Fail here, with a sentence, rather than at the first request.
        self.look(torch.full((1, 3, *self._preprocessing.size), 0.5))

    @property
    def model_id(self) -> str:
        """Name under which the classifier is known."""
        return self._model_id

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        return self._class_names

    @property
    def digest(self) -> str:
        """The sha256 over the file, the outputs that are read, and preprocessing."""
        return self._digest

    @property
    def preprocessing(self) -> Preprocessing:
        """The resizing and normalisation in force."""
        return self._preprocessing

    def look(self, images: Tensor) -> Look:
        """Logits and features in one pass.

        Args:
            images: Float32, shape (B, 3, H, W), in [0, 1], on any device; left untouched.

        Returns:
            Logits (B, K) of the declared kind and features (B, F) or None, float32.

        Raises:
            InputError: the images are not that, or the network's output is not as declared.
        """
        check_images(images)
        with torch.inference_mode():
            inputs = self._preprocessing.apply(images.cpu()).contiguous().numpy()
        # A network exported for one image at a time is asked one image at a time.
        batches = np.split(inputs, len(inputs)) if self._one_by_one else [inputs]
        answers = [self._session.run(self._outputs, {self._input: batch}) for batch in batches]
        logits, *features = (
            _as_float32(np.concatenate(parts)) for parts in zip(*answers, strict=True)
        )
        return checked_look(
            logits,
            _pooled(features[0]) if features else None,
            kind=self._kind,
            n_images=len(images),
            n_classes=len(self._class_names),
        )


def _session(content: bytes, file_name: str, device: str) -> Any:  # noqa: ANN401  # untyped library
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:
        raise InputError(
            "expected onnxruntime for an ONNX classifier, got no such package: install "
            "`vision-gatekeeper[onnx]`"
        ) from error
    if device not in _PROVIDERS or _PROVIDERS[device] not in runtime.get_available_providers():
        raise InputError(
            f"expected a device that this onnxruntime offers, got {device!r}: use "
            '"cpu", or install onnxruntime-gpu for "cuda"'
        )
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # Weights outside the file would escape the digest: point them at a folder that cannot exist.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", f"{os.devnull}/none"
    )
    try:
        # From the bytes that were hashed, not from the path, which could change in between.
        return runtime.InferenceSession(content, options, providers=[_PROVIDERS[device]])
    except Exception as error:  # its errors have no common base but Exception
        raise InputError(
            f"expected an ONNX network with its weights in one file, got {file_name}, which "
            f"onnxruntime refuses ({error}): export it again without external data"
        ) from error


def _checked_input(session: Any, size: tuple[int, int]) -> tuple[str, bool]:  # noqa: ANN401
    """Name of the only input, and whether it takes one image at a time."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        got = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in inputs)
        raise InputError(
            f"expected a network with one float32 input (B, 3, H, W), got {got or 'none'}: "
            "export it so"
        )
    wanted = (None, 3, *size)
    # A dimension that is free has a name or None in place of a number.
    fixed = [side if isinstance(side, int) else None for side in inputs[0].shape]
    differs = any(has not in (None, want) for has, want in zip(fixed[1:], wanted[1:], strict=True))
    if differs or fixed[0] not in (None, 1):
        raise InputError(
            f"expected an input that takes (B, {wanted[1]}, {size[0]}, {size[1]}) with B free or "
            f"1, got {inputs[0].shape}: declare its size or export it with a free batch"
        )
    return str(inputs[0].name), fixed[0] == 1


def _checked_outputs(
    session: Any,  # noqa: ANN401  # untyped library
    logits: str | None,
    features: str | None,
    n_classes: int,
) -> list[str]:
    """Names of the outputs to read: logits, then features where declared."""
    shapes = {entry.name: entry.shape for entry in session.get_outputs()}
    if logits is None and len(shapes) > 1:
        raise InputError(
            f"expected logits_output to say which output holds the logits, got {', '.join(shapes)}"
        )
    names = [logits or next(iter(shapes)), *([] if features is None else [features])]
    unknown = [name for name in names if name not in shapes]
    if unknown:
        raise InputError(
            f"expected outputs among {', '.join(shapes)}, got {', '.join(unknown)}: "
            "declare existing ones"
        )
    shape = shapes[names[0]]
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != n_classes):
        raise InputError(
            f"expected output {names[0]!r} of shape (B, {n_classes}), one column per class name, "
            f"got {shape}: check the class names and logits_output"
        )
    return names


def _as_float32(values: FloatArray) -> FloatArray:
    return values.astype(np.float32, copy=False)


def _pooled(values: FloatArray) -> FloatArray:
    """Maps (B, F, H, W) are averaged over H and W; anything else is checked by the caller."""
    return np.asarray(values.mean(axis=(2, 3))) if values.ndim == 4 else values
