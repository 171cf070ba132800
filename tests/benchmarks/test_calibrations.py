"""What each way to a reliability learns from, and of which answer it speaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import special

from benchmarks import calibrations
from benchmarks.calibrations import CALIBRATIONS, OUR_CALIBRATOR, Answers
from gatekeeper.calibrators import TemperatureScaler
from gatekeeper.protocols import Evidence
from gatekeeper.recipe import load_recipe
from gatekeeper.signals import N_SCALARS


def answers(rng: np.random.Generator, n: int, *, clean_share: float = 0.5) -> Answers:
    """Three classes; corrupted looks are wrong more often than their logits say."""
    clean = rng.random(n) < clean_share
    labels = rng.integers(3, size=n)
    logits = rng.normal(size=(n, 3))
    logits[np.arange(n), labels] += np.where(clean, 2.5, 0.7)
    scores = np.sort(logits, axis=1)[:, -1] - np.sort(logits, axis=1)[:, -2] - 1.0
    signals = rng.normal(size=(n, N_SCALARS + 3))
    signals[:, 0] = clean
    return Answers(
        scores=scores,
        evidence=Evidence(
            logits=logits.astype(np.float32),
            logits_kind="logits",
            features=None,
            signals=signals.astype(np.float32),
            probes=np.zeros((n, 0), dtype=np.float32),
            seeds=np.arange(n),
            restorer=np.full(n, ""),
        ),
        labels=labels,
        clean=clean,
    )


@pytest.fixture(scope="module")
def learn() -> Answers:
    return answers(np.random.default_rng(0), 1500)


@pytest.fixture(scope="module")
def judge() -> Answers:
    return answers(np.random.default_rng(1), 400)


@pytest.mark.parametrize("way", CALIBRATIONS)
def test_every_way_gives_probabilities_of_the_answers(
    way: str, learn: Answers, judge: Answers
) -> None:
    found = CALIBRATIONS[way](learn, judge)
    assert found.shape == (400,)
    assert (found >= 0.0).all()
    assert (found <= 1.0).all()
    sure = found > np.median(found)
    assert judge.correct[sure].mean() > judge.correct[~sure].mean()
    assert found == pytest.approx(CALIBRATIONS[way](learn, judge))


def test_temperature_learns_from_clean_and_perturb_from_corrupted(
    learn: Answers, judge: Answers
) -> None:
    for way, rows in (("temperature", learn.clean), ("perturb then calibrate", ~learn.clean)):
        scaler = TemperatureScaler().fit(learn.evidence.logits[rows], learn.labels[rows])
        expected = special.softmax(
            judge.evidence.logits.astype(np.float64) / scaler.temperature_, axis=1
        ).max(axis=1)
        assert CALIBRATIONS[way](learn, judge) == pytest.approx(expected, abs=1e-9)


def test_raw_softmax_is_the_largest_probability(learn: Answers, judge: Answers) -> None:
    expected = special.softmax(judge.evidence.logits.astype(np.float64), axis=1).max(axis=1)
    assert CALIBRATIONS["max_softmax"](learn, judge) == pytest.approx(expected)


def test_vector_scaling_speaks_of_the_answer_that_was_given(learn: Answers, judge: Answers) -> None:
    """A class that never is right gets small reliability, though scaling prefers another one."""
    moved = Answers(
        scores=learn.scores,
        evidence=learn.evidence,
        labels=np.where(learn.labels == 2, 1, learn.labels),
        clean=learn.clean,
    )
    found = CALIBRATIONS["vector"](moved, judge)
    said_two = judge.evidence.labels == 2
    assert found[said_two].max() < 0.2
    assert found[~said_two].mean() > 0.5


def test_scikit_isotonic_is_ours_without_context(learn: Answers, judge: Answers) -> None:
    ours = CALIBRATIONS["isotonic"](learn, judge)
    theirs = CALIBRATIONS["scikit-learn isotonic"](learn, judge)
    # Between the looks that were fitted on, one steps and the other draws lines.
    assert np.abs(ours - theirs).mean() < 0.02


def test_our_context_is_the_scalar_signals(judge: Answers) -> None:
    context = calibrations.our_context(judge.evidence)
    assert context.shape == (400, N_SCALARS)
    assert context[:, 0].tolist() == judge.clean.astype(float).tolist()


def test_ours_is_the_calibrator_of_the_recipes_that_are_judged() -> None:
    root = Path(__file__).resolve().parents[2]
    recipes = sorted((root / "calibration").glob("cifar10-*.toml"))
    assert len(recipes) == 2
    assert {load_recipe(path).predictor.calibrator for path in recipes} == {OUR_CALIBRATOR}
