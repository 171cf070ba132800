"""What every calibrator owes: subclass, write ``build``, inherit the tests.

The data have scores in (0, 1), so that calibrators of probabilities can be held to it as well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import special

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.protocols import Calibrator


def outcomes(n: int, *, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n,), whether right (n,) and the true probability of it (n,)."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, n)
    truth = special.expit(4.0 * scores - 1.5)
    return scores, rng.random(n) < truth, truth


def outcomes_in_context(n: int, *, seed: int = 6) -> tuple[np.ndarray, ...]:
    """Scores (n,), whether right (n,), context (n, 2), truth (n,); column 2 means nothing."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, n)
    context = np.column_stack([rng.integers(0, 2, n) * 10.0, rng.normal(3.0, 0.1, n)])
    truth = special.expit(4.0 * scores - 2.5 + 0.2 * context[:, 0])
    return scores, rng.random(n) < truth, context, truth


class CalibratorContract:
    """Subclasses say how a new, unfitted calibrator is made."""

    mean_gap = 5e-4  # mean reliability against accuracy, on the 5,000 rows of a fit
    least_distinct = 1_000  # of 2,001 scores: a gate needs thresholds to choose from

    def build(self) -> Calibrator:
        raise NotImplementedError

    @pytest.fixture
    def fitted(self) -> Calibrator:
        scores, correct, _ = outcomes(600)
        return self.build().fit(scores, correct)

    @pytest.fixture
    def fitted_in_context(self) -> Calibrator:
        scores, correct, context, _ = outcomes_in_context(600)
        return self.build().fit(scores, correct, context=context)

    def test_fits_the_protocol(self) -> None:
        calibrator = self.build()
        assert isinstance(calibrator, Calibrator)
        scores, correct, _ = outcomes(10)
        assert calibrator.fit(scores, correct) is calibrator

    def test_before_fit_it_says_so(self) -> None:
        with pytest.raises(NotFittedError, match="call fit first"):
            self.build().reliability(np.array([0.5]))
        with pytest.raises(NotFittedError, match="call fit first"):
            self.build().state()

    def test_what_is_learned_ends_in_an_underscore(self, fitted: Calibrator) -> None:
        learned = set(vars(fitted)) - set(vars(self.build()))
        assert learned
        assert [name for name in learned if not name.endswith("_")] == []

    def test_it_finds_the_true_probabilities(self) -> None:
        scores, correct, truth = outcomes(20_000)
        calibrator = self.build().fit(scores, correct)
        reliability = calibrator.reliability(scores)
        assert reliability.shape == (20_000,)
        assert reliability.dtype == np.float64
        assert np.abs(reliability - truth).mean() < 0.025
        fresh, _, truth = outcomes(5_000, seed=7)
        found = calibrator.reliability(fresh)
        assert np.abs(found - truth).mean() < 0.025

    def test_it_is_right_on_average_where_it_was_fitted(self) -> None:
        scores, correct, _ = outcomes(5_000)
        reliability = self.build().fit(scores, correct).reliability(scores)
        assert reliability.mean() == pytest.approx(correct.mean(), abs=self.mean_gap)

    def test_context_tells_apart_what_scores_do_not(self) -> None:
        scores, correct, context, truth = outcomes_in_context(20_000)
        reliability = (
            self.build().fit(scores, correct, context=context).reliability(scores, context=context)
        )
        blind = self.build().fit(scores, correct).reliability(scores)
        assert np.abs(reliability - truth).mean() < 0.025 < np.abs(blind - truth).mean()
        for value in (0.0, 10.0):
            rows = context[:, 0] == value
            assert reliability[rows].mean() == pytest.approx(correct[rows].mean(), abs=0.01)

    def test_order_is_kept(self, fitted: Calibrator) -> None:
        reliability = fitted.reliability(np.linspace(0.0, 1.0, 2_001))
        assert np.diff(reliability).min() >= -1e-15
        assert 0.0 <= reliability[0] < 0.35 < 0.85 < reliability[-1] <= 1.0
        assert len(np.unique(reliability)) > self.least_distinct

    @pytest.mark.parametrize("beside", [(0.0, 3.0), (10.0, 2.7), (-50.0, 9.0)])
    def test_order_is_kept_at_a_fixed_context(
        self, fitted_in_context: Calibrator, beside: tuple[float, float]
    ) -> None:
        context = np.tile(beside, (501, 1))
        reliability = fitted_in_context.reliability(np.linspace(0.0, 1.0, 501), context=context)
        assert np.diff(reliability).min() >= -1e-15
        assert reliability[0] >= 0.0
        assert reliability[-1] <= 1.0

    def test_misleading_scores_are_flattened_not_turned_round(self) -> None:
        scores, correct, _ = outcomes(2_000)
        reliability = self.build().fit(scores, ~correct).reliability(np.sort(scores))
        assert np.diff(reliability).min() >= -1e-15
        # In the middle: a pool may rise at the very ends.
        assert np.ptp(reliability[200:-200]) < 0.1
        assert reliability.mean() == pytest.approx(1.0 - correct.mean(), abs=0.005)

    @pytest.mark.parametrize("n", [1, 2, 50])
    @pytest.mark.parametrize("n_context", [0, 2])
    def test_all_right_and_all_wrong_stay_short_of_certainty(self, n: int, n_context: int) -> None:
        rng = np.random.default_rng(8)
        scores = rng.uniform(0.1, 0.9, n)
        context = rng.normal(size=(n, n_context)) if n_context else None
        right = self.build().fit(scores, np.ones(n, dtype=bool), context=context)
        wrong = self.build().fit(scores, np.zeros(n, dtype=bool), context=context)
        high = right.reliability(scores, context=context)
        low = wrong.reliability(scores, context=context)
        order = np.argsort(scores)
        expected = self.where_all_are_right(n, in_context=n_context > 0)
        np.testing.assert_allclose(high[order], expected, atol=1e-6)
        np.testing.assert_allclose(low[order], 1.0 - expected[::-1], atol=1e-6)

    def where_all_are_right(self, n: int, *, in_context: bool) -> np.ndarray:
        """Reliabilities (n,), by rising score: Laplace's rule of succession, with and without."""
        del in_context
        return np.full(n, (n + 1) / (n + 2))

    def test_separable_data_stay_finite(self) -> None:
        scores = np.linspace(0.1, 0.9, 40)
        reliability = self.build().fit(scores, scores > 0.5).reliability(scores)
        assert 0.0 < reliability[0] < 0.1
        assert 0.9 < reliability[-1] < 1.0
        assert np.diff(reliability).min() >= -1e-15

    def test_scores_that_all_tie_get_the_share_of_right_answers(self) -> None:
        correct = np.arange(400) % 4 > 0
        reliability = self.build().fit(np.full(400, 0.7), correct).reliability(np.full(3, 0.7))
        np.testing.assert_allclose(reliability, 0.75, atol=0.003)  # smoothing moves it by 1/n

    def test_equal_rows_get_equal_answers(self, fitted: Calibrator) -> None:
        assert len(np.unique(fitted.reliability(np.full(9, 0.613)))) == 1

    def test_a_row_does_not_depend_on_its_batch(self, fitted_in_context: Calibrator) -> None:
        scores, _, context, _ = outcomes_in_context(67, seed=9)
        whole = fitted_in_context.reliability(scores, context=context)
        alone = [
            fitted_in_context.reliability(scores[i : i + 1], context=context[i : i + 1])[0]
            for i in range(67)
        ]
        np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-15)
        assert fitted_in_context.reliability(scores[:0], context=context[:0]).shape == (0,)

    def test_single_precision_serves(self, fitted: Calibrator) -> None:
        scores = np.linspace(0.1, 0.9, 17)
        narrow = fitted.reliability(scores.astype(np.float32))
        assert narrow.dtype == np.float64
        np.testing.assert_allclose(narrow, fitted.reliability(scores), atol=1e-4)

    def test_fit_is_repeatable_forgets_and_leaves_its_input_alone(self) -> None:
        scores, correct, context, _ = outcomes_in_context(300)
        kept = scores.copy(), correct.copy(), context.copy()
        first = self.build().fit(scores, correct, context=context)
        again = self.build().fit(scores[::-1], ~correct).fit(scores, correct, context=context)
        for name, value in first.state().items():
            np.testing.assert_array_equal(again.state()[name], value)
        for before, after in zip(kept, (scores, correct, context), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_state_survives_the_disk_to_the_last_bit(
        self, fitted: Calibrator, fitted_in_context: Calibrator, tmp_path: Path
    ) -> None:
        scores, _, context, _ = outcomes_in_context(200, seed=10)
        for calibrator, beside in ((fitted, None), (fitted_in_context, context)):
            save_file(calibrator.state(), tmp_path / "state.safetensors")
            again = type(calibrator).from_state(load_file(tmp_path / "state.safetensors"))
            np.testing.assert_array_equal(
                again.reliability(scores, context=beside),
                calibrator.reliability(scores, context=beside),
            )

    def test_changing_a_state_does_not_change_its_calibrator(self, fitted: Calibrator) -> None:
        before = fitted.reliability(np.array([0.4]))
        for value in fitted.state().values():
            value += 1.0
        np.testing.assert_array_equal(fitted.reliability(np.array([0.4])), before)

    def test_a_state_that_is_not_its_own_is_refused(self, fitted: Calibrator) -> None:
        state = fitted.state()
        for name in state:
            with pytest.raises(InputError, match="expected a state with"):
                self.build().from_state({k: v for k, v in state.items() if k != name})
            with pytest.raises(InputError, match=f"state {name} must be finite"):
                self.build().from_state({**state, name: np.array([np.nan])})
            with pytest.raises(InputError, match=f"state {name} must have shape"):
                self.build().from_state({**state, name: np.zeros((1, 1))})
        with pytest.raises(InputError, match="expected a state with"):
            self.build().from_state({**state, "other": np.zeros(1)})

    def test_a_state_that_turns_the_order_round_is_refused(self, fitted: Calibrator) -> None:
        state = fitted.state()
        with pytest.raises(InputError, match=self.turned_round_message):
            self.build().from_state({**state, **self.turned_round(state)})

    turned_round_message = "score weights must be at least 0"

    def turned_round(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of a state that must not be believed, changed."""
        return {"score_weights": -1.0 - state["score_weights"]}

    @pytest.mark.parametrize(
        ("scores", "correct", "context", "message"),
        [
            ([], [], None, "at least 1 row"),
            ([[0.1]], [True], None, r"scores must have shape \(N,\)"),
            ([0.1, np.nan], [True, False], None, "scores must be finite, got 1"),
            ([0.1, np.inf], [True, False], None, "scores must be finite, got 1"),
            (["a"], [True], None, "scores must be numbers"),
            ([0.1, 0.2], [True], None, r"correct must have shape \(2,\)"),
            ([0.1, 0.2], [1, 0], None, "correct must be boolean"),
            ([0.1, 0.2], [True, False], [1.0, 2.0], r"context must have shape \(N, C\)"),
            ([0.1, 0.2], [True, False], [[1.0]], "one row per score"),
            ([0.1, 0.2], [True, False], [[1.0], [np.nan]], "context must be finite"),
        ],
    )
    def test_fit_refuses(self, scores: list, correct: list, context: list, message: str) -> None:
        outcome = np.array(correct) if correct else np.zeros(0, dtype=bool)
        with pytest.raises(InputError, match=message):
            self.build().fit(
                np.array(scores), outcome, context=None if context is None else np.array(context)
            )

    @pytest.mark.parametrize(
        ("scores", "context", "message"),
        [
            ([0.1, np.nan], [[0.0, 3.0]] * 2, "scores must be finite"),
            ([0.1], None, "with the 2 columns of fit, got 0"),
            ([0.1], [[1.0, 2.0, 3.0]], "with the 2 columns of fit, got 3"),
            ([0.1], [[1.0, 2.0]] * 2, "one row per score"),
            ([0.1], [[np.inf, 2.0]], "context must be finite"),
        ],
    )
    def test_reliability_refuses(
        self, fitted_in_context: Calibrator, scores: list, context: list, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            fitted_in_context.reliability(
                np.array(scores), context=None if context is None else np.array(context)
            )

    def test_context_that_fit_never_saw_is_refused(self, fitted: Calibrator) -> None:
        with pytest.raises(InputError, match="with the 0 columns of fit, got 1"):
            fitted.reliability(np.array([0.5]), context=np.array([[1.0]]))
