"""A real server in a thread, and a browser that looks at it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from gatekeeper.service import create_app
from gatekeeper.service.server import _config, _listen
from gatekeeper.settings import Settings


@contextmanager
def serving(load: Callable[[], Any], **settings: Any) -> Iterator[tuple[str, Any]]:
    """Address and app of a server with the configuration of ``serve``."""
    chosen = Settings(port=0, shutdown_timeout_s=1, **settings)
    listener = _listen(chosen)
    app = create_app(chosen, load)
    server = uvicorn.Server(_config(app, chosen))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextmanager
def a_page(browser: Any, base: str, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page, and everything that should not have happened on it."""
    context = browser.new_context(**options)
    context.set_default_timeout(60_000)  # a busy machine is no failure
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: _local(request.url, base, wrong))
    yield page, wrong
    context.close()


def _local(url: str, base: str, wrong: list[str]) -> None:
    if not url.startswith((base, "data:", "blob:")):
        wrong.append(f"asks for {url}")
