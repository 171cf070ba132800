"""A batch on a Ray cluster, by workers that are alike or by a pool for each stage.

A chunk travels as one row of a Ray data set. Ray computes a chunk again whose worker was lost; the
driver writes each chunk under its number, so that nothing is missing and nothing is there twice.
Unless further pools are asked for, a worker makes rows of files by itself: one gate in memory, and
no image is ever sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatekeeper.batch import BatchOptions, Facts, Item, Plan, decide_chunk
from gatekeeper.batch.arrow import pa
from gatekeeper.batch.deciding import Looked, finish, look_at
from gatekeeper.batch.decoding import Decoded, decode_items
from gatekeeper.batch.rows import table_of
from gatekeeper.engine import Doubted, Stages, stages_of
from gatekeeper.errors import InputError
from gatekeeper.images import DecodeLimits
from gatekeeper.memory import keep_freed_memory
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
        restore_workers: Further workers that restore and look again; 0 leaves that to those that
            took the first look.
        decode_workers: Chunks that further processes, of a core each, decode at once, so that
            GPUs need not wait for it; 0 leaves that to those that take the first look.
        cpus: Cores per worker, above 0; torch uses as many threads.
        gpus: GPUs per worker, at least 0; 0.5 puts two workers on one.

    Raises:
        InputError: a number is out of range.
    """

    address: str | None = None
    workers: int = 1
    restore_workers: int = 0
    decode_workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, least in (("workers", 1), ("restore_workers", 0), ("decode_workers", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not (self.cpus > 0 and self.gpus >= 0):
            raise InputError(f"expected cpus above 0 and gpus of at least 0, got {self}")

    @property
    def needs(self) -> Needs:
        """What must be free at once."""
        workers = self.workers + self.restore_workers
        # One decoder suffices to go on; the others come where there is room.
        decoding = min(self.decode_workers, 1)
        return Needs(cpus=workers * self.cpus + decoding, gpus=workers * self.gpus)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What every worker is told.

    Attributes:
        bundle: Directory of the bundle.
        cpus: Cores of the worker.
        facts: The same for every row.
        limits: What the decoder refuses.
        options: How the work is cut.
    """

    bundle: str
    cpus: float
    facts: Facts
    limits: DecodeLimits
    options: BatchOptions

    def load(self) -> Stages:
        """The gate, in a process that serves nothing else."""
        keep_freed_memory()
        torch.set_num_threads(max(1, int(self.cpus)))
        return stages_of(Gatekeeper.load(self.bundle))

    def decoded(self, work: _Work) -> Decoded:
        """Pixels of a chunk, which nobody may have decoded yet."""
        if work.decoded is not None:
            return work.decoded
        return decode_items(work.items, self.facts.image_size, self.limits)


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
        job = _Job(self._bundle, chosen.cpus, self._facts, self._limits, options)
        work = data.from_items(rows, override_num_blocks=len(rows))
        if chosen.decode_workers:
            work = work.map_batches(
                _decode,
                fn_args=(job,),
                batch_size=1,
                batch_format="numpy",
                compute=data.TaskPoolStrategy(size=chosen.decode_workers),
                # Unlike the pools', so that Ray does not fuse decoding into a GPU's worker.
                num_cpus=1,
                scheduling_strategy="SPREAD",
                max_retries=_RETRIES,
            )
        if not chosen.restore_workers:
            return self._pool(data, work, _Decisions, job, chosen.workers)
        looked = self._pool(data, work, _FirstLooks, job, chosen.workers)
        return self._pool(data, looked, _Restorations, job, chosen.restore_workers)

    def _pool(self, data: Any, before: Any, stage: type, job: _Job, size: int) -> Any:  # noqa: ANN401
        """What workers of a stage make of what comes before it."""
        return before.map_batches(
            stage,
            fn_constructor_args=(job,),
            batch_size=1,
            batch_format="numpy",
            compute=data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=_IN_FLIGHT),
            num_cpus=self._options.cpus,
            num_gpus=self._options.gpus,
            max_restarts=_RESTARTS,
            max_task_retries=_RETRIES,
        )


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


def _decode(batch: Batch, job: _Job) -> Batch:
    done = [_Work(work.items, job.decoded(work)) for work in batch["work"]]
    return {"chunk": batch["chunk"], "work": _column(done)}


class _Decisions:
    """Everything from the files to the rows, in one worker."""

    def __init__(self, job: _Job) -> None:
        self._job, self._stages = job, job.load()

    def __call__(self, batch: Batch) -> Batch:
        job, tables = self._job, []
        for work in batch["work"]:
            decoded = job.decoded(work)
            tables.append(decide_chunk(self._stages, work.items, decoded, job.facts, job.options))
        return _rows(batch, tables)


class _FirstLooks:
    """Stage A in a worker of its own."""

    def __init__(self, job: _Job) -> None:
        self._job, self._stages = job, job.load()

    def __call__(self, batch: Batch) -> Batch:
        done = []
        for work in batch["work"]:
            decoded = self._job.decoded(work)
            looked = look_at(self._stages, decoded.pixels, batch=self._job.options.batch)
            # The pixels stay behind: those that are to be restored have theirs with them.
            rest = Decoded(decoded.received, decoded.pixels[:0])
            done.append(_Work(work.items, rest, tuple(_alone(each) for each in looked)))
        return {"chunk": batch["chunk"], "work": _column(done)}


def _alone(looked: Looked) -> Looked:
    """Its image by itself: as part of its batch, the whole batch would be sent for each image."""
    if not isinstance(looked.result, Doubted):
        return looked
    return replace(looked, result=replace(looked.result, image=looked.result.image.clone()))


class _Restorations:
    """Stage B in a worker of its own, and the rows that come of it."""

    def __init__(self, job: _Job) -> None:
        self._job, self._stages = job, job.load()

    def __call__(self, batch: Batch) -> Batch:
        tables = []
        for work in batch["work"]:
            outcomes = finish(self._stages, work.looked, batch=self._job.options.restore_batch)
            tables.append(table_of(work.items, work.decoded.received, outcomes, self._job.facts))
        return _rows(batch, tables)


def _rows(batch: Batch, tables: Sequence[pa.Table]) -> Batch:
    return {"chunk": batch["chunk"], "table": _column([_stream(table) for table in tables])}


def _stream(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return bytes(buffer.getvalue())
