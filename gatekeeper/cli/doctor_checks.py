"""What ``gatekeeper doctor`` tries out, each with a verdict in words."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.errors import GatekeeperError, InputError

if TYPE_CHECKING:
    from gatekeeper.settings import Settings

PASSED = "passed"
_FAILED = "failed: "
_LEAST_FREE = 1_000_000_000

EXTRAS: Mapping[str, str] = {
    "onnx": "onnxruntime",
    "otel": "opentelemetry.exporter.otlp.proto.http",
    "ray": "ray",
    "elpv": "elpv_dataset",
}
"""Extra -> the module that it brings."""


def is_bad(verdict: str) -> bool:
    """Whether a verdict makes the command fail."""
    return verdict.startswith(_FAILED)


def extras() -> dict[str, str]:
    """Which optional parts are installed."""
    return {name: "installed" if _is_there(module) else "no" for name, module in EXTRAS.items()}


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def checks(settings: Settings, home: Path) -> dict[str, str]:
    """Try out what serving needs; nothing is left behind.

    Args:
        settings: Of the service.
        home: The product's home.

    Returns:
        Name -> "passed", what is not configured, or "failed: …".
    """
    return {
        "home can be written": _verdict(lambda: _writable(home)),
        "room on its disk": _verdict(lambda: _room(home)),
        "port is free": _verdict(lambda: _free(settings.host, settings.port)),
        "admin port is free": _verdict(lambda: _free("127.0.0.1", settings.admin_port))
        if settings.admin_port
        else "not configured",
        "keys": _verdict(lambda: _keys(settings.keys_file)),
        "audit log": _verdict(lambda: _writable(Path(settings.audit_dir)))
        if settings.audit_dir
        else "not configured",
        "upstream": _verdict(lambda: _upstream(settings.upstream_file)),
        "gears": _verdict(lambda: _gears(settings.gears)),
        "traces": _verdict(lambda: _traces(settings.traces_endpoint)),
    }


def _verdict(check: Callable[[], str | None]) -> str:
    try:
        return check() or PASSED
    except (GatekeeperError, OSError) as error:
        return f"{_FAILED}{error}"


def _writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")


def _room(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE:
        raise InputError(
            f"expected {_LEAST_FREE // 10**6} MB free, got {free // 10**6}: tidy up or move it"
        )


def _free(host: str, port: int) -> str | None:
    if port == 0:
        return f"{PASSED}: any free one is taken"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "in use: by a service that runs already, or by something else"
            raise
    return None


def _keys(file: str) -> str | None:
    if not file:
        return "not configured: whoever reaches the port is served"
    from gatekeeper.service.access import read_keys

    return f"{PASSED}: {len(read_keys(Path(file).read_text(encoding='utf-8')))} keys"


def _upstream(file: str) -> str | None:
    if not file:
        return "not configured"
    from gatekeeper.classifiers.upstream import Call, Upstream, UpstreamRefusedError
    from gatekeeper.service.proxy import read_proxy

    options = read_proxy(Path(file))
    upstream = Upstream(options.url, timeout_s=options.timeout_s, token_env=options.token_env)
    try:
        upstream.ask(Call(), lambda reply: reply.status)
    except UpstreamRefusedError as error:
        # An address that images are posted to need not answer to a GET: somebody is there.
        if options.protocol == "v2":
            raise
        return f"{PASSED}: it answers, with {error.status} to a GET"
    return None


def _gears(text: str) -> None:
    from gatekeeper.engine import parse_gears

    parse_gears(text)


def _traces(endpoint: str) -> str | None:
    if not endpoint:
        return "not configured"
    if not _is_there(EXTRAS["otel"]):
        raise InputError(
            "expected OpenTelemetry for traces_endpoint, got no such package: install "
            "`vision-gatekeeper[otel]`"
        )
    return None


def memory_mb() -> int | None:
    """Memory of the machine or of its container, whichever is less; None where nobody tells."""
    sizes = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else ""
    if text.isdigit():
        sizes.append(int(text))
    return min(sizes) // 10**6 if sizes else None
