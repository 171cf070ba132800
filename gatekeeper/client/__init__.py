"""A small client of the service, for threads and for asyncio; it needs the standard library only.

Example:
    >>> from gatekeeper.client import Client
    >>> with Client("http://127.0.0.1:8080") as client:  # doctest: +SKIP
    ...     answer = client.decide(Path("photo.png"))
    ...     print(answer.class_name if answer.accepted else "a person must look")
    dog
"""

from __future__ import annotations

from gatekeeper.client.answers import Answer, ServiceError, UnreachableError
from gatekeeper.client.async_client import AsyncClient
from gatekeeper.client.client import Client, Image

__all__ = ["Answer", "AsyncClient", "Client", "Image", "ServiceError", "UnreachableError"]
