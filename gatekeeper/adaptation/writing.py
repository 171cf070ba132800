"""What an adaptation leaves behind: bundle, record, page, and a challenger in the registry."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load

from gatekeeper.adaptation.page import render_adaptation
from gatekeeper.adaptation.run import USED_FILE, Adapted
from gatekeeper.bundle import save_bundle
from gatekeeper.demonstration import versions
from gatekeeper.errors import BundleError, GatekeeperError
from gatekeeper.golden import GOLDEN_IMAGES, check_golden, golden_files
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.tracking import LoggedVersion, Registry, TrackingStore, log_fit, promote_checked
from gatekeeper.types import IntArray

CHAMPION_TAG = "gatekeeper.adapted_from"
CAPTURED_TAG = "gatekeeper.captured_sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenAdaptation:
    """What was written and registered.

    Attributes:
        record: The content of ``adaptation.json``.
        record_path: Where it lies.
        report_path: The page.
        bundle_path: The challenger's bundle.
        version: The registered version, None where nothing was tracked.
        promoted: Whether it is the champion now.
        warning: Why tracking or promotion did not happen, or None.
    """

    record: Mapping[str, Any]
    record_path: Path
    report_path: Path
    bundle_path: Path
    version: LoggedVersion | None
    promoted: bool
    warning: str | None


def write_adaptation(
    finished: Adapted,
    out: Path,
    *,
    champion: str,
    command: str,
    tracked: bool,
    promote: bool,
) -> WrittenAdaptation:
    """Write bundle, record and page, register the challenger, and promote it where it may be.

    Whatever MLflow says, the files stand: a failure there becomes a warning.

    Args:
        finished: The adaptation.
        out: Folder; only the files that this writes are replaced.
        champion: What the champion was called on the command line, such as a registry URI.
        command: How to make the same run again.
        tracked: Whether to register.
        promote: Whether the challenger is to become the champion.

    Raises:
        BundleError: the champion has no golden set, or the challenger's does not hold.
    """
    out.mkdir(parents=True, exist_ok=True)
    bundle_path = out / "bundle"
    pixels = _golden_pixels(finished.champion.directory)
    used = {**finished.challenger.certificate["adaptation"], "used": finished.dealt.used.tolist()}
    extra = golden_files(Gatekeeper(finished.challenger, ""), pixels)
    extra[USED_FILE] = (json.dumps(used, indent=1) + "\n").encode()
    identity = save_bundle(finished.challenger, bundle_path, extra=extra)
    check_golden(bundle_path)
    record = record_of(finished, champion=champion, challenger=identity, command=command)
    record_path, report_path = out / "adaptation.json", out / "adaptation.html"
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    record_path.write_text(text + "\n", encoding="utf-8")
    report_path.write_text(render_adaptation(record), encoding="utf-8")
    written = WrittenAdaptation(
        record=record,
        record_path=record_path,
        report_path=report_path,
        bundle_path=bundle_path,
        version=None,
        promoted=False,
        warning=None,
    )
    return _register(finished, written, _png(pixels[0]), promote=promote) if tracked else written


def record_of(finished: Adapted, *, champion: str, challenger: str, command: str) -> dict[str, Any]:
    """The content of ``adaptation.json``."""
    held = finished.challenger.certificate
    traffic = finished.dealt.traffic
    parts = ("seen", "learn", "calibrate", "certify", "judge", "draws")
    return {
        "schema_version": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rule_met": finished.rule_met,
        "conditions": [condition.to_json() for condition in finished.conditions],
        "contest": finished.contest.to_json(),
        "certificate": {
            key: held[key]
            for key in (
                "certified", "reason", "target_risk", "confidence_level", "conditions",
                "not_covered", "n_certify", "certified_coverage", "upper_bound", "captured",
            )
        },
        "recheck": {
            name: None if check is None else check.to_json()
            for name, check in finished.rechecks.items()
        },
        "images": {part: len(np.unique(getattr(traffic, part))) for part in parts},
        "lineage": {
            "champion": champion,
            "champion_bundle": finished.champion.identity,
            "challenger_bundle": challenger,
            "captured": finished.source,
            "captured_digest": finished.dealt.captured_digest,
            "sample_digest": finished.dealt.sample_digest or "none",
            "adapted_restorer": held["adaptation"]["adapted_restorer_digest"],
            "taught_by_labels": _taught(held["adaptation"]["recognition"]),
            "command": command,
            **versions(),
        },
    }  # fmt: skip


def _taught(recognition: Mapping[str, Any]) -> str:
    if recognition["left_out"]:
        return f"no: {recognition['left_out']}"
    return f"{recognition['n_labels']:,} images"


def _register(
    finished: Adapted, written: WrittenAdaptation, example: bytes, *, promote: bool
) -> WrittenAdaptation:
    name = f"gate-{finished.challenger.name}"
    lineage, held = written.record["lineage"], finished.challenger.certificate
    try:
        store = TrackingStore.from_environment()
        version = log_fit(
            store,
            experiment=f"gatekeeper/{finished.challenger.name}",
            run_name=f"{finished.challenger.name}-adapted",
            params={**lineage, **written.record["images"]},
            metrics=_metrics(finished),
            tags={
                "gatekeeper.classifier": finished.challenger.classifier.digest,
                CHAMPION_TAG: finished.champion.identity,
                CAPTURED_TAG: finished.dealt.captured_digest,
                "gatekeeper.champion": lineage["champion"],
            },
            data_digests={n: s["digest"] for n, s in held["splits"].items()},
            artifacts=[written.report_path, written.record_path],
            bundle=written.bundle_path,
            registered_name=name,
            metadata={
                "schema": 1,
                "classifier_sha256": finished.challenger.classifier.digest,
                "bundle_sha256": lineage["challenger_bundle"],
            },
            example=example,
        )
        written = replace(written, version=version)
        if promote:
            promote_checked(Registry(store), name, version.version)
            written = replace(written, promoted=True)
    except GatekeeperError as error:
        return replace(written, warning=str(error))
    return written


def _metrics(finished: Adapted) -> dict[str, float]:
    duel = finished.contest.paired
    sides = {"champion": finished.contest.champion, "challenger": finished.contest.challenger}
    found = {"paired/difference": duel.difference, "paired/low": duel.low}
    for name, side in sides.items():
        for key in ("accuracy", "coverage", "accepted_risk", "failure_auroc", "certified_coverage"):
            if (value := getattr(side, key)) is not None:
                found[f"{name}/{key}"] = float(value)
    return found


def _golden_pixels(directory: Path) -> IntArray:
    """The champion's golden images: none of the captured ones travels with the bundle."""
    try:
        return np.asarray(load((directory / GOLDEN_IMAGES).read_bytes())["images"])
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"expected a golden set in {directory}, got none that can be read ({error}): fit it "
            "again with `gatekeeper fit`"
        ) from error


def _png(pixels: IntArray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(encoded, format="PNG")
    return encoded.getvalue()
