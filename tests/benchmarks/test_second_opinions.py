"""Second opinions of the benchmarks: trained without the group, asked about the right looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import second_opinions
from benchmarks.kept import Store
from benchmarks.second_opinions import SecondOpinions
from benchmarks.study import STUDIED, Study
from gatekeeper.evidence import degrade
from gatekeeper.mlp import log_softmax
from gatekeeper.progress import Silent
from gatekeeper.training import train_second_opinion

GROUPS = ("noise", "digital")


@pytest.fixture(scope="module")
def study(quick_study: Study) -> Study:

    corruptions = {group: quick_study.corruptions[group][:1] for group in GROUPS}
    splits = replace(quick_study.splits, test=quick_study.splits.test[:40])
    return replace(quick_study, corruptions=corruptions, splits=splits)


@pytest.fixture(scope="module")
def trained_on() -> dict[str, list[str]]:
    return {}


@pytest.fixture(scope="module")
def made(
    study: Study, trained_on: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> SecondOpinions:
    def remember(*args: object, corruptions: list[str], **rest: object) -> object:
        trained_on[str(rest["weights"])] = corruptions
        return train_second_opinion(*args, corruptions=corruptions, **rest)

    found = SecondOpinions(study, Store(tmp_path_factory.mktemp("second")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_opinions, "train_second_opinion", remember)
        found.make_networks(GROUPS, Silent())
    return found


def test_none_was_trained_on_the_group_that_it_is_for(
    made: SecondOpinions, trained_on: dict[str, list[str]]
) -> None:
    kept = list(trained_on.values())
    assert kept == [list(STUDIED["digital"][:1]), list(STUDIED["noise"][:1])]
    assert made.network("noise").digest != made.network("digital").digest


@pytest.mark.parametrize("group", GROUPS)
def test_it_says_what_its_network_says_of_the_same_look(
    made: SecondOpinions, study: Study, group: str
) -> None:
    probes = made.probes("test", group)
    plan = study.plan("test")
    assert probes.shape == (len(plan), 10)
    rows = np.arange(len(plan))[::97]
    some = plan.take(rows)
    look = made.network(group).look(degrade(study.data.batch(some.positions), some))
    assert np.allclose(probes[rows], log_softmax(look.logits), atol=1e-4)


def test_what_is_on_disk_is_not_made_again(
    made: SecondOpinions, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made.probes("test", "noise")
    monkeypatch.setattr(
        second_opinions, "train_second_opinion", lambda *_, **__: pytest.fail("trained again")
    )
    monkeypatch.setattr(second_opinions, "degrade", lambda *_: pytest.fail("asked again"))
    again = SecondOpinions(study, made.store)
    assert np.array_equal(again.probes("test", "noise"), first)


def test_shards_share_the_blocks(made: SecondOpinions, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(second_opinions, "_BLOCK", 100)
    monkeypatch.setattr(SecondOpinions, "_block", lambda self, plan: asked.append(plan.seeds[0]))
    for shard in ((0, 2), (1, 2)):
        made.make_blocks(shard, Silent())
    plans = [made.study.plan(part) for part in second_opinions.PARTS]
    starts = [seed for plan in plans for seed in plan.seeds[::100].tolist()]
    assert sorted(asked) == sorted(starts)
