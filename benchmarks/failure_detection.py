"""Who knows best which answers are wrong: our predictor, published scores, and peers that learn.

    python -m benchmarks.failure_detection --data cifar10:PATH [--seeds 0,1,2] [--out DIR]
    python -m benchmarks.failure_detection --quick

Each of six groups of corruptions is held out once. *Seen* pools the clean images and every
corruption outside the group, *held-out* the group's corruptions; all severities evenly, every test
image under every condition. Intervals redraw base images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.command import run
from benchmarks.demo import Target
from benchmarks.detection import MSP, Comparison, Detection, Row
from benchmarks.harness import Figure
from benchmarks.held_out import PEER_SEED, Rotation
from benchmarks.ours import OURS
from benchmarks.peers import MOST_ROWS
from benchmarks.redraws import Estimate, Redraws, mean_ends, mean_of

TARGETS: Mapping[str, Target] = {
    "gap_closed_seen": Target(0.55, "higher", "low", "(AUROC − MSP) / (1 − MSP), mean over groups"),
    "gap_closed_held_out": Target(0.25, "higher", "low", "the same on the group that was held out"),
    "worst_family_vs_msp": Target(
        -0.01,
        "higher",
        "low",
        "failure AUROC minus MSP's: of all classifiers, held-out groups and families the one with "
        "the lowest bound; paired one-sided 95 % bounds, means over the seeds",
    ),
    "clean_vs_msp": Target(
        -0.005, "higher", "low", "the same on clean images, worst classifier and held-out group"
    ),
    "beats_best_single_score_held_out": Target(
        0.0,
        "higher",
        "low",
        "mean failure AUROC on the held-out groups minus that of the single score that is best "
        "there, chosen with hindsight",
    ),
    "aurc_cut_held_out": Target(
        0.15, "higher", "low", "1 − AURC / AURC of MSP, mean over the held-out groups"
    ),
}
"""What was written down before anything was measured."""

_PEER_NOTE = (
    f"peers and scores that learn: seed {PEER_SEED}; peers and scores 'fitted like ours' from at "
    f"most {MOST_ROWS:,} looks"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found for one classifier.

    Attributes:
        estimates: Figure -> one estimate per seed.
        notes: Figure -> what else is to be said.
        comparisons: Ours against MSP, pool by pool.
        rows: Of the table.
    """

    estimates: dict[str, list[Estimate]]
    notes: dict[str, str]
    comparisons: list[Comparison]
    rows: list[Row]


def measured(rotation: Rotation, seeds: Sequence[int], redraws: Redraws) -> Measured:
    """All estimates and rows of one classifier."""
    detection = Detection(rotation, seeds)
    best, beats = detection.against_best_single()
    comparisons = detection.comparisons(redraws)
    return Measured(
        estimates={
            "gap_closed_seen": detection.gap_closed("seen"),
            "gap_closed_held_out": detection.gap_closed("held-out"),
            "beats_best_single_score_held_out": beats,
            "aurc_cut_held_out": detection.aurc_cut(),
        },
        notes={"beats_best_single_score_held_out": f", best: {best}"},
        comparisons=comparisons,
        rows=[
            *detection.rows(),
            *family_rows(rotation.classifier, comparisons),
            *detection.severity_rows(),
            *detection.library_rows(),
        ],
    )


def family_rows(classifier: str, comparisons: Sequence[Comparison]) -> list[Row]:
    """Two rows per family: as held out and as seen (mean over the groups that were held out)."""
    found = []
    kinds = sorted({(c.family, c.held_out) for c in comparisons})
    for family, held_out in kinds:
        same = [c for c in comparisons if (c.family, c.held_out) == (family, held_out)]
        lowest = min(same, key=lambda c: c.ends.low)
        pool = ("held-out" if held_out else "seen") if family else "clean"
        for method in (OURS, MSP):
            value = fmean(c.ours if method == OURS else c.msp for c in same)
            row: Row = {"method": method, "classifier": classifier, "family": family, "pool": pool}
            row["failure_auroc"] = round(value, 5)
            if method == OURS:
                row["vs_msp_lowest"] = round(lowest.ends.value, 5)
                row["vs_msp_lowest_bound"] = round(lowest.ends.low, 5)
            found.append(row)
    return found


def mean_figure(name: str, found: Mapping[str, Measured], redraws: Redraws) -> Figure:
    """Mean over classifiers and seeds; the interval is that of each seed, and their ends' mean."""
    wanted = TARGETS[name]
    seeds = zip(*(one.estimates[name] for one in found.values()), strict=True)
    ends = mean_ends([redraws.interval(mean_of(estimates)) for estimates in seeds])
    said = [
        f"{classifier}: {fmean(e.value for e in one.estimates[name]):.4f}{one.notes.get(name, '')}"
        for classifier, one in found.items()
    ]
    return Figure(
        name=name,
        value=ends.value,
        low=ends.low,
        high=ends.high,
        target=wanted.target,
        direction=wanted.direction,
        judged=wanted.judged,
        note="; ".join([wanted.note, *said]),
    )


def worst_figure(name: str, found: Mapping[str, Measured]) -> Figure:
    """The comparison with the lowest bound, of families or of clean images."""
    wanted = TARGETS[name]
    on_families = name == "worst_family_vs_msp"
    lowest = {
        classifier: min(
            (c for c in one.comparisons if bool(c.family) == on_families),
            key=lambda c: c.ends.low,
        )
        for classifier, one in found.items()
    }
    worst = min(lowest.values(), key=lambda c: c.ends.low)
    said = [
        f"{classifier}: {one.ends.value:.4f} (bound {one.ends.low:.4f}), {_place(one)}"
        for classifier, one in lowest.items()
    ]
    return Figure(
        name=name,
        value=worst.ends.value,
        low=worst.ends.low,
        high=worst.ends.high,
        target=wanted.target,
        direction=wanted.direction,
        judged=wanted.judged,
        note="; ".join([wanted.note, *said]),
    )


def _place(one: Comparison) -> str:
    role = "held out with" if one.held_out else "with held-out"
    return f"{one.family or 'clean images'} {role} {one.group}"


def measure(
    rotations: Mapping[str, Rotation], seeds: Sequence[int]
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Figures and table."""
    redraws = Redraws(next(iter(rotations.values())).grid.n_images)
    found = {name: measured(one, seeds, redraws) for name, one in rotations.items()}
    figures = [
        worst_figure(name, found)
        if name in {"worst_family_vs_msp", "clean_vs_msp"}
        else mean_figure(name, found, redraws)
        for name in TARGETS
    ]
    notes: list[Row] = [{"method": "note", "note": _PEER_NOTE}]
    return figures, [*notes, *(row for one in found.values() for row in one.rows)]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    run("failure_detection", __doc__.split("\n")[0], measure, argv)


if __name__ == "__main__":
    main()
