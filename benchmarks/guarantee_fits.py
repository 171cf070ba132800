"""The gates that the benchmark ``guarantee`` judges, fitted once per recipe and seed, then kept.

    python -m benchmarks.guarantee_fits --data cifar10:PATH --recipe NAME [--seeds 0,1,2]

A seed varies the conditions that images are drawn under and everything that is fitted; the splits
are those of seed 0, and the autoencoder is trained once per classifier, with seed 0. Looks at
held-out families are the cells of ``benchmarks.study``: fill them first, or they are made here.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.guarantee_arrays import AnyArray, decoded, packed, unpacked
from benchmarks.guarantee_held_out import held_out_windows, unseen
from benchmarks.guarantee_second import second_opinion_from
from benchmarks.guarantee_watch import shuffled, window_p_values
from benchmarks.harness import versions
from benchmarks.held_out import parse_seeds
from benchmarks.kept import ROOT, Store, code_digest
from benchmarks.study import STUDIED, VIEWS, Study
from gatekeeper.bundle import ClassifierSpec, SecondOpinion
from gatekeeper.cli.demo import demo_recipe
from gatekeeper.cli.progress import Bars
from gatekeeper.corruptions import SEVERITIES
from gatekeeper.demonstration import classifier_of, split_sizes
from gatekeeper.errors import InputError
from gatekeeper.evidence import TableBuilder, draw_plan
from gatekeeper.fitting import Fitter
from gatekeeper.images import Dataset, Splits, load_dataset, make_splits
from gatekeeper.judging import Judged, judge
from gatekeeper.paths import cache_dir, shipped
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.recipe import ClassifierTraining, Recipe, SplitSizes, load_recipe
from gatekeeper.restorers import RESTORERS, AutoencoderRestorer
from gatekeeper.restorers.autoencoder import AutoencoderConfig
from gatekeeper.training import restorer, train_restorer
from gatekeeper.types import FloatArray, IntArray

RECIPES = ("cifar10-resnet18", "cifar10-mobilenetv2")
"""Recipes in ``calibration/``, one per classifier."""

_SHUFFLES = 50
_SPLIT_SEED = 0
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
_CODE = ("gatekeeper.fitting", "gatekeeper.training", "gatekeeper.restorers", "gatekeeper.images")
_QUICK_SIZES = {
    "train": 1_700, "validation": 50, "fit": 600, "calibrate": 500, "certify": 900, "test": 1_000,
}  # fmt: skip
_QUICK_TRAINING = ClassifierTraining(
    epochs=4, min_steps=1, batch_size=32, learning_rate=0.2, crop_padding_px=0
)
_QUICK_EPOCHS = 20
_QUICK_RESTORERS = {
    "restorer_of": {"gaussian_blur": "autoencoder", "impulse": "median", "dark": "exposure"},
    "steps": 10,
}
_QUICK_STUDIED = {"noise": ("speckle_noise",), "geometric": ("shift",)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GateFit:
    """One fitted gate and all that it made of the images that it is judged on.

    Attributes:
        key: Hash of all that determines it.
        recipe: With the seed of the fit.
        margin: The switch margin.
        calibrate: Attempts that shaped the path.
        certify: Attempts at the true certify split.
        test: Attempts at *test* under the declared mix, each image once: the population.
        flag_level: P-value below which a window is flagged.
        declared_p: P-values of windows of the population, shuffled several times, shape (S,).
        held_out: Corruption of each held-out cell, C names.
        severities: Its severity, shape (C,).
        held_out_p: P-values of its windows, shape (C, W).
    """

    key: str
    recipe: Recipe
    margin: float
    calibrate: Judged
    certify: Judged
    test: Judged
    flag_level: float
    declared_p: FloatArray
    held_out: tuple[str, ...]
    severities: IntArray
    held_out_p: FloatArray

    @property
    def name(self) -> str:
        """Recipe and seed, for people."""
        return f"{self.recipe.name} seed {self.recipe.seed}"


class Gates:
    """Fits of one recipe; what does not change with the seed is made once, and only if needed.

    Args:
        recipe: With the seed of splits, classifier and restorers.
        data: The data set.
        studied: Group -> corruptions; those of families that the recipe has not seen are held out.
        severities: Of the study's grid.
        shuffles: How often the population is shuffled into windows.
        progress: Told of everything that is made.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        *,
        studied: Mapping[str, tuple[str, ...]],
        severities: tuple[int, ...],
        shuffles: int,
        progress: Progress,
    ) -> None:
        self.recipe, self.data = recipe, data
        self.studied, self.severities, self.shuffles = studied, severities, shuffles
        self.progress = progress
        self.store = Store(cache_dir() / "benchmarks" / "guarantee")
        self.held_out = unseen(recipe, [n for names in studied.values() for n in names])

    @cached_property
    def splits(self) -> Splits:
        """Of seed 0, whatever the seed of the fit."""
        return make_splits(
            self.data.labels,
            self.data.digests,
            test_index=self.data.test_index,
            sizes=split_sizes(self.recipe, self.data),
            seed=_SPLIT_SEED,
        )

    @cached_property
    def classifier(self) -> tuple[ClassifierSpec, Classifier]:
        """Read from its record, or trained."""
        with tempfile.TemporaryDirectory(prefix="gatekeeper-guarantee-") as folder:
            return classifier_of(self.recipe, self.data, self.splits, Path(folder), self.progress)

    @cached_property
    def restorers(self) -> dict[str, Restorer]:
        """Those that the recipe routes to, by name."""
        names = set(self.recipe.restorers.restorer_of.values())
        found: dict[str, Restorer] = {
            name: RESTORERS[name]() for name in sorted(names - {AutoencoderRestorer.name})
        }
        if AutoencoderRestorer.name in names:
            found[AutoencoderRestorer.name] = self._autoencoder()
        return found

    def _autoencoder(self) -> AutoencoderRestorer:
        """Trained, or from the disk."""

        def make() -> dict[str, AnyArray]:
            self.progress.start("train: autoencoder", self.recipe.restorers.steps)
            trained = train_restorer(
                self.data,
                self.splits,
                self.classifier[1],
                self.recipe,
                on_step=lambda step, loss: self.progress.advance(1),
            )
            return {name: tensor.numpy() for name, tensor in trained.state().items()}

        facts = {
            **self._basis,
            "what": "autoencoder",
            "recognise": self.classifier[1].digest,
            "code": code_digest("gatekeeper.restorers", "gatekeeper.corruptions"),
            "training": hashlib.sha256(inspect.getsource(restorer).encode()).hexdigest(),
        }
        kept = self.store.arrays(f"{self.recipe.name}-autoencoder", facts, make)
        state = {name: torch.from_numpy(array) for name, array in kept.items()}
        return AutoencoderRestorer.from_state(state, asdict(AutoencoderConfig()))

    @cached_property
    def second_opinion(self) -> SecondOpinion | None:
        """Of seed 0, whatever the seed of the fit; None where the recipe asks for none."""
        return second_opinion_from(
            self.store.folder, self.recipe, self.data, self.splits, self._basis, self.progress
        )

    def fit(self, seed: int) -> GateFit:
        """The gate of a seed, from the disk or fitted and kept."""
        recipe = self.recipe.model_copy(update={"seed": seed})
        facts = {
            **self._basis,
            "what": "gate",
            "seed": seed,
            "recipe": recipe.model_dump(mode="json", exclude={"data"}),
            "code": code_digest(*_CODE, "benchmarks.guarantee_held_out"),
            "own": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
            "studied": [self.held_out, self.severities, self.shuffles, VIEWS],
        }
        kept = self.store.arrays(f"{recipe.name}-gate", facts, lambda: self._fitted(recipe))
        return GateFit(
            key=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
            recipe=recipe,
            margin=float(kept["margin"][0]),
            calibrate=unpacked(kept, "calibrate"),
            certify=unpacked(kept, "certify"),
            test=unpacked(kept, "test"),
            flag_level=float(kept["flag_level"][0]),
            declared_p=kept["declared_p"],
            held_out=tuple(decoded(kept["held_out"]).tolist()),
            severities=np.asarray(kept["severities"], dtype=np.int64),
            held_out_p=kept["held_out_p"],
        )

    @cached_property
    def _study(self) -> Study:
        return Study(
            data=self.data,
            splits=self.splits,
            classifiers={self.recipe.name: self.classifier[1]},
            corruptions=self.studied,
            severities=self.severities,
            cache=cache_dir() / "study",
            quick=False,
        )

    @cached_property
    def _basis(self) -> dict[str, Any]:
        """What every kept array depends on."""
        known, records = versions(), self.splits.to_json(self.data.digests)
        asked = self.recipe.classifier.model_dump(mode="json")
        # A record's weights may change; one that is trained follows from its schedule and the code.
        trained = self.recipe.classifier.record is None
        return {
            "splits": {name: dict(record) for name, record in records.items()},
            "image_size": list(self.data.image_size),
            "classifier": asked if trained else self.classifier[1].digest,
            "restorers": self.recipe.restorers.model_dump(mode="json"),
            "versions": {package: known[package] for package in _PACKAGES},
        }

    def _fitted(self, recipe: Recipe) -> dict[str, AnyArray]:
        spec, classifier = self.classifier
        second = self.second_opinion
        builder = TableBuilder(
            self.data,
            classifier,
            self.restorers,
            cache=cache_dir() / "cells",
            progress=self.progress,
            views=recipe.predictor.views,
            second_opinion=None if second is None else second.classifier,
        )
        fitter = Fitter(
            self.data,
            self.splits,
            spec,
            classifier,
            self.restorers,
            recipe,
            builder=builder,
            second_opinion=second,
        )
        result = fitter.run()
        plan = draw_plan(
            self.data,
            "test",
            self.splits.test,
            corruptions=recipe.conditions.seen,
            clean_share=recipe.conditions.clean_share,
            seed=recipe.seed,
            purpose="stream/declared",
        )
        doubt_below = recipe.policy.doubt_below
        test = judge(result.fitted, builder.raw(plan), builder, doubt_below=doubt_below)
        conditions = result.fitted.conditions
        declared = [
            window_p_values(conditions, test.signals, test.raw_reliability, shuffled(len(test), n))
            for n in range(self.shuffles)
        ]
        return {
            "margin": np.array([result.fitted.gate.switch_margin]),
            "flag_level": np.array([conditions.level]),
            "declared_p": np.concatenate(declared),
            **packed(result.calibrate, "calibrate"),
            **packed(result.certify, "certify"),
            **packed(test, "test"),
            **held_out_windows(result.fitted, self._study, self.held_out, self.progress),
        }


def gates(spec: str | None, name: str | None, *, quick: bool, progress: Progress) -> Gates:
    """Everything that fits one recipe.

    Args:
        spec: Such as ``cifar10:PATH``; None only with ``quick``.
        name: Of the recipe in ``calibration/``; None only with ``quick``.
        quick: The quick demo's recipe on the digits that pip brings, two held-out corruptions.
        progress: Told of everything that is made.

    Raises:
        InputError: no data or no recipe are named.
    """
    if quick:
        recipe = demo_recipe("digits", _SPLIT_SEED, quick=True)
        changed = {
            "name": "digits",
            "data": recipe.data.model_copy(
                update={"splits": SplitSizes.model_validate(_QUICK_SIZES)}
            ),
            "classifier": recipe.classifier.model_copy(update={"training": _QUICK_TRAINING}),
            "predictor": recipe.predictor.model_copy(update={"epochs": _QUICK_EPOCHS}),
            "restorers": recipe.restorers.model_copy(update=_QUICK_RESTORERS),
        }
        return Gates(
            recipe.model_copy(update=changed),
            load_dataset("digits", announce=_say),
            studied=_QUICK_STUDIED,
            severities=(3,),
            shuffles=5,
            progress=progress,
        )
    if spec is None or name is None:
        raise InputError("expected --data cifar10:PATH, or --quick for a small run on digits")
    recipe = load_recipe(shipped("calibration", f"{name}.toml"))
    return Gates(
        recipe.model_copy(update={"seed": _SPLIT_SEED}),
        load_dataset(spec, announce=_say),
        studied=STUDIED,
        severities=SEVERITIES,
        shuffles=_SHUFFLES,
        progress=progress,
    )


def gate_fits(
    spec: str | None, seeds: Sequence[int], *, quick: bool
) -> tuple[Dataset, list[GateFit]]:
    """The data and all gates, recipe by recipe, each for every seed.

    Raises:
        InputError: no data are named, or a fit failed.
    """
    if not quick:
        _in_processes(spec, seeds)
    found = []
    with Bars() as bars:
        for name in ("",) if quick else RECIPES:
            made = gates(spec, name, quick=quick, progress=bars)
            found += [made.fit(seed) for seed in seeds]
    return made.data, found


def _in_processes(spec: str | None, seeds: Sequence[int]) -> None:
    """One process of one thread per recipe."""
    if spec is None:
        raise InputError("expected --data cifar10:PATH, or --quick for a small run on digits")
    command = [sys.executable, "-m", "benchmarks.guarantee_fits", "--data", spec]
    command += ["--seeds", ",".join(map(str, seeds)), "--recipe"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([*command, name], cwd=ROOT, env=environment)  # noqa: S603  # our own module
        for name in RECIPES
    ]
    codes = [worker.wait() for worker in workers]  # all of them, also after a failure
    if failed := [name for name, code in zip(RECIPES, codes, strict=True) if code]:
        raise InputError(f"the fits of {', '.join(failed)} failed, see above; a new run continues")


def main(argv: Sequence[str] | None = None) -> None:
    """Fit the gates of one recipe, in this process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="such as cifar10:PATH")
    parser.add_argument("--seeds", default="0,1,2", help="such as 0,1,2")
    parser.add_argument("--recipe", required=True, choices=RECIPES)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    with Bars() as bars:
        made = gates(arguments.data, arguments.recipe, quick=False, progress=bars)
        for seed in parse_seeds(arguments.seeds):
            made.fit(seed)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
