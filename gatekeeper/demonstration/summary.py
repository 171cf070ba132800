"""The figures of a finished run: the content of ``summary.json``."""

from __future__ import annotations

import platform
import resource
import sys
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from gatekeeper.corruptions import CORRUPTIONS, GROUPS
from gatekeeper.demonstration.running import Run
from gatekeeper.evaluation import (
    clean_harm,
    conditions_flags,
    summarise,
)
from gatekeeper.metrics import help_harm
from gatekeeper.types import BoolArray

_VERSIONED = ("vision-gatekeeper", "torch", "timm", "numpy", "scikit-learn", "mlflow")


def peak_memory_gb() -> float:
    """Largest resident size of this process so far, in 10⁹ bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return round(peak * unit / 1e9, 3)


def versions() -> dict[str, str]:
    """Versions of what a run depends on."""
    return {"python": platform.python_version()} | {n: metadata.version(n) for n in _VERSIONED}


def summarise_run(finished: Run, identity: str) -> dict[str, Any]:
    """The content of ``summary.json``."""
    fitted, streams = finished.result.fitted, finished.streams
    certificate = dict(fitted.certificate)
    judged = streams.streams
    return {
        "dataset": finished.data.name,
        "data_source": finished.data.source,
        "data_licence": finished.data.licence,
        "certified": certificate["certified"],
        "target_risk": certificate["target_risk"],
        "confidence_level": certificate["confidence_level"],
        **clean_harm(fitted, judged["clean"]),
        "help_harm_noise": _help_harm_noise(finished),
        "seeds": {"run": finished.recipe.seed},
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "durations": dict(finished.stopwatch.seconds),
        "peak_memory_gb": peak_memory_gb(),
        "splits": finished.splits.to_json(finished.data.digests),
        "bundle": identity,
        "certificate": certificate,
        **{name: summarise(fitted, stream) for name, stream in judged.items()},
        "families": {n: summarise(fitted, family) for n, family in streams.families.items()},
        "flags": {name: conditions_flags(fitted, stream) for name, stream in judged.items()},
    }


def noise_rows(finished: Run) -> BoolArray:
    """Rows of the declared stream that are under a corruption of the group "noise"."""
    noisy = [
        name
        for name in finished.recipe.conditions.seen
        if all(GROUPS[family] == "noise" for family in CORRUPTIONS[name].families)
    ]
    return np.isin(finished.streams.streams["declared"].plan.corruptions, noisy)


def _help_harm_noise(finished: Run) -> dict[str, Any]:
    fitted = finished.result.fitted
    judged = finished.streams.streams["declared"].take(noise_rows(finished))
    if not len(judged):
        return {"help": 0, "harm": 0, "ratio": None}
    replay = fitted.gate.replay(judged.raw_reliability, judged.restored_reliability)
    final = judged.final_labels(replay.keep_restored) == judged.labels
    found = help_harm(judged.raw_correct, final)
    ratio = found.ratio if np.isfinite(found.ratio) else None
    return {"help": found.help, "harm": found.harm, "ratio": ratio}
