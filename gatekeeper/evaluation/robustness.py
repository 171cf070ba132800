"""Classifiers and gates x data x corruptions x severities -> one tidy table of figures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.evaluation.answers import Answers, Subject, gather
from gatekeeper.evaluation.comparison import Comparison, compare
from gatekeeper.evaluation.grid import Grid, JudgedImages, Mix, declared_mix, held_out_of
from gatekeeper.evaluation.measures import clean_harm_rate, measure
from gatekeeper.evaluation.redraws import Estimate, redraws
from gatekeeper.evaluation.reference import Reference, corruption_errors_against
from gatekeeper.evaluation.scopes import MAIN_SCOPES, Scope, declared_stream, scopes_of
from gatekeeper.evaluation.views import View, views_of
from gatekeeper.images import Dataset
from gatekeeper.metrics import NoiseFloor
from gatekeeper.progress import Progress, Silent
from gatekeeper.types import IntArray, StrArray

DEFAULT_TARGET_RISK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an evaluation depends on beside subjects and data.

    Attributes:
        seed: Of corruptions, redraws and noise floors.
        n_draws: Redraws of the images behind every interval, at least 20.
        target_risk: Of the coverage at risk; None takes that of the first gate's certificate, else
            5 %.
        reference: Name of the subject, or the recorded errors, that corruption errors are divided
            by; None for none.
    """

    seed: int = 0
    n_draws: int = 200
    target_risk: float | None = None
    reference: str | Reference | None = None

    def __post_init__(self) -> None:
        """Refuse settings that give no interval."""
        if self.n_draws < 20:
            raise InputError(f"expected at least 20 redraws for an interval, got {self.n_draws}")
        if self.target_risk is not None and not 0.0 < self.target_risk < 1.0:
            raise InputError(f"expected a target risk in (0, 1), got {self.target_risk}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row of the tidy table.

    Attributes:
        model: Name of the subject.
        method: ``msp``, ``raw`` or ``policy``.
        scope: Of ``MAIN_SCOPES``, ``corruption`` or ``condition``.
        corruption: "" where there are several.
        severity: 0 where there are several.
        metric: See ``measure``; also ``mce``, ``relative_mce``, ``clean_harm_rate``.
        value: None where it is not defined.
        low: Lower end of the two-sided 95 % interval (of ``clean_harm_rate`` one-sided).
        high: Upper end.
        floor: What the metric shows on average where every stated number is true.
        floor_p95: 95th percentile of that.
        n_rows: Answers behind it.
        n_images: Base images behind them.
    """

    model: str
    method: str
    scope: str
    corruption: str
    severity: int
    metric: str
    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    floor_p95: float | None
    n_rows: int
    n_images: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """A finished evaluation.

    Attributes:
        data: The data set.
        judged: Which of its images.
        grid: Under which conditions.
        settings: As asked for.
        target_risk: In force.
        mix: The declared traffic of the first gate; None without one.
        held_out: Corruptions of the grid unlike all that the first gate was fitted on; None where
            nothing is known about that.
        stream: Condition of each image in the declared stream; None without one.
        subjects: In the order given; the first is the candidate that requirements judge.
        answers: Name -> answers.
        figures: The tidy table.
        comparisons: Of all pairs of subjects.
        reference: What corruption errors were divided by; "" for nothing.
    """

    data: Dataset
    judged: JudgedImages
    grid: Grid
    settings: Settings
    target_risk: float
    mix: Mix | None
    held_out: tuple[str, ...] | None
    stream: IntArray | None
    subjects: Sequence[Subject]
    answers: Mapping[str, Answers]
    figures: Sequence[Measured]
    comparisons: Sequence[Comparison]
    reference: str
    _index: dict[tuple[str, str, str, str, str], Measured] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the figures findable by name."""
        for row in self.figures:
            if row.scope != "condition":
                self._index[row.model, row.method, row.scope, row.metric, row.corruption] = row

    @property
    def digests(self) -> StrArray:
        """Image digests of the judged images, shape (N,)."""
        return self.data.digests[self.judged.positions]

    def figure(
        self, model: str, method: str, scope: str, metric: str, corruption: str = ""
    ) -> Measured | None:
        """One figure by name, None where there is none."""
        return self._index.get((model, method, scope, metric, corruption))


def images_digest(digests: StrArray) -> str:
    """Identity of a set of images: sha256 over their sorted digests, one per line."""
    lines = "".join(f"{digest}\n" for digest in sorted(digests.tolist()))
    return hashlib.sha256(lines.encode()).hexdigest()


def evaluate(
    subjects: Sequence[Subject],
    data: Dataset,
    judged: JudgedImages,
    grid: Grid,
    *,
    settings: Settings | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Show every subject the same images under every condition, and measure.

    Args:
        subjects: At least one, each with its own name; the first is the candidate.
        data: The data set, at one size for all.
        judged: Which of its images.
        grid: The conditions.
        settings: Seed, redraws, target risk and reference; None takes the defaults.
        cache: Folder of finished cells; a killed run loses one at most.
        progress: Told of every look and every figure.

    Raises:
        InputError: there is no subject, two share a name, one does not fit the data, or the
            reference is not among them.
    """
    _check_names(subjects)
    chosen, bars = settings or Settings(), progress or Silent()
    positions = judged.positions
    answers = {
        subject.name: gather(
            subject, data, positions, grid, seed=chosen.seed, cache=cache, progress=bars
        )
        for subject in subjects
    }
    gates = [subject.fitted for subject in subjects if subject.fitted is not None]
    mix = declared_mix(gates[0].certificate) if gates else None
    held_out = None if mix is None else held_out_of(grid, mix)
    stream = declared_stream(data, positions, grid, mix, seed=chosen.seed)
    target_risk = chosen.target_risk
    if target_risk is None:
        target_risk = float(gates[0].certificate["target_risk"]) if gates else DEFAULT_TARGET_RISK
    times = redraws(len(positions), n_draws=chosen.n_draws, seed=chosen.seed)
    scopes = list(scopes_of(grid, held_out=held_out, stream=stream))
    reference = _reference(chosen.reference, answers)
    bars.start("figures", len(scopes) * len(subjects))
    figures: list[Measured] = []
    for name, given in answers.items():
        for scope in scopes:
            figures += _of_scope(name, given, scope, times, target_risk, chosen.seed)
            bars.advance(1)
        if reference is not None:
            figures += _corruption_errors(name, given, grid, held_out, reference, times)
    main = [scope for scope in scopes if scope.name in MAIN_SCOPES]
    return Evaluation(
        data=data,
        judged=judged,
        grid=grid,
        settings=chosen,
        target_risk=target_risk,
        mix=mix,
        held_out=held_out,
        stream=stream,
        subjects=list(subjects),
        answers=answers,
        figures=figures,
        comparisons=compare(answers, main, times, target_risk=target_risk, seed=chosen.seed),
        reference="" if reference is None else reference.name,
    )


def _check_names(subjects: Sequence[Subject]) -> None:
    names = [subject.name for subject in subjects]
    if not names or len(set(names)) != len(names):
        raise InputError(
            f"expected at least one model, each with its own name, got {', '.join(names) or 'none'}"
        )


def _reference(chosen: str | Reference | None, answers: Mapping[str, Answers]) -> Reference | None:
    if chosen is None or isinstance(chosen, Reference):
        return chosen
    if chosen not in answers:
        raise InputError(
            f"expected the reference among {', '.join(answers)}, or an evaluation.json, got "
            f"{chosen!r}"
        )
    wrong = ~answers[chosen].raw_correct
    return Reference(name=chosen, errors=wrong.mean(axis=1), wrong=wrong)


def _of_scope(
    name: str, answers: Answers, scope: Scope, times: IntArray, target_risk: float, seed: int
) -> Iterator[Measured]:
    for method, whole in views_of(answers).items():
        view = scope.of(whole)
        found: dict[str, tuple[Estimate, NoiseFloor | None]] = measure(
            view, times, target_risk=target_risk, seed=seed, smooth=scope.name in MAIN_SCOPES
        )
        if scope.name == "clean" and method == "policy":
            found["clean_harm_rate"] = (clean_harm_rate(view)[0], None)
        for metric, (value, floor) in found.items():
            yield _row(name, method, scope, metric, value, floor, view)


def _row(
    name: str,
    method: str,
    scope: Scope,
    metric: str,
    value: Estimate,
    floor: NoiseFloor | None,
    view: View,
) -> Measured:
    return Measured(
        model=name,
        method=method,
        scope=scope.name,
        corruption=scope.corruption,
        severity=scope.severity,
        metric=metric,
        value=value.value,
        low=value.low,
        high=value.high,
        floor=None if floor is None else floor.mean,
        floor_p95=None if floor is None else floor.p95,
        n_rows=int(view.correct.size),
        n_images=int(view.correct.shape[1]),
    )


def _corruption_errors(
    name: str,
    answers: Answers,
    grid: Grid,
    held_out: Sequence[str] | None,
    reference: Reference,
    times: IntArray,
) -> Iterator[Measured]:
    parts: dict[str, Sequence[str]] = {"all": grid.corruptions}
    if held_out is not None:
        parts["seen"] = [each for each in grid.corruptions if each not in held_out]
        parts["held_out"] = held_out
    for method, view in views_of(answers).items():
        if method == "raw":  # the same answers as msp
            continue
        for part, names in parts.items():
            if not names:
                continue
            found = corruption_errors_against(~view.correct, reference, grid, names, times)
            scope = Scope(name=part, conditions=grid.of(names))
            for metric, value in found.items():
                yield _row(name, method, scope, metric, value, None, scope.of(view))


def as_columns(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Rows of one kind as columns by name."""
    names = rows[0].__dataclass_fields__ if rows else {}
    return {name: [getattr(row, name) for row in rows] for name in names}


def raw_errors(answers: Answers) -> list[float]:
    """Error rate of the classifier alone under each condition of the grid, length C."""
    return [float(error) for error in np.mean(~answers.raw_correct, axis=1)]
