"""What random draws certify, against the binomial by hand; what is stated against what is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gatekeeper.adaptation.checking import certify_on_draws, recheck, without_sample
from gatekeeper.errors import InputError


def digests(n: int) -> np.ndarray:
    return np.array([f"{number:064x}" for number in range(n)])


def certified(n: int, n_accepted: int, n_wrong: int, **changes: object):
    accepted = np.arange(n) < n_accepted
    wrong = np.arange(n) < n_wrong
    given = {"n_unlabelled": 0, "target_risk": 0.05, "confidence_level": 0.95, **changes}
    return certify_on_draws(digests(n), accepted, wrong, **given)


def test_fifty_nine_right_draws_certify_and_fifty_eight_do_not() -> None:
    # 0.95^59 = 0.0485 and 0.95^58 = 0.0510.
    assert certified(80, 59, 0).certified
    found = certified(80, 58, 0)
    assert not found.certified
    assert found.reason is not None
    assert found.reason.startswith("cannot certify: too few accepted images among the random draws")


def test_the_bound_is_clopper_pearson() -> None:
    found = certified(300, 200, 4)
    assert found.certified
    assert found.upper_bound == pytest.approx(float(stats.beta.ppf(0.95, 5, 196)))
    assert (found.n, found.n_accepted, found.n_wrong) == (300, 200, 4)
    assert found.to_json()["reason"] is None


def test_errors_of_answers_that_are_not_accepted_do_not_count() -> None:
    accepted = np.arange(100) < 60
    found = certify_on_draws(
        digests(100),
        accepted,
        ~accepted,
        n_unlabelled=0,
        target_risk=0.05,
        confidence_level=0.95,
    )
    assert found.n_wrong == 0
    assert found.certified


def test_a_draw_without_a_label_forbids_the_certificate() -> None:
    found = certified(80, 80, 0, n_unlabelled=3)
    assert not found.certified
    assert found.reason is not None
    assert found.reason.startswith("cannot certify: 3 random draws of accepted answers")
    assert found.upper_bound is None


def test_an_export_forbids_it_too() -> None:
    found = certified(80, 80, 0, n_unlabelled=None)
    assert not found.certified
    assert "an export holds labelled images only" in str(found.reason)


def test_without_draws_there_is_no_certificate() -> None:
    found = certified(0, 0, 0)
    assert not found.certified
    assert "there is no random labelled sample" in str(found.reason)
    assert certified(20, 0, 0).upper_bound is None
    assert without_sample("of a test").reason == "cannot certify: of a test"


def test_an_image_that_was_drawn_twice_is_refused() -> None:
    with pytest.raises(InputError, match="one row per base image"):
        certify_on_draws(
            np.array(["a", "a"]),
            np.array([True, True]),
            np.array([False, False]),
            n_unlabelled=0,
            target_risk=0.05,
            confidence_level=0.95,
        )


def test_what_is_stated_is_held_against_the_exact_interval() -> None:
    right = np.arange(100) < 90
    found = recheck(np.full(100, 0.9), right)
    assert found is not None
    assert found.holds
    assert found.low == pytest.approx(float(stats.beta.ppf(0.025, 90, 11)))
    assert found.high == pytest.approx(float(stats.beta.ppf(0.975, 91, 10)))
    sure = recheck(np.full(100, 0.99), right)
    assert sure is not None
    assert not sure.holds
    assert sure.to_json()["holds"] is False
    assert recheck(np.zeros(0), np.zeros(0, dtype=bool)) is None
