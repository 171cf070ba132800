"""Held-out windows: which corruptions are unseen, which probes are handed on, which looks count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import guarantee_held_out
from benchmarks.guarantee_arrays import decoded
from benchmarks.guarantee_held_out import (
    held_out_windows,
    unseen,
    with_second_opinion,
    with_views,
)
from benchmarks.guarantee_watch import shuffled, window_p_values
from benchmarks.study import Study
from gatekeeper.errors import InputError
from gatekeeper.evidence import TableBuilder
from gatekeeper.mlp import log_softmax
from gatekeeper.monitoring import WINDOW
from gatekeeper.progress import Silent
from gatekeeper.signals import N_SCALARS
from tests.small_gate import classifier, digits, recipe, small, splits


def test_a_corruption_with_a_seen_family_is_not_held_out() -> None:
    names = ("gaussian_noise", "impulse_noise", "speckle_noise", "dark+shot_noise", "fog")
    assert unseen(recipe(), names) == ("speckle_noise", "fog")


def study(cache: Path) -> Study:
    return Study(
        data=digits(),
        splits=splits(),
        classifiers={"tiny": classifier()},
        corruptions={"noise": ("gaussian_noise",), "tone and weather": ("brightness", "contrast")},
        severities=(1, 3),
        cache=cache,
        quick=True,
    )


def test_windows_are_those_of_the_unseen_at_high_severity(tmp_path: Path) -> None:
    fitted, made = small().result.fitted, study(tmp_path)
    found = held_out_windows(fitted, made, ["brightness", "contrast"], Silent())
    assert decoded(found["held_out"]).tolist() == ["brightness", "contrast"]
    assert found["severities"].tolist() == [3, 3]
    n_images = len(made.splits.test)
    assert found["held_out_p"].shape == (2, n_images // WINDOW)
    plan = made.plan("test")
    rows = np.flatnonzero((plan.corruptions == "contrast") & (plan.severities == 3))
    looks = TableBuilder(digits(), classifier(), {}).raw(plan.take(rows)).evidence
    expected = window_p_values(
        fitted.conditions,
        looks.signals[:, :N_SCALARS],
        fitted.raw_reliability(looks),
        shuffled(n_images, 0),
    )
    assert found["held_out_p"][1] == pytest.approx(expected, rel=1e-3)


def test_probes_of_some_views_keep_their_own_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    flip, smooth = "flip", "smooth"
    monkeypatch.setattr(guarantee_held_out, "VIEWS", (flip, smooth))
    plan = small().result.certify.plan.take(np.arange(5))
    looks = TableBuilder(digits(), classifier(), {}, views=(flip, smooth)).raw(plan)
    probes = looks.evidence.probes
    assert with_views(looks.evidence, (smooth,)).probes.tolist() == probes[:, 10:].tolist()
    assert with_views(looks.evidence, (smooth, flip)).probes[:, 10:].tolist() == (
        probes[:, :10].tolist()
    )
    assert with_views(looks.evidence, ()).probes.shape == (len(probes), 0)


def test_a_view_that_the_study_has_not_asked_for_is_refused() -> None:
    looks = TableBuilder(digits(), classifier(), {}).raw(
        small().result.certify.plan.take(np.arange(1))
    )
    with pytest.raises(InputError, match="upside_down"):
        with_views(looks.evidence, ("flip", "upside_down"))


def test_a_gates_second_opinion_is_asked_about_the_same_images(tmp_path: Path) -> None:
    made = study(tmp_path)
    plan = made.plan("test").take(np.arange(150, 156))
    looks = TableBuilder(digits(), classifier(), {}).raw(plan).evidence
    assert with_second_opinion(looks, made, plan, None) is looks
    # The classifier stands in for a second opinion: its probes are then its own log-probabilities.
    heard = with_second_opinion(looks, made, plan, classifier())
    assert heard.probes == pytest.approx(log_softmax(looks.logits), abs=1e-4)
    assert np.array_equal(heard.logits, looks.logits)
