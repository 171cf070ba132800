"""What a report is made of; checked here, so that no template has to guess."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.levels import LevelStudy
from gatekeeper.metrics import ReliabilityBins
from gatekeeper.types import FloatArray, IntArray

METHODS = ("policy", "raw", "msp")
STREAMS = ("clean", "declared", "open", "seen_families", "held_out_families")

# Every block of the summary (a stream or a family) has these; a value may be None: undefined.
FAMILY_METRICS: Mapping[str, tuple[str, ...]] = {
    "n": (),
    "accuracy_no_gate": (),
    "n_accepted": (),
    "n_wrong_accepted": (),
    "coverage": (),
    "selective_risk": (),
    "coverage_at_risk": ("msp", "raw", "policy"),
    "ideal_coverage": (),
    "restored_share": (),
    "help": (),
    "harm": (),
    "failure_auroc": ("msp", "gatekeeper"),
    "aurc": ("msp", "gatekeeper"),
    "ece": ("msp", "reliability"),
}
_SUMMARY_KEYS = (
    "certified",
    "target_risk",
    "confidence_level",
    "clean_harm_rate",
    "dataset",
    "clean",
    "declared",
)
_CERTIFICATE_KEYS = ("certified", "reason", "target_risk", "confidence_level")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurvePoints:
    """A risk–coverage curve as it is drawn.

    Attributes:
        coverage: Shape (M,), share accepted, in [0, 1], strictly increasing.
        selective_risk: Shape (M,), errors among the accepted, in [0, 1].

    Raises:
        InputError: shapes differ, M is 0, a value is outside [0, 1], or coverage does not rise.
    """

    coverage: FloatArray
    selective_risk: FloatArray

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        coverage, risk = np.asarray(self.coverage), np.asarray(self.selective_risk)
        if coverage.ndim != 1 or coverage.shape != risk.shape or not len(coverage):
            raise InputError(
                "a curve needs as many risks as coverages, at least one, got shapes "
                f"{coverage.shape} and {risk.shape}"
            )
        for name, values in (("coverage", coverage), ("selective_risk", risk)):
            if not ((values >= 0) & (values <= 1)).all():
                raise InputError(f"{name} of a curve must be in [0, 1] throughout")
        if not (np.diff(coverage) > 0).all():
            raise InputError("coverage of a curve must rise from point to point; sort and merge it")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GalleryItem:
    """One image as received, what restoration made of it, and what was decided.

    Attributes:
        corruption: Name of the corruption; None for a clean image.
        severity: 1…5; None for a clean image.
        truth: Name of the true class.
        original: The image as received, uint8, shape (H, W, 3).
        restored: The restored image, same shape and type; None where nothing was restored.
        decision: ``Decision.to_json(class_names)``.
        verdict: What to make of it, one sentence for people.

    Raises:
        InputError: an image is not uint8 of shape (H, W, 3), the two differ in shape, a corruption
            comes without severity or the other way round, or the decision lacks a key.
    """

    corruption: str | None
    severity: int | None
    truth: str
    original: IntArray
    restored: IntArray | None
    decision: Mapping[str, Any]
    verdict: str

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        _check_image(self.original)
        if self.restored is not None:
            _check_image(self.restored)
            if self.restored.shape != self.original.shape:
                raise InputError(
                    f"the restored image must have the shape of the original "
                    f"{self.original.shape}, got {self.restored.shape}"
                )
        if (self.corruption is None) != (self.severity is None):
            raise InputError(
                "corruption and severity come together, or both are None for a clean image, got "
                f"{self.corruption!r} and {self.severity!r}"
            )
        _require_keys(self.decision, ("action", "reason_text", "reliability", "attempts"))
        for attempt in self.decision["attempts"]:
            _require_keys(attempt, ("restorer", "class_name", "reliability"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportContent:
    """Everything that a report shows.

    Attributes:
        summary: The content of summary.json: ``certified``, ``target_risk``,
            ``confidence_level``, ``clean_harm_rate``, ``dataset``; the blocks ``clean`` and
            ``declared``; where there are any ``open``, ``seen_families``, ``held_out_families``
            and ``families`` (name → block); optionally ``flags`` (stream →
            ``{"flagged": bool, "reason": str}``). A block has the keys of ``FAMILY_METRICS``;
            an undefined metric is None. Whatever else is at the top level is listed as lineage.
        certificate: ``certified``, ``reason``, ``target_risk``, ``confidence_level``, and
            optionally ``conditions`` (sentences), ``upper_bound``, ``certified_coverage`` and
            more: all of it is listed.
        curves: Stream → method (of ``METHODS``) → curve.
        diagrams: Title → bins of stated reliability, as from ``metrics.reliability_bins``.
        gallery: Images to show, in order.
        lineage: What the report was made from: bundle, version, command.
        held_out: Names of the families (keys of ``summary["families"]``) that nothing was fitted
            or certified on.
        levels: The study of distortion levels that the predictor reads; None where it reads none.

    Raises:
        InputError: a key is missing, a number is NaN or infinite, a method is unknown, a held-out
            family has no block, summary and certificate contradict each other, or there is
            neither a certificate nor a reason.
    """

    summary: Mapping[str, Any]
    certificate: Mapping[str, Any]
    curves: Mapping[str, Mapping[str, CurvePoints]]
    diagrams: Mapping[str, ReliabilityBins]
    gallery: Sequence[GalleryItem]
    lineage: Mapping[str, str]
    held_out: Sequence[str] = ()
    levels: LevelStudy | None = None

    def __post_init__(self) -> None:
        """Refuse content with holes or contradictions."""
        _require_keys(self.summary, _SUMMARY_KEYS)
        _require_keys(self.certificate, _CERTIFICATE_KEYS)
        for key in ("certified", "target_risk", "confidence_level"):
            if self.summary[key] != self.certificate[key]:
                raise InputError(
                    f"summary and certificate must agree on {key}, got {self.summary[key]} and "
                    f"{self.certificate[key]}"
                )
        if not self.certificate["certified"] and not self.certificate["reason"]:
            raise InputError("a certificate that is not certified must give its reason")
        _check_finite("summary", self.summary)
        _check_finite("certificate", self.certificate)
        for name, block in (*self.streams.items(), *self.families.items()):
            _check_block(name, block)
        _check_methods(self.curves)
        if unknown := sorted(set(self.held_out) - set(self.families)):
            raise InputError(f"held-out families must have a block each, got none for {unknown}")

    @property
    def streams(self) -> Mapping[str, Mapping[str, Any]]:
        """The blocks that are streams, in the order of ``STREAMS``; absent ones are left out."""
        found = {name: self.summary.get(name) for name in STREAMS}
        return {name: block for name, block in found.items() if block is not None}

    @property
    def families(self) -> Mapping[str, Mapping[str, Any]]:
        """The blocks of single families, in the order given."""
        blocks: Mapping[str, Mapping[str, Any]] = self.summary.get("families", {})
        return blocks


def _check_image(image: IntArray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"an image of the gallery must be uint8 of shape (H, W, 3), got {image.dtype} of "
            f"shape {image.shape}"
        )


def _require_keys(mapping: Mapping[str, Any], keys: Sequence[str], where: str = "") -> None:
    if missing := [key for key in keys if key not in mapping]:
        place = f" of {where}" if where else ""
        raise InputError(f"the report lacks {missing}{place}; write None where it is undefined")


def _check_block(name: str, block: Mapping[str, Any]) -> None:
    _require_keys(block, tuple(FAMILY_METRICS), where=name)
    for metric, parts in FAMILY_METRICS.items():
        if parts and block[metric] is not None:
            _require_keys(block[metric], parts, where=f"{name}.{metric}")


def _check_methods(curves: Mapping[str, Mapping[str, CurvePoints]]) -> None:
    for stream, methods in curves.items():
        if not methods or set(methods) - set(METHODS):
            raise InputError(
                f"curves of {stream} must be named as in {METHODS}, got {sorted(methods)}"
            )


def _check_finite(where: str, value: object) -> None:
    for place, number in _floats(where, value):
        if not math.isfinite(number):
            raise InputError(f"{place} is {number}; write None where it is undefined")


def _floats(where: str, value: object) -> Iterator[tuple[str, float]]:
    """Every float in nested data, with its dotted place."""
    if isinstance(value, float):
        yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _floats(f"{where}.{key}", inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _floats(f"{where}[{index}]", inner)
