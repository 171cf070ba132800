"""What is known about a batch between the first look and the decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gatekeeper.protocols import Evidence
from gatekeeper.types import FloatArray, IntArray, StrArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstLook:
    """First looks at B images, and what is to be tried where their answers are doubted.

    Attributes:
        images: Shape (B, 3, H, W).
        look: Evidence of the looks.
        raw: Their calibrated reliability, shape (B,), in [0, 1].
        plans: Restorers to try on each image, in order, then ""; nothing but "" where the answer is
            accepted or no restorer fits. Shape (B, A).
        symptoms: What is wrong with each image, length B.
        failed: Places, in the batch that was looked at, of images whose numbers were not finite;
            they are none of the B.
    """

    images: Tensor
    look: Evidence
    raw: FloatArray
    plans: StrArray
    symptoms: tuple[tuple[str, ...], ...]
    failed: IntArray

    def __len__(self) -> int:
        """Number of images B."""
        return len(self.raw)

    def take(self, rows: IntArray) -> FirstLook:
        """Some of the images, in that order."""
        return FirstLook(
            images=self.images[rows],
            look=self.look.take(rows),
            raw=self.raw[rows],
            plans=self.plans[rows],
            symptoms=tuple(self.symptoms[row] for row in rows),
            failed=np.zeros(0, dtype=np.int64),
        )

    def untried(self) -> SecondLook:
        """What is known of restored attempts before there is any."""
        n_attempts = self.plans.shape[1]
        return SecondLook(
            labels=np.repeat(self.look.labels[:, None], n_attempts, axis=1),
            reliability=np.full(self.plans.shape, np.nan),
            column=np.full(len(self), -1),
            logits=self.look.logits.copy(),
            images=self.images,
            failed=np.zeros(0, dtype=np.int64),
        )


@dataclass(slots=True, kw_only=True, eq=False)
class SecondLook:
    """Restored attempts at B images, filled in as they are made.

    Attributes:
        labels: Answer of each attempt; the raw answer where none was made, shape (B, A).
        reliability: In [0, 1]; NaN where none was made, shape (B, A).
        column: The most reliable attempt so far, −1 before there is any, shape (B,).
        logits: Of that attempt; of the first look before there is any, shape (B, K).
        images: Restored by that attempt; as received before there is any, shape (B, 3, H, W).
        failed: Rows whose restored image gave numbers that are not finite.
    """

    labels: IntArray
    reliability: FloatArray
    column: IntArray
    logits: FloatArray
    images: Tensor
    failed: IntArray

    @property
    def counted(self) -> FloatArray:
        """Reliability of the attempt that counts, NaN where there is none, shape (B,)."""
        # Before there is any, every column is NaN, the last one too.
        return np.asarray(self.reliability[np.arange(len(self.column)), self.column])

    @property
    def answers(self) -> IntArray:
        """Label of the attempt that counts, the raw label where there is none, shape (B,)."""
        return np.asarray(self.labels[np.arange(len(self.column)), self.column])

    def note(self, rows: IntArray, column: int, look: Evidence, reliability: FloatArray) -> None:
        """Write down the next attempt at some images.

        An attempt that would be accepted is more reliable than all before it that would not be, so
        the most reliable one is the one that counts.

        Args:
            rows: Which images, shape (R,).
            column: Number of the attempt, from 0.
            look: Evidence of the looks at their restored images, R rows.
            reliability: Shape (R,).
        """
        before = self.counted[rows]
        self.labels[rows, column] = look.labels
        self.reliability[rows, column] = reliability
        better = np.isnan(before) | (reliability > before)
        self.column[rows[better]] = column
        self.logits[rows[better]] = look.logits[better]

    def spread(self, rows: IntArray, part: SecondLook) -> None:
        """Write down the attempts at some images that were made apart from the others.

        Args:
            rows: Which images those are, shape (R,).
            part: Their attempts, R rows.
        """
        self.labels[rows] = part.labels
        self.reliability[rows] = part.reliability
        self.column[rows] = part.column
        self.logits[rows] = part.logits
