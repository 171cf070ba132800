"""Gatekeeper: the one place where all seams meet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gatekeeper.bundle import FittedGate, load_bundle
from gatekeeper.decision import Action, Attempt, Decision
from gatekeeper.errors import ImageError, InputError, NotFittedError
from gatekeeper.evidence import collect, restore_rows
from gatekeeper.images import DecodeLimits, decode_image, fit_to, seeds_for, tensor_digests
from gatekeeper.monitoring import AccuracyEstimate
from gatekeeper.types import FloatArray, IntArray

POLICY = "restore"
"""Name of the whole policy: gate, restorer, second look, margin."""


class Gatekeeper:
    """Decides, image by image, whether the classifier's answer can be relied upon.

    Args:
        fitted: The fitted gate.
        calibration_id: Identity of its bundle.
        limits: What an encoded image may be.

    Example:
        >>> from pathlib import Path
        >>> Gatekeeper.load(Path("nowhere"))  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        gatekeeper.errors.BundleError: expected a bundle with MANIFEST.sha256 in nowhere …
    """

    def __init__(
        self, fitted: FittedGate, calibration_id: str, *, limits: DecodeLimits | None = None
    ) -> None:
        self.fitted = fitted
        self.calibration_id = calibration_id
        self.limits = limits or DecodeLimits()

    @classmethod
    def load(
        cls, path: Path | str, *, device: str | None = None, limits: DecodeLimits | None = None
    ) -> Self:
        """Verify and load a bundle.

        Raises:
            BundleError: see :func:`gatekeeper.bundle.load_bundle`.
        """
        fitted, identity = load_bundle(Path(path), device=device)
        return cls(fitted, identity, limits=limits)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        return self.fitted.classifier.class_names

    @property
    def model_id(self) -> str:
        """Identity of the classifier."""
        return self.fitted.classifier.model_id

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that images are brought to at the door."""
        return self.fitted.image_size

    @property
    def certificate(self) -> Mapping[str, Any]:
        """What was certified, or why it could not be."""
        return self.fitted.certificate

    def decide(self, images: Tensor) -> list[Decision]:
        """Decide a batch; each decision depends on its own image only.

        Args:
            images: Shape (B, 3, H, W), float32, RGB, in [0, 1]; other sizes than
                :attr:`image_size` are resized and cropped at the door.

        Raises:
            InputError: the images are not that.
        """
        self._check(images)
        if len(images) == 0:
            return []
        images = fit_to(images, self.image_size)
        seeds = seeds_for(self.fitted.seed, tensor_digests(images), "serve")
        views = self.fitted.views
        first = collect(
            self.fitted.classifier, images, seeds, views=views, second_opinion=self.fitted.second
        )
        raw = self.fitted.raw_reliability(first)
        restored = np.full(len(images), np.nan)
        restorer = np.full(len(images), "", dtype="<U32")
        labels = first.labels.copy()
        doubted = np.flatnonzero(raw < self.fitted.gate.accept_raw_at)
        if len(doubted):
            restorer[doubted] = self.fitted.route(first.take(doubted))
        rows = np.flatnonzero(restorer != "")
        if len(rows):
            better = restore_rows(self.fitted.restorers, images[rows], restorer[rows], seeds[rows])
            second = collect(
                self.fitted.classifier,
                better,
                seeds[rows],
                restorer[rows],
                views=views,
                second_opinion=self.fitted.second,
            )
            second = second.after(first.take(rows))
            restored[rows] = self.fitted.restored_reliability(second, raw[rows])
            labels[rows] = second.labels
        symptoms = self.fitted.symptoms(first)
        return self._decisions(first.labels, labels, raw, restored, restorer.tolist(), symptoms)

    def _decisions(
        self,
        raw_labels: IntArray,
        restored_labels: IntArray,
        raw: FloatArray,
        restored: FloatArray,
        restorer: Sequence[str],
        symptoms: Sequence[tuple[str, ...]],
    ) -> list[Decision]:
        replay = self.fitted.gate.replay(raw, restored)
        final = self.fitted.final_reliability(
            replay.kept_reliability, replay.keep_restored.astype(np.float64)
        )
        decisions = []
        for row in range(len(raw)):
            second = None if np.isnan(restored[row]) else float(restored[row])
            outcome = self.fitted.gate.decide(float(raw[row]), second)
            kept = restored_labels[row] if outcome.keep_restored else raw_labels[row]
            attempts = [
                Attempt(
                    restorer=None,
                    label=int(raw_labels[row]),
                    reliability=float(raw[row]),
                    action=outcome.action if second is None else Action.RESTORE,
                )
            ]
            if second is not None:
                attempts.append(
                    Attempt(
                        restorer=restorer[row],
                        label=int(restored_labels[row]),
                        reliability=second,
                        action=outcome.action,
                    )
                )
            decisions.append(
                Decision(
                    action=outcome.action,
                    reason=outcome.reason,
                    label=int(kept) if outcome.action is Action.ACCEPT else None,
                    reliability=float(final[row]),
                    attempts=tuple(attempts),
                    policy=POLICY,
                    certified=bool(self.certificate["certified"]),
                    model_id=self.model_id,
                    calibration_id=self.calibration_id,
                    symptoms=symptoms[row],
                )
            )
        return decisions

    def estimate_accuracy(self, decisions: Sequence[Decision]) -> AccuracyEstimate:
        """How accurate the kept answers of some decisions are, estimated without labels.

        Args:
            decisions: Of a window of traffic, at least one; abstentions count with the answer that
                was kept back.

        Raises:
            NotFittedError: this bundle holds no estimator.
            InputError: there are no decisions.
        """
        if self.fitted.accuracy is None:
            raise NotFittedError(
                "expected a bundle with an estimate of accuracy, got one without: fit it again, on "
                "clean and corrupted images"
            )
        return self.fitted.accuracy.accuracy([decision.reliability for decision in decisions])

    def decide_one(self, source: Path | str | bytes | Image.Image) -> Decision:
        """Decide one image given as a path, as encoded bytes or as a PIL image.

        Raises:
            ImageError: it cannot be read or accepted; ``reason`` says why in one word.
        """
        return self.decide(self.read(source)[None])[0]

    def read(self, source: Path | str | bytes | Image.Image) -> Tensor:
        """The image (3, H, W) in [0, 1] behind a path, encoded bytes or a PIL image.

        Raises:
            ImageError: see :meth:`decide_one`.
        """
        if isinstance(source, Image.Image):
            # Through the same door as everything else: one set of rules for modes and sizes.
            encoded = io.BytesIO()
            source.save(encoded, format="PNG")
            source = encoded.getvalue()
        if isinstance(source, Path | str):
            path = Path(source)
            try:
                size = path.stat().st_size
                if size > self.limits.max_bytes:
                    raise ImageError(
                        "too_large",
                        f"expected at most {self.limits.max_bytes} bytes, {path} has {size}",
                    )
                source = path.read_bytes()
            except OSError as error:
                raise ImageError(
                    "unreadable", f"expected an image file at {path}, got: {error.strerror}"
                ) from error
        return decode_image(source, limits=self.limits)

    def canary(self) -> Decision:
        """Decide a fixed synthetic image: proof that every part runs.

        The image is a noisy ramp, so that the restoration stage is likely to run too.
        """
        height, width = self.image_size
        ramp = torch.linspace(0, 1, width).expand(3, height, width).clone()
        ramp[:, ::3, ::2] = 1.0
        return self.decide(ramp[None])[0]

    @staticmethod
    def _check(images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.float32:
            raise InputError(
                f"expected float32 images of shape (B, 3, H, W), got {images.dtype} of shape "
                f"{tuple(images.shape)}"
            )
        if len(images) and not bool(((images >= 0) & (images <= 1)).all()):
            raise InputError(
                "expected values in [0, 1] (NaN is none), got others: divide 8-bit values by 255"
            )
