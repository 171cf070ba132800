"""What every reliability predictor owes: subclass, write ``build``, inherit the tests.

Predictors that learn inherit :class:`LearnedPredictorContract`.
"""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.metrics.selective import failure_auroc
from gatekeeper.protocols import Evidence, ReliabilityPredictor
from gatekeeper.signals import N_SCALARS, SPECTRUM_SHAPE

N_CLASSES = 5


def looks(n: int, *, seed: int = 11) -> tuple[Evidence, np.ndarray]:
    """Evidence of ``n`` raw looks and their true classes; strong logits are right more often."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, N_CLASSES, n)
    strength = rng.uniform(0.0, 6.0, n)
    logits = rng.normal(size=(n, N_CLASSES))
    logits[np.arange(n), labels] += strength
    n_signals = N_SCALARS + SPECTRUM_SHAPE[0] * SPECTRUM_SHAPE[1]
    signals = rng.normal(size=(n, n_signals)).astype(np.float32)
    signals[:, 0] = strength
    evidence = Evidence(
        logits=logits.astype(np.float32),
        logits_kind="logits",
        features=rng.normal(size=(n, 4)).astype(np.float32),
        signals=signals,
        probes=np.zeros((n, 0), dtype=np.float32),
        seeds=np.arange(n),
        restorer=np.full(n, ""),
    )
    return evidence, labels


class PredictorContract:
    """Subclasses say how a new predictor is made, and how well it must do."""

    least_failure_auroc = 0.75

    def build(self) -> ReliabilityPredictor:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def fitted(self) -> ReliabilityPredictor:
        return self.build().fit(*looks(800))

    def test_fits_the_protocol(self) -> None:
        predictor = self.build()
        assert isinstance(predictor, ReliabilityPredictor)
        assert predictor.fit(*looks(60)) is predictor

    def test_one_finite_score_per_look(self, fitted: ReliabilityPredictor) -> None:
        evidence, _ = looks(40, seed=12)
        scores = fitted.score(evidence)
        assert scores.shape == (40,)
        assert np.issubdtype(scores.dtype, np.floating)
        assert np.isfinite(scores).all()

    def test_higher_is_more_reliable(self, fitted: ReliabilityPredictor) -> None:
        evidence, labels = looks(2_000, seed=13)
        correct = evidence.labels == labels
        assert failure_auroc(fitted.score(evidence), correct) > self.least_failure_auroc

    def test_a_row_does_not_depend_on_its_batch(self, fitted: ReliabilityPredictor) -> None:
        evidence, _ = looks(30, seed=14)
        whole = fitted.score(evidence)
        order = np.random.default_rng(15).permutation(30)
        np.testing.assert_allclose(fitted.score(evidence.take(order)), whole[order], atol=1e-5)
        alone = [fitted.score(evidence.take(np.array([i])))[0] for i in range(30)]
        np.testing.assert_allclose(alone, whole, atol=1e-5)

    def test_fit_is_repeatable_and_leaves_its_input_alone(self) -> None:
        evidence, labels = looks(120)
        kept = evidence.logits.copy(), evidence.signals.copy(), labels.copy()
        first = self.build().fit(evidence, labels).score(evidence)
        np.testing.assert_array_equal(self.build().fit(evidence, labels).score(evidence), first)
        for before, after in zip(kept, (evidence.logits, evidence.signals, labels), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_labels_that_do_not_line_up_are_refused(self) -> None:
        evidence, labels = looks(20)
        with pytest.raises(InputError, match="labels"):
            self.build().fit(evidence, labels[:-1])


class LearnedPredictorContract(PredictorContract):
    """What a predictor that learns owes besides."""

    def test_before_fit_it_says_so(self) -> None:
        with pytest.raises(NotFittedError, match="call fit first"):
            self.build().score(looks(3)[0])
