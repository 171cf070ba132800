from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gatekeeper import demonstration
from gatekeeper.demonstration import Run, Stopwatch, noise_rows, reproduce, summarise_run, write
from gatekeeper.evaluation import judge_streams
from gatekeeper.evidence import TableBuilder
from gatekeeper.report.content import FAMILY_METRICS
from tests.small_gate import classifier, recipe, restorers, small


@pytest.fixture(scope="module")
def finished():
    made = small()
    asked = recipe()
    streams = judge_streams(
        made.result.fitted,
        made.data,
        made.splits,
        asked.conditions,
        builder=TableBuilder(made.data, classifier(), restorers()),
        doubt_below=asked.policy.doubt_below,
        seed=0,
    )
    return Run(
        recipe=asked,
        data=made.data,
        splits=made.splits,
        result=made.result,
        streams=streams,
        stopwatch=Stopwatch(),
    )


def fresh(finished):
    """The same run with a stopwatch of its own."""
    return replace(finished, stopwatch=Stopwatch())


def test_summary_repeats_the_certificate(finished):
    summary = summarise_run(finished, "some-bundle")
    assert summary["certificate"] == finished.result.fitted.certificate
    for key in ("certified", "target_risk", "confidence_level"):
        assert summary[key] == summary["certificate"][key]
    assert summary["bundle"] == "some-bundle"
    json.dumps(summary, allow_nan=False)


def test_summary_has_every_stream_and_family(finished):
    summary = summarise_run(finished, "some-bundle")
    assert set(summary["families"]) == {"impulse", "dark", "gaussian", "contrast", "speckle"}
    for name in ("clean", "declared", "open", "seen_families", "held_out_families"):
        assert set(FAMILY_METRICS) <= set(summary[name])


def test_clean_harm_is_flips_over_right_clean_answers(finished):
    summary = summarise_run(finished, "some-bundle")
    clean = summary["clean"]
    assert summary["clean_correct"] == round(clean["accuracy_no_gate"] * clean["n"])
    assert summary["clean_flips"] == clean["harm"]
    assert summary["clean_harm_rate"] == clean["harm"] / summary["clean_correct"]
    assert summary["clean_harm_rate"] <= summary["clean_harm_upper_bound"] < 1


def test_noise_rows_are_the_seen_noise_of_the_declared_stream(finished):
    plan = finished.streams.streams["declared"].plan
    wanted = [name in {"impulse", "gaussian"} for name in plan.corruptions.tolist()]
    assert noise_rows(finished).tolist() == wanted
    assert 0 < sum(wanted) < len(wanted)


def test_a_registry_that_cannot_be_used_costs_no_output(finished, tmp_path, monkeypatch):
    taken = tmp_path / "a-file"
    taken.touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{taken / 'mlflow.db'}")
    written = write(fresh(finished), tmp_path / "out")
    assert written.version is None
    assert not written.champion
    assert "could not" in written.warning
    assert "\n" not in written.warning
    assert json.loads(written.summary_path.read_text(encoding="utf-8")) == written.summary
    assert written.report_path.stat().st_size > 10_000
    assert (written.bundle_path / "golden.json").is_file()


def test_an_untracked_run_says_nothing_of_tracking(finished, tmp_path):
    written = write(fresh(finished), tmp_path / "out", tracked=False)
    assert (written.version, written.champion, written.warning) == (None, False, None)
    assert "tracking" not in written.summary["durations"]


def test_a_command_can_be_pasted():
    assert reproduce(["fit", "my recipe.toml"]) == "gatekeeper fit 'my recipe.toml'"


class _Asked:
    """A recipe that asks for these sizes and nothing else."""

    def __init__(self, sizes):
        self.data = SimpleNamespace(splits=SimpleNamespace(given=lambda: dict(sizes)))


def _images(n, official):
    digests = np.array([f"{i:04d}" for i in range(n)])
    return SimpleNamespace(digests=digests, test_index=np.arange(n - official, n))


@pytest.mark.parametrize(
    ("official", "given", "expected"),
    [
        (20, {"train": 0.6, "certify": 0.4}, {"train": 48, "certify": 32}),
        (0, {"train": 0.6, "certify": 0.4}, {"train": 48, "certify": 32, "test": 20}),
        (0, {"train": 0.5, "certify": 0.2}, {"train": 50, "certify": 20, "test": 20}),
        (0, {"train": 60, "certify": 40}, {"train": 60, "certify": 40, "test": 20}),
        (0, {"train": 0.6, "test": 0.3}, {"train": 60, "test": 30}),
    ],
)
def test_test_images_are_set_aside_where_there_is_no_official_part(official, given, expected):
    assert demonstration.split_sizes(_Asked(given), _images(100, official)) == expected


@pytest.mark.parametrize("n", [7, 99, 300, 301, 4999])
def test_shares_that_make_a_whole_never_ask_for_more_than_there_is(n):
    shares = {"train": 0.4, "fit": 0.2667, "calibrate": 0.1333, "certify": 0.2}
    assert sum(demonstration.split_sizes(_Asked(shares), _images(n, 0)).values()) <= n
