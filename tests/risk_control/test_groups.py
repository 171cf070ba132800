"""Certificates per group: by hand, jointly valid over dependent groups, and with some power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.risk_control import (
    binomial_tail,
    condition_groups,
    fixed_sequence_test,
    group_certificates,
    risk_upper_bound,
)

TARGET = 0.05


def rows_with(*counts):
    """Accepted and wrong answers, and one group per (wrong, accepted, abstained)."""
    accepted, wrong, owner = [], [], []
    for group, (k, n, abstained) in enumerate(counts):
        accepted += [True] * n + [False] * abstained
        wrong += [True] * k + [False] * (n - k) + [True] * abstained
        owner += [group] * (n + abstained)
    owners = np.array(owner)
    groups = {f"g{group}": owners == group for group in range(len(counts))}
    return np.array(accepted), np.array(wrong), groups


def test_two_groups_by_hand():
    accepted, wrong, groups = rows_with((0, 100, 20), (1, 60, 0))
    first, second = group_certificates(accepted, wrong, groups, TARGET, 0.9)
    assert (first.name, first.n_images, first.n_accepted, first.n_wrong) == ("g0", 120, 100, 0)
    np.testing.assert_allclose(first.p_value, 0.95**100)
    np.testing.assert_allclose(first.adjusted_p_value, 2 * 0.95**100)
    np.testing.assert_allclose(first.upper_bound, 1 - 0.05 ** (1 / 100))  # level 1 - 0.1 / 2
    assert (first.certified, first.reason) == (True, None)
    np.testing.assert_allclose(second.p_value, 0.95**60 + 60 * 0.05 * 0.95**59)
    assert second.adjusted_p_value == second.p_value  # the larger of two: times one
    assert second.upper_bound == risk_upper_bound(1, 60, 0.95)
    assert not second.certified
    assert "'g1': 1 wrong of 60" in second.reason


def test_holm_certifies_more_than_bonferroni():
    accepted, wrong, groups = rows_with((0, 200, 0), (0, 70, 0))
    certificates = group_certificates(accepted, wrong, groups, TARGET, 0.95)
    assert 0.025 < binomial_tail(0, 70, TARGET) < 0.05
    assert [c.certified for c in certificates] == [True, True]
    assert certificates[1].upper_bound > TARGET


def test_a_walk_that_ended_at_its_first_step_shares_the_level_like_any_other():
    """How far a walk went depends on the data, so Holm is for policies fixed beforehand alone."""
    accepted, wrong, groups = rows_with((0, 200, 0), (0, 70, 0))
    walked = group_certificates(accepted[:, None], wrong[:, None], groups, TARGET, 0.95)
    assert [c.certified for c in walked] == [True, False]
    for certificate in walked:
        assert certificate.adjusted_p_value == min(1.0, 2 * certificate.p_value)


def test_a_group_without_accepted_answers_is_not_certified():
    accepted, wrong, groups = rows_with((0, 300, 0), (0, 0, 30))
    empty = group_certificates(accepted, wrong, groups, TARGET, 0.95)[1]
    assert (empty.n_images, empty.n_accepted, empty.n_wrong) == (30, 0, 0)
    assert (empty.p_value, empty.adjusted_p_value, empty.upper_bound) == (1.0, 1.0, 1.0)
    assert not empty.certified
    assert "too few accepted images in the group 'g1': 0" in empty.reason


def test_all_right_and_all_wrong():
    accepted, wrong, groups = rows_with((0, 400, 0), (100, 100, 0))
    right, bad = group_certificates(accepted, wrong, groups, TARGET, 0.95)
    assert right.certified
    assert not bad.certified
    assert (bad.p_value, bad.upper_bound) == (1.0, 1.0)
    assert "the risk is too high in the group 'g1': 100 wrong of 100" in bad.reason


def test_one_group_is_the_plain_test():
    accepted, wrong, groups = rows_with((2, 150, 10))
    (only,) = group_certificates(accepted, wrong, groups, TARGET, 0.95)
    plain = fixed_sequence_test([2], [150], target_risk=TARGET, confidence_level=0.95)
    assert (only.p_value, only.upper_bound, only.certified) == (
        plain.tail,
        plain.upper_bound,
        plain.certified,
    )
    assert only.adjusted_p_value == only.p_value


def test_a_walked_policy_pays_for_every_step_that_was_walked():
    # Step 0 accepts 60 answers, 1 wrong; step 1 accepts 300, 1 wrong. The group passes at the
    # second step alone, but its walk would have stopped at the first.
    steps = np.zeros((300, 2), dtype=bool)
    steps[:60, 0] = True
    steps[:, 1] = True
    wrong = np.zeros((300, 2), dtype=bool)
    wrong[0] = True
    groups = {"all": np.ones(300, dtype=bool), "again": np.ones(300, dtype=bool)}
    walked = group_certificates(steps, wrong, groups, TARGET, 0.95)[0]
    np.testing.assert_allclose(walked.p_value, binomial_tail(1, 60, TARGET))
    np.testing.assert_allclose(walked.adjusted_p_value, 2 * binomial_tail(1, 60, TARGET))
    assert (walked.n_accepted, walked.n_wrong) == (300, 1)
    assert walked.upper_bound == risk_upper_bound(1, 60, 0.975)
    assert not walked.certified
    assert "too few accepted images in the group 'all': 60" in walked.reason
    fixed = group_certificates(steps[:, 1], wrong[:, 1], groups, TARGET, 0.95)[0]
    assert fixed.certified


def test_condition_groups_by_hand():
    families = [(), ("blur",), ("noise", "jpeg"), ("noise",), ("noise",)]
    groups = condition_groups(families, [0, 1, 3, 5, 2])
    assert {name: np.flatnonzero(rows).tolist() for name, rows in groups.items()} == {
        "clean": [0],
        "family blur": [1],
        "family jpeg": [2],
        "family noise": [2, 3, 4],
        "severity 1-2": [1, 4],
        "severity 3": [2],
        "severity 4-5": [3],
    }
    assert list(condition_groups([("blur",)], [4])) == ["family blur", "severity 4-5"]


@pytest.mark.parametrize(
    ("families", "severities", "message"),
    [
        ([("blur",)], [0], "among"),
        ([("blur",)], [6], "among"),
        ([("blur",)], [1, 2], "one severity per row"),
    ],
)
def test_conditions_without_a_severity_are_refused(families, severities, message):
    with pytest.raises(InputError, match=message):
        condition_groups(families, severities)


@pytest.mark.parametrize(
    ("accepted", "wrong", "groups", "message"),
    [
        ([True], [False], {}, "at least one group"),
        ([True], [False, True], {"a": [True]}, "both have shape"),
        ([1], [0], {"a": [True]}, "boolean"),
        ([], [], {"a": []}, "shape"),
        ([True], [False], {"a": [True, False]}, "'a' must be boolean of shape"),
        ([True], [False], {"a": [0]}, "'a' must be boolean"),
    ],
)
def test_what_is_no_group_is_refused(accepted, wrong, groups, message):
    with pytest.raises(InputError, match=message):
        group_certificates(accepted, wrong, groups, TARGET, 0.95)


@pytest.mark.parametrize(("target", "level"), [(0.0, 0.95), (0.05, 1.0)])
def test_promises_that_mean_nothing_are_refused(target, level):
    with pytest.raises(InputError):
        group_certificates([True], [False], {"a": [True]}, target, level)


# --- by simulation ----------------------------------------------------------------------------

N_DRAWS = 1000


def stream(rng, n, risks):
    """Rows with a family each and a severity band each; the risk is that of the family."""
    family = rng.integers(len(risks), size=n)
    groups = {f"family {f}": family == f for f in range(len(risks))}
    bands = rng.integers(3, size=n)
    groups |= {f"band {b}": bands == b for b in range(3)}
    return rng.random(n) < np.array(risks)[family], groups


@pytest.mark.parametrize(("level", "delta"), [(0.9, 0.1), (0.95, 0.05)])
def test_the_claim_is_false_no_more_often_than_its_level(level, delta):
    """All eight groups are just above the target and share images; any certificate is false."""
    rng = np.random.default_rng(11)
    accepted = np.ones(600, dtype=bool)
    false = 0
    for _ in range(N_DRAWS):
        wrong, groups = stream(rng, 600, [0.0501] * 5)
        certificates = group_certificates(accepted, wrong, groups, TARGET, level)
        false += any(c.certified for c in certificates)
    assert 0.2 * delta * N_DRAWS <= false <= stats.binom.ppf(0.99, N_DRAWS, delta)


def test_bad_groups_are_not_certified_beside_good_ones_and_good_ones_are():
    rng = np.random.default_rng(12)
    accepted = np.ones(2500, dtype=bool)
    false, found, uncovered = 0, 0, 0
    for _ in range(N_DRAWS):
        wrong, groups = stream(rng, 2500, [0.01, 0.02, 0.0501, 0.06])
        by_name = {c.name: c for c in group_certificates(accepted, wrong, groups, TARGET, 0.95)}
        false += by_name["family 2"].certified or by_name["family 3"].certified
        found += by_name["family 0"].certified and by_name["family 1"].certified
        risks = {"family 0": 0.01, "family 1": 0.02, "family 2": 0.0501, "family 3": 0.06}
        uncovered += any(by_name[name].upper_bound < risk for name, risk in risks.items())
    assert false <= stats.binom.ppf(0.99, N_DRAWS, 0.05)
    assert uncovered <= stats.binom.ppf(0.99, N_DRAWS, 0.05)
    assert found >= 0.95 * N_DRAWS


def test_the_claim_holds_at_a_step_that_was_chosen_on_the_same_rows():
    """Risk rises along the path in each group; the chosen step is where the whole stream stops."""
    rng = np.random.default_rng(13)
    n, n_steps = 3000, 12
    depth = np.linspace(0.35, 1.0, n_steps)
    wrong_groups = issued = 0
    for _ in range(1000):
        rank, family = rng.random(n), rng.integers(4, size=n)
        # Wrong with probability rank^4 / 3, twice that in one family.
        errors = rng.random(n) < rank**4 / 3 * np.where(family == 0, 2.0, 1.0)
        accepted = rank[:, None] < depth
        walk = fixed_sequence_test(
            (accepted & errors[:, None]).sum(0),
            accepted.sum(0),
            target_risk=TARGET,
            confidence_level=0.95,
        )
        if walk.index is None:
            continue
        steps = accepted[:, : walk.index + 1]
        groups = {f"family {f}": family == f for f in range(4)}
        certificates = group_certificates(
            steps, np.broadcast_to(errors[:, None], steps.shape), groups, TARGET, 0.9
        )
        reached = depth[walk.index]
        risk = reached**4 / 15  # the mean of rank^4 / 3 up to there
        issued += any(c.certified for c in certificates)
        wrong_groups += any(
            c.certified and risk * (2.0 if c.name == "family 0" else 1.0) > TARGET
            for c in certificates
        )
    assert issued > 500
    assert wrong_groups <= stats.binom.ppf(0.99, 1000, 0.1)
