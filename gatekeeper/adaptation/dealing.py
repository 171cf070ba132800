"""Captured images and a labelled sample, dealt out to what each may be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatekeeper.adaptation.captured import Captured, repeated_rows, traffic_dataset, uniform_rows
from gatekeeper.adaptation.parts import check_apart, dealt, digest_of
from gatekeeper.adaptation.recipe import Shares
from gatekeeper.adaptation.refitting import Traffic
from gatekeeper.errors import DataError
from gatekeeper.images import SPLIT_NAMES, Dataset, Splits
from gatekeeper.types import BoolArray, IntArray, StrArray

LEAST_SAMPLED = 50
"""Fewest images of a labelled sample in each of its parts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dealt:
    """The parts, and what is to be said about them.

    Attributes:
        traffic: Rows by use.
        n_unlabelled_draws: Random draws of the champion's accepted answers without a label; None
            where that is not known.
        used: Digests of the traffic images that the challenger learns from or is certified on.
        captured_digest: Of all captured images.
        sample_digest: Of the labelled sample, or "".
    """

    traffic: Traffic
    n_unlabelled_draws: int | None
    used: StrArray
    captured_digest: str
    sample_digest: str


def deal(
    captured: Captured,
    sample: Dataset | None,
    *,
    champion: str,
    class_names: Sequence[str],
    shares: Shares,
    seed: int,
) -> Dealt:
    """Deal images out by their digests.

    Of the review queue, labels of abstentions train, and random draws of answers that this very
    champion accepted are kept for the re-check and the certificate; a share of both judges. Without
    labels an image shows what the traffic looks like. A labelled sample is dealt out to learning,
    calibrating, certifying and judging.

    Args:
        captured: Captured images.
        sample: A random labelled sample of the traffic, or None.
        champion: Identity of the champion's bundle.
        class_names: Of the gate.
        shares: How large the parts are.
        seed: Of the draws.

    Raises:
        DataError: the sample has too few images.
        SplitOverlapError: an image is captured and in the sample.
    """
    data = traffic_dataset(captured, sample, class_names)
    n = len(captured)
    rows = _distinct(data.digests, n)
    check_apart(
        {"the captured images": captured.digests, "the labelled sample": data.digests[rows]}
    )
    wanted = {
        "learn": shares.learn,
        "calibrate": shares.calibrate,
        "certify": shares.certify,
        "judge": shares.judge,
    }
    sampled = {name: rows[of] for name, of in dealt(data.digests[rows], wanted, seed=seed).items()}
    if sample is not None:
        _require_enough(sampled)
    judging = np.zeros(n, dtype=bool)
    judging[dealt(captured.digests, wanted, seed=seed)["judge"]] = True
    draws = captured.draws_of(champion)
    own = captured.bundles == champion
    abstained = captured.abstentions()
    learn = _repeated(captured, np.flatnonzero(abstained & captured.labelled & ~judging), seed)
    # What nobody recorded a kind of has no label and never judges.
    recorded = captured.kinds != ""
    seen = np.flatnonzero(~draws & ~(recorded & judging))
    judge = (
        sampled["judge"]
        if sample is not None
        else _judged(captured, judging & (draws | (abstained & own)), seed)
    )
    kept_draws = np.flatnonzero(draws & captured.labelled & ~judging)
    traffic = Traffic(
        data=data,
        seen=np.concatenate([seen, sampled["learn"]]),
        learn=np.concatenate([learn, sampled["learn"]]),
        calibrate=sampled["calibrate"],
        certify=sampled["certify"],
        judge=judge,
        draws=_thinned(captured, kept_draws, seed),
    )
    used = np.concatenate([traffic.seen, traffic.learn, traffic.calibrate, traffic.certify])
    return Dealt(
        traffic=traffic,
        n_unlabelled_draws=int((draws & ~captured.labelled & ~judging).sum())
        if captured.complete
        else None,
        used=np.unique(data.digests[used]),
        captured_digest=digest_of(captured.digests),
        sample_digest="" if sample is None else digest_of(data.digests[rows]),
    )


def _distinct(digests: StrArray, start: int) -> IntArray:
    """Rows from ``start`` on, the first of each distinct image."""
    _, first = np.unique(digests[start:], return_index=True)
    return np.asarray(np.sort(first) + start, dtype=np.int64)


def _require_enough(sampled: Mapping[str, IntArray]) -> None:
    fewest = min(len(rows) for rows in sampled.values())
    if fewest < LEAST_SAMPLED:
        counts = ", ".join(f"{name} {len(rows)}" for name, rows in sampled.items())
        raise DataError(
            f"expected a labelled sample with at least {LEAST_SAMPLED} images in each part, got "
            f"{counts}: label more images"
        )


def _repeated(captured: Captured, rows: IntArray, seed: int) -> IntArray:
    times = repeated_rows(captured.digests[rows], captured.probabilities[rows], seed=seed)
    return np.asarray(rows[times])


def _thinned(captured: Captured, rows: IntArray, seed: int) -> IntArray:
    kept = uniform_rows(captured.digests[rows], captured.probabilities[rows], seed=seed)
    return np.asarray(rows[kept])


def _judged(captured: Captured, judging: BoolArray, seed: int) -> IntArray:
    """A uniform sample of the traffic; nothing where a label is missing or a kind is."""
    rows = np.flatnonzero(judging)
    both = len(np.unique(captured.kinds[rows])) == 2  # abstained and accepted
    if not (both and captured.complete and captured.labelled[rows].all()):
        return np.arange(0)
    return _thinned(captured, rows, seed)


def check_unused(dealt_out: Dealt, data: Dataset, splits: Splits, champion_used: StrArray) -> None:
    """Refuse traffic that the champion's data already hold, and judges that somebody has used.

    Args:
        dealt_out: The parts.
        data: The champion's data set.
        splits: Its splits.
        champion_used: Digests of traffic images that an earlier adaptation used for the champion.

    Raises:
        SplitOverlapError: an image plays two parts.
    """
    traffic = dealt_out.traffic
    digests = traffic.data.digests
    every = {f"the champion's {name}": data.digests[splits[name]] for name in SPLIT_NAMES}
    check_apart({**every, "the traffic": digests})
    parts = {
        "what the challenger uses": dealt_out.used,
        "the judged images": digests[traffic.judge],
        "the random draws": digests[traffic.draws],
    }
    check_apart(parts)
    for name in ("the judged images", "the random draws"):
        check_apart({name: parts[name], "what the champion used": champion_used})
