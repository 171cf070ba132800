"""The gate in front of a real classifier on the loopback, in order and out of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from gatekeeper.bundle import ClassifierSpec, load_bundle, save_bundle
from gatekeeper.classifiers import RemoteClassifier
from gatekeeper.decision import Action, Decision
from gatekeeper.engine import Judged
from gatekeeper.engine import stages as engine_stages
from gatekeeper.errors import BundleError, InputError
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.proxy import ProxyOptions, read_proxy
from tests.service.conftest import encoded as image_of
from tests.small_gate import small, stream_images
from tests.upstream import LocalUpstream, brightness, decoded, serving

PNG = {"Content-Type": "image/png"}
OPTIONS = {"breaker_failures": 2, "breaker_reset_s": 60.0, "retries": 0, "timeout_s": 5.0}


@pytest.fixture
def local() -> Iterator[LocalUpstream]:
    with serving(LocalUpstream(datatype="BYTES")) as local:
        yield local


def toml(**options: Any) -> str:
    return "[upstream]\n" + "".join(f"{key} = {json.dumps(v)}\n" for key, v in options.items())


@pytest.fixture
def proxy(
    start: Callable[..., TestClient], fake: Any, eventually: Callable[..., None], tmp_path: Path
) -> Callable[..., TestClient]:
    """``proxy(load=…, **options)``: a client of a ready service in front of ``url``."""

    def start_proxy(load: Callable[[], Any] = lambda: fake, **options: Any) -> TestClient:
        path = tmp_path / "upstream.toml"
        path.write_text(toml(**{**OPTIONS, **options}), encoding="utf-8")
        client = start(load, upstream_file=str(path))
        eventually(lambda: client.get("/readyz").status_code == 200)
        return client

    return start_proxy


def ask(client: TestClient, grey: int) -> Any:
    return client.post("/v1/decide", content=image_of(grey=grey), headers=PNG)


def test_accepted_images_are_forwarded_and_answers_merged(
    proxy: Callable[..., TestClient], local: LocalUpstream
) -> None:
    client = proxy(url=local.v2, input_name="x")
    body = ask(client, 255).json()
    assert (body["action"], body["class_name"], body["degraded"]) == ("accept", "bag", [])
    upstream = body["upstream"]
    assert (upstream["outcome"], upstream["sent"], upstream["status"]) == (
        "answered", "received", 200,
    )  # fmt: skip
    assert upstream["body"]["model_name"] == "net"
    assert upstream["body"]["outputs"][0]["data"] == [-1.0, 1.0]
    assert image_of(grey=255) in local.seen[-1][3]  # the file itself, not a copy
    before = len(local.seen)
    body = ask(client, 0).json()
    assert body["action"] == "abstain"
    assert body["upstream"] == {
        "outcome": "abstained", "sent": None, "status": None, "body": None,
    }  # fmt: skip
    assert len(local.seen) == before
    text = client.get("/metrics").text
    assert 'gatekeeper_upstream_requests_total{outcome="answered"} 1.0' in text
    assert 'gatekeeper_upstream_requests_total{outcome="abstained"} 1.0' in text
    assert 'gatekeeper_breaker_state{dependency="upstream"} 0.0' in text


def test_abstained_images_are_forwarded_where_that_is_wanted(
    proxy: Callable[..., TestClient], local: LocalUpstream
) -> None:
    client = proxy(url=local.v2, input_name="x", forward_abstained=True)
    body = ask(client, 0).json()
    assert (body["action"], body["label"]) == ("abstain", None)
    assert (body["upstream"]["outcome"], body["upstream"]["sent"]) == ("answered", "received")
    local.fault = "500"
    answer = ask(client, 0)  # nothing was accepted, so that nothing is refused
    assert (answer.status_code, answer.json()["upstream"]["outcome"]) == (200, "failed")
    assert answer.headers["X-Gatekeeper-Upstream"] == "failed"


@pytest.mark.parametrize(("send", "answer"), [("png", "result"), ("json", "predictions")])
def test_plain_http(
    proxy: Callable[..., TestClient], local: LocalUpstream, send: str, answer: str
) -> None:
    client = proxy(
        url=f"{local.url}/classify", protocol="http", send=send, request_field="instances"
    )
    body = ask(client, 255).json()["upstream"]
    assert set(body["body"]) == {answer}
    _, _, headers, sent = local.seen[-1]
    if send == "png":
        assert (headers["content-type"], sent) == ("image/png", image_of(grey=255))
    else:
        assert base64.b64decode(json.loads(sent)["instances"][0]) == image_of(grey=255)


@pytest.mark.parametrize(
    ("send", "datatype", "more"),
    [
        ("pixels", "UINT8", {}),
        ("png", "BYTES", {"binary": False}),
        ("tensor", "FP32", {"size": 8, "mean": [0.0] * 3, "std": [1.0] * 3}),
    ],
)
def test_tensors(
    proxy: Callable[..., TestClient],
    local: LocalUpstream,
    send: str,
    datatype: str,
    more: dict[str, Any],
) -> None:
    local.datatype = datatype
    body = ask(proxy(url=local.v2, send=send, **more), 255).json()["upstream"]
    assert body["body"]["outputs"][0]["data"] == [-1.0, 1.0]


@pytest.mark.parametrize("policy", ["reject", "pass_flagged", "abstain"])
@pytest.mark.parametrize("fault", ["500", "drop", "garbage", "404"])
def test_the_declared_policy_holds_where_the_upstream_fails(
    proxy: Callable[..., TestClient], local: LocalUpstream, policy: str, fault: str
) -> None:
    client = proxy(url=local.v2, input_name="x", on_failure=policy)
    local.fault = fault
    answer = ask(client, 255)
    body = answer.json()
    if policy == "reject":
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert body["error"]["code"] == "upstream_failed"
        assert "action" not in body
    elif policy == "pass_flagged":
        assert (body["action"], body["class_name"], body["certified"]) == ("accept", "bag", True)
    else:
        assert (body["action"], body["label"], body["certified"]) == ("abstain", None, False)
        assert (body["reason"], body["policy"]) == ("GK320", "full@upstream_failed")
    if policy != "reject":
        assert answer.headers["X-Gatekeeper-Degraded"] == "upstream_failed"
        assert answer.headers["X-Gatekeeper-Upstream"] == "failed"
        assert body["upstream"]["outcome"] == "failed"
        assert 'degraded_total{what="upstream_failed"} 1.0' in client.get("/metrics").text
    assert 'upstream_requests_total{outcome="failed"} 1.0' in client.get("/metrics").text
    local.fault = ""
    assert ask(client, 255).json()["upstream"]["outcome"] == "answered"


def test_the_breaker_opens_and_closes(
    proxy: Callable[..., TestClient], local: LocalUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = proxy(url=local.v2, input_name="x")
    local.fault = "500"
    for _ in range(2):
        assert ask(client, 255).status_code == 503
    asked = len(local.seen)
    local.fault = ""
    answer = ask(client, 255)  # it works again, but nobody asks
    assert answer.status_code == 503
    assert 50 < int(answer.headers["Retry-After"]) <= 60
    assert len(local.seen) == asked
    assert 'breaker_state{dependency="upstream"} 2.0' in client.get("/metrics").text
    breaker = client.app.state.host._delivery._proxy._upstream.breaker
    now = breaker._clock()
    monkeypatch.setattr(breaker, "_clock", lambda: now + 61)
    assert 'breaker_state{dependency="upstream"} 1.0' in client.get("/metrics").text
    assert ask(client, 255).json()["upstream"]["outcome"] == "answered"
    assert 'breaker_state{dependency="upstream"} 0.0' in client.get("/metrics").text


def test_in_a_batch_each_image_has_its_own_answer(
    proxy: Callable[..., TestClient], local: LocalUpstream
) -> None:
    client = proxy(url=f"{local.url}/classify", protocol="http")
    local.model = lambda inputs: brightness(inputs) if inputs.mean() > 0.9 else 1 / 0
    greys = [image_of(grey=grey) for grey in (255, 200, 0)]
    texts = [base64.b64encode(each).decode() for each in greys]
    results = client.post("/v1/decide/batch", json={"images": texts}).json()["results"]
    assert results[0]["decision"]["upstream"]["outcome"] == "answered"
    assert results[1]["error"]["code"] == "upstream_failed"
    assert results[2]["decision"]["upstream"]["outcome"] == "abstained"


def test_a_restored_image_is_what_is_forwarded(
    proxy: Callable[..., TestClient], local: LocalUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    gatekeeper = Gatekeeper(small().result.fitted, "c" * 64)
    images = stream_images(120)
    accepted = [
        (image, decision)
        for image, decision in zip(images, gatekeeper.decide(images), strict=True)
        if decision.action is Action.ACCEPT and len(decision.attempts) > 1
    ]
    assert accepted, "no image of the stream is accepted after restoration"
    image, decision = accepted[0]
    client = proxy(lambda: gatekeeper, url=local.v2, input_name="x")
    levels = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    texts = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 3],
                         "data": levels.reshape(-1).tolist()}]}  # fmt: skip
    answer = client.post("/v2/models/gatekeeper/infer", json=texts)
    found = {each["name"]: each["data"] for each in answer.json()["outputs"]}
    assert found["action"] == ["accept"]
    assert json.loads(found["upstream"][0])["sent"] == "restored"
    _, _, _, sent = local.seen[-1]
    forwarded = decoded(sent[sent.index(b"\x89PNG") :])
    [name] = {attempt.restorer for attempt in decision.attempts if attempt.restorer}
    expected = (
        small()
        .result.fitted.restorers[name]
        .restore(
            torch.from_numpy(levels).permute(2, 0, 1)[None] / 255, seeds=np.zeros(1, dtype=np.int64)
        )
    )
    np.testing.assert_allclose(forwarded, expected[0].numpy(), atol=0.5 / 255 + 1e-6)


def test_without_the_restored_image_nothing_else_is_forwarded(
    proxy: Callable[..., TestClient], local: LocalUpstream, fake: Any
) -> None:
    judge = fake.judge
    restored = {"action": Action.ACCEPT, "label": 1}

    def accept(mean: float) -> Any:
        decision = judge(mean)
        if len(decision.attempts) < 2:
            return decision
        return Decision(**{f.name: getattr(decision, f.name) for f in fields(decision)} | restored)

    client = proxy(url=local.v2, input_name="x")
    fake.judge = accept
    answer = ask(client, 0)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "stage_failed")
    assert local.seen == []


def test_an_upstream_that_is_the_judged_classifier_is_not_asked_twice(
    proxy: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = small().result.fitted
    with torch.inference_mode(), serving(LocalUpstream()) as local:
        local.model = lambda inputs: (
            own.classifier.look(torch.from_numpy(inputs.copy())).logits
        )  # the tiny network, elsewhere, without features
        remote = RemoteClassifier(
            local.v2, class_names=own.classifier.class_names, mean=[0.0] * 3, std=[1.0] * 3, size=28
        )
        remote_look = remote.look

        def look(images: torch.Tensor) -> Any:
            features = own.classifier.look(images).features
            return replace(remote_look(images), features=features)

        monkeypatch.setattr(remote, "look", look)
        gatekeeper = Gatekeeper(replace(own, classifier=remote), "c" * 64)
        client = proxy(lambda: gatekeeper, url=local.v2 + "/")
        images = stream_images(8)
        decision = gatekeeper.decide(images)[0]
        levels = (images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        file = _png(levels)
        before = local.count("/infer")
        body = client.post("/v1/decide", content=file, headers=PNG).json()
        assert local.count("/infer") - before == len(body["attempts"]) * (1 + len(own.views))
        assert body["upstream"]["outcome"] == "looked"
        assert body["upstream"]["sent"] is None
        told = body["upstream"]["body"]
        assert told["label"] == body["label"] == decision.label
        assert sum(told["probabilities"]) == pytest.approx(1)
        assert 'breaker_state{dependency="classifier"} 0.0' in client.get("/metrics").text
        # Where it is down, the failure policy of the first stage holds, and nothing hangs.
        local.fault = "500"
        body = client.post("/v1/decide", content=file, headers=PNG).json()
        assert (body["reason"], body["degraded"]) == ("GK300", ["decide_failed"])


def test_a_bundle_finds_its_classifier_elsewhere_or_says_so(tmp_path: Path) -> None:
    own = small().result.fitted
    with serving(LocalUpstream()) as local:
        local.model = lambda inputs: np.zeros((len(inputs), 10))
        options = {
            "url": local.v2, "class_names": list(own.classifier.class_names), "revision": "7",
            "mean": [0.0] * 3, "std": [1.0] * 3, "size": 28, "retries": 0,
        }  # fmt: skip
        spec = ClassifierSpec(kind="remote", options=options)
        fitted = replace(own, classifier=spec.build(), classifier_spec=spec)
        save_bundle(fitted, tmp_path / "bundle")
        loaded, _ = load_bundle(tmp_path / "bundle", device="cpu")
        assert loaded.classifier.digest == fitted.classifier.digest
        assert loaded.classifier_spec == spec
    with pytest.raises(BundleError, match=r"UpstreamDownError: expected an upstream at .*, got"):
        load_bundle(tmp_path / "bundle")


def _png(levels: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(levels).save(out, "PNG")
    return out.getvalue()


def test_only_the_second_attempts_answer_carries_its_image() -> None:
    gatekeeper = Gatekeeper(small().result.fitted, "c" * 64)
    stages = engine_stages.GatekeeperStages(gatekeeper)
    first = stages.first(stream_images(80))
    assert all(each.image is None for each in first if isinstance(each, Judged))
    doubted = [each for each in first if isinstance(each, engine_stages.Doubted)]
    second = [each for each in stages.second(doubted) if isinstance(each, Judged)]
    for each in second:
        assert (each.image is not None) == (each.decision.action is Action.ACCEPT)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", r"one table \[upstream\]"), ("[upstream]\n", "expected another url"),
     ("a = ", "expected a TOML file"), ("[upstream]\nurl = 'http://a'\nhost = 1\n", "another host"),
     ("[upstream]\nurl = 'http://a'\non_failure = 'open'\n", "another on_failure"),
     ("[upstream]\nurl = 'http://a'\ntimeout_s = 0\n", "another timeout_s"),
     ("[upstream]\nurl = 'http://a'\n[more]\n", r"one table \[upstream\]")],
)  # fmt: skip
def test_files_that_cannot_be_meant(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "upstream.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        read_proxy(path)
    with pytest.raises(InputError, match="expected a TOML file at"):
        read_proxy(tmp_path / "none.toml")


def test_a_file_says_it_all(tmp_path: Path) -> None:
    path = tmp_path / "upstream.toml"
    path.write_text(toml(url="http://a/v2/models/b", send="pixels"), encoding="utf-8")
    assert read_proxy(path) == ProxyOptions(url="http://a/v2/models/b", send="pixels")


def test_many_at_once(proxy: Callable[..., TestClient], local: LocalUpstream) -> None:
    client = proxy(url=local.v2, input_name="x")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda grey: ask(client, grey).json(), [255, 0] * 16))
    assert [each["upstream"]["outcome"] for each in answers] == ["answered", "abstained"] * 16
