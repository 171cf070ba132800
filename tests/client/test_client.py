from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatekeeper.client import Answer, Client, ServiceError, UnreachableError
from gatekeeper.decision import Action
from gatekeeper.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def test_an_accepted_answer_of_the_real_service(service, photo):
    with Client(service) as client:
        answer = client.decide(photo(200))
    assert answer.accepted
    assert (answer.action, answer.label, answer.class_name) == (Action.ACCEPT, 1, "bright")
    assert (answer.reliability, answer.reason, answer.certified) == (0.96, "GK100", True)
    assert answer.reason_text == "The answer on the image as received is reliable enough."
    assert (answer.symptoms, answer.degraded, answer.bundle) == ((), (), "b" * 64)
    assert [(each.restorer, each.label, each.reliability) for each in answer.attempts] == [
        (None, 1, 0.97)
    ]
    assert answer.body["image"]["width"] == 6
    assert re.fullmatch(r"[0-9a-f]{32}", answer.request_id)


def test_an_abstention_from_a_file(service, photo, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(photo(20))
    with Client(service) as client:
        answer = client.decide(path)
    assert not answer.accepted
    assert (answer.label, answer.class_name, answer.reason) == (None, None, "GK220")
    assert [each.restorer for each in answer.attempts] == [None, "median"]
    assert answer.symptoms == ("under-exposed",)


def test_what_is_wrong_with_an_image(service):
    with Client(service) as client, pytest.raises(ServiceError) as caught:
        client.decide(b"no image")
    assert (caught.value.status, caught.value.code) == (422, "undecodable_image")
    assert caught.value.reason == "unsupported_format"
    assert str(caught.value).startswith("expected one of JPEG, PNG, WEBP")
    assert caught.value.request_id


def test_a_batch_is_sent_in_parts_and_one_bad_image_fails_alone(service, photo):
    images = [photo(200), b"no image", photo(20), photo(220), photo(210), b""]
    with Client(service, images_per_request=4) as client:
        results = client.decide_batch(images)
        assert client.decide_batch([]) == []
    with (
        Client(service, images_per_request=5) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.decide_batch(images)
    kinds = [each.action if isinstance(each, Answer) else each.reason for each in results]
    accept, abstain = Action.ACCEPT, Action.ABSTAIN
    assert kinds == [accept, "unsupported_format", abstain, accept, accept, "empty"]
    assert caught.value.status == 400


def test_one_client_serves_many_threads(service, photo):
    with Client(service) as client, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(client.decide, [photo(grey) for grey in [200, 20] * 16]))
    assert [answer.accepted for answer in answers] == [True, False] * 16


def test_ready(service, script, connect):
    with Client(service) as client:
        assert client.ready()
    script.say(503, {"error": {"code": "not_ready", "message": "loading"}})
    assert not connect().ready()
    assert not Client("http://127.0.0.1:9").ready()  # nobody listens there


def test_feedback_about_decisions_of_the_real_service(service, photo):
    with Client(service) as client:
        accepted, abstained = client.decide(photo(200)), client.decide(photo(20))
        told = client.feedback(0, decision_id=accepted.decision_id, reviewer="ann")
        assert (told["action"], told["label"], told["right"]) == ("accept", 0, False)
        again = client.feedback(0, request_id=accepted.request_id)
        assert (again["decision_id"], again["repeated"]) == (accepted.decision_id, True)
        assert client.feedback(1, decision_id=abstained.decision_id)["action"] == "abstain"
        for label, decision_id, code in (
            (1, accepted.decision_id, "label_conflict"),
            (7, abstained.decision_id, "label_out_of_range"),
            (0, "unheard of", "unknown_decision"),
        ):
            with pytest.raises(ServiceError) as caught:
                client.feedback(label, decision_id=decision_id)
            assert caught.value.code == code


def test_feedback_names_one_decision(script, connect):
    script.say(200, {"right": True, "counted": False})
    told = connect(key="secret").feedback(3, decision_id="d1", reviewer="ann")
    assert told == {"right": True, "counted": False}
    method, path, headers, data = script.asked[0]
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/feedback", "Bearer secret")
    assert json.loads(data) == {"decision_id": "d1", "label": 3, "reviewer": "ann"}
    connect().feedback(0, request_id="r1")
    assert json.loads(script.asked[1][3]) == {"request_id": "r1", "label": 0, "reviewer": ""}
    for wrong in ({}, {"decision_id": "d", "request_id": "r"}):
        with pytest.raises(InputError, match="exactly one"):
            connect().feedback(0, **wrong)
    assert len(script.asked) == 2


@pytest.mark.parametrize("body", [{"results": []}, {"results": [{}]}, {"results": [3]}, {}])
def test_a_batch_of_something_else(script, connect, body):
    script.say(200, body)
    with pytest.raises(UnreachableError, match="got something else"):
        connect().decide_batch([b"x"])


def test_a_decision_of_something_else(script, connect):
    script.say(200, {"action": "jump"})
    with pytest.raises(UnreachableError, match="expected a decision of a gatekeeper"):
        connect().decide(b"x")


def test_numbers_that_cannot_be_meant():
    with pytest.raises(InputError, match="images_per_request"):
        Client("http://h", images_per_request=0)


def test_the_example_of_the_documents_runs(service, photo):
    """Abstain → human: what the page shows is what the service does."""
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    for_people = []
    names = {"for_people": for_people}
    source = "\n".join(blocks).replace("http://127.0.0.1:8080", service)
    exec(compile(source, "docs/client.md", "exec"), names)  # noqa: S102
    assert names["classify"](photo(200)) == {"class": "bright", "by": "classifier"}
    assert names["classify"](photo(20)) == {"class": None, "by": "a person, later"}
    assert names["classify"](b"no image") == {"class": None, "by": "a person, later"}
    assert [each[1] for each in for_people] == [
        "The answer is still doubtful after restoration.",
        "unsupported_format",
    ]
    names["client"].close()


def test_threads_of_the_tests_end(service):
    assert not [each for each in threading.enumerate() if each.name.startswith("gatekeeper-client")]
