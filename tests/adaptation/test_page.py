"""The page: numbers as they were measured, text escaped, tags closed."""

from __future__ import annotations

import copy
from html.parser import HTMLParser

import pytest

from gatekeeper.adaptation.page import render_adaptation

SIDE = {
    "accuracy_raw": 0.7, "accuracy": 0.75, "failure_auroc": 0.81234, "coverage": 0.5,
    "accepted_risk": 0.03, "accepted_risk_interval": [0.01, 0.06], "help": 30, "harm": 3,
    "restored_share": 0.4, "certified_coverage": 0.55,
}  # fmt: skip
RECORD = {
    "rule_met": True,
    "conditions": [{"name": "enough images judge", "value": 500.0, "limit": 200.0, "passed": True}],
    "contest": {
        "images": "traffic",
        "champion": SIDE,
        "challenger": {**SIDE, "accuracy": 0.82, "failure_auroc": None, "accepted_risk": None},
        "paired": {
            "n": 1500, "better": 40, "worse": 4, "difference": 0.072, "low": -0.05,
            "harm_bound": 0.018, "p_value": 0.00012, "confidence_level": 0.95,
        },
    },
    "certificate": {
        "certified": True, "reason": None, "target_risk": 0.05, "confidence_level": 0.95,
        "conditions": ["half of them clean"], "captured": None,
    },
    "recheck": {"champion": None, "challenger": {"n": 61, "stated": 0.97, "right": 0.95}},
    "lineage": {"champion": "<b>models:/x@champion</b>", "torch": "2"},
}  # fmt: skip


class Structure(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data.replace("\u00a0", " ")


def read(record) -> str:
    structure = Structure()
    structure.feed(render_adaptation(record))
    assert structure.open == []
    return structure.text


def test_what_was_measured_is_on_the_page() -> None:
    text = read(RECORD)
    for words in (
        "The challenger meets the rule",
        "On 1,500 images (traffic) the challenger alone is right on 40, the champion alone on 4.",
        "75.0 %", "82.0 %", "0.812", "+7.20 points", "-5.00 points", "0.0001", "30 : 3",
        "wrong at most 5.0 % of the time", "half of them clean", "97.0 %",
    ):  # fmt: skip
        assert words in text, words
    assert "<b>" not in render_adaptation(RECORD)
    assert text.count("Random draws") == 1


@pytest.mark.parametrize("reason", [None, "cannot certify: nobody labelled anything"])
def test_what_is_certified_about_the_traffic(reason: str | None) -> None:
    record = copy.deepcopy(RECORD)
    record["rule_met"] = False
    record["recheck"] = {"champion": None, "challenger": None}
    record["certificate"] |= {
        "certified": False,
        "reason": "Cannot certify: too few.",
        "captured": {
            "reason": reason, "n_wrong": 1, "n_accepted": 99, "upper_bound": 0.047,
            "population": "answers",
        },
    }  # fmt: skip
    text = read(record)
    assert "does not meet the rule" in text
    assert "holds no certificate. Cannot certify: too few." in text
    assert (reason or "1 wrong of 99 answers, at most 4.7 %") in text
    assert "Random draws" not in text
