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
from gatekeeper.pipeline.looks import FirstLook, SecondLook
from gatekeeper.types import FloatArray, IntArray, StrArray

POLICY = "restore"
"""Name of the whole policy: gate, restorers, second looks, margin."""


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
            InputError: the images are not that, or the classifier's numbers are not finite.
        """
        self._check(images)
        if len(images) == 0:
            return []
        first = self.first_look(fit_to(images, self.image_size))
        _require_finite(first.failed, "images as received")
        found, rows = first.untried(), np.flatnonzero(first.plans[:, 0] != "")
        if len(rows):
            part = self.second_look(first.take(rows))
            _require_finite(rows[part.failed], "restored images")
            found.spread(rows, part)
        return self.conclude(first, found)

    def first_look(self, images: Tensor, *, digests: StrArray | None = None) -> FirstLook:
        """Look at a batch, and plan what to try where the answer is doubted.

        Args:
            images: Shape (B, 3, H, W) with H and W of :attr:`image_size`, otherwise as for
                :meth:`decide`.
            digests: Of the images, shape (B,), where they are known; found here otherwise.
        """
        fitted = self.fitted
        known = tensor_digests(images) if digests is None else digests
        seeds = seeds_for(fitted.seed, known, "serve")
        look = collect(
            fitted.classifier, images, seeds, views=fitted.views, second_opinion=fitted.second
        )
        finite = np.isfinite(look.logits).all(axis=1)
        kept = np.flatnonzero(finite)
        look = look.take(kept)
        n_attempts = 1 if fitted.arbiter is None else fitted.arbiter.budget.max_attempts
        plans = np.full((len(kept), n_attempts), "", dtype="<U32")
        raw: FloatArray = np.zeros(0)
        symptoms: list[tuple[str, ...]] = []
        if len(kept):
            raw, symptoms = fitted.raw_reliability(look), fitted.symptoms(look)
            doubted = np.flatnonzero(raw < fitted.gate.accept_raw_at)
            if len(doubted):
                plans[doubted] = fitted.plan(look.take(doubted))
        return FirstLook(
            images=images if finite.all() else images[kept],
            look=look,
            raw=raw,
            plans=plans,
            symptoms=tuple(symptoms),
            failed=np.flatnonzero(~finite),
        )

    def second_look(self, first: FirstLook) -> SecondLook:
        """Try the planned restorers on each image in turn, until an answer is good enough.

        Args:
            first: Looks at images for which at least one restorer is planned.
        """
        fitted, found = self.fitted, first.untried()
        images = first.images.clone()
        waiting = np.arange(len(first))
        for column in range(first.plans.shape[1]):
            waiting = waiting[first.plans[waiting, column] != ""]
            if not len(waiting):
                break
            names, seeds = first.plans[waiting, column], first.look.seeds[waiting]
            better = restore_rows(fitted.restorers, first.images[waiting], names, seeds)
            look = collect(
                fitted.classifier,
                better,
                seeds,
                names,
                views=fitted.views,
                second_opinion=fitted.second,
            )
            finite = np.isfinite(look.logits).all(axis=1)
            found.failed = np.union1d(found.failed, waiting[~finite])
            rows, kept = waiting[finite], np.flatnonzero(finite)
            if not len(rows):
                break
            look = look.take(kept).after(first.look.take(rows))
            reliability = fitted.restored_reliability(look, first.raw[rows])
            found.note(rows, column, look, reliability)
            newest = found.column[rows] == column
            images[rows[newest]] = better[kept[newest]]
            waiting = rows[~fitted.gate.met(first.raw[rows], reliability)]
        found.images = images
        return found

    def conclude(self, first: FirstLook, second: SecondLook) -> list[Decision]:
        """The decisions about looks, with what was tried on each image."""
        gate, restored, answers = self.fitted.gate, second.counted, second.answers
        replay = gate.replay(first.raw, restored)
        final = self.fitted.final_reliability(
            replay.kept_reliability, replay.keep_restored.astype(np.float64)
        )
        decisions = []
        for row in range(len(first)):
            best = None if np.isnan(restored[row]) else float(restored[row])
            outcome = gate.decide(float(first.raw[row]), best)
            label = answers[row] if outcome.keep_restored else first.look.labels[row]
            decisions.append(
                Decision(
                    action=outcome.action,
                    reason=outcome.reason,
                    label=int(label) if outcome.action is Action.ACCEPT else None,
                    reliability=float(final[row]),
                    attempts=_attempts(first, second, row, outcome.action),
                    policy=POLICY,
                    certified=bool(self.certificate["certified"]),
                    model_id=self.model_id,
                    calibration_id=self.calibration_id,
                    symptoms=first.symptoms[row],
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


def _attempts(first: FirstLook, second: SecondLook, row: int, end: Action) -> tuple[Attempt, ...]:
    """The raw attempt and the restored ones at one image, in order; the last has the action."""
    tried = np.flatnonzero(~np.isnan(second.reliability[row])).tolist()
    looks: list[tuple[str | None, Any, Any]] = [(None, first.look.labels[row], first.raw[row])]
    looks += [
        (str(first.plans[row, at]), second.labels[row, at], second.reliability[row, at])
        for at in tried
    ]
    return tuple(
        Attempt(
            restorer=restorer,
            label=int(label),
            reliability=float(reliability),
            action=end if number == len(tried) else Action.RESTORE,
        )
        for number, (restorer, label, reliability) in enumerate(looks)
    )


def _require_finite(failed: IntArray, what: str) -> None:
    if len(failed):
        raise InputError(
            f"expected finite numbers from the classifier on {what}, got others for image "
            f"{int(failed[0])} of the batch: inspect it and the classifier"
        )
