"""The form of every benchmark: figures with targets, written as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from gatekeeper.errors import InputError

RESULTS = Path(__file__).parent / "results"

_PACKAGES = ("vision-gatekeeper", "torch", "timm", "numpy", "scipy", "scikit-learn", "mlflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, its interval and whether it meets its target.

    Attributes:
        name: As in the issue's table.
        value: The point value; mean over the seeds where there are several.
        low: Lower end of the 95 % interval, or None where there is none.
        high: Upper end.
        target: What was written down beforehand.
        direction: ``"higher"`` or ``"lower"`` is better.
        judged: Which number is compared with the target: ``"value"``, or the pessimistic end.
        note: Whatever a reader must know.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    target: float
    direction: Literal["higher", "lower"]
    judged: Literal["value", "low", "high"]
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the judged number meets the target.

        Raises:
            InputError: the judged end is not there, or a number is not finite.
        """
        number = getattr(self, self.judged)
        if number is None or not math.isfinite(number):
            raise InputError(f"{self.name}: expected a finite {self.judged}, got {number}")
        return bool(number >= self.target if self.direction == "higher" else number <= self.target)

    def to_json(self) -> dict[str, Any]:
        """The figure with its verdict."""
        return {**asdict(self), "holds": self.holds}


def machine() -> str:
    """The machine in words, without a name."""
    n_cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{n_cores} cores, {memory:.0f} GiB, {platform.machine()}, {platform.system()}"


def versions() -> dict[str, str]:
    """Versions of what the figures depend on."""
    return {"python": platform.python_version()} | {n: metadata.version(n) for n in _PACKAGES}


def write_results(
    name: str,
    *,
    command: str,
    seeds: Sequence[int],
    data: Mapping[str, Any],
    seconds: float,
    figures: Sequence[Figure],
    table: Sequence[Mapping[str, Any]],
    folder: Path = RESULTS,
) -> Path:
    """Write ``folder/name.json``; see ``docs/validation.md`` for how it is read."""
    body = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "seeds": list(seeds),
        "data": dict(data),
        "seconds": round(seconds, 1),
        "figures": [figure.to_json() for figure in figures],
        "table": [dict(row) for row in table],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path
