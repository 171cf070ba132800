"""Rotations: who is fitted on what, which rows are scored, what is kept, and in which process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import held_out
from benchmarks.calibrations import Answers
from benchmarks.held_out import ADAPTED_SCORES, PEER_SEED, SINGLE_SCORES, Rotation
from benchmarks.kept import Store
from benchmarks.peers import PEERS
from benchmarks.study import Study, in_group
from gatekeeper.errors import InputError
from gatekeeper.progress import Silent
from gatekeeper.protocols import Evidence
from gatekeeper.reliability import PREDICTORS

GROUP = "digital"


class Spy:
    """A predictor that remembers the seeds of the looks that it was shown."""

    def __init__(self) -> None:
        self.fitted: np.ndarray = np.zeros(0)
        self.probes: np.ndarray = np.zeros((0, 0))
        self.scored: list[int] = []

    def fit(self, evidence: Evidence, labels: np.ndarray) -> Spy:
        assert len(labels) == len(evidence)
        self.fitted, self.probes = evidence.seeds, evidence.probes
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        self.scored.append(len(evidence))
        return evidence.seeds.astype(np.float64)


class Told:
    """A second opinion that says the same of every look, and remembers whom it was asked about."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.asked: list[tuple[str, str]] = []

    def facts(self, group: str) -> dict[str, str]:
        return {"told": group}

    def probes(self, part: str, group: str) -> np.ndarray:
        self.asked.append((part, group))
        return np.full((len(self.study.plan(part)), 10), -2.5, dtype=np.float32)


@pytest.fixture
def rotation(quick_study: Study, tmp_path: Path) -> Rotation:
    name = next(iter(quick_study.classifiers))
    return Rotation(quick_study, name, Store(tmp_path), Told(quick_study))


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Stands in for ours, for every peer and for every single score."""
    made = Spy()
    monkeypatch.setattr(held_out, "our_predictor", lambda seed: made)
    monkeypatch.setattr(held_out, "predictor", lambda name: made)
    monkeypatch.setattr(held_out, "PEERS", {name: lambda seed: made for name in PEERS})
    monkeypatch.setattr(held_out, "MOST_ROWS", 700)
    return made


def kinds_of(study: Study, seeds: np.ndarray) -> np.ndarray:
    """The corruptions of some looks of *fit*, found by their seeds."""
    plan = study.plan("fit")
    names = dict(zip(plan.seeds.tolist(), plan.corruptions.tolist(), strict=True))
    return np.array([names[seed] for seed in seeds.tolist()])


def test_ours_sees_all_clean_looks_and_none_of_the_group(rotation: Rotation, spy: Spy) -> None:
    study = rotation.study
    scores = rotation.ours(GROUP, 0)
    kinds = kinds_of(study, spy.fitted)
    assert np.count_nonzero(kinds == "") == len(study.splits.fit)
    assert not in_group(kinds, GROUP).any()
    plan = study.plan("fit")
    others = np.count_nonzero(~in_group(plan.corruptions, GROUP) & (plan.corruptions != ""))
    assert np.count_nonzero(kinds != "") == pytest.approx(2 / 3 * others, rel=0.1)
    for part in ("test", "calibrate"):
        assert scores[part].tolist() == study.plan(part).seeds.astype(np.float64).tolist()


def test_ours_hears_the_second_opinion_of_the_group_and_the_ablation_does_not(
    rotation: Rotation, spy: Spy
) -> None:
    rotation.ours(GROUP, 0)
    assert set(rotation.second.asked) == {(part, GROUP) for part in ("fit", "test", "calibrate")}
    # The view's ten, then the second opinion's ten.
    assert spy.probes.shape[1] == 20
    assert (spy.probes[:, 10:] == -2.5).all()
    heard = spy.fitted
    scores = rotation.alone(GROUP)
    assert spy.probes.shape[1] == 10
    assert spy.fitted.tolist() == heard.tolist()
    assert scores.tolist() == rotation.study.plan("test").seeds.astype(np.float64).tolist()


def test_another_seed_draws_other_looks(rotation: Rotation, spy: Spy) -> None:
    rotation.ours(GROUP, 0)
    first = set(spy.fitted.tolist())
    rotation.ours(GROUP, 1)
    assert set(spy.fitted.tolist()) != first


def test_single_scores_learn_from_clean_looks_alone(rotation: Rotation, spy: Spy) -> None:
    scores = rotation.single("sirc")
    assert set(kinds_of(rotation.study, spy.fitted)) == {""}
    assert scores.shape == rotation.grid.kind.shape


def test_peers_and_adapted_scores_see_few_looks_and_none_of_the_group(
    rotation: Rotation, spy: Spy
) -> None:
    for made in (
        lambda: rotation.peer(next(iter(PEERS)), GROUP),
        lambda: rotation.adapted("sirc", GROUP),
    ):
        scores = made()
        assert len(spy.fitted) == 700
        assert not in_group(kinds_of(rotation.study, spy.fitted), GROUP).any()
    assert len(scores) == len(rotation.grid.judged(GROUP))


def test_calibrators_see_other_images_and_none_of_the_group(
    rotation: Rotation, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Answers] = []

    def remember(learn: Answers, judge: Answers) -> np.ndarray:
        seen.extend([learn, judge])
        return np.full(len(judge.scores), 0.5)

    monkeypatch.setattr(held_out, "CALIBRATIONS", {"ours": remember})
    found = rotation.reliabilities(GROUP, 0)
    learn, judge = seen
    plan = rotation.study.plan("calibrate")
    kept = plan.take(~in_group(plan.corruptions, GROUP))
    assert learn.evidence.seeds.tolist() == kept.seeds.tolist()
    assert learn.scores.tolist() == kept.seeds.astype(np.float64).tolist()
    assert learn.clean.tolist() == (kept.corruptions == "").tolist()
    test = rotation.study.plan("test").take(rotation.grid.judged(GROUP))
    assert judge.evidence.seeds.tolist() == test.seeds.tolist()
    assert (judge.labels == rotation.study.data.labels[test.positions]).all()
    assert found["ours"].tolist() == [0.5] * len(test)


def test_blocks_do_not_change_scores(
    rotation: Rotation, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "_BLOCK", 1000)
    scores = rotation.single("sirc")
    assert max(spy.scored) == 1000
    assert scores.tolist() == rotation.study.plan("test").seeds.astype(np.float64).tolist()


def test_everything_is_made_once_and_none_of_it_again(
    rotation: Rotation, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrations = {"ours": lambda learn, judge: np.zeros(len(judge.scores))}
    monkeypatch.setattr(held_out, "CALIBRATIONS", calibrations)
    rotation.make_all([0, 1], Silent())
    files = list(rotation.store.folder.iterdir())
    per_group = 2 * 2 + 1 + len(PEERS) + len(ADAPTED_SCORES)
    assert len(files) == 1 + len(SINGLE_SCORES) + 6 * per_group
    monkeypatch.setattr(Study, "table", lambda *_: pytest.fail("all of it is on disk"))
    rotation.make_all([0, 1], Silent())
    assert sorted(rotation.store.folder.iterdir()) == sorted(files)


def test_single_scores_are_all_that_are_published() -> None:
    assert set(SINGLE_SCORES) == set(PREDICTORS) - {"learned"}
    assert set(ADAPTED_SCORES) < set(SINGLE_SCORES)
    assert PEER_SEED == 0


@pytest.mark.parametrize("code", [0, 3])
def test_one_process_per_classifier(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    started = []

    def popen(command: list[str], **options: object) -> SimpleNamespace:
        started.append((command, options))
        return SimpleNamespace(wait=lambda: code if command[-1] == "b" else 0)

    monkeypatch.setattr(held_out, "CLASSIFIERS", ("a", "b"))
    monkeypatch.setattr(held_out.subprocess, "Popen", popen)
    if code:
        with pytest.raises(InputError, match="fits for b failed"):
            held_out._in_processes("cifar10:here", [0, 2])
    else:
        held_out._in_processes("cifar10:here", [0, 2])
    assert [command[-1] for command, _ in started] == ["a", "b"]
    for command, options in started:
        assert command[1:-1] == [
            *("-m", "benchmarks.held_out", "--data", "cifar10:here"),
            *("--seeds", "0,2", "--classifier"),
        ]
        assert options["env"]["OMP_NUM_THREADS"] == "1"


def test_a_process_makes_the_arrays_of_its_classifier(
    quick_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(quick_study.classifiers))
    opened, made = [], []

    def open_small(spec: str, *, only: list[str]) -> Study:
        opened.append((spec, only))
        return quick_study

    monkeypatch.setattr(held_out, "CLASSIFIERS", (name,))
    monkeypatch.setattr(held_out, "open_study", open_small)
    monkeypatch.setattr(held_out.torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(
        Rotation, "make_all", lambda self, seeds, _: made.append((self.classifier, seeds))
    )
    held_out.main(["--data", "cifar10:here", "--classifier", name, "--seeds", "1,0"])
    assert opened == [("cifar10:here", [name])]
    assert made == [(name, [1, 0])]


def test_seeds_are_read() -> None:
    assert held_out.parse_seeds("2,0") == [2, 0]


@pytest.mark.parametrize("text", ["a", "0,0", ""])
def test_seeds_must_be_different_numbers(text: str) -> None:
    with pytest.raises(InputError, match="seeds"):
        held_out.parse_seeds(text)
