"""How many machines a number of images a day needs, from measured costs per image.

    python -m benchmarks.scale_plan --measure              the costs on this machine
    python -m benchmarks.scale_plan [--images-per-day N] [--gpus N] [--COST VALUE …]    the plan

Costs are seconds of one core, not of the clock, so that a busy machine does not change them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.batch import BUNDLE, write_images
from gatekeeper.batch import BatchOptions, Plan, Shard, facts_of, open_source
from gatekeeper.batch.checkpoints import Checkpoints
from gatekeeper.batch.deciding import finish, look_at
from gatekeeper.batch.decoding import decode_items
from gatekeeper.batch.rows import table_of
from gatekeeper.engine import Doubted, stages_of
from gatekeeper.paths import shipped
from gatekeeper.pipeline import Gatekeeper

DAY_S = 86_400
BUSY = 0.7
"""Share of the time that a worker is planned to be busy: towards 1 queues grow without bound."""

_MEASURED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one image costs; the defaults are those of ``docs/scaling.md``.

    Attributes:
        decode_ms: Milliseconds of a core to read and decode a file.
        look_ms: The same for a first look.
        restore_ms: The same for a restoration with its second look.
        restored_share: Share of the images that are restored, in [0, 1].
        rows_ms: Milliseconds of a core to make its row and to keep it.
        file_bytes: Size of a file.
        row_bytes: Size of its row on disk.
        listed_bytes: Memory of the driver for its place in the list.
    """

    decode_ms: float = 0.127
    look_ms: float = 0.649
    restore_ms: float = 1.665
    restored_share: float = 0.341
    rows_ms: float = 0.029
    file_bytes: float = 1025.0
    row_bytes: float = 132.0
    listed_bytes: float = 400.0


def measure() -> Costs:
    """The costs of the shipped gate on small images, on one core of this machine."""
    torch.set_num_threads(1)
    gate = Gatekeeper.load(shipped("calibration", BUNDLE) / "bundle", device="cpu")
    stages, facts = stages_of(gate), facts_of(gate)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        write_images(folder / "images", _MEASURED)
        plan = Plan(open_source(folder / "images"), Shard(), BatchOptions(chunk=_MEASURED))
        items = plan.chunk(0)
        sizes = [path.stat().st_size for path in (folder / "images").iterdir()]
        look_at(stages, decode_items(items[:8], facts.image_size, gate.limits).pixels, batch=8)
        clock = time.process_time
        moments = [clock()]
        decoded = decode_items(items, facts.image_size, gate.limits)
        moments.append(clock())
        looked = look_at(stages, decoded.pixels, batch=64)
        moments.append(clock())
        outcomes = finish(stages, looked, batch=16)
        moments.append(clock())
        table = table_of(items, decoded.received, outcomes, facts)
        with Checkpoints(folder / "out.parquet", {}).opened(resume=False) as kept:
            kept.keep(0, table)
            moments.append(clock())
            row_bytes = sum(path.stat().st_size for path in kept.folder.glob("chunk-*"))
    seconds = [later - earlier for earlier, later in pairwise(moments)]
    restored = sum(isinstance(each.result, Doubted) for each in looked)
    return Costs(
        decode_ms=round(1000 * seconds[0] / len(items), 3),
        look_ms=round(1000 * seconds[1] / len(looked), 3),
        restore_ms=round(1000 * seconds[2] / max(restored, 1), 3),
        restored_share=round(restored / len(looked), 3),
        rows_ms=round(1000 * seconds[3] / len(items), 3),
        file_bytes=round(sum(sizes) / len(sizes)),
        row_bytes=round(row_bytes / len(items)),
    )


def plan(costs: Costs, *, images_per_day: float, gpus: int, gpu_factor: float, chunk: int) -> str:
    """The plan as a table.

    Args:
        costs: Per image.
        images_per_day: How many.
        gpus: How many there are; each is a shard with a driver of its own.
        gpu_factor: How many cores a GPU is worth for looks and restorations; not measured here.
        chunk: Images per checkpoint.
    """
    rate = images_per_day / DAY_S
    computing_ms = costs.look_ms + costs.restored_share * costs.restore_ms
    cores = rate * computing_ms / 1000 / BUSY
    rows = [
        ("images per second", f"{rate:,.0f}", f"{rate / gpus:,.2f}"),
        ("cores for decoding", *_both(rate * costs.decode_ms / 1000 / BUSY, gpus)),
        ("cores for looks and restorations, without GPUs", *_both(cores, gpus)),
        (f"GPUs, one worth {gpu_factor:g} cores", *_both(cores / gpu_factor, gpus)),
        ("cores for rows and checkpoints", *_both(rate * costs.rows_ms / 1000 / BUSY, gpus)),
        ("read, MB/s", *_both(rate * costs.file_bytes / 1e6, gpus)),
        ("files opened per second", *_both(rate, gpus)),
        ("rows written, GB/day", *_both(images_per_day * costs.row_bytes / 1e9, gpus)),
        ("checkpoints per second", *_both(rate / chunk, gpus)),
        ("memory of the drivers for the list, GB", *_both(_listed(costs, images_per_day), gpus)),
    ]
    lines = [
        f"| what | {images_per_day:,.0f} images a day | per shard of {gpus:,} |",
        "|---|---:|---:|",
    ]
    return "\n".join([*lines, *(f"| {name} | {whole} | {part} |" for name, whole, part in rows)])


def _listed(costs: Costs, images_per_day: float) -> float:
    return images_per_day * costs.listed_bytes / 1e9


def _both(value: float, shards: int) -> tuple[str, str]:
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}", f"{value / shards:.2g}"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the costs or the plan."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale_plan",
        description=(__doc__ or "").split("\n", maxsplit=1)[0],
    )
    parser.add_argument("--measure", action="store_true", help="print the costs on this machine")
    parser.add_argument("--images-per-day", type=float, default=1e9)
    parser.add_argument("--gpus", type=int, default=1000)
    parser.add_argument("--gpu-factor", type=float, default=50.0, help="cores that a GPU is worth")
    parser.add_argument("--chunk", type=int, default=256)
    for field in fields(Costs):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=float, default=field.default)
    arguments = parser.parse_args(argv)
    if arguments.measure:
        print(" ".join(f"--{k.replace('_', '-')} {v:g}" for k, v in asdict(measure()).items()))
        return
    costs = Costs(**{field.name: getattr(arguments, field.name) for field in fields(Costs)})
    print(
        plan(
            costs,
            images_per_day=arguments.images_per_day,
            gpus=arguments.gpus,
            gpu_factor=arguments.gpu_factor,
            chunk=arguments.chunk,
        )
    )


if __name__ == "__main__":
    main()
