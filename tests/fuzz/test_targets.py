"""The fuzzers' targets: their seeds keep the promise, what once broke it is replayed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.fuzz import decode, v2
from tests.fuzz.__main__ import TARGETS

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"decode": decode, "v2": v2}


def test_every_target_has_its_module() -> None:
    assert set(TARGETS) == set(MODULES)


@pytest.mark.parametrize("target", MODULES.values(), ids=list(MODULES))
def test_seeds_keep_the_promise(target: ModuleType) -> None:
    seeds = target.seeds()
    assert len(seeds) > 50
    for seed in seeds:
        target.check(seed)
        target.check(seed[: len(seed) // 2])


def test_a_broken_promise_of_the_decoder_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(decode, "decode_pixels", fails)
    with pytest.raises(KeyError):
        decode.check(b"x")


def test_a_broken_promise_of_the_protocol_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v2, "parse_infer", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        v2.check(b"\0\0\0{}")


def test_checksums_are_mended() -> None:
    good = next(seed for seed in decode.seeds() if b"IHDR" in seed)
    assert decode.mend(good) == good
    at = good.index(b"IHDR") + 7  # the width
    damaged = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    assert decode.mend(damaged) != damaged
    assert decode.mend(damaged)[8:29] == damaged[8:29]
    assert decode.mend(b"\xff\xd8") == b"\xff\xd8"


def test_a_short_run(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for every Python")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "v2", "1", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "number_of_executed_units" in done.stderr
    assert not list(tmp_path.glob("crash-*"))
