"""What every reliability predictor owes: subclass, write ``build``, inherit the tests.

Predictors that learn inherit :class:`LearnedPredictorContract`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

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

    def looks(self, n: int, *, seed: int = 11) -> tuple[Evidence, np.ndarray]:
        """Evidence and true classes; override where a predictor reads what they lack."""
        return looks(n, seed=seed)

    @pytest.fixture
    def fitted(self) -> ReliabilityPredictor:
        return self.build().fit(*self.looks(800))

    def test_fits_the_protocol(self) -> None:
        predictor = self.build()
        assert isinstance(predictor, ReliabilityPredictor)
        assert predictor.fit(*self.looks(60)) is predictor

    def test_one_finite_score_per_look(self, fitted: ReliabilityPredictor) -> None:
        evidence, _ = self.looks(40, seed=12)
        scores = fitted.score(evidence)
        assert scores.shape == (40,)
        assert np.issubdtype(scores.dtype, np.floating)
        assert np.isfinite(scores).all()

    def test_higher_is_more_reliable(self, fitted: ReliabilityPredictor) -> None:
        evidence, labels = self.looks(2_000, seed=13)
        correct = evidence.labels == labels
        assert failure_auroc(fitted.score(evidence), correct) > self.least_failure_auroc

    def test_a_row_does_not_depend_on_its_batch(self, fitted: ReliabilityPredictor) -> None:
        evidence, _ = self.looks(30, seed=14)
        whole = fitted.score(evidence)
        order = np.random.default_rng(15).permutation(30)
        np.testing.assert_allclose(fitted.score(evidence.take(order)), whole[order], atol=1e-5)
        alone = [fitted.score(evidence.take(np.array([i])))[0] for i in range(30)]
        np.testing.assert_allclose(alone, whole, atol=1e-5)

    def test_fit_is_repeatable_and_leaves_its_input_alone(self) -> None:
        evidence, labels = self.looks(120)
        kept = evidence.logits.copy(), evidence.signals.copy(), labels.copy()
        first = self.build().fit(evidence, labels).score(evidence)
        np.testing.assert_array_equal(self.build().fit(evidence, labels).score(evidence), first)
        for before, after in zip(kept, (evidence.logits, evidence.signals, labels), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_labels_that_do_not_line_up_are_refused(self) -> None:
        evidence, labels = self.looks(20)
        with pytest.raises(InputError, match="labels"):
            self.build().fit(evidence, labels[:-1])


class LearnedPredictorContract(PredictorContract):
    """What a predictor that learns owes besides."""

    def test_before_fit_it_says_so(self) -> None:
        with pytest.raises(NotFittedError, match="call fit first"):
            self.build().score(self.looks(3)[0])

    def test_what_is_learned_ends_in_an_underscore(self, fitted: ReliabilityPredictor) -> None:
        learned = set(vars(fitted)) - set(vars(self.build()))
        assert [name for name in learned if not name.endswith("_")] == []


class StoredPredictorContract(LearnedPredictorContract):
    """What a predictor whose state is a few arrays owes besides."""

    def test_state_survives_the_disk_to_the_last_bit(
        self, fitted: ReliabilityPredictor, tmp_path: Path
    ) -> None:
        save_file(fitted.state(), tmp_path / "state.safetensors")
        again = type(fitted).from_state(load_file(tmp_path / "state.safetensors"))
        evidence, _ = self.looks(50, seed=16)
        np.testing.assert_array_equal(again.score(evidence), fitted.score(evidence))

    def test_before_fit_there_is_no_state(self) -> None:
        with pytest.raises(NotFittedError, match="call fit first"):
            self.build().state()

    def test_changing_a_state_does_not_change_its_predictor(
        self, fitted: ReliabilityPredictor
    ) -> None:
        evidence, _ = self.looks(9, seed=17)
        before = fitted.score(evidence)
        for value in fitted.state().values():
            value += 1
        np.testing.assert_array_equal(fitted.score(evidence), before)

    def test_a_state_that_is_not_its_own_is_refused(self, fitted: ReliabilityPredictor) -> None:
        state = fitted.state()
        for name in state:
            with pytest.raises(InputError, match="expected a state with"):
                type(fitted).from_state({k: v for k, v in state.items() if k != name})
            with pytest.raises(InputError, match=f"state {name} must be finite"):
                type(fitted).from_state({**state, name: np.full_like(state[name], np.nan)})
            with pytest.raises(InputError, match=f"state {name} must be finite numbers of shape"):
                type(fitted).from_state({**state, name: np.zeros((1, 1, 1))})
        with pytest.raises(InputError, match="expected a state with"):
            type(fitted).from_state({**state, "other": np.zeros(1)})

    def test_a_row_is_the_same_to_the_last_bit_in_any_batch(
        self, fitted: ReliabilityPredictor
    ) -> None:
        evidence, _ = self.looks(130, seed=18)
        whole = fitted.score(evidence)
        for rows in (np.arange(129, -1, -1), np.arange(1), np.arange(3, 70), np.arange(57, 59)):
            np.testing.assert_array_equal(fitted.score(evidence.take(rows)), whole[rows])

    def test_no_look_has_no_score_and_teaches_nothing(self, fitted: ReliabilityPredictor) -> None:
        evidence, labels = self.looks(3)
        none = evidence.take(np.arange(0))
        assert fitted.score(none).shape == (0,)
        with pytest.raises(InputError, match="at least 1 look"):
            self.build().fit(none, labels[:0])
