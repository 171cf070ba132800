"""The arbiter by hand: budgets, order of trying, what cross-fitting lets through."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.protocols import Evidence
from gatekeeper.routing import Arbiter, Budget, arbiter_inputs
from gatekeeper.signals import N_SCALARS

NAMES = ("cheap", "dear", "middle")
COSTS = {"cheap": 0.5, "dear": 3.0, "middle": 1.0}


def looks(n: int, *, kind: np.ndarray | None = None, n_classes: int = 4, seed: int = 0) -> Evidence:
    """First looks; the first signal tells which restorer helps."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(n, N_SCALARS + 2)).astype(np.float32)
    if kind is not None:
        signals[:, 0] = 3.0 * kind
    return Evidence(
        logits=rng.normal(size=(n, n_classes)).astype(np.float32),
        logits_kind="logits",
        features=None,
        signals=signals,
        probes=np.zeros((n, 0)),
        seeds=np.arange(n),
        restorer=np.full(n, ""),
    )


def budget(**changes: object) -> Budget:
    return Budget(**{"costs": COSTS, "look_cost": 1.0, "max_attempts": 2, **changes})


class Expecting(Arbiter):
    """An arbiter whose expectations are written down."""

    def __init__(self, chosen: Budget, gains: list[list[float]], least: float = 0.0) -> None:
        super().__init__(chosen)
        self.expected = np.array(gains)
        self._least_gain = dict.fromkeys(chosen.names, least)

    def gains(self, first: Evidence) -> np.ndarray:
        return self.expected


def everywhere(n: int) -> dict[str, np.ndarray]:
    return {name: np.ones(n, dtype=bool) for name in NAMES}


class TestPlan:
    """Columns of the gains: cheap, middle, dear. Costs with the look: 1.5, 2, 4."""

    def test_the_most_gained_per_cost_is_taken_and_the_cheapest_tried_first(self) -> None:
        # Per cost: 0.2/1.5 = 0.13, 0.1/2 = 0.05, 0.8/4 = 0.2: dear and cheap, cheap first.
        plans = Expecting(budget(), [[0.2, 0.1, 0.8]]).plan(looks(1), everywhere(1))
        assert plans.tolist() == [["cheap", "dear"]]

    def test_one_attempt_takes_the_best_per_cost(self) -> None:
        plans = Expecting(budget(max_attempts=1), [[0.2, 0.1, 0.8]]).plan(looks(1), everywhere(1))
        assert plans.tolist() == [["dear"]]

    def test_what_the_budget_does_not_allow_is_left_out(self) -> None:
        # Dear (4) is worth most and does not fit into 3.5; neither do cheap and middle together
        # into 3.4, though they do into 3.5.
        gains = [[0.3, 0.2, 0.9]]
        found = Expecting(budget(max_cost=3.5), gains).plan(looks(1), everywhere(1))
        assert found.tolist() == [["cheap", "middle"]]
        found = Expecting(budget(max_cost=3.4), gains).plan(looks(1), everywhere(1))
        assert found.tolist() == [["cheap", ""]]

    def test_nothing_that_is_not_allowed_or_expected_to_gain_is_tried(self) -> None:
        allowed = {"cheap": np.array([True, False, True]), "dear": np.array([True, True, True])}
        gains = [[-0.1, 0.9, 0.0], [0.9, 0.9, 0.01], [0.04, 0.9, 0.03]]
        plans = Expecting(budget(), gains).plan(looks(3), allowed)
        assert plans.tolist() == [["", ""], ["dear", ""], ["cheap", "dear"]]
        careful = Expecting(budget(), gains, least=0.035).plan(looks(3), allowed)
        assert careful.tolist() == [["", ""], ["", ""], ["cheap", ""]]

    def test_a_look_and_a_restorer_that_cost_nothing_do_not_divide_by_it(self) -> None:
        free = Budget(costs={"cheap": 0.0}, look_cost=0.0, max_attempts=1)
        plans = Expecting(free, [[0.1]]).plan(looks(1), everywhere(1))
        assert plans.tolist() == [["cheap"]]


class TestBudget:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"costs": {}}, "one per restorer"),
            ({"costs": {"cheap": -1.0}}, "finite costs of at least 0"),
            ({"costs": {"cheap": math.nan}}, "finite costs"),
            ({"look_cost": math.inf}, "finite costs"),
            ({"max_attempts": 0}, "max_attempts must be at least 1, got 0"),
            ({"max_cost": 1.4}, r"the cheapest attempt, 1\.5 passes .* got 1\.4"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, changes, message) -> None:
        with pytest.raises(InputError, match=message):
            budget(**changes)

    def test_restorers_are_ordered_by_cost_then_name(self) -> None:
        assert budget().names == ("cheap", "middle", "dear")
        assert Budget(costs={"b": 1.0, "a": 1.0}, look_cost=1, max_attempts=1).names == ("a", "b")


def test_inputs_by_hand() -> None:
    first = looks(1, n_classes=2)
    first.logits[0] = np.log([0.25, 0.75])
    row = arbiter_inputs(first)[0]
    np.testing.assert_allclose(row[:N_SCALARS], first.signals[0, :N_SCALARS])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    expected = [math.log(0.75), math.log(0.25), math.log(0.25), entropy]
    np.testing.assert_allclose(row[N_SCALARS:], expected, rtol=1e-6)


@pytest.fixture(scope="module")
def fitted() -> tuple[Arbiter, Evidence, np.ndarray]:
    """Of 800 images half are of kind 0, which ``cheap`` puts right and ``dear`` spoils."""
    n = 800
    kind = np.arange(n) % 2
    first = looks(n, kind=kind)
    both = np.concatenate([np.arange(n), np.arange(n), np.arange(20)])
    names = np.array(["cheap"] * n + ["dear"] * n + ["middle"] * 20)
    before = np.where(names == "cheap", kind[both] == 1, True)
    after = np.where(names == "cheap", True, kind[both] == 1)
    images = np.array([f"{row}" for row in both])
    arbiter = Arbiter(budget()).fit(first.take(both), names, before, after, images, seed=0)
    return arbiter, first, kind


def test_it_learns_what_helps_and_what_harms(fitted) -> None:
    arbiter, first, kind = fitted
    gains = arbiter.gains(first)
    cheap, middle, dear = gains.T
    assert cheap[kind == 0].mean() > 0.8
    assert abs(cheap[kind == 1].mean()) < 0.1
    assert dear[kind == 0].mean() < -0.8
    assert (middle == -np.inf).all()  # twenty rows teach nothing
    plans = arbiter.plan(first, everywhere(len(first)))
    assert (plans[kind == 0] == ["cheap", ""]).all(axis=1).mean() > 0.97
    assert not (plans == "dear")[kind == 0].any()


def test_cross_fitting_counts_rows_that_were_left_out(fitted) -> None:
    arbiter = fitted[0]
    assert set(arbiter.measured_) == {"cheap", "dear"}
    cheap = arbiter.measured_["cheap"]
    assert cheap.rows == 800
    assert cheap.harmed == 0
    assert cheap.helped > 390
    assert arbiter.measured_["dear"].helped == 0
    # Nothing is gained anywhere, so the most careful of the least gains is taken.
    assert arbiter.measured_["dear"].least_gain == 0.1


def test_it_travels_as_plain_arrays(fitted) -> None:
    arbiter, first, _ = fitted
    config = json.loads(json.dumps(arbiter.config()))
    again = Arbiter.from_state(arbiter.state(), config)
    np.testing.assert_array_equal(again.gains(first), arbiter.gains(first))
    allowed = everywhere(len(first))
    np.testing.assert_array_equal(again.plan(first, allowed), arbiter.plan(first, allowed))
    assert again.config() == arbiter.config()
    with pytest.raises(NotFittedError, match="expected a perceptron for each of"):
        Arbiter.from_state({}, config)


def test_a_plan_depends_on_its_own_row_alone(fitted) -> None:
    arbiter, first, _ = fitted
    whole = arbiter.plan(first, everywhere(len(first)))
    for row in range(0, 40, 7):
        alone = arbiter.plan(first.take(np.array([row])), everywhere(1))
        assert alone.tolist() == whole[row : row + 1].tolist()


def test_rows_that_do_not_line_up_are_refused() -> None:
    some = np.ones(3, dtype=bool)
    names = np.array(["cheap"] * 3)
    with pytest.raises(InputError, match="one row per look"):
        Arbiter(budget()).fit(looks(2), names, some, some, names, seed=0)
    unknown = np.array(["other"] * 3)
    with pytest.raises(InputError, match="declared cost for every restorer"):
        Arbiter(budget()).fit(looks(3), unknown, some, some, names, seed=0)
