from __future__ import annotations

import json

import pytest

from gatekeeper.cli.demo import demo_recipe
from gatekeeper.report.content import FAMILY_METRICS

STREAMS = ("clean", "declared", "open", "seen_families", "held_out_families")
SEEN = {"gaussian", "impulse", "periodic", "gaussian_blur", "dark"}
HELD_OUT = {"contrast", "shift", "speckle"}


@pytest.fixture(scope="module")
def demo(gatekeeper, in_cli_home, tmp_path_factory):
    """``gatekeeper demo --quick`` over the remains of a run that was killed."""
    out = tmp_path_factory.mktemp("demo")
    (out / "bundle.part").mkdir()
    (out / "bundle.part" / "gate.json").write_text("half", encoding="utf-8")
    (out / "bundle").mkdir()
    (out / "bundle" / "left-over").touch()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    with in_cli_home():
        done = gatekeeper("demo", "--quick", "--seed", 3, "--out", out)
    return done, out


@pytest.fixture(scope="module")
def summary(demo):
    return json.loads((demo[1] / "summary.json").read_text(encoding="utf-8"))


def test_it_ends_well(demo):
    done, out = demo
    assert done.code == 0, done.err
    assert f"Wrote {out / 'summary.json'}, {out / 'report.html'}" in done.err
    assert "Traceback" not in done.err


def test_what_others_put_there_stays(demo):
    names = {path.name for path in demo[1].iterdir()}
    assert names == {
        "bundle", "classifier.safetensors", "notes.txt", "report.html", "summary.json",
    }  # fmt: skip
    assert not (demo[1] / "bundle" / "left-over").exists()


def test_every_stage_has_one_bar(demo):
    stages = [line[:24].strip() for line in demo[0].err.splitlines() if "━" in line]
    assert stages[0] == "train: classifier"
    assert len(set(stages)) == len(stages)


def test_the_table_has_a_row_per_corruption(demo):
    for name in ("clean", *SEEN, *(f"{name} (held out)" for name in HELD_OUT)):
        assert f"│ {name} " in demo[0].out
    assert "CERTIFIED: " in demo[0].out or "CANNOT CERTIFY: " in demo[0].out


def test_summary_has_what_was_promised(summary):
    for key in ("certified", "target_risk", "confidence_level", "clean_harm_rate", "dataset",
                "seeds", "versions", "durations", "peak_memory_gb", "splits", "certificate",
                "flags", "clean_flips", "clean_correct", "clean_harm_upper_bound"):  # fmt: skip
        assert key in summary, key
    assert summary["seeds"] == {"run": 3}
    assert (summary["dataset"], summary["target_risk"]) == ("digits", 0.05)
    assert {"python", "torch", "vision-gatekeeper"} <= set(summary["versions"])
    assert 0 < summary["peak_memory_gb"] < 64
    assert set(summary["splits"]) == {
        "train", "validation", "fit", "calibrate", "certify", "test",
    }  # fmt: skip


def test_every_stream_and_family_has_every_figure(summary):
    assert set(summary["families"]) == SEEN | HELD_OUT
    n = summary["splits"]["test"]["n"]
    for found in (*(summary[name] for name in STREAMS), *summary["families"].values()):
        assert set(FAMILY_METRICS) <= set(found)
        assert found["n"] == n
        assert found["n_accepted"] == round(found["coverage"] * n)


def test_durations_are_those_of_the_stages(summary):
    durations = dict(summary["durations"])
    total = durations.pop("total")
    assert set(durations) == {
        "data", "classifier", "restorers", "fit and certify", "judge", "bundle", "report",
        "tracking",
    }  # fmt: skip
    assert total == pytest.approx(sum(durations.values()), rel=0.2, abs=1.0)


def test_challenger_and_champion_follow_the_certificate(gatekeeper, demo, summary):
    listed = json.loads(gatekeeper("registry", "list", "gate-demo", "--json").out)
    aliases = {"challenger", "champion"} if summary["certified"] else {"challenger"}
    assert [set(version["aliases"]) for version in listed] == [aliases]
    assert listed[0]["tags"]["gatekeeper.bundle_sha256"] == summary["bundle"]


def test_an_uncertified_version_is_not_promoted(gatekeeper, demo, summary):
    assert not summary["certified"]
    done = gatekeeper("registry", "promote", "gate-demo", 1)
    assert done.code == 2
    assert "is not certified" in done.err


def test_report_is_one_small_file(demo):
    page = (demo[1] / "report.html").read_text(encoding="utf-8")
    assert len(page) < 2_000_000
    assert "gatekeeper demo --dataset auto --seed 3 --quick" in page


def test_the_bundle_decides_its_own_golden_set(gatekeeper, demo):
    assert gatekeeper("registry", "verify", demo[1] / "bundle").code == 0


def test_the_shipped_recipe_takes_data_and_seed():
    recipe = demo_recipe("cifar10:somewhere", 7)
    assert (recipe.data.dataset, recipe.seed, recipe.name) == ("cifar10:somewhere", 7, "demo")
    assert demo_recipe("auto", 0, quick=True).data.dataset == "digits"
    assert demo_recipe("auto", 0).data.dataset == "auto"
