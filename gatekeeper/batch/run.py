"""A batch from its plan to its three files: rows, summary and page."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatekeeper.batch.arrow import pa
from gatekeeper.batch.checkpoints import Checkpoints
from gatekeeper.batch.local import Runner
from gatekeeper.batch.page import render_batch
from gatekeeper.batch.plan import Plan
from gatekeeper.batch.rows import Facts
from gatekeeper.batch.summary import Tally
from gatekeeper.errors import InputError
from gatekeeper.progress import Progress, Silent

STAGE = "images decided"
"""Name of the one bar of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFiles:
    """What a batch leaves behind.

    Attributes:
        rows: Parquet, one row per image.
        summary: JSON.
        page: HTML, one file.
    """

    rows: Path
    summary: Path
    page: Path

    @classmethod
    def beside(cls, rows: Path) -> BatchFiles:
        """``NAME.parquet``, ``NAME.summary.json`` and ``NAME.html``.

        Raises:
            InputError: the name does not end in ``.parquet``.
        """
        if rows.suffix != ".parquet":
            raise InputError(f"expected an output that ends in .parquet, got {rows}")
        return cls(
            rows=rows, summary=rows.with_suffix(".summary.json"), page=rows.with_suffix(".html")
        )

    def require_free(self) -> None:
        """Refuse to overwrite.

        Raises:
            InputError: one of them exists.
        """
        for path in (self.rows, self.summary, self.page):
            if path.exists():
                raise InputError(
                    f"expected no file at {path}, found one: nothing is overwritten, choose "
                    "another output"
                )


def run_batch(
    plan: Plan,
    facts: Facts,
    runner: Runner,
    files: BatchFiles,
    *,
    engine: str = "local",
    resume: bool = False,
    lineage: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Decide all images of a plan.

    A chunk counts as done once it is on disk, where it is written while the next one is computed. A
    run that was killed and goes on with ``resume`` loses those two at most and ends with the same
    rows, timings apart. The Parquet file is written last: where it exists, the run is complete.

    Args:
        plan: What to decide.
        facts: The same for every row.
        runner: Computes chunks.
        files: Where to write.
        engine: Name of the runner.
        resume: Go on with an unfinished run of the same output.
        lineage: Further facts for the page, such as the command.
        progress: Is told how many images are done.

    Returns:
        The summary, as it is in its file.

    Raises:
        InputError: something would be overwritten, or the unfinished run is another one.
    """
    began = time.perf_counter()
    progress = progress or Silent()
    checkpoints = Checkpoints(files.rows, _identity(plan, facts, engine))
    if resume and checkpoints.is_done():
        checkpoints.remove()
        body: dict[str, Any] = json.loads(files.summary.read_text(encoding="utf-8"))
        return body
    if not (resume and checkpoints.folder.exists()):
        files.require_free()
    with checkpoints.opened(resume=resume):
        computed = _compute(plan, runner, checkpoints, progress)
        seconds = time.perf_counter() - began
        tally = Tally(facts)
        checkpoints.gather(plan.n_chunks, tally.add)
        body = {
            **tally.to_json(),
            "engine": engine,
            "shard": str(plan.shard),
            "left_out": plan.source.left_out,
            "input": plan.source.identity,
            "seconds": round(seconds, 3),
            "computed_now": computed,
            "images_per_second": round(computed / seconds, 3),
        }
        text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
        files.page.write_text(render_batch(body, lineage or {}), encoding="utf-8")
        files.summary.write_text(text + "\n", encoding="utf-8")
        checkpoints.make_output()
    checkpoints.remove()
    return body


def _compute(plan: Plan, runner: Runner, checkpoints: Checkpoints, progress: Progress) -> int:
    """Compute what is missing; how many images that were."""
    sizes = {index: len(plan.chunk(index)) for index in range(plan.n_chunks)}
    finished = checkpoints.finished(sizes)
    pending = [index for index in sizes if index not in finished]
    todo = sum(sizes[index] for index in pending)
    progress.start(STAGE, todo)
    with ThreadPoolExecutor(1, "gatekeeper-keep") as pool:
        writing: Future[int] | None = None
        for index, table in runner(plan, pending):
            _finish(writing, progress)
            writing = pool.submit(_keep, checkpoints, index, table)
        _finish(writing, progress)
    return todo


def _keep(checkpoints: Checkpoints, index: int, table: pa.Table) -> int:
    checkpoints.keep(index, table)
    return len(table)


def _finish(writing: Future[int] | None, progress: Progress) -> None:
    if writing is not None:
        progress.advance(writing.result())


def _identity(plan: Plan, facts: Facts, engine: str) -> dict[str, Any]:
    """Whatever would change a row."""
    return {
        "schema": 1,
        "gatekeeper": facts.gatekeeper,
        "bundle": facts.bundle,
        "input": plan.source.identity,
        "n_images": len(plan.source.items),
        "shard": str(plan.shard),
        "engine": engine,
        "chunk": plan.options.chunk,
        "batch": plan.options.batch,
        "restore_batch": plan.options.restore_batch,
    }
