"""A batch on a Ray cluster: decoding, first looks and restorations are pools of their own.

A chunk travels as one row of a Ray data set. Ray computes a chunk again whose worker was lost; the
driver writes each chunk under its number, so that nothing is missing and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatekeeper.batch import BatchOptions, Facts, Item, Plan
from gatekeeper.batch.arrow import pa
from gatekeeper.batch.deciding import Looked, finish, look_at
from gatekeeper.batch.decoding import Decoded, decode_items
from gatekeeper.batch.rows import table_of
from gatekeeper.engine import Stages, stages_of
from gatekeeper.errors import InputError
from gatekeeper.images import DecodeLimits
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.scale.cluster import Needs, connected, import_ray

# A worker that dies is replaced; an image that kills every worker ends the run instead of
# going round for ever.
_RESTARTS = 16
_RETRIES = 4
# One chunk computes, one waits: what is queued at a worker is memory.
_IN_FLIGHT = 2

Batch = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RayBatchOptions:
    """Who works.

    Attributes:
        address: Of a running cluster; None starts one on this machine.
        workers: Workers that take first looks, at least 1.
        restore_workers: Workers that restore and look again, at least 1.
        decode_workers: Chunks that are decoded at once, at least 1.
        cpus: Cores per worker, above 0; torch uses as many threads.
        gpus: GPUs per worker, at least 0; 0.5 puts two workers on one.

    Raises:
        InputError: a number is out of range.
    """

    address: str | None = None
    workers: int = 1
    restore_workers: int = 1
    decode_workers: int = 2
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("workers", "restore_workers", "decode_workers"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (self.cpus > 0 and self.gpus >= 0):
            raise InputError(f"expected cpus above 0 and gpus of at least 0, got {self}")

    @property
    def needs(self) -> Needs:
        """What must be free at once."""
        workers = self.workers + self.restore_workers
        return Needs(cpus=workers * self.cpus + 1, gpus=workers * self.gpus)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """A chunk on its way.

    Attributes:
        items: Its images.
        decoded: Once they are.
        looked: Once the first stage had them.
    """

    items: tuple[Item, ...]
    decoded: Decoded | None = None
    looked: tuple[Looked, ...] = ()


class RayRunner:
    """Computes chunks on a Ray cluster; see :data:`gatekeeper.batch.Runner`.

    Args:
        bundle: Directory of the bundle, which every machine of the cluster must see, as it must
            see the images.
        facts: The same for every row.
        limits: What the decoder refuses.
        options: Who works.
    """

    def __init__(
        self, bundle: Path, facts: Facts, limits: DecodeLimits, options: RayBatchOptions
    ) -> None:
        import_ray()
        self._bundle = str(bundle.resolve())
        self._facts = facts
        self._limits = limits
        self._options = options

    def __call__(self, plan: Plan, pending: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
        """The tables of some chunks, in the order in which they are finished."""
        if not pending:
            return
        with connected(self._options.address, self._options.needs):
            data = import_ray("ray.data")
            rows = [
                {"chunk": index, "work": _Work(_absolute(plan.chunk(index)))} for index in pending
            ]
            for row in self._stages(data, rows, plan.options).iter_rows():
                with pa.ipc.open_stream(row["table"]) as stream:
                    yield int(row["chunk"]), stream.read_all()

    def _stages(self, data: Any, rows: list[Batch], options: BatchOptions) -> Any:  # noqa: ANN401
        chosen = self._options
        _configure(data)
        pool = {
            "batch_size": 1,
            "batch_format": "numpy",
            "num_cpus": chosen.cpus,
            "num_gpus": chosen.gpus,
            "max_restarts": _RESTARTS,
            "max_task_retries": _RETRIES,
        }
        return (
            data.from_items(rows, override_num_blocks=len(rows))
            .map_batches(
                _decode,
                fn_kwargs={"size": self._facts.image_size, "limits": self._limits},
                batch_size=1,
                batch_format="numpy",
                compute=data.TaskPoolStrategy(size=chosen.decode_workers),
                # Unlike the pools', so that Ray does not fuse decoding into a GPU's worker.
                num_cpus=1,
                scheduling_strategy="SPREAD",
                max_retries=_RETRIES,
            )
            .map_batches(
                _FirstLooks,
                fn_constructor_kwargs={"bundle": self._bundle, "batch": options.batch},
                compute=_pool(data, chosen.workers),
                **pool,
            )
            .map_batches(
                _Restorations,
                fn_constructor_kwargs={
                    "bundle": self._bundle,
                    "batch": options.restore_batch,
                    "facts": self._facts,
                },
                compute=_pool(data, chosen.restore_workers),
                **pool,
            )
        )


def _pool(data: Any, size: int) -> Any:  # noqa: ANN401
    return data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=_IN_FLIGHT)


def _configure(data: Any) -> None:  # noqa: ANN401
    """Ray's defaults that would hurt, said explicitly."""
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Chunks have numbers: waiting for the slowest to keep an order would only cost time.
    context.execution_options.preserve_order = False
    # A chunk that fails is an error of the run, never a chunk that is left out.
    context.max_errored_blocks = 0
    context.enable_fallback_to_arrow_object_ext_type = True


def _absolute(items: Sequence[Item]) -> tuple[Item, ...]:
    """Workers have a working directory of their own."""
    return tuple(Item(item.position, item.place, item.reference.absolute()) for item in items)


def _column(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Objects as a column: numpy would look into them."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _decode(batch: Batch, *, size: tuple[int, int], limits: DecodeLimits) -> Batch:
    done = [_Work(work.items, decode_items(work.items, size, limits)) for work in batch["work"]]
    return {"chunk": batch["chunk"], "work": _column(done)}


class _FirstLooks:
    """Stage A in a worker of its own."""

    def __init__(self, bundle: str, batch: int) -> None:
        self._stages = _load(bundle)
        self._batch = batch

    def __call__(self, batch: Batch) -> Batch:
        done = []
        for work in batch["work"]:
            looked = tuple(look_at(self._stages, work.decoded.pixels, batch=self._batch))
            # The pixels stay behind: those that are to be restored have theirs with them.
            rest = Decoded(work.decoded.received, work.decoded.pixels[:0])
            done.append(_Work(work.items, rest, looked))
        return {"chunk": batch["chunk"], "work": _column(done)}


class _Restorations:
    """Stage B in a worker of its own, and the rows that come of it."""

    def __init__(self, bundle: str, batch: int, facts: Facts) -> None:
        self._stages = _load(bundle)
        self._batch = batch
        self._facts = facts

    def __call__(self, batch: Batch) -> Batch:
        tables = []
        for work in batch["work"]:
            outcomes = finish(self._stages, work.looked, batch=self._batch)
            table = table_of(work.items, work.decoded.received, outcomes, self._facts)
            tables.append(_stream(table))
        return {"chunk": batch["chunk"], "table": _column(tables)}


def _load(bundle: str) -> Stages:
    return stages_of(Gatekeeper.load(bundle))


def _stream(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return bytes(buffer.getvalue())
