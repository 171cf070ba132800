"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from gatekeeper.client.answers import Answer, ServiceError
from gatekeeper.client.client import Client, Image
from gatekeeper.errors import InputError

_T = TypeVar("_T")


class AsyncClient:
    """The same for asyncio: each request waits in a thread of a small pool.

    A task that is cancelled stops waiting at once; its request ends by itself.

    Args:
        url: As for :class:`Client`.
        connections: Requests under way at once, at least 1.
        options: As for :class:`Client`.

    Raises:
        InputError: as for :class:`Client`.
    """

    def __init__(self, url: str, *, connections: int = 8, **options: Any) -> None:  # noqa: ANN401
        if connections < 1:
            raise InputError(f"connections must be at least 1, got {connections}")
        self._client = Client(url, **options)
        self._threads = ThreadPoolExecutor(connections, "gatekeeper-client")

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Let the requests under way end, and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    async def decide(self, image: Image) -> Answer:
        """See :meth:`Client.decide`."""
        return await self._aside(partial(self._client.decide, image))

    async def decide_batch(self, images: Sequence[Image]) -> list[Answer | ServiceError]:
        """See :meth:`Client.decide_batch`."""
        return await self._aside(partial(self._client.decide_batch, images))

    async def feedback(
        self, label: int, *, decision_id: str = "", request_id: str = "", reviewer: str = ""
    ) -> Mapping[str, Any]:
        """See :meth:`Client.feedback`."""
        return await self._aside(
            partial(
                self._client.feedback,
                label,
                decision_id=decision_id,
                request_id=request_id,
                reviewer=reviewer,
            )
        )

    async def ready(self) -> bool:
        """See :meth:`Client.ready`."""
        return await self._aside(self._client.ready)

    async def _aside(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
