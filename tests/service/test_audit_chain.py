"""Whatever is done to a log is seen, but for what a crash may leave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.errors import DataError
from gatekeeper.service.audit_chain import START, chained_line, last_record, verify


def chain(n: int, seq: int = 1, prev: str = START) -> list[bytes]:
    lines = []
    for each in range(n):
        line, prev = chained_line({"what": f"é{each}"}, seq=seq + each, prev=prev)
        lines.append(line)
    return lines


def put(folder: Path, name: str, lines: list[bytes]) -> Path:
    path = folder / f"audit-{name}.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def test_a_line_by_hand() -> None:
    line, digest = chained_line({"b": 1, "a": "x"}, seq=1, prev=START)
    content = '{"a":"x","b":1,"prev":"' + START + '","seq":1}'
    assert digest == hashlib.sha256(content.encode()).hexdigest()
    assert json.loads(line) == {"a": "x", "b": 1, "prev": START, "seq": 1, "sha256": digest}
    assert line.endswith(b"\n")


def test_a_whole_log_over_several_files(tmp_path: Path) -> None:
    lines = chain(5)
    put(tmp_path, "1", lines[:2])
    put(tmp_path, "2", [])
    last = put(tmp_path, "3", lines[2:])
    found = verify(tmp_path)
    head = json.loads(lines[-1])["sha256"]
    assert (found.records, found.first_seq, found.last_seq, found.head) == (5, 1, 5, head)
    assert found.torn == ()
    assert last_record(tmp_path.glob("*.jsonl")) == (5, head)
    alone = verify(last)
    assert (alone.records, alone.first_seq) == (3, 3)


def test_an_incomplete_last_line_is_no_record(tmp_path: Path) -> None:
    lines = chain(4)
    put(tmp_path, "1", [*lines[:2], lines[2][:30]])
    more = chain(1, seq=3, prev=json.loads(lines[1])["sha256"])
    put(tmp_path, "2", more)
    found = verify(tmp_path)
    assert (found.records, found.torn) == (3, ("audit-1.jsonl",))


@settings(max_examples=60)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_any_changed_byte_is_seen(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    data = bytearray(b"".join(chain(3)))
    at %= len(data) - 1  # the last newline makes the last line incomplete, which is allowed
    if data[at] == byte:
        return
    data[at] = byte
    path = put(tmp_path_factory.mktemp("log"), "1", [bytes(data)])
    with pytest.raises(DataError, match=r"expected an unbroken audit log, audit-1\.jsonl line"):
        verify(path)


@pytest.mark.parametrize("order", [(0, 2), (1, 0, 2), (0, 1, 1, 2), (0, 0, 1, 2), (0, 2, 1)])
def test_lines_removed_moved_or_repeated(tmp_path: Path, order: tuple[int, ...]) -> None:
    lines = chain(3)
    put(tmp_path, "1", [lines[at] for at in order])
    with pytest.raises(DataError, match="does not follow the one before it"):
        verify(tmp_path)


def test_a_forged_beginning(tmp_path: Path) -> None:
    put(tmp_path, "1", chain(2, prev="1" * 64))
    with pytest.raises(DataError, match="is not how a log begins"):
        verify(tmp_path)


@pytest.mark.parametrize("line", [b"[]\n", b"{}\n", b"\n", b'{"seq":1}\n'])
def test_lines_that_are_no_records(tmp_path: Path, line: bytes) -> None:
    put(tmp_path, "1", [line])
    with pytest.raises(DataError, match=r"audit-1.jsonl line 1 is no (JSON|record)"):
        verify(tmp_path)


def test_no_log(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="expected an audit log at"):
            verify(path)
    assert last_record([]) == (0, START)
