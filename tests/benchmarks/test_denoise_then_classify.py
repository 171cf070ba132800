"""Denoising before classification: paired numbers by hand, and arms that see what they should."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import denoise_arms, denoise_then_classify
from benchmarks.denoise_arms import ARMS, Arms, Budget
from benchmarks.denoise_networks import vgg_like
from benchmarks.denoise_then_classify import gain_figure, paired, rows_of
from benchmarks.kept import Store
from gatekeeper.errors import InputError
from gatekeeper.images import Dataset, Splits, make_splits
from gatekeeper.progress import Silent
from gatekeeper.restorers import Identity
from tests import small_gate

TINY = Budget(
    sizes={**small_gate.SIZES, "train": 60, "test": 40},
    base_epochs=1,
    tuning_epochs=1,
    denoiser_steps=1,
    batch_size=20,
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return replace(small_gate.digits().resized((16, 16)), name="tiny")


@pytest.fixture(scope="module")
def splits(data: Dataset) -> Splits:
    return make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=TINY.sizes, seed=0
    )


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(n_classes: int, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return vgg_like(n_classes, widths=(4, 4))

    for module in (denoise_arms, denoise_then_classify):
        monkeypatch.setattr(module, "NETWORKS", {"vgg_like": plain})


def test_paired_by_hand() -> None:
    before = np.array([True] * 5 + [False] * 15)
    after = before.copy()
    after[0], after[5:13] = False, True  # one harmed, eight helped
    found = paired(before, after)
    assert (found.helped, found.harmed) == (8, 1)
    assert found.value == pytest.approx(7 / 20)
    assert found.p_value == pytest.approx(2 * (9 + 1) / 2**9)
    # Normal approximation: variance (p + q - (p - q)²) / n with p = 8/20, q = 1/20
    deviation = np.sqrt((9 / 20 - (7 / 20) ** 2) / 20)
    assert found.low == pytest.approx(7 / 20 - 1.96 * deviation, abs=0.03)
    assert found.high == pytest.approx(7 / 20 + 1.96 * deviation, abs=0.03)


def test_no_change_is_no_gain_and_no_evidence() -> None:
    same = np.array([True, False, True])
    found = paired(same, same)
    assert (found.value, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_answers_to_other_images_are_refused() -> None:
    for after in (np.ones(2, dtype=bool), np.ones(0, dtype=bool)):
        with pytest.raises(InputError, match="answers to the same images"):
            paired(np.ones(len(after) and 3, dtype=bool), after)


def arms(data: Dataset, splits: Splits, folder: Path, seed: int = 0) -> Arms:
    return Arms(data, splits, TINY, seed=seed, store=Store(folder), progress=Silent())


def test_a_denoiser_that_does_nothing_gains_nothing(data, splits, tmp_path, tiny_networks) -> None:
    idle = arms(data, splits, tmp_path)
    idle.__dict__["denoiser"] = Identity()
    rows = list(rows_of(idle))
    assert [row["trained_on"] for row in rows] == list(ARMS)
    for row in rows:
        assert (row["gain"], row["helped"], row["harmed"], row["mcnemar_p"]) == (0.0, 0, 0, 1.0)
        assert row["accuracy_denoised"] == row["accuracy_noisy"]
        assert row["accuracy_denoised_clean"] == row["accuracy_clean"]


def test_the_figure_is_the_mean_over_seeds_of_the_frozen_plain_classifier() -> None:
    def row(seed: int, gain: float, **changes: object) -> dict:
        facts = {
            "method": "vgg_like", "trained_on": "clean", "data": "cifar10", "n": 5000, "seed": seed,
            "gain": gain, "gain_interval": [gain - 0.02, gain + 0.04], "mcnemar_p": 0.001 * seed,
        }  # fmt: skip
        return {**facts, **changes}

    rows = [row(1, 0.1), row(2, 0.3), row(1, 0.9, trained_on="noisy"), row(1, 0.9, method="r")]
    figure = gain_figure(rows)
    assert (figure.value, figure.low, figure.high) == pytest.approx((0.2, 0.18, 0.24))
    assert figure.holds
    assert "exact McNemar p 0.001, 0.002 (seeds 1, 2)" in figure.note
    assert not gain_figure([row(1, 0.01)]).holds  # no gain is a result, too


def test_a_quick_run_writes_elsewhere(tmp_path, monkeypatch, tiny_networks) -> None:
    monkeypatch.setattr(denoise_then_classify, "QUICK", TINY)
    monkeypatch.chdir(tmp_path)
    denoise_then_classify.main(["--quick", "--work", str(tmp_path / "kept")])
    written = tmp_path / "runs" / "benchmarks" / "denoise_then_classify.json"
    body = json.loads(written.read_text(encoding="utf-8"))
    assert body["command"] == "python -m benchmarks.denoise_then_classify --quick --seeds 0"
    assert [figure["name"] for figure in body["figures"]] == ["accuracy_gain_vgg_like"]
    assert len(body["table"]) == 3
    with pytest.raises(SystemExit):
        denoise_then_classify.main([])


def test_shares_of_both_stages_make_everything_that_is_judged(
    data, splits, tmp_path, monkeypatch, tiny_networks
) -> None:
    folder = tmp_path / "kept"
    for stage, shards in (("denoisers", ["0/1"]), ("classifiers", ["0/2", "1/2"])):
        for shard in shards:
            denoise_then_classify.work([arms(data, splits, folder)], stage, shard)
    made = {path.name for path in folder.iterdir()}
    assert sum(name.startswith("answers-") for name in made) == len(ARMS)
    monkeypatch.setattr(denoise_arms, "Tuning", None)
    monkeypatch.setattr(denoise_arms, "AutoencoderTraining", None)
    figure, table, (_, n) = denoise_then_classify.measure([arms(data, splits, folder)])
    assert (figure.name, len(table), n) == ("accuracy_gain_vgg_like", 3, 40)
    assert {path.name for path in folder.iterdir()} == made


def test_a_share_belongs_to_a_stage() -> None:
    with pytest.raises(SystemExit):
        denoise_then_classify.main(["--quick", "--shard", "0/2"])
