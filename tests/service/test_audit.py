"""The writer: off the request path, one per folder, whole after a crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.errors import DataError, InputError
from gatekeeper.service.audit import AuditLog
from gatekeeper.service.audit_chain import log_files, verify

ROOT = Path(__file__).resolve().parents[2]


def records(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for path in log_files(folder) for line in path.read_bytes().splitlines()
    ]


def test_what_is_recorded_is_written_in_order(tmp_path: Path) -> None:
    now = datetime(2026, 11, 25, 12, 0, 0, 5000, tzinfo=UTC)
    log = AuditLog(tmp_path / "deep" / "log", clock=lambda: now)
    for n in range(50):
        log.record({"n": n})
    log.close()
    found = records(tmp_path / "deep" / "log")
    assert [each["n"] for each in found] == list(range(50))
    assert found[0]["time"] == "2026-11-25T12:00:00.005+00:00"
    assert verify(tmp_path / "deep" / "log").records == 50


def test_each_start_goes_on_in_a_file_of_its_own(tmp_path: Path) -> None:
    for n in range(3):
        log = AuditLog(tmp_path)
        log.record({"n": n})
        log.close()
    assert len(log_files(tmp_path)) == 3
    found = verify(tmp_path)
    assert (found.records, found.last_seq) == (3, 3)


def test_files_are_bounded_in_size(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, max_file_bytes=400)
    for n in range(10):
        log.record({"n": n})
    log.close()
    assert len(log_files(tmp_path)) == 5  # two lines of about 220 bytes in each
    assert verify(tmp_path).records == 10


def test_retention_removes_whole_days_and_the_rest_verifies(tmp_path: Path) -> None:
    day = [datetime(2026, 1, 1, tzinfo=UTC)]
    log = AuditLog(tmp_path, keep_days=2, clock=lambda: day[0])
    for _ in range(5):
        log.record({})
        while log._queue.qsize():  # written under today's date
            threading.Event().wait(0.01)
        day[0] += timedelta(days=1)
    log.close()
    names = [path.stem[-10:] for path in log_files(tmp_path)]
    assert names[-1] == "2026-01-05"
    assert "2026-01-01" not in names
    found = verify(tmp_path)
    assert found.first_seq > 1
    assert found.last_seq == 5


def test_a_full_queue_drops_and_counts_and_never_blocks(tmp_path: Path) -> None:
    dropped: list[int] = []
    log = AuditLog(tmp_path, waiting=2, on_drop=lambda: dropped.append(1))
    entered, release = threading.Event(), threading.Event()
    write = log._write

    def slow(fields: dict[str, Any]) -> None:
        entered.set()
        assert release.wait(10)
        write(fields)

    log._write = slow  # type: ignore[method-assign]
    log.record({"n": 0})
    assert entered.wait(10)
    for n in range(1, 6):
        log.record({"n": n})
    release.set()
    log.close()
    assert len(dropped) == 3
    assert [each["n"] for each in records(tmp_path)] == [0, 1, 2]
    assert verify(tmp_path).records == 3


def test_a_record_that_is_no_json_is_dropped_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dropped: list[int] = []
    log = AuditLog(tmp_path, on_drop=lambda: dropped.append(1))
    for n in (1, float("nan"), {2}, 3):
        log.record({"n": n})
    log.close()
    assert [each["n"] for each in records(tmp_path)] == [1, 3]
    assert (len(dropped), verify(tmp_path).records) == (2, 2)
    assert "cannot be written" in caplog.text


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    with pytest.raises(InputError, match="another writes to it"):
        AuditLog(tmp_path)
    log.close()
    AuditLog(tmp_path).close()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a folder for the audit log"):
        AuditLog(tmp_path / "file")


def test_a_broken_end_is_not_written_on(tmp_path: Path) -> None:
    (tmp_path / "audit-1.jsonl").write_bytes(b"{}\n")
    with pytest.raises(DataError, match="is no record"):
        AuditLog(tmp_path)


PROGRAM = """
import sys
from pathlib import Path
from gatekeeper.service.audit import AuditLog
log = AuditLog(Path(sys.argv[1]))
for n in range(10**9):
    log.record({"n": n, "padding": "x" * 500})
    if n == 200:
        print("going", flush=True)
"""


def test_sigkill_leaves_a_chain_that_verifies(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"going\n"
        while not sum(path.stat().st_size for path in log_files(folder)):
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
    found = verify(folder)
    assert found.records > 0
    log = AuditLog(folder)  # the lock went with its process
    log.record({"n": -1})
    log.close()
    assert verify(folder).records == found.records + 1


def test_decisions_are_on_record_without_pixels(
    start: Callable[..., TestClient],
    fake: Any,
    image_file: Callable[..., bytes],
    eventually: Callable[..., None],
    tmp_path: Path,
) -> None:
    client = start(lambda: fake, audit_dir=str(tmp_path))
    eventually(lambda: client.get("/readyz").status_code == 200)
    answer = client.post(
        "/v1/decide",
        content=image_file(),
        headers={"Content-Type": "image/png", "X-Request-ID": "find-me"},
    ).json()
    client.post("/v1/decide", content=b"no image", headers={"Content-Type": "image/png"})
    eventually(lambda: len(records(tmp_path)) == 1)
    [record] = records(tmp_path)
    assert record["request_id"] == "find-me"
    for field in ("action", "reason", "reliability", "image", "versions", "gear", "certified"):
        assert record[field] == answer[field]
    assert record["attempts"] == [
        {"restorer": None, "label": 1, "reliability": 0.97, "action": "accept"}
    ]
    assert verify(tmp_path).records == 1
