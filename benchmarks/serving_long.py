"""What the benchmark `serving` measures for long, each by a command of its own.

    python -m benchmarks.serving_long soak [--seconds 3600]    # make soak
    python -m benchmarks.serving_long fuzz [--seconds 300]     # make fuzz: so long for each target

The row is kept below ``runs/``; `python -m benchmarks.serving` judges it as long as the code is the
one that was measured. The exit code is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import serving_cells as cells
from benchmarks.kept import code_digest
from benchmarks.serving_gate import make_bundle
from benchmarks.serving_running import Scale, Server, jpegs, load, server
from benchmarks.serving_servers import post_of
from gatekeeper.errors import InputError
from gatekeeper.mlp import MlpOptions

SECONDS = {"soak": 3600, "fuzz": 300}
"""How long each takes, unless told otherwise; the fuzzer for each of its two targets."""
KEPT = Path("runs") / "benchmarks" / "serving-long"
GROWTH_MB = 50.0
"""Target of the soak."""

_CORPORA = Path("runs") / "fuzz"
_CLIENTS = 8
_SAMPLES = 60
_FEWEST = 10


def soak(scale: Scale, seconds: float) -> dict[str, Any]:
    """A closed loop of all kinds of requests, and what the server's memory does meanwhile."""
    noise, clean = jpegs(scale.side, noise=True), jpegs(scale.side)
    files = (b"no image", clean[0][:-500], *clean, *noise)
    requests = [post_of("gate", file) for file in files]
    seen: Counter[str] = Counter()
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        options = MlpOptions(hidden=16, members=1, epochs=1)
        bundle = make_bundle("small", scale.side, scale.n_images, home / "bundle", options)
        environ = {"GATEKEEPER_HOME": str(home / "home")}
        settings = {"audit_dir": str(home / "audit"), "deadline_s": "60"}
        with server("gate", scale, bundle=bundle, environ=environ, **settings) as running:
            until = time.monotonic() + seconds
            while time.monotonic() < until or len(memory) < _FEWEST:
                piece = seconds / _SAMPLES
                records = load(running, requests, clients=_CLIENTS, seconds=piece)
                seen.update(str(record.status) for record in records)
                memory.append(_resident_mb(running))
    return {
        "cell": "soak",
        "seconds": seconds,
        "growth_mb": growth_mb(memory),
        "memory_mb": [round(each, 1) for each in memory],
        "statuses": dict(sorted(seen.items())),
    }


def growth_mb(memory: Sequence[float]) -> float:
    """Median of the last fifth less that of the second: the first is for filling what is bounded.

    Raises:
        InputError: there are fewer than ten samples.
    """
    if len(memory) < _FEWEST:
        raise InputError(f"expected at least {_FEWEST} samples, got {len(memory)}: measure longer")
    fifth = len(memory) // 5
    return float(np.median(memory[-fifth:]) - np.median(memory[fifth : 2 * fifth]))


def _resident_mb(running: Server) -> float:
    lines = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii").splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(kilobytes) / 1024


def measure(what: str, seconds: int, folder: Path = KEPT) -> dict[str, Any]:
    """Measure, and keep the row.

    Args:
        what: A key of :data:`SECONDS`.
        seconds: How long.
        folder: Where rows are kept.
    """
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "soak": lambda: soak(Scale(side=64), seconds),
        "fuzz": lambda: cells.fuzz(seconds, _CORPORA),
    }
    row = {**makers[what](), "date": f"{datetime.now(UTC):%Y-%m-%d}", "code": _code()}
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{what}.part"
    unfinished.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(folder / f"{what}.json")
    return row


def measured(what: str, folder: Path = KEPT) -> dict[str, Any] | None:
    """The row that is kept; None where there is none, or the code is another one by now."""
    path = folder / f"{what}.json"
    if not path.is_file():
        return None
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return row if row["code"] == _code() else None


def _code() -> str:
    return code_digest(
        "benchmarks.serving_cells", "benchmarks.serving_long", "benchmarks.serving_servers"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_long", description=__doc__)
    parser.add_argument("what", choices=sorted(SECONDS))
    parser.add_argument("--seconds", type=int, default=None)
    given = parser.parse_args(argv)
    if given.what == "fuzz" and importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (not every Python has a wheel): nothing done")
        return 0
    row = measure(given.what, given.seconds or SECONDS[given.what])
    print(json.dumps(row))
    return int(row["growth_mb"] > GROWTH_MB if given.what == "soak" else row["crashes"] > 0)


if __name__ == "__main__":
    sys.exit(main())
