"""What a finished run leaves behind: bundle, summary, report, and a registered version."""

from __future__ import annotations

import io
import json
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gatekeeper.bundle import save_bundle
from gatekeeper.demonstration.running import Run
from gatekeeper.demonstration.summary import peak_memory_gb, summarise_run
from gatekeeper.errors import GatekeeperError
from gatekeeper.evaluation import (
    curves,
    diagrams,
    examples,
    telling_rows,
)
from gatekeeper.golden import check_golden, golden_files
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.recipe import Recipe
from gatekeeper.reliability import level_study_of
from gatekeeper.report import CurvePoints, GalleryItem, ReportContent, write_report
from gatekeeper.tracking import LoggedVersion, Registry, TrackingStore, log_fit
from gatekeeper.types import IntArray

_GOLDEN_IMAGES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a run left behind.

    Attributes:
        summary: The content of ``summary.json``.
        summary_path: Where it lies.
        report_path: The report.
        bundle_path: The bundle's directory.
        version: The registered version, or None where nothing was tracked.
        champion: Whether that version is now the champion.
        warning: Why tracking or promotion did not happen, or None.
    """

    summary: Mapping[str, Any]
    summary_path: Path
    report_path: Path
    bundle_path: Path
    version: LoggedVersion | None
    champion: bool
    warning: str | None


def write(
    finished: Run, out: Path, *, command: str = "", tracked: bool = True, started: float = 0.0
) -> Written:
    """Write bundle, summary and report, then log them to MLflow.

    Whatever MLflow says, the files stand: a failure there becomes a warning.

    Args:
        finished: The run.
        out: Folder; only the files that this writes are replaced.
        command: How to make the same run again.
        tracked: Whether to log and register.
        started: ``time.perf_counter()`` at the start, for the total duration.
    """
    out.mkdir(parents=True, exist_ok=True)
    bundle_path = out / "bundle"
    with finished.stopwatch.stage("bundle"):
        gatekeeper = Gatekeeper(finished.result.fitted, "")
        golden = golden_files(gatekeeper, _golden_pixels(finished))
        identity = save_bundle(finished.result.fitted, bundle_path, extra=golden)
        check_golden(bundle_path)
        gatekeeper = Gatekeeper(finished.result.fitted, identity)
    with finished.stopwatch.stage("report"):
        summary = summarise_run(finished, identity)
        report_path = out / "report.html"
        write_report(report_path, _report(finished, summary, gatekeeper, command))
    summary_path = out / "summary.json"
    written = Written(
        summary=summary,
        summary_path=summary_path,
        report_path=report_path,
        bundle_path=bundle_path,
        version=None,
        champion=False,
        warning=None,
    )
    _write_json(summary_path, summary)
    if tracked:
        with finished.stopwatch.stage("tracking"):
            written = _track(finished, written)
    summary["durations"]["total"] = round(time.perf_counter() - started, 2) if started else None
    summary["durations"] |= finished.stopwatch.seconds
    summary["peak_memory_gb"] = peak_memory_gb()
    _write_json(summary_path, summary)
    return written


def _write_json(path: Path, body: Mapping[str, Any]) -> None:
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _golden_pixels(finished: Run) -> IntArray:
    """Images of *calibrate* under the declared mix, half of them clean."""
    calibrate = finished.result.calibrate
    clean = calibrate.plan.corruptions == ""
    half = _GOLDEN_IMAGES // 2
    rows = np.concatenate([np.flatnonzero(clean)[:half], np.flatnonzero(~clean)[:half]])
    gatekeeper = Gatekeeper(finished.result.fitted, "")
    shown = examples(gatekeeper, finished.data, calibrate, rows)
    return np.stack([example.received for example in shown])


def _report(
    finished: Run, summary: Mapping[str, Any], gatekeeper: Gatekeeper, command: str
) -> ReportContent:
    fitted, streams = finished.result.fitted, finished.streams
    declared = streams.streams["declared"]
    names = fitted.classifier.class_names
    shown = examples(gatekeeper, finished.data, declared, telling_rows(fitted, declared))
    return ReportContent(
        summary=summary,
        certificate=fitted.certificate,
        curves={
            name: {
                method: CurvePoints(coverage=c.coverage, selective_risk=c.selective_risk)
                for method, c in curves(fitted, streams.streams[name]).items()
            }
            for name in ("declared", "open")
        },
        diagrams=diagrams(fitted, declared),
        gallery=[
            GalleryItem(
                corruption=example.corruption,
                severity=example.severity,
                truth=names[example.truth],
                original=example.received,
                restored=example.restored,
                decision=example.decision.to_json(names),
                verdict=_verdict(example.decision.label, example.truth),
            )
            for example in shown
        ],
        lineage={
            "bundle": gatekeeper.calibration_id,
            "classifier": fitted.classifier.digest,
            "command": command or "gatekeeper demo",
            "recipe": finished.recipe.name,
        },
        held_out=streams.held_out,
        levels=level_study_of(fitted.predictors["raw"]),
    )


def _verdict(label: int | None, truth: int) -> str:
    if label is None:
        return "Abstained: a person decides."
    return "Accepted, and right." if label == truth else "Accepted, and wrong."


def _track(finished: Run, written: Written) -> Written:
    name = f"gate-{finished.recipe.name}"
    certified = bool(written.summary["certified"])
    try:
        store = TrackingStore.from_environment()
        version = log_fit(
            store,
            experiment=f"gatekeeper/{finished.recipe.name}",
            run_name=f"{finished.recipe.name}-seed{finished.recipe.seed}",
            params=_parameters(finished.recipe),
            metrics=_metrics(written.summary),
            tags={"gatekeeper.classifier": finished.result.fitted.classifier.digest},
            data_digests={n: s["digest"] for n, s in written.summary["splits"].items()},
            artifacts=[written.report_path, written.summary_path],
            bundle=written.bundle_path,
            registered_name=name,
            metadata={
                "schema": 1,
                "classifier_sha256": finished.result.fitted.classifier.digest,
                "bundle_sha256": written.summary["bundle"],
            },
            example=_png(_golden_pixels(finished)[0]),
        )
        written = replace(written, version=version)
        if not certified:
            return replace(written, warning="not certified, so champion stays as it is")
        Registry(store).promote(name, version.version, certified=True, golden=check_golden)
    except GatekeeperError as error:
        return replace(written, warning=str(error))
    return replace(written, champion=True)


def _parameters(recipe: Recipe) -> dict[str, object]:
    def flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield from flat(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            yield prefix, value

    return dict(flat("", recipe.model_dump()))


def _metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    found = {"clean_harm_rate": summary["clean_harm_rate"]}
    found["certified_coverage"] = summary["certificate"]["certified_coverage"]
    for stream in ("clean", "declared", "open"):
        for metric in ("accuracy_no_gate", "accuracy_final", "coverage", "selective_risk"):
            found[f"{stream}/{metric}"] = summary[stream][metric]
        for metric in ("failure_auroc", "aurc"):
            found[f"{stream}/{metric}"] = summary[stream][metric]["gatekeeper"]
        found[f"{stream}/ece"] = summary[stream]["ece"]["reliability"]
    return {name: float(value) for name, value in found.items() if value is not None}


def _png(pixels: IntArray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(encoded, format="PNG")
    return encoded.getvalue()


def reproduce(arguments: list[str]) -> str:
    """The command line that makes the same run again."""
    return shlex.join(["gatekeeper", *arguments])
