from __future__ import annotations

from gatekeeper.cli.evaluation_table import evaluation_lines, print_evaluation


def figure(scope, metric, value, **changes):
    return {"model": "gate", "method": "policy", "scope": scope, "metric": metric,
            "corruption": "", "value": value, **changes}  # fmt: skip


def a_record(**changes):
    check = {"outcome": "exceeded", "n_wrong": 20, "n_accepted": 1_200, "risk": 20 / 1200,
             "low": 0.01, "high": 0.025, "target_risk": 0.005}  # fmt: skip
    required = {"requirement": "max_risk", "scope": "held_out", "limit": 0.005, "judged": 0.0251,
                "met": False, "reason": ""}  # fmt: skip
    return {
        "verdict": "FAIL",
        "candidate": "gate",
        "data": {"name": "digits", "n_images": 1_234},
        "models": [{"name": "gate", "kind": "gate", "certificate": check}],
        "requirements": [required],
        "figures": [
            figure("clean", "accuracy", 0.9),
            figure("clean", "risk", None),
            figure("held_out", "accuracy", 0.5),
            figure("held_out", "ece", 0.0612),
            figure("held_out", "accuracy", 0.1, method="msp"),
            figure("corruption", "accuracy", 0.2, corruption="fog"),
        ],
        **changes,
    }


def test_the_table_has_one_row_per_model_and_scope(capsys):
    print_evaluation(a_record())
    printed = capsys.readouterr().out
    assert "digits: 1,234 images" in printed
    rows = [[c.strip() for c in line.strip("│ ").split("│")]
            for line in printed.splitlines() if line.startswith("│")]  # fmt: skip
    assert rows == [
        ["gate", "clean", "90.0 %", "–", "–", "–", "–", "–"],
        ["gate", "held out", "50.0 %", "–", "–", "–", "0.061", "–"],
    ]


def test_the_lines_say_what_was_promised_required_and_found():
    lines = evaluation_lines(a_record())
    assert lines[0].startswith("gate: certificate exceeded: 20 of 1,200 accepted answers")
    assert "(1.7 %, 95 % interval 1.0 % to 2.5 %; at most 0.5 % was promised)" in lines[0]
    assert lines[1:] == ["max_risk = 0.005 on held out: 0.0251: NOT MET", "FAIL (gate)"]


def test_what_could_not_be_judged_says_why():
    untested = [{"name": "gate", "kind": "gate", "certificate": {"outcome": "not tested"}}]
    plain = {"name": "plain", "kind": "classifier", "certificate": None}
    required = [{"requirement": "max_risk", "scope": "seen", "limit": 0.1, "judged": None,
                 "met": False, "reason": "this scope was not evaluated"}]  # fmt: skip
    lines = evaluation_lines(a_record(models=[*untested, plain], requirements=required))
    assert lines == [
        "gate: certificate not tested",
        "max_risk = 0.1 on seen: this scope was not evaluated: NOT MET",
        "FAIL (gate)",
    ]
    nothing = a_record(models=[plain], requirements=[], verdict="NOT JUDGED")
    assert evaluation_lines(nothing) == ["NOT JUDGED: nothing was required"]
