"""Jobs of both stages: together all, each once, and the shared peer under the first classifier."""

from __future__ import annotations

import pytest

from benchmarks import restoration, restoration_cells
from benchmarks.restoration_cells import Bench
from benchmarks.restoration_runs import PSNR, SIGMAS, TRAINED


class Recording:
    """Stands for the runs of one cell."""

    def __init__(self, name: str, seed: int, done: list[tuple]) -> None:
        self.cell, self.done = (name, seed), done

    def restorer(self, what: str) -> None:
        self.done.append((*self.cell, what))

    def right_at(self, sigma: float) -> None:
        self.done.append((*self.cell, sigma))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    found: list[tuple] = []
    monkeypatch.setattr(Bench, "runs", lambda _, name, seed: Recording(name, seed, found))
    monkeypatch.setattr(Bench, "gate", lambda _, runs: found.append((*runs.cell, "gate")))
    return found


def bench(names: list[str]) -> Bench:
    made = Bench.__new__(Bench)
    made._specs, made._seeds = dict.fromkeys(names), [0, 1, 2]
    return made


def test_workers_train_everything_once(done) -> None:
    loads = []
    for shard in ("0/2", "1/2"):
        before = len(done)
        bench(["a", "b"]).work("train", shard)
        loads.append(sum(TRAINED[what] for _, _, what in done[before:]))
    expected = {(name, seed, what) for name in "ab" for seed in range(3) for what in TRAINED}
    assert sorted(done) == sorted(each for each in expected if each[0] == "a" or each[2] != PSNR)
    assert abs(loads[0] - loads[1]) <= min(TRAINED.values())


def test_workers_judge_everything_once(done) -> None:
    for shard in ("0/2", "1/2"):
        bench(["a"]).work("judge", shard)
    assert sorted(map(str, done)) == sorted(
        str(("a", seed, what)) for seed in range(3) for what in (*SIGMAS, "gate")
    )


def test_one_classifier_is_judged_unless_more_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple] = []
    monkeypatch.setattr(restoration, "in_workers", lambda *given: told.append(given))
    restoration.main(["--data", "cifar10:x", "--only", "train", "--work", "/kept"])
    assert told == [
        (
            "benchmarks.restoration",
            ["--data", "cifar10:x", "--classifiers", restoration_cells.CLASSIFIER,
             "--seeds", "0,1,2", "--work", "/kept"],
            ("train",),
            2,
        )
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        restoration.main(["--data", "cifar10:x", "--shard", "0/2"])
