"""A small report with plausible numbers; each test changes what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatekeeper.evaluation import (
    Grid,
    Requirements,
    RunFacts,
    Settings,
    Subject,
    evaluate,
    images_to_judge,
    judge_requirements,
    record,
)
from gatekeeper.metrics import RiskCoverageCurve, reliability_bins
from gatekeeper.report import (
    CurvePoints,
    EvaluationContent,
    GalleryItem,
    ReportContent,
    gallery_of,
)
from tests import small_gate

CLASSES = ("Trouser", "Sneaker")


def make_block(**changed: Any) -> dict[str, Any]:
    block = {
        "n": 10_000,
        "accuracy_no_gate": 0.7413,
        "n_accepted": 7_120,
        "n_wrong_accepted": 301,
        "coverage": 0.712,
        "selective_risk": 301 / 7_120,
        "coverage_at_risk": {"msp": 0.341, "raw": 0.604, "policy": 0.731},
        "ideal_coverage": 0.861,
        "restored_share": 0.244,
        "help": 1_523,
        "harm": 41,
        "failure_auroc": {"msp": 0.8062, "gatekeeper": 0.9437},
        "aurc": {"msp": 0.0812, "gatekeeper": 0.0341},
        "ece": {"msp": 0.1204, "reliability": 0.0113},
    }
    return block | changed


def make_curve(seed: int, strength: float, n: int) -> CurvePoints:
    generator = np.random.default_rng(seed)
    correct = generator.random(n) < 0.75
    scores = generator.normal(size=n) + strength * correct
    curve = RiskCoverageCurve.from_scores(scores, correct)
    return CurvePoints(coverage=curve.coverage, selective_risk=curve.selective_risk)


def make_item(**changed: Any) -> GalleryItem:
    generator = np.random.default_rng(3)
    fields: dict[str, Any] = {
        "corruption": "gaussian",
        "severity": 4,
        "truth": "Sneaker",
        "original": generator.integers(0, 256, (28, 28, 3), dtype=np.uint8),
        "restored": np.full((28, 28, 3), 128, dtype=np.uint8),
        "decision": {
            "action": "accept",
            "reason": "GK110",
            "reason_text": "The answer on the restored image is reliable enough.",
            "class_name": "Sneaker",
            "reliability": 0.968,
            "attempts": [
                {"restorer": None, "class_name": "Trouser", "reliability": 0.31},
                {"restorer": "autoencoder", "class_name": "Sneaker", "reliability": 0.971},
            ],
        },
        "verdict": "Restoration turned a wrong answer into a right one.",
    }
    return GalleryItem(**(fields | changed))


def make_content(*, n: int = 400, **changed: Any) -> ReportContent:
    generator = np.random.default_rng(5)
    stated = generator.beta(4, 1.2, n)
    bins = reliability_bins(stated, generator.random(n) < stated, n_bins=10)
    fields: dict[str, Any] = {
        "summary": {
            "certified": True,
            "target_risk": 0.05,
            "confidence_level": 0.95,
            "clean_harm_rate": 2 / 8_900,
            "dataset": "fashion-mnist",
            "seeds": [0],
            "peak_memory_gb": 2.7,
            "versions": {"torch": "2.9.1"},
            "clean": make_block(accuracy_no_gate=0.89, harm=2, selective_risk=0.012),
            "declared": make_block(),
            "open": make_block(selective_risk=0.0731, n_wrong_accepted=520),
            "seen_families": make_block(),
            "held_out_families": make_block(),
            "families": {"gaussian": make_block(), "circular_shift": make_block(coverage=0.333)},
            "flags": {"open": {"flagged": True, "reason": "signals left their declared range"}},
        },
        "certificate": {
            "certified": True,
            "reason": None,
            "target_risk": 0.05,
            "confidence_level": 0.95,
            "thresholds": {"accept_raw_at": 0.83, "accept_restored_at": 0.87},
            "n_certify": 10_000,
            "n_accepted": 7_043,
            "n_wrong": 314,
            "upper_bound": 0.0489,
            "certified_coverage": 0.7043,
            "conditions": ["half of the images are clean", "severities 1 to 5, evenly"],
        },
        "curves": {
            stream: {
                method: make_curve(seed, strength, n)
                for seed, (method, strength) in enumerate(
                    {"msp": 1.2, "raw": 2.2, "policy": 2.6}.items()
                )
            }
            for stream in ("declared", "open")
        },
        "diagrams": {"declared": bins},
        "gallery": [make_item()],
        "lineage": {"bundle": "sha256:0123abcd", "command": "gatekeeper demo --seed 0"},
        "held_out": ["circular_shift"],
    }
    return ReportContent(**(fields | changed))


@pytest.fixture(name="make_block")
def _make_block() -> Callable[..., dict[str, Any]]:
    return make_block


@pytest.fixture(name="make_item")
def _make_item() -> Callable[..., GalleryItem]:
    return make_item


@pytest.fixture(name="make_content")
def _make_content() -> Callable[..., ReportContent]:
    return make_content


@pytest.fixture(scope="session")
def evaluation_content() -> EvaluationContent:
    """The page of a small gate beside its classifier, with requirements, one of which it misses."""
    data, fitted = small_gate.digits(), small_gate.small().result.fitted
    gate = Subject(
        name="gate", classifier=fitted.classifier, source="a/bundle", fitted=fitted, identity="12ab"
    )
    plain = Subject(name="plain", classifier=small_gate.classifier(), source="plain.toml")
    judged = images_to_judge(data, [(fitted.seed, fitted.certificate)], limit=120)
    grid = Grid(("impulse", "dark", "gaussian", "contrast"))
    settings = Settings(n_draws=20, reference="plain")
    evaluation = evaluate([gate, plain], data, judged, grid, settings=settings)
    required = Requirements(
        min_accuracy=0.99, clean={"max_clean_harm": 0.5}, held_out={"max_risk": 0.9}
    )
    judgements = judge_requirements(evaluation, required)
    facts = RunFacts(
        command="gatekeeper evaluate a/bundle <plain>", date="2026-11-25", seconds=1.5, versions={}
    )
    return EvaluationContent(
        evaluation=evaluation,
        record=record(evaluation, judgements, facts),
        gallery=gallery_of(evaluation, per_kind=2),
    )
