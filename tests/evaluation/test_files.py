"""What lies on disk after an evaluation, read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from gatekeeper.evaluation import (
    Evaluation,
    Requirements,
    RunFacts,
    certificate_check,
    images_digest,
    judge_requirements,
    record,
    write_results,
)
from gatekeeper.metrics import exact_proportion_interval

FACTS = RunFacts(command="gatekeeper evaluate", date="2026-11-25", seconds=1.0, versions={})


def test_files_hold_all_figures_and_all_answers(evaluation: Evaluation, tmp_path: Path) -> None:
    judgements = judge_requirements(evaluation, Requirements(min_accuracy=0.1))
    content = record(evaluation, judgements, FACTS)
    paths = write_results(tmp_path / "out", evaluation, content)
    assert [path.name for path in paths] == [
        "evaluation.json", "figures.parquet", "answers.parquet",
    ]  # fmt: skip
    read = json.loads(paths[0].read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(content))
    assert (read["verdict"], read["candidate"]) == ("PASS", "gate")
    assert read["data"]["digest"] == images_digest(evaluation.digests)
    assert all(row["scope"] != "condition" for row in read["figures"])
    figures = pd.read_parquet(paths[1])
    assert len(figures) == len(evaluation.figures)
    risk = figures.query(
        "model == 'gate' and method == 'policy' and scope == 'all' and metric == 'risk'"
    )
    assert risk["value"].item() == evaluation.figure("gate", "policy", "all", "risk").value
    answers = pd.read_parquet(paths[2])
    assert len(answers) == 2 * 200 * 21
    gate = answers[answers["model"] == "gate"]
    dark = gate[(gate["corruption"] == "dark") & (gate["severity"] == 4)]
    condition = evaluation.grid.conditions.index(("dark", 4))
    given = evaluation.answers["gate"].gate
    assert dark["accepted"].tolist() == given.accepted[condition].tolist()
    assert dark["final_label"].tolist() == given.final_labels[condition].tolist()
    assert dark["image"].tolist() == evaluation.digests.tolist()
    assert answers[answers["model"] == "plain"]["accepted"].isna().all()


def test_raw_errors_in_the_record_follow_the_conditions(evaluation: Evaluation) -> None:
    content = record(evaluation, [], FACTS)
    model = content["models"][1]
    assert (model["name"], model["kind"], model["certificate"]) == ("plain", "classifier", None)
    expected = 1 - evaluation.answers["plain"].raw_correct.mean(axis=1)
    assert model["raw_errors"] == pytest.approx(expected.tolist())
    assert len(content["conditions"]) == 21


def with_certificate(evaluation: Evaluation, **changes):
    subject = evaluation.subjects[0]
    certificate = MappingProxyType({**subject.fitted.certificate, **changes})
    return replace(subject, fitted=replace(subject.fitted, certificate=certificate))


def test_a_certificate_is_held_against_its_declared_stream(evaluation: Evaluation) -> None:
    gate, images = evaluation.answers["gate"].gate, np.arange(200)
    accepted = gate.accepted[evaluation.stream, images]
    right = evaluation.answers["gate"].final_correct[evaluation.stream, images]
    n_accepted, n_wrong = int(accepted.sum()), int((accepted & ~right).sum())
    found = certificate_check(evaluation, evaluation.subjects[0])
    assert (found["n_accepted"], found["n_wrong"]) == (n_accepted, n_wrong)
    assert (found["low"], found["high"]) == exact_proportion_interval(n_wrong, n_accepted)
    assert n_wrong > 0
    outcomes = {
        0.5: "kept",
        found["risk"]: "not contradicted",
        found["low"] / 2: "exceeded",
    }
    for target, outcome in outcomes.items():
        subject = with_certificate(evaluation, target_risk=target)
        assert certificate_check(evaluation, subject)["outcome"] == outcome


def test_a_certificate_may_not_be_there_or_not_be_tested(evaluation: Evaluation) -> None:
    refused = with_certificate(evaluation, certified=False)
    assert certificate_check(evaluation, refused)["outcome"] == "not certified"
    elsewhere = replace(evaluation, stream=None, _index={})
    assert certificate_check(elsewhere, evaluation.subjects[0])["outcome"] == "not tested"
    assert certificate_check(evaluation, evaluation.subjects[1]) is None
    given = evaluation.answers["gate"]
    shut = replace(given, gate=replace(given.gate, accepted=np.zeros_like(given.gate.accepted)))
    nothing = replace(evaluation, answers={**evaluation.answers, "gate": shut}, _index={})
    found = certificate_check(nothing, evaluation.subjects[0])
    assert found["outcome"] == "nothing accepted"
    assert "risk" not in found
