"""What the reliability benchmarks share: two classifiers, 31 corruptions in six groups.

    python -m benchmarks.study --data cifar10:PATH [--workers 2] [--parts fit,calibrate,test]

Fills the cache of evidence cells, so that the benchmarks that read them cost minutes; a run that
was cut short continues. Nothing is fitted here and nothing is judged.

*fit* and *calibrate* images are looked at under conditions drawn at random (continuous severities,
some compositions); *test* images are looked at under every corruption at every severity. Holding
out a group drops every row that has one of its corruptions in it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gatekeeper.cli.progress import Bars
from gatekeeper.corruptions import SEVERITIES, groups_of
from gatekeeper.errors import InputError
from gatekeeper.evidence import (
    CELL_ROWS,
    EvidenceTable,
    Plan,
    TableBuilder,
    draw_wide_plan,
)
from gatekeeper.images import Dataset, Splits, load_dataset, make_splits, seeds_for
from gatekeeper.paths import cache_dir, shipped
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import ClassifierTraining
from gatekeeper.training import classifier_of_record, train_classifier
from gatekeeper.types import BoolArray, StrArray

ROOT = Path(__file__).resolve().parents[1]

CLASSIFIERS = ("resnet18-cifar10", "mobilenetv2-cifar10")
"""Records in ``models/``."""

HELD_OUT_GROUPS = ("noise", "blur", "tone and weather", "digital", "geometric", "C-bar-like")

STUDIED: Mapping[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"),
    "tone and weather": (
        "snow", "frost", "fog", "brightness", "contrast", "saturate", "spatter",
    ),
    "digital": ("elastic_transform", "pixelate", "jpeg_compression"),
    "geometric": ("rotation", "scale", "shift", "shear", "perspective", "crop"),
    "C-bar-like": (
        "plasma_noise", "blue_noise", "checkerboard_cutout", "sparkles", "caustic_warp",
        "concentric_waves",
    ),
}  # fmt: skip
"""Group -> corruptions that judge it: the 19 of ImageNet-C, six geometric, six like C-bar."""

VIEWS = ("flip",)
LOOKS = {"fit": 9, "calibrate": 7}
COMPOSED_SHARE = 0.25
SPLIT_SIZES = {
    "train": 30_000, "validation": 2_500, "fit": 7_500, "calibrate": 2_500, "certify": 7_500,
}  # fmt: skip

_SEED = 0
_QUICK_SIZES = {
    "train": 2_000, "validation": 100, "fit": 1_000, "calibrate": 500, "certify": 700, "test": 300,
}  # fmt: skip
_QUICK_TRAINING = ClassifierTraining(epochs=2, min_steps=120, batch_size=64)
_REMEMBERED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Data, splits and frozen classifiers, and where finished cells lie.

    Attributes:
        data: The data set.
        splits: Its six splits.
        classifiers: Name of the record -> classifier.
        corruptions: Group -> corruptions.
        severities: The severities at which *test* is judged.
        cache: Folder of cells.
        quick: Whether this is the small run on digits.
    """

    data: Dataset
    splits: Splits
    classifiers: Mapping[str, Classifier]
    corruptions: Mapping[str, tuple[str, ...]]
    severities: tuple[int, ...]
    cache: Path
    quick: bool

    @property
    def names(self) -> tuple[str, ...]:
        """All corruptions, group by group."""
        return tuple(name for group in self.corruptions.values() for name in group)

    def plan(self, part: str) -> Plan:
        """The rows of a part: ``fit``, ``calibrate`` or ``test``.

        Raises:
            InputError: there is no such part.
        """
        if part in LOOKS:
            return draw_wide_plan(
                self.data,
                part,
                self.splits[part],
                corruptions=self.names,
                looks_per_image=3 if self.quick else LOOKS[part],
                composed_share=COMPOSED_SHARE,
                seed=_SEED,
                purpose=f"study/{part}",
            )
        if part != "test":
            raise InputError(f"expected the part fit, calibrate or test, got {part!r}")
        return self._grid()

    def _grid(self) -> Plan:
        """Every *test* image clean, then under every corruption at every severity."""
        positions = self.splits.test
        cells = [("", 0), *((name, s) for name in self.names for s in self.severities)]
        digests = self.data.digests[positions]
        return Plan(
            split="test",
            positions=np.tile(positions, len(cells)),
            corruptions=np.repeat([name for name, _ in cells], len(positions)),
            severities=np.repeat([severity for _, severity in cells], len(positions)),
            seeds=np.concatenate(
                [seeds_for(_SEED, digests, f"study/test/{name}/{s}") for name, s in cells]
            ),
        )

    def table(self, classifier: str, part: str) -> EvidenceTable:
        """All looks of one classifier at one part, from the cache where they are finished."""
        builder = TableBuilder(
            self.data, self.classifiers[classifier], {}, cache=self.cache, views=VIEWS
        )
        return builder.raw(self.plan(part))


def open_study(
    spec: str | None, *, quick: bool = False, only: Sequence[str] = CLASSIFIERS
) -> Study:
    """Data, splits, classifiers.

    Args:
        spec: Such as ``cifar10:PATH``; None only with ``quick``.
        quick: The digits that pip brings, one small classifier trained on the spot, two
            corruptions per group, severities 1, 3 and 5.
        only: Which records to read.

    Raises:
        InputError: no data are named.
    """
    if quick:
        return _quick_study()
    if spec is None:
        raise InputError("expected --data cifar10:PATH, or --quick for a small run on digits")
    data = load_dataset(spec, announce=_say)
    splits = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=SPLIT_SIZES, seed=_SEED
    )
    classifiers = {name: classifier_of_record(shipped("models", name)).build() for name in only}
    return Study(
        data=data,
        splits=splits,
        classifiers=classifiers,
        corruptions=STUDIED,
        severities=SEVERITIES,
        cache=cache_dir() / "study",
        quick=False,
    )


def _quick_study() -> Study:
    data = load_dataset("digits", announce=_say)
    splits = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=_QUICK_SIZES, seed=_SEED
    )
    with tempfile.TemporaryDirectory(prefix="gatekeeper-study-") as folder:
        spec = train_classifier(
            data, splits, _QUICK_TRAINING, weights=Path(folder) / "w.safetensors", seed=_SEED
        )
        classifier = spec.build()
    return Study(
        data=data,
        splits=splits,
        classifiers={"small-resnet-digits": classifier},
        corruptions={group: names[:2] for group, names in STUDIED.items()},
        severities=(1, 3, 5),
        cache=cache_dir() / "study",
        quick=True,
    )


def without_group(table: EvidenceTable, group: str | None) -> BoolArray:
    """Rows that a predictor may learn from when a group is held out, shape (N,)."""
    if group is None:
        return np.ones(len(table), dtype=bool)
    return ~in_group(table.plan.corruptions, group)


def in_group(corruptions: StrArray, group: str) -> BoolArray:
    """Rows with a corruption of that group in them, compositions included, shape (N,)."""
    names, position = np.unique(corruptions, return_inverse=True)
    members = [bool(name) and group in groups_of(str(name)) for name in names]
    return np.array(members, dtype=bool)[position]


class _Sharing(TableBuilder):
    """Builders that look at the same images one after another degrade them once."""

    def __init__(self, study: Study, classifier: str, seen: OrderedDict[bytes, Tensor]) -> None:
        super().__init__(
            study.data, study.classifiers[classifier], {}, cache=study.cache, views=VIEWS
        )
        self._seen = seen

    def scene(self, plan: Plan) -> Tensor:
        """As remembered, or made and remembered."""
        key = plan.seeds.tobytes()
        if key not in self._seen:
            self._seen[key] = super().scene(plan)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return self._seen[key]


def fill(study: Study, parts: Sequence[str], *, shard: tuple[int, int] = (0, 1)) -> None:
    """Make the cells of some parts; shard (i, n) makes every n-th of them."""
    seen: OrderedDict[bytes, Tensor] = OrderedDict()
    builders = [_Sharing(study, name, seen) for name in study.classifiers]
    chunks = [(part, chunk) for part in parts for chunk in _chunks(study.plan(part))]
    own = chunks[shard[0] :: shard[1]]
    with Bars() as bars:
        bars.start(f"evidence {shard[0] + 1}/{shard[1]}", sum(len(chunk) for _, chunk in own))
        for _, chunk in own:
            for builder in builders:
                builder.raw(chunk)
            bars.advance(len(chunk))


def _chunks(plan: Plan) -> Iterator[Plan]:
    for start in range(0, len(plan), CELL_ROWS):
        yield plan.take(np.arange(start, min(start + CELL_ROWS, len(plan))))


def main(argv: Sequence[str] | None = None) -> None:
    """Fill the cache, in several processes of one thread each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=None, help="such as cifar10:PATH")
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--parts", default="fit,calibrate,test", help="which parts to fill")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--shard", default=None, help="i/n: be the i-th of n workers")
    parser.add_argument("--classifiers", default=None, help="records, such as a,b; all by default")
    arguments = parser.parse_args(argv)
    if arguments.shard is None and arguments.workers > 1:
        own = list(argv) if argv is not None else sys.argv[1:]
        command = [sys.executable, "-m", "benchmarks.study", *own]
        workers = [
            subprocess.Popen([*command, "--shard", f"{i}/{arguments.workers}"], cwd=ROOT)  # noqa: S603  # our own module
            for i in range(arguments.workers)
        ]
        codes = [worker.wait() for worker in workers]  # all of them, also after a failure
        if any(codes):
            raise SystemExit(1)
        return
    shard = (0, 1)
    if arguments.shard is not None:
        torch.set_num_threads(1)
        index, _, total = arguments.shard.partition("/")
        shard = (int(index), int(total))
    only = arguments.classifiers.split(",") if arguments.classifiers else CLASSIFIERS
    study = open_study(arguments.data, quick=arguments.quick, only=only)
    fill(study, arguments.parts.split(","), shard=shard)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
