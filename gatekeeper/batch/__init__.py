"""Many images at once: a folder, an archive or a list in, one row per image out."""

from __future__ import annotations

from gatekeeper.batch.local import LocalRunner, Runner, decide_chunk
from gatekeeper.batch.plan import BatchOptions, Plan, Shard, default_decode_threads, parse_shard
from gatekeeper.batch.references import close_archives
from gatekeeper.batch.rows import SCHEMA, TIMINGS, Facts, facts_of
from gatekeeper.batch.run import BatchFiles, run_batch
from gatekeeper.batch.sources import Item, Source, open_source

__all__ = [
    "SCHEMA",
    "TIMINGS",
    "BatchFiles",
    "BatchOptions",
    "Facts",
    "Item",
    "LocalRunner",
    "Plan",
    "Runner",
    "Shard",
    "Source",
    "close_archives",
    "decide_chunk",
    "default_decode_threads",
    "facts_of",
    "open_source",
    "parse_shard",
    "run_batch",
]
