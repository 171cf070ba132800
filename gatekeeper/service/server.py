"""Runs the service until it is told to stop."""

from __future__ import annotations

import logging
import logging.config
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import uvicorn

from gatekeeper.blas import one_blas_thread
from gatekeeper.errors import InputError
from gatekeeper.service.app import create_app
from gatekeeper.service.heads import MAX_HEAD_BYTES, bounded_heads
from gatekeeper.service.host import Host, Load
from gatekeeper.service.logs import log_config
from gatekeeper.service.versions import Follow
from gatekeeper.settings import Settings

EXIT_OK = 0
EXIT_CANNOT_LOAD = 2
_BY_SIGNAL = 128

_KEEP_ALIVE_S = 5
_BACKLOG = 2048
_ADMIN_HOST = "127.0.0.1"
_LOG = logging.getLogger("gatekeeper.service")


def serve(load: Load | Follow, settings: Settings) -> int:
    """Listen at once, load meanwhile, serve until SIGTERM or SIGINT, let running requests end.

    The first signal makes ``/readyz`` say 503 and refuses new work with 503 and ``Connection:
    close``, while requests under way are finished, for ``shutdown_timeout_s`` at most. A second
    one ends the process at once, with 128 plus its number.

    Args:
        load: Returns a verified gatekeeper; called once. Or an alias of the registry to follow.
        settings: Address and limits.

    Returns:
        Exit code: 0 after an orderly stop, 2 if the gatekeeper could not be loaded.

    Raises:
        InputError: an address cannot be listened on, or the file of keys or the folder of the
            audit log cannot be used.
    """
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(_listen(settings))
        listeners = [listener]
        if settings.admin_port:
            admin = replace(settings, host=_ADMIN_HOST, port=settings.admin_port, admin_port=0)
            listeners.append(open_sockets.enter_context(_listen(admin)))
        stop = threading.Event()
        app = create_app(settings, load, on_load_failure=stop.set)
        server = _Server(_config(app, settings), stop, app.state.host, settings)
        _LOG.info("listening on %s", _address(listener))
        with _orderly_stop(stop), one_blas_thread():
            server.run(sockets=listeners)
        return EXIT_OK if app.state.host.failure is None else EXIT_CANNOT_LOAD


class _Server(uvicorn.Server):
    """Drains on an event as well as on a signal: it listens until nothing is under way."""

    def __init__(
        self, config: uvicorn.Config, stop: threading.Event, host: Host, settings: Settings
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self._host = host
        self._seconds = settings.shutdown_timeout_s
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called on a signal."""
        del frame
        _stop_or_exit(self._stop, sig)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True ends the server."""
        if not self._stop.is_set():
            return await super().on_tick(counter)
        now = time.monotonic()
        if self._until is None:
            self._host.drain()
            self._until = now + self._seconds
        if self._host.in_flight and now < self._until:
            return False
        # What is left of the time is for answers that are on their way to their clients.
        self.config.timeout_graceful_shutdown = max(1, math.ceil(self._until - now))
        return True


def _stop_or_exit(stop: threading.Event, sig: int) -> None:
    if stop.is_set():
        os._exit(_BY_SIGNAL + sig)
    stop.set()


def _config(app: Any, settings: Settings) -> uvicorn.Config:  # noqa: ANN401  # any ASGI app
    return uvicorn.Config(
        app,
        # A head has as long as a body; what h11, where it is the parser, holds is bounded by it.
        http=bounded_heads(settings.body_timeout_s),
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        lifespan="on",
        ws="none",
        interface="asgi3",
        access_log=False,  # it would write query strings; requests are counted in /metrics
        server_header=False,
        proxy_headers=False,
        log_config=log_config(settings.log_level, settings.log_format),
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio sends small answers at once (TCP_NODELAY) only where it
    # is; otherwise each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(
            f"expected to listen on {settings.host} port {settings.port}, got "
            f"{error.strerror or error}: choose another host or port"
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _orderly_stop(stop: threading.Event) -> Iterator[None]:
    """Make SIGTERM and SIGINT end in a return: uvicorn raises them again after its shutdown."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {
        each: signal.signal(each, lambda sig, _: _stop_or_exit(stop, sig)) for each in signals
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
