"""What of the traffic is kept for people, and that nothing is unless it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from gatekeeper.decision import Action, Reason
from gatekeeper.review import Candidate, ReviewQueue
from gatekeeper.service.capture import make_capture, offer, review_folder
from gatekeeper.settings import Settings

PNG = {"Content-Type": "image/png"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path))
    return tmp_path


def body(**changes: Any) -> Any:
    given = {
        "action": Action.ABSTAIN,
        "label": None,
        "attempts": [SimpleNamespace(label=4), SimpleNamespace(label=7)],
        "decision_id": "d1",
        "reliability": 0.4,
        "reason": Reason.STILL_UNRELIABLE,
        "versions": SimpleNamespace(bundle="b"),
        "sample": None,
    }
    return SimpleNamespace(**{**given, **changes})


def offered(given: Any) -> list[Candidate]:
    found: list[Candidate] = []
    offer(SimpleNamespace(offer=found.append), given, torch.zeros(3, 2, 2))
    return found


def test_an_abstention_is_offered_with_the_answer_that_was_kept_back() -> None:
    [candidate] = offered(body())
    assert (candidate.decision_id, candidate.kind, candidate.probability) == ("d1", "abstained", 1)
    assert (candidate.answer, candidate.reliability, candidate.reason) == (7, 0.4, "GK220")
    [candidate] = offered(body(attempts=[]))  # a part of the gate failed
    assert candidate.answer is None


def test_of_accepted_answers_only_those_that_the_ledger_drew() -> None:
    accepted = {"action": Action.ACCEPT, "label": 3, "reason": Reason.ACCEPTED_RAW}
    drawn = SimpleNamespace(drawn=True, probability=0.01)
    [candidate] = offered(body(**accepted, sample=drawn))
    assert (candidate.kind, candidate.probability, candidate.answer) == ("accepted", 0.01, 3)
    assert offered(body(**accepted)) == []
    assert offered(body(**accepted, sample=SimpleNamespace(drawn=False, probability=0.01))) == []


def test_nothing_is_kept_unless_a_number_is_set(home: Path) -> None:
    assert make_capture(Settings(), pytest.fail) is None
    assert not review_folder().exists()


def test_traffic_fills_the_queue_and_the_console_does_not(
    start: Callable[..., TestClient],
    fake: Any,
    home: Path,
    image_file: Callable[..., bytes],
    eventually: Callable[..., None],
) -> None:
    client = start(lambda: fake, review_images=5)
    eventually(lambda: client.get("/readyz").status_code == 200)
    answer = client.post("/v1/decide", content=image_file(grey=10), headers=PNG).json()
    client.post("/v1/decide", content=image_file(grey=250), headers=PNG)  # accepted, not drawn
    state = "/console/api/review"
    eventually(lambda: client.get(state).json()["abstained"] == 1)
    [item] = client.get(state).json()["next"]
    assert item["decision_id"] == answer["decision_id"]
    label = {"decision_id": item["decision_id"], "label": 0}
    told = client.post(f"{state}/label", json=label).json()
    assert (told["answered_class"], told["right"]) == ("bag", False)
    # Pixels of the size that was decided, and of nobody else's file.
    queue = ReviewQueue(review_folder(), max_images=5)
    assert queue.item(item["decision_id"]).reliability == answer["reliability"]
    queue.close()
    assert client.get("/console/api/setup").json()["reviews"] is True
