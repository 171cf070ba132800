"""Another traffic mix: the kept rows' shares, and that their binomial holds where weights fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.risk_control import binomial_tail, resample_to_mix

SOURCE = {"clean": 0.5, "noise": 0.3, "blur": 0.2}
TARGET_MIX = {"clean": 0.2, "noise": 0.3, "blur": 0.5}


def drawn(n, seed, mix=None):
    """Conditions of n rows under a mix, and their seeds."""
    mix = mix or SOURCE
    rng = np.random.default_rng(seed)
    return rng.choice(list(mix), size=n, p=list(mix.values())), rng.integers(2**62, size=n)


def test_shares_of_the_kept_rows_are_those_of_the_target_mix():
    conditions, seeds = drawn(60_000, 1)
    rows = resample_to_mix(conditions, SOURCE, TARGET_MIX, seeds)
    for condition, share in TARGET_MIX.items():
        count = int((conditions[rows] == condition).sum())
        assert stats.binomtest(count, len(rows), share).pvalue > 0.001
    # The largest ratio is that of blur, 0.5 / 0.2; a share of 1 / 2.5 is kept.
    assert stats.binomtest(len(rows), 60_000, 0.4).pvalue > 0.001
    assert np.all(conditions[np.setdiff1d(np.arange(60_000), rows)] != "blur")


def test_every_row_is_kept_at_most_once_and_in_order():
    conditions, seeds = drawn(2000, 2)
    rows = resample_to_mix(conditions, SOURCE, TARGET_MIX, seeds)
    assert np.all(np.diff(rows) > 0)
    assert rows.min() >= 0
    assert rows.max() < 2000


def test_the_same_mix_keeps_every_row():
    conditions, seeds = drawn(500, 3)
    assert resample_to_mix(conditions, SOURCE, SOURCE, seeds).tolist() == list(range(500))


def test_conditions_outside_the_target_mix_are_dropped_and_the_rarest_sets_the_rate():
    conditions, seeds = drawn(500, 4)
    rows = resample_to_mix(conditions, SOURCE, {"blur": 1.0, "clean": 0.0}, seeds)
    assert rows.tolist() == np.flatnonzero(conditions == "blur").tolist()


def test_a_row_is_kept_or_not_whatever_the_other_rows():
    conditions, seeds = drawn(300, 5)
    rows = resample_to_mix(conditions, SOURCE, TARGET_MIX, seeds)
    order = np.random.default_rng(0).permutation(300)[:200]
    again = order[resample_to_mix(conditions[order], SOURCE, TARGET_MIX, seeds[order])]
    assert set(again.tolist()) == set(rows.tolist()) & set(order.tolist())


def test_the_seeds_that_drew_the_conditions_may_be_used_again():
    seeds = np.arange(40_000)
    conditions = np.array(["a", "b"])[seeds % 2]
    rows = resample_to_mix(conditions, {"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.8}, seeds)
    kept_a = int((conditions[rows] == "a").sum())
    assert stats.binomtest(kept_a, len(rows), 0.2).pvalue > 0.001


@pytest.mark.parametrize(
    ("conditions", "source", "target", "seeds", "message"),
    [
        (["a"], {"a": 1.0}, {"a": 0.5, "fog": 0.5}, [1], "cannot certify: .* fog"),
        (["a"], {"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.5}, [1], "cannot certify: .* b,"),
        (["a", "c"], {"a": 1.0}, {"a": 1.0}, [1, 2], "rows are under c"),
        (["a"], {"a": 0.9}, {"a": 1.0}, [1], "source mix .* sum to 1"),
        (["a"], {"a": 1.0}, {"a": 1.5, "b": -0.5}, [1], "target mix .* at least 0"),
        (["a"], {"a": 1.0}, {}, [1], "target mix"),
        (["a"], {"a": float("nan")}, {"a": 1.0}, [1], "source mix"),
        (["a"], {"a": 1.0}, {"a": 1.0}, [1, 2], "one seed per row"),
        (["a"], {"a": 1.0}, {"a": 1.0}, [0.5], "integers"),
    ],
)
def test_what_cannot_be_resampled_is_refused(conditions, source, target, seeds, message):
    with pytest.raises(InputError, match=message):
        resample_to_mix(conditions, source, target, seeds)


# --- validity, by simulation --------------------------------------------------------------------

RISKS = {"clean": 0.02, "rare": 0.3}
RARE_SOURCE = {"clean": 0.98, "rare": 0.02}
RARE_TARGET = {"clean": 0.88, "rare": 0.12}
LEVEL = 0.95
N_DRAWS = 1000


def test_the_binomial_holds_on_resampled_rows_and_breaks_on_weighted_errors():
    """The true risk of the target mix is just above the target risk; certifying it is false."""
    risk = sum(share * RISKS[condition] for condition, share in RARE_TARGET.items())
    target_risk = risk - 1e-4
    rng = np.random.default_rng(6)
    by_resampling = by_weighting = 0
    weights = {c: RARE_TARGET[c] / RARE_SOURCE[c] for c in RARE_SOURCE}
    for draw in range(N_DRAWS):
        conditions, seeds = drawn(1000, (7, draw), RARE_SOURCE)
        rare = conditions == "rare"
        wrong = rng.random(1000) < np.where(rare, RISKS["rare"], RISKS["clean"])
        rows = resample_to_mix(conditions, RARE_SOURCE, RARE_TARGET, seeds)
        tail = binomial_tail(int(wrong[rows].sum()), len(rows), target_risk)
        by_resampling += tail <= 1 - LEVEL
        weighted = np.where(rare, weights["rare"], weights["clean"])
        weighted_wrong = round(float((weighted * wrong).sum()))
        by_weighting += binomial_tail(weighted_wrong, 1000, target_risk) <= 1 - LEVEL
    limit = stats.binom.ppf(0.99, N_DRAWS, 1 - LEVEL)
    assert 0.4 * (1 - LEVEL) * N_DRAWS <= by_resampling <= limit
    assert by_weighting > 2 * limit
