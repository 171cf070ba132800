"""Captured images: from the review queue, from its Parquet export, or from a plain folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gatekeeper.errors import DataError
from gatekeeper.images import Dataset, decode_pixels, fit_to, image_digests, seeds_for
from gatekeeper.review import ABSTAINED, ACCEPTED, ReviewQueue
from gatekeeper.training.sources import read_folder
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray

Pixels = npt.NDArray[np.uint8]

UNLABELLED = -1

_DATABASE = "review.db"
_EXPORT = ".parquet"
_FOR_EVER_DAYS = 1e5
_DRAWS = float(2**63)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captured:
    """Distinct images of the traffic, N rows.

    Attributes:
        images: uint8, shape (N, H, W, 3), at the gate's size.
        digests: Of their pixels, shape (N,).
        kinds: ``"abstained"``, ``"accepted"`` or "" where nobody recorded it, shape (N,).
        labels: What a person says, -1 for none, shape (N,).
        probabilities: With which an image of its kind was captured, in (0, 1], shape (N,).
        bundles: Identity of the bundle that decided, or "", shape (N,).
        source: Where they come from, a phrase.
        complete: Whether images without a label are among them, so that it is known which random
            draws nobody labelled; an export holds labelled images only.
    """

    images: Pixels
    digests: StrArray
    kinds: StrArray
    labels: IntArray
    probabilities: FloatArray
    bundles: StrArray
    source: str
    complete: bool = True

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.digests)

    @property
    def labelled(self) -> BoolArray:
        """Which have a label, shape (N,)."""
        return np.asarray(self.labels != UNLABELLED)

    def draws_of(self, champion: str) -> BoolArray:
        """Which are random draws of answers that this bundle accepted, shape (N,)."""
        return np.asarray((self.kinds == ACCEPTED) & (self.bundles == champion))

    def abstentions(self) -> BoolArray:
        """Which are abstentions, shape (N,)."""
        return np.asarray(self.kinds == ABSTAINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    pixels: Pixels
    kind: str
    label: int
    probability: float
    bundle: str


def read_captured(
    place: Path, *, image_size: tuple[int, int], class_names: Sequence[str]
) -> Captured:
    """Read captured images.

    Args:
        place: The folder of a review queue, its export as ``.parquet``, or a folder of images.
        image_size: Height and width that the gate brings images to.
        class_names: Of the gate; labels beyond them are refused.

    Raises:
        DataError: there is nothing to read, an image cannot be read, or a label is unknown.
    """
    if (place / _DATABASE).is_file():
        records, source = _of_queue(place), f"the review queue {place.name}"
    elif place.suffix == _EXPORT:
        records, source = _of_export(place), f"the export {place.name}"
    elif place.is_dir():
        records, source = _of_folder(place, image_size), f"the folder {place.name}"
    else:
        raise DataError(
            "expected the folder of a review queue, its export as .parquet or a folder of images, "
            f"got {place}: name one of them"
        )
    if not records:
        raise DataError(f"expected captured images in {place}, got none: capture some first")
    complete = place.suffix != _EXPORT
    return _joined(records, image_size, len(class_names), source, complete=complete)


def _of_queue(folder: Path) -> list[_Record]:
    # Reading must not remove anything: what is too old is the service's business.
    review = ReviewQueue(folder, max_images=1, keep_days=_FOR_EVER_DAYS)
    try:
        return [
            _Record(
                pixels=decode_pixels(review.picture(item.decision_id)),
                kind=item.kind,
                label=UNLABELLED if item.label is None else item.label,
                probability=item.probability,
                bundle=item.bundle,
            )
            for item in review.all_items()
        ]
    finally:
        review.close()


def _of_export(path: Path) -> list[_Record]:
    try:
        table = pd.read_parquet(path)
        rows = table[["png", "kind", "label", "probability", "bundle"]].to_dict("records")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"expected a Parquet export of a review queue, got {error}") from error
    return [
        _Record(
            pixels=decode_pixels(row["png"]),
            kind=str(row["kind"]),
            label=int(row["label"]),
            probability=float(row["probability"]),
            bundle=str(row["bundle"]),
        )
        for row in rows
    ]


def _of_folder(folder: Path, size: tuple[int, int]) -> list[_Record]:
    images = read_folder(folder)
    found = []
    for row in range(len(images.digests)):
        image = fit_to(images.take(np.array([row])).centres(np.array([0]), side=None), size)
        pixels = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
        found.append(_Record(pixels=pixels, kind="", label=UNLABELLED, probability=1.0, bundle=""))
    return found


def _joined(
    records: Sequence[_Record],
    size: tuple[int, int],
    n_classes: int,
    source: str,
    *,
    complete: bool,
) -> Captured:
    """One row per distinct image: a labelled record before one without, then the first."""
    for record in records:
        if record.pixels.shape[:2] != size:
            raise DataError(
                f"expected captured images of {size[0]}×{size[1]} px, as the gate sees them, got "
                f"{record.pixels.shape[0]}×{record.pixels.shape[1]}: they are another gate's"
            )
        if record.label >= n_classes:
            raise DataError(
                f"expected labels in 0…{n_classes - 1}, got {record.label}: is this the queue of "
                "another classifier?"
            )
    every = image_digests(np.stack([record.pixels for record in records]))
    order = sorted(range(len(records)), key=lambda row: records[row].label == UNLABELLED)
    chosen: dict[str, int] = {}
    for row in order:
        chosen.setdefault(str(every[row]), row)
    rows = [chosen[digest] for digest in sorted(chosen)]
    kept = [records[row] for row in rows]
    return Captured(
        images=np.stack([record.pixels for record in kept]),
        digests=every[rows],
        kinds=np.array([record.kind for record in kept], dtype="<U9"),
        labels=np.array([record.label for record in kept], dtype=np.int64),
        probabilities=np.array([record.probability for record in kept]),
        bundles=np.array([record.bundle for record in kept], dtype="<U64"),
        source=source,
        complete=complete,
    )


def own_draws(digests: StrArray, seed: int, purpose: str) -> FloatArray:
    """A number in [0, 1) per image that depends on the image, the seed and the purpose alone."""
    return np.asarray(seeds_for(seed, digests, purpose) / _DRAWS)


def uniform_rows(digests: StrArray, probabilities: FloatArray, *, seed: int) -> IntArray:
    """Rows of a sample with unequal probabilities that are left when all have the smallest one.

    A row is kept with probability p_min ÷ p by a draw of its own, so that what is kept is a
    uniform sample and exact binomial bounds apply to it.

    Args:
        digests: Shape (N,).
        probabilities: With which each row was drawn, in (0, 1], shape (N,).
        seed: Of the draws.
    """
    if not len(digests):
        return np.arange(0)
    kept = own_draws(digests, seed, "thin") < probabilities.min() / probabilities
    return np.flatnonzero(kept)


def repeated_rows(digests: StrArray, probabilities: FloatArray, *, seed: int) -> IntArray:
    """Rows repeated 1 ÷ probability times, which is how a fit without weights weighs them.

    Where that is no whole number, a draw of the row's own rounds it up as often as it must.

    Args:
        digests: Shape (N,).
        probabilities: With which each row was captured, in (0, 1], shape (N,).
        seed: Of the draws.

    Example:
        >>> repeated_rows(np.array(["a", "b"]), np.array([1.0, 0.25]), seed=0).tolist()
        [0, 1, 1, 1, 1]
    """
    weights = 1.0 / probabilities
    whole = np.floor(weights)
    up = own_draws(digests, seed, "repeat") < weights - whole
    return np.repeat(np.arange(len(digests)), (whole + up).astype(np.int64))


def traffic_dataset(
    captured: Captured, sample: Dataset | None, class_names: Sequence[str]
) -> Dataset:
    """Captured images, then the labelled sample, as one data set.

    A captured image without a label has class 0 here: only rows that have one are ever read.
    """
    images, labels = [captured.images], [np.maximum(captured.labels, 0)]
    if sample is not None:
        grey = sample.images.ndim == 3
        own = np.repeat(sample.images[..., None], 3, axis=3) if grey else sample.images
        images.append(own)
        labels.append(sample.labels)
    return Dataset(
        name="traffic",
        images=np.concatenate(images),
        labels=np.concatenate(labels),
        class_names=tuple(class_names),
        test_index=np.arange(0),
        licence="that of their owner",
        source=captured.source,
    )
