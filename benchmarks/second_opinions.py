"""Second opinions for the held-out groups: trained without the group, asked about every look.

    python -m benchmarks.second_opinions --data cifar10:PATH [--workers 2]

One network per held-out group, trained on *train* under the study's corruptions without that group;
both classifiers hear the same. What they say of every look of the study is kept on disk, so an
interrupted run continues. The benchmarks ``failure_detection`` and ``calibration`` read it.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import versions
from benchmarks.kept import ROOT, Store, code_digest
from benchmarks.study import Study, open_study
from gatekeeper import training
from gatekeeper.bundle import ClassifierSpec
from gatekeeper.cli.progress import Bars
from gatekeeper.corruptions import corruption
from gatekeeper.evidence import Plan, degrade, draw_wide_plan
from gatekeeper.memory import keep_freed_memory
from gatekeeper.mlp import log_softmax
from gatekeeper.paths import cache_dir
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import ClassifierTraining, SecondOpinionRecipe
from gatekeeper.training import second_opinion_steps, train_second_opinion
from gatekeeper.types import FloatArray

OPTIONS = SecondOpinionRecipe()
"""As a recipe has it that asks for a second opinion and says no more."""

PARTS = ("fit", "calibrate", "test")

_QUICK = SecondOpinionRecipe(
    widths=(16, 16, 16, 16),
    depth=1,
    largest_side_px=12,
    looks_per_image=2,
    training=ClassifierTraining(epochs=1, min_steps=1, batch_size=64),
)
_SEED = 0
_BLOCK = 8192
_BATCH = 512
_PACKAGES = ("numpy", "torch", "timm")
_CODE = (training.second_opinion, training.classifier, draw_wide_plan, degrade)


class SecondOpinions:
    """Networks and what they say, made once.

    Args:
        study: Data, splits and corruptions.
        store: Where all of it is kept.
    """

    def __init__(self, study: Study, store: Store) -> None:
        self.study = study
        self.store = store
        self.options = _QUICK if study.quick else OPTIONS
        self._networks: dict[str, Classifier] = {}

    def network(self, group: str, progress: Progress | None = None) -> Classifier:
        """The one that was trained without a group."""
        if group not in self._networks:
            self._networks[group] = self._trained(group, progress or Silent()).build()
        return self._networks[group]

    def probes(self, part: str, group: str) -> FloatArray:
        """Its log-probabilities of every look of a part, shape (N, K), float32."""
        return np.concatenate([self._block(plan)[group] for plan in self._blocks(part)])

    def make_networks(self, groups: Sequence[str], progress: Progress) -> None:
        """Train those that are not on disk yet."""
        for group in groups:
            self.network(group, progress)

    def make_blocks(self, shard: tuple[int, int], progress: Progress) -> None:
        """Ask all networks about every n-th block of looks, from the i-th on."""
        blocks = [block for part in PARTS for block in self._blocks(part)][shard[0] :: shard[1]]
        progress.start("second opinions", sum(len(block) for block in blocks))
        for block in blocks:
            self._block(block)
            progress.advance(len(block))

    def facts(self, group: str) -> dict[str, Any]:
        """All that determines what a group's network says."""
        names = self._corruptions(group)
        known = versions()
        return {
            "options": self.options.model_dump(mode="json"),
            "seed": _SEED,
            "train": self.study.splits.digest_of("train", self.study.data.digests),
            "image_size": list(self.study.data.image_size),
            "corruptions": {n: corruption(n).table_for(*self.study.data.image_size) for n in names},
            "code": [code_digest("gatekeeper.corruptions"), *map(inspect.getsource, _CODE)],
            "versions": {package: known[package] for package in _PACKAGES},
        }

    def _corruptions(self, group: str) -> list[str]:
        return [n for own, names in self.study.corruptions.items() if own != group for n in names]

    def _trained(self, group: str, progress: Progress) -> ClassifierSpec:
        facts = self.facts(group)
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
        folder = self.store.folder
        path = folder / f"network-{digest}.json"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            self._train(group, folder / f"network-{digest}", progress)
        body = json.loads(path.read_text(encoding="utf-8"))
        options = {**body["options"], "checkpoint": str(folder / f"network-{digest}.safetensors")}
        return ClassifierSpec(kind=body["kind"], options=options)

    def _train(self, group: str, stem: Path, progress: Progress) -> None:
        n_train = len(self.study.splits.train)
        progress.start(f"without {group}", second_opinion_steps(self.options, n_train))
        spec = train_second_opinion(
            self.study.data,
            self.study.splits,
            self.options,
            corruptions=self._corruptions(group),
            weights=stem.with_suffix(".safetensors"),
            checkpoint=stem.with_suffix(".resume.safetensors"),
            seed=_SEED,
            on_step=lambda step, loss: progress.advance(1),
        )
        body = {"kind": spec.kind, "options": dict(spec.options)}
        unfinished = stem.with_suffix(".part")
        unfinished.write_text(json.dumps(body), encoding="utf-8")
        unfinished.replace(stem.with_suffix(".json"))

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {group: self.network(group).digest for group in self.study.corruptions}

    def _blocks(self, part: str) -> list[Plan]:
        plan = self.study.plan(part)
        return [
            plan.take(np.arange(start, min(start + _BLOCK, len(plan))))
            for start in range(0, len(plan), _BLOCK)
        ]

    def _block(self, plan: Plan) -> dict[str, FloatArray]:
        size = self.study.data.image_size
        names = sorted({name for name in plan.corruptions.tolist() if name})
        facts = {
            "networks": self._digests,
            "images": self.study.data.digests[plan.positions].tolist(),
            "corruptions": plan.corruptions.tolist(),
            "severities": plan.severities.tolist(),
            "seeds": plan.seeds.tolist(),
            "tables": {name: corruption(name).table_for(*size) for name in names},
        }
        return self.store.arrays("said", facts, lambda: self._ask(plan))

    def _ask(self, plan: Plan) -> Mapping[str, FloatArray]:
        said: dict[str, list[FloatArray]] = {group: [] for group in self.study.corruptions}
        for start in range(0, len(plan), _BATCH):
            rows = plan.take(np.arange(start, min(start + _BATCH, len(plan))))
            images: Tensor = degrade(self.study.data.batch(rows.positions), rows)
            for group, found in said.items():
                logits = self.network(group).look(images).logits
                found.append(log_softmax(logits).astype(np.float32))
        return {group: np.concatenate(found) for group, found in said.items()}


def second_opinions(study: Study) -> SecondOpinions:
    """Those of a study, kept below the product's cache."""
    return SecondOpinions(study, Store(cache_dir() / "benchmarks" / "second-opinions"))


def main(argv: Sequence[str] | None = None) -> None:
    """Train and ask, in several processes of one thread each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="such as cifar10:PATH")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--step", choices=["train", "ask"], default=None, help="only one of both")
    parser.add_argument("--shard", default=None, help="i/n: be the i-th of n workers")
    arguments = parser.parse_args(argv)
    if arguments.shard is None:
        for step in ("train", "ask") if arguments.step is None else (arguments.step,):
            _in_processes(arguments.data, step, arguments.workers)
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    index, _, total = arguments.shard.partition("/")
    shard = (int(index), int(total))
    made = second_opinions(open_study(arguments.data, only=()))
    with Bars() as bars:
        if arguments.step == "train":
            made.make_networks(tuple(made.study.corruptions)[shard[0] :: shard[1]], bars)
        else:
            made.make_blocks(shard, bars)


def _in_processes(spec: str, step: str, workers: int) -> None:
    command = [sys.executable, "-m", "benchmarks.second_opinions", "--data", spec, "--step", step]
    started = [
        subprocess.Popen([*command, "--shard", f"{i}/{workers}"], cwd=ROOT)  # noqa: S603  # our own module
        for i in range(workers)
    ]
    codes = [worker.wait() for worker in started]  # all of them, also after a failure
    if any(codes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
