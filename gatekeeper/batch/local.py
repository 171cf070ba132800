"""A batch on this machine: threads decode ahead of the one that computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from gatekeeper.batch.arrow import pa
from gatekeeper.batch.deciding import finish, look_at
from gatekeeper.batch.decoding import Decoded, decode_items, join_decoded
from gatekeeper.batch.plan import BatchOptions, Plan
from gatekeeper.batch.rows import Facts, table_of
from gatekeeper.batch.sources import Item
from gatekeeper.engine import Stages
from gatekeeper.images import DecodeLimits

Runner = Callable[[Plan, Sequence[int]], Iterator[tuple[int, pa.Table]]]
"""Computes the chunks whose numbers it is given: each number once, with its table, in any order."""

_SLICE = 16


def decide_chunk(
    stages: Stages, items: Sequence[Item], decoded: Decoded, facts: Facts, options: BatchOptions
) -> pa.Table:
    """Both stages over the images of a chunk, as rows."""
    looked = look_at(stages, decoded.pixels, batch=options.batch)
    outcomes = finish(stages, looked, batch=options.restore_batch)
    return table_of(items, decoded.received, outcomes, facts)


class LocalRunner:
    """Computes chunks one after another; the next ones are being decoded meanwhile.

    Args:
        stages: Compute.
        facts: The same for every row.
        limits: What the decoder refuses.
    """

    def __init__(self, stages: Stages, facts: Facts, limits: DecodeLimits) -> None:
        self._stages = stages
        self._facts = facts
        self._limits = limits

    def __call__(self, plan: Plan, pending: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
        """The tables of some chunks, in order; see :data:`Runner`."""
        options = plan.options
        waiting = deque(pending)
        decoding: deque[tuple[int, list[Future[Decoded]]]] = deque()
        with ThreadPoolExecutor(options.decode_threads, "gatekeeper-decode") as pool:
            try:
                while waiting or decoding:
                    while waiting and len(decoding) <= options.ahead:
                        index = waiting.popleft()
                        decoding.append((index, self._submit(pool, plan.chunk(index))))
                    index, parts = decoding.popleft()
                    decoded = join_decoded([part.result() for part in parts])
                    yield (
                        index,
                        decide_chunk(
                            self._stages, plan.chunk(index), decoded, self._facts, options
                        ),
                    )
            finally:
                pool.shutdown(cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, items: Sequence[Item]) -> list[Future[Decoded]]:
        size, limits = self._facts.image_size, self._limits
        return [
            pool.submit(decode_items, items[at : at + _SLICE], size, limits)
            for at in range(0, len(items), _SLICE)
        ]
