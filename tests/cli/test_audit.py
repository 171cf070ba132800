from __future__ import annotations

import json

from gatekeeper.service.audit import AuditLog


def test_a_whole_log_and_a_broken_one(gatekeeper, tmp_path):
    log = AuditLog(tmp_path)
    for n in range(3):
        log.record({"n": n})
    log.close()
    done = gatekeeper("audit", "verify", tmp_path)
    assert done.code == 0
    assert "whole: 3 records, 1 to 3" in done.out
    shown = json.loads(gatekeeper("audit", "verify", tmp_path, "--json").out)
    assert (shown["records"], shown["torn"]) == (3, [])
    [path] = tmp_path.glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b"{")
    assert "ends in an incomplete line" in gatekeeper("audit", "verify", tmp_path).out
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))
    done = gatekeeper("audit", "verify", tmp_path)
    assert done.code == 2
    assert "line 2 was changed" in done.err


def test_no_log(gatekeeper, tmp_path):
    assert gatekeeper("audit", "verify", tmp_path / "none").code == 2
