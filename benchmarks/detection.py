"""Failure detection of one classifier: every method on every pool of answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.held_out import ADAPTED_SCORES, SINGLE_SCORES, Rotation
from benchmarks.libraries import LIBRARY, library_metrics, library_version
from benchmarks.ours import OURS, WITHOUT_SECOND
from benchmarks.peers import PEERS
from benchmarks.ranking import Ranking
from benchmarks.redraws import Ends, Estimate, Redraws, mean_ends, mean_of
from gatekeeper.types import FloatArray, IntArray

MSP = "max_softmax"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Failure AUROC of ours and of MSP on one pool, means over seeds.

    Attributes:
        family: Fine family of the pool, "" for clean images.
        group: The group that was held out from the fit.
        held_out: Whether the family belongs to it.
        ours: Failure AUROC of ours.
        msp: That of the largest softmax probability.
        ends: Their difference with paired one-sided 95 % bounds.
    """

    family: str
    group: str
    held_out: bool
    ours: float
    msp: float
    ends: Ends


class Detection:
    """Measures one classifier.

    Args:
        rotation: Its scores.
        seeds: Of our fits.
    """

    def __init__(self, rotation: Rotation, seeds: Sequence[int]) -> None:
        self.rotation = rotation
        self.seeds = seeds
        self.grid = rotation.grid
        self.groups = tuple(rotation.study.corruptions)
        self.correct = np.asarray(rotation.answers()["correct"], dtype=bool)

    @cached_property
    def singles(self) -> dict[str, FloatArray]:
        """Published score -> its value on every row."""
        return {name: self.rotation.single(name) for name in SINGLE_SCORES}

    @cached_property
    def ours(self) -> dict[str, list[FloatArray]]:
        """Held-out group -> our score on every row, one array per seed."""
        return {g: [self.rotation.ours(g, s)["test"] for s in self.seeds] for g in self.groups}

    def auroc(self, scores: FloatArray, rows: IntArray) -> Estimate:
        """Failure AUROC on some rows."""
        ranking = Ranking.of(scores[rows], self.correct[rows])
        return ranking.failure_auroc_estimate(self.grid.images[rows], self.grid.n_images)

    def aurc(self, scores: FloatArray, rows: IntArray) -> Estimate:
        """AURC on some rows."""
        ranking = Ranking.of(scores[rows], self.correct[rows])
        return ranking.aurc_estimate(self.grid.images[rows], self.grid.n_images)

    def gap_closed(self, pool: str) -> list[Estimate]:
        """Mean over the held-out groups, for each seed; the pool is ``seen`` or ``held-out``."""
        found = []
        for group in self.groups:
            rows = self._rows(group, pool)
            reference = self.auroc(self.singles[MSP], rows)
            found.append([self.auroc(s, rows).gap_closed(reference) for s in self.ours[group]])
        return _per_seed(found)

    def aurc_cut(self) -> list[Estimate]:
        """1 − AURC / AURC of MSP, mean over the held-out groups, for each seed."""
        found = []
        for group in self.groups:
            rows = self._rows(group, "held-out")
            reference = self.aurc(self.singles[MSP], rows)
            found.append([self.aurc(s, rows).relative_cut(reference) for s in self.ours[group]])
        return _per_seed(found)

    def against_best_single(self) -> tuple[str, list[Estimate]]:
        """The single score with the best mean over held-out groups; ours minus it, for each seed.

        Chosen with hindsight, on the very rows that judge it.
        """
        means = {
            name: mean_of([self.auroc(scores, rows) for scores, rows in pools])
            for name, pools in self._single_pools()
        }
        best = max(means, key=lambda name: means[name].value)
        found = [
            [self.auroc(scores, self._rows(group, "held-out")) for scores in self.ours[group]]
            for group in self.groups
        ]
        return best, [estimate.minus(means[best]) for estimate in _per_seed(found)]

    def _single_pools(self) -> Iterator[tuple[str, list[tuple[FloatArray, IntArray]]]]:
        """Name of a single score -> its scores and the rows of each held-out group."""
        rows = {group: self._rows(group, "held-out") for group in self.groups}
        for name, scores in self.singles.items():
            yield name, [(scores, held_out) for held_out in rows.values()]
        for name in ADAPTED_SCORES:
            scored = {group: self._adapted(name, group) for group in self.groups}
            yield _fitted_like_ours(name), [(scored[group], rows[group]) for group in self.groups]

    def comparisons(self, redraws: Redraws) -> list[Comparison]:
        """Ours against MSP on clean images and on every family, for every held-out group.

        Pools in which all answers are right or all wrong say nothing and are left out.
        """
        pools = {"": np.flatnonzero(self.grid.clean)}
        pools |= {name: np.flatnonzero(rows) for name, rows in self.grid.families().items()}
        found = []
        for family, rows in pools.items():
            if not 0 < self.correct[rows].sum() < len(rows):
                continue
            reference = self.auroc(self.singles[MSP], rows)
            for group in self.groups:
                ours = [self.auroc(scores, rows) for scores in self.ours[group]]
                ends = [redraws.interval(one.minus(reference), one_sided=True) for one in ours]
                found.append(
                    Comparison(
                        family=family,
                        group=group,
                        held_out=bool(self.grid.held_out(group)[rows].any()),
                        ours=fmean(one.value for one in ours),
                        msp=reference.value,
                        ends=mean_ends(ends),
                    )
                )
        return found

    def rows(self) -> list[Row]:
        """Every method on the seen, the held-out and the clean rows of every group."""
        singles = {name: [scores] for name, scores in self.singles.items()}
        clean = {"group": "", "pool": "clean"}
        found = self._pool_rows(singles, self._rows("", "clean"), clean)
        for group in self.groups:
            learned = {OURS: self.ours[group], WITHOUT_SECOND: [self.rotation.alone(group)]}
            learned |= {name: [self.rotation.peer(name, group)] for name in PEERS}
            adapted = {_fitted_like_ours(n): [self._adapted(n, group)] for n in ADAPTED_SCORES}
            methods = {
                "seen": learned | singles,
                "held-out": learned | singles | adapted,
                "clean": learned | adapted,
            }
            for pool, competing in methods.items():
                place = {"group": group, "pool": pool}
                found += self._pool_rows(competing, self._rows(group, pool), place)
        return found

    def severity_rows(self) -> list[Row]:
        """Ours and MSP on the held-out rows of every group, by severity."""
        found = []
        for group in self.groups:
            held_out = self._rows(group, "held-out")
            levels = self.grid.severities[held_out]
            methods = {OURS: self.ours[group], MSP: [self.singles[MSP]]}
            for level in np.unique(levels).tolist():
                place = {"group": group, "pool": "held-out", "severity": level}
                found += self._pool_rows(methods, held_out[levels == level], place)
        return found

    def library_rows(self) -> list[Row]:
        """MSP judged by torch-uncertainty and by us, on clean and on held-out rows."""
        version = library_version()
        if version is None:
            return [{"method": MSP, "judged_by": f"{LIBRARY}: not installed, so not compared"}]
        answers, found = self.rotation.answers(), []
        for group in ("", *self.groups):
            pool = "held-out" if group else "clean"
            rows = self._rows(group, pool)
            ranking = Ranking.of(self.singles[MSP][rows], self.correct[rows])
            if not ranking.both:
                continue
            own = _numbers(ranking, ranking)
            theirs = library_metrics(answers["logits"][rows], answers["labels"][rows])
            head = {"method": MSP, "classifier": self.rotation.classifier, "group": group}
            head |= {"pool": pool, "judged_by": f"{LIBRARY} {version}"}
            found += [
                {**head, "metric": name, "theirs": value, "difference": own[name] - value}
                for name, value in theirs.items()
            ]
        return found

    def _rows(self, group: str, pool: str) -> IntArray:
        """Row numbers of a pool: ``clean``, or ``seen`` or ``held-out`` for the group."""
        if pool == "clean":
            return np.flatnonzero(self.grid.clean)
        held_out = self.grid.held_out(group)
        return np.flatnonzero(held_out if pool == "held-out" else ~held_out)

    def _adapted(self, name: str, group: str) -> FloatArray:
        """Scores on every row; −inf, which no metric takes, where there is none."""
        scores = np.full(len(self.correct), -np.inf)
        scores[self.grid.judged(group)] = self.rotation.adapted(name, group)
        return scores

    def _pool_rows(
        self, methods: Mapping[str, list[FloatArray]], rows: IntArray, place: Row
    ) -> list[Row]:
        msp = Ranking.of(self.singles[MSP][rows], self.correct[rows])
        found = []
        for method, arrays in methods.items():
            rankings = [Ranking.of(scores[rows], self.correct[rows]) for scores in arrays]
            head = {"method": method, "classifier": self.rotation.classifier, **place}
            numbers = mean_numbers([_numbers(ranking, msp) for ranking in rankings])
            found.append({**head, "n": len(rows), "seeds": len(arrays), **numbers})
        return found


def _fitted_like_ours(name: str) -> str:
    return f"{name}, fitted like ours"


def _per_seed(found: Sequence[Sequence[Estimate]]) -> list[Estimate]:
    """Groups × seeds -> the mean over groups, for each seed."""
    return [mean_of(estimates) for estimates in zip(*found, strict=True)]


def _numbers(ranking: Ranking, msp: Ranking) -> dict[str, float]:
    """What a row says of one method; what needs right and wrong answers only where both are."""
    numbers = {
        "accuracy": ranking.accuracy,
        "aurc": ranking.aurc(),
        "augrc": ranking.augrc(),
    }
    if ranking.both:
        value, reference = ranking.failure_auroc(), msp.failure_auroc()
        numbers |= {"failure_auroc": value, "fpr95": ranking.fpr_at_95_tpr()}
        if reference < 1.0:
            numbers["gap_closed"] = (value - reference) / (1.0 - reference)
    return numbers


def mean_numbers(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every number over the seeds, to 5 digits; all rows have the same numbers."""
    return {key: round(fmean(row[key] for row in rows), 5) for key in rows[0]}
