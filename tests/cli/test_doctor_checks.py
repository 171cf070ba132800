"""Each check, in order and out of it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.cli import doctor_checks
from gatekeeper.cli.doctor_checks import checks, extras, is_bad, memory_mb
from gatekeeper.settings import Settings
from tests.upstream import LocalUpstream, serving


def found(home: Path, **settings: Any) -> dict[str, str]:
    return checks(Settings(port=0, **settings), home)


def test_a_plain_service_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    verdicts = found(tmp_path / "home")
    assert not any(map(is_bad, verdicts.values()))
    assert verdicts["home can be written"] == verdicts["gears"] == "passed"
    for name in ("upstream", "audit log", "traces", "admin port is free"):
        assert verdicts[name] == "not configured"
    assert verdicts["keys"].startswith("not configured: whoever")
    assert list((tmp_path / "home").iterdir()) == []


def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    verdicts = found(tmp_path / "file", audit_dir=str(tmp_path / "file" / "audit"))
    assert is_bad(verdicts["home can be written"])
    assert is_bad(verdicts["audit log"])


def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "_LEAST_FREE", 10**30)
    assert found(tmp_path)["room on its disk"].startswith("failed: expected 1000000000000000")


def test_a_port_in_use_is_told_and_no_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        verdicts = found(tmp_path, admin_port=taken.getsockname()[1])
    assert verdicts["admin port is free"].startswith("in use: by a service that runs already")
    assert verdicts["port is free"] == "passed: any free one is taken"


def test_keys_are_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    assert is_bad(found(tmp_path, keys_file=str(path))["keys"])
    path.write_text("nonsense", encoding="utf-8")
    assert is_bad(found(tmp_path, keys_file=str(path))["keys"])


def test_the_upstream_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "upstream.toml"

    def verdict(url: str, protocol: str = "v2") -> str:
        text = f'[upstream]\nurl = "{url}"\nprotocol = "{protocol}"\n'
        path.write_text(text, encoding="utf-8")
        return found(tmp_path, upstream_file=str(path))["upstream"]

    with serving(LocalUpstream()) as local:
        assert verdict(local.v2) == "passed"
        local.fault = "405"
        assert verdict(local.url, "http") == "passed: it answers, with 405 to a GET"
        assert "it says 405" in verdict(local.v2)
        local.fault = "500"
        assert is_bad(verdict(local.url, "http"))
    assert "got no connection" in verdict(local.v2)


def test_gears_and_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = found(tmp_path, gears="half", traces_endpoint="http://collector:4318/v1/traces")
    assert "name:load_from:restored_share" in verdicts["gears"]
    assert verdicts["traces"] == "passed"
    monkeypatch.setattr(doctor_checks, "EXTRAS", {"otel": "no_such_package.at.all"})
    verdicts = found(tmp_path, traces_endpoint="http://collector:4318/v1/traces")
    assert "install `vision-gatekeeper[otel]`" in verdicts["traces"]
    assert extras() == {"otel": "no"}


def test_extras_and_memory() -> None:
    assert extras()["onnx"] == extras()["otel"] == "installed"
    memory = memory_mb()
    assert memory is None or memory > 100
