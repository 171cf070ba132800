"""A version that is promoted is tried, swapped in and watched; a bad one never decides for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.errors import BundleError, TrackingError
from gatekeeper.service import Follow, create_app
from gatekeeper.service.host import Host
from gatekeeper.settings import Settings
from gatekeeper.tracking import RegisteredVersion
from tests.service.conftest import FakeGatekeeper, encoded, wait_until

PNG = {"Content-Type": "image/png"}


def digest(number: int) -> str:
    return f"{number:064x}"


class Numbered(FakeGatekeeper):
    """Its bundle and its classifier carry its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.calibration_id = digest(number)
        self.model_id = f"fake@{number}"


class FakeSource:
    """A registry in memory."""

    name = "gate-fake"
    alias = "champion"

    def __init__(self) -> None:
        self.champion = 1
        self.down = False
        self.kept: RegisteredVersion | None = None
        self.former: list[int] = []
        self.spoilt: set[int] = set()

    def version(self, number: int) -> RegisteredVersion:
        return RegisteredVersion(
            name=self.name,
            version=number,
            aliases=("champion",) if number == self.champion else (),
            tags={"gatekeeper.bundle_sha256": digest(number)},
            run_id=None,
            created_ms=1000 + number,
        )

    def _ask(self) -> None:
        if self.down:
            raise TrackingError("the registry is down")

    def current(self) -> RegisteredVersion:
        self._ask()
        return self.version(self.champion)

    def known(self) -> tuple[RegisteredVersion, ...]:
        self._ask()
        return tuple(self.version(number) for number in (3, 2, 1))

    def fetch(self, version: RegisteredVersion) -> Path:
        if version.version in self.spoilt:
            raise BundleError("a file was changed")
        return Path(str(version.version))

    def last_good(self) -> RegisteredVersion | None:
        return self.kept

    def keep(self, version: RegisteredVersion) -> None:
        self.kept = version

    def promote(self, number: int) -> RegisteredVersion:
        self._ask()
        if number == 9:
            raise TrackingError("it is not certified")
        self.former.append(self.champion)
        self.champion = number
        return self.version(number)

    def roll_back(self) -> RegisteredVersion:
        if not self.former:
            raise TrackingError("there is no former champion")
        self.champion = self.former.pop()
        return self.version(self.champion)


class Bench:
    """A served alias and its levers."""

    def __init__(self, running: ExitStack) -> None:
        self._running = running
        self.source = FakeSource()
        self.loads: list[int] = []
        self.failing: set[int] = set()
        self.golden: set[int] = set()

    def load(self, path: Path) -> FakeGatekeeper:
        number = int(path.name)
        self.loads.append(number)
        gatekeeper = Numbered(number)
        if number in self.failing:
            tried = gatekeeper.canary

            def canary() -> Any:
                decision = tried()
                gatekeeper.error = ValueError("a bug of this version")
                return decision

            gatekeeper.canary = canary  # type: ignore[method-assign]
        return gatekeeper

    def check(self, path: Path) -> None:
        if int(path.name) in self.golden:
            raise BundleError("golden image 3 is decided differently here")

    def serve(self, **settings: Any) -> TestClient:
        self.app = create_app(
            Settings(**{"registry_poll_s": 0.05, "probation_s": 0.3, **settings}),
            Follow(source=self.source, load=self.load, check=self.check),
        )
        return self._running.enter_context(TestClient(self.app))

    @property
    def host(self) -> Host:
        host: Host = self.app.state.host
        return host


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path))
    with ExitStack() as running:
        yield Bench(running)


def ready(client: TestClient) -> TestClient:
    wait_until(lambda: client.get("/readyz").status_code == 200)
    return client


def served(client: TestClient) -> Any:
    return client.get("/readyz").json()["versions"]["version"]


def versions(client: TestClient) -> Any:
    return client.get("/admin/versions").json()


def decide(client: TestClient, grey: int = 255) -> Any:
    return client.post("/v1/decide", content=encoded(grey=grey), headers=PNG)


def test_a_promoted_version_takes_over_and_is_remembered(bench: Bench) -> None:
    client = ready(bench.serve())
    assert served(client) == "1"
    assert bench.source.kept == bench.source.version(1)
    told = client.post("/admin/versions/promote", json={"version": 2}).json()
    assert [(each["version"], each["aliases"]) for each in told["versions"]] == [
        (3, []), (2, ["champion"]), (1, []),
    ]  # fmt: skip
    wait_until(lambda: served(client) == "2")
    body = decide(client).json()
    assert (body["versions"]["version"], body["versions"]["bundle"]) == ("2", digest(2))
    wait_until(lambda: bench.source.kept == bench.source.version(2))  # probation is over
    assert versions(client)["on_probation"] is False
    assert client.post("/admin/versions/rollback", json={}).status_code == 200
    wait_until(lambda: served(client) == "1")
    text = client.get("/metrics").text
    assert 'gatekeeper_version_info{model="gate-fake",version="1"} 1.0' in text
    assert 'gatekeeper_version_swaps_total{outcome="swapped"} 2.0' in text
    assert "gatekeeper_registry_up 1.0" in text


@pytest.mark.parametrize("how", ["golden", "spoilt", "loading"])
def test_a_version_that_does_not_prove_itself_is_refused_once(bench: Bench, how: str) -> None:
    client = ready(bench.serve())
    bench.golden = {2} if how == "golden" else set()
    bench.source.spoilt = {2} if how == "spoilt" else set()
    load = bench.load
    if how == "loading":
        bench.app.state.host._watcher._load = lambda path: load(path) if path.name == "1" else 1 / 0
    bench.source.champion = 2
    wait_until(lambda: versions(client)["refused"] is not None)
    told = versions(client)
    assert (told["served"], served(client)) == ("1", "1")
    assert [each["refused"] is not None for each in told["versions"]] == [False, True, False]
    before = len(bench.loads)
    for _ in range(5):
        bench.host._watcher.look()  # type: ignore[union-attr]
    assert len(bench.loads) == before
    assert 'swaps_total{outcome="refused"} 1.0' in client.get("/metrics").text
    bench.source.champion = 3
    if how == "loading":
        bench.app.state.host._watcher._load = load
    wait_until(lambda: served(client) == "3")
    assert versions(client)["refused"] is None


def test_a_version_that_fails_on_images_is_undone_and_not_tried_again(bench: Bench) -> None:
    bench.failing = {2}
    client = ready(bench.serve(probation_s=60.0))
    bench.source.champion = 2
    wait_until(lambda: served(client) == "2")
    assert versions(client)["on_probation"] is True
    for grey in range(3):
        assert decide(client, grey).json()["degraded"] == ["decide_failed"]
    wait_until(lambda: served(client) == "1")
    assert decide(client).json()["class_name"] == "bag"
    told = versions(client)
    assert "swapped in and undone" in told["refused"]
    assert "failed on 3 of" in told["refused"]
    assert bench.source.kept is not None
    assert (bench.source.kept.version, bench.loads) == (1, [1, 2])
    assert 'swaps_total{outcome="undone"} 1.0' in client.get("/metrics").text


def test_the_registry_may_be_down_at_the_start_and_later(bench: Bench) -> None:
    bench.source.kept = bench.source.version(2)
    bench.source.down = True
    client = ready(bench.serve())
    told = client.get("/readyz").json()
    assert (told["versions"]["version"], told["degraded"]) == ("2", ["registry"])
    assert decide(client).headers["X-Gatekeeper-Degraded"] == "registry"
    assert versions(client)["problem"] == "the registry is down"
    assert "gatekeeper_registry_up 0.0" in client.get("/metrics").text

    bench.source.champion, bench.source.down = 2, False
    wait_until(lambda: client.get("/readyz").json()["degraded"] == [])
    assert served(client) == "2"
    bench.source.down = True
    wait_until(lambda: versions(client)["up"] is False)
    assert decide(client).json()["degraded"] == []


def test_without_a_registry_and_a_last_good_version_nothing_is_served(bench: Bench) -> None:
    bench.source.down = True
    client = bench.serve()
    wait_until(lambda: "the registry is down" in client.get("/readyz").text)
    assert client.get("/readyz").status_code == 503


def test_a_spoilt_champion_at_the_start_gives_way_to_the_last_good_version(bench: Bench) -> None:
    bench.source.champion, bench.source.spoilt = 3, {3}
    bench.source.kept = bench.source.version(1)
    client = ready(bench.serve())
    assert client.get("/readyz").json()["degraded"] == ["registry"]
    assert (served(client), versions(client)["refused"]) == ("1", "a file was changed")


def test_what_the_registry_refuses_is_told(bench: Bench) -> None:
    client = ready(bench.serve())
    refused = client.post("/admin/versions/promote", json={"version": 9})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "registry_refused")
    assert refused.json()["error"]["message"] == "it is not certified"
    assert client.post("/admin/versions/rollback", json={}).status_code == 409
    assert client.post("/admin/versions/promote", json={"version": 0}).status_code == 400
    as_form = client.post("/admin/versions/rollback", content="{}")
    assert as_form.status_code == 415  # what another origin's page could send


def test_the_protocol_names_the_versions_of_the_registry(bench: Bench) -> None:
    client = ready(bench.serve())
    wait_until(lambda: len(versions(client)["versions"]) == 3)
    model = "/v2/models/gatekeeper"
    assert client.get(model).json()["versions"] == ["1", "3", "2"]
    assert client.get(f"{model}/versions/1").status_code == 200
    for path, reason in (("2", "known and not served"), ("7", "got '7'")):
        answer = client.get(f"{model}/versions/{path}/ready")
        assert answer.status_code == 404
        assert reason in answer.json()["error"]
    bench.source.champion = 2
    wait_until(lambda: served(client) == "2")
    assert client.get(f"{model}/versions/2/ready").status_code == 200
    assert client.get(f"{model}/versions/1").status_code == 404


def test_a_request_ends_on_the_version_on_which_it_began(bench: Bench) -> None:
    client = ready(bench.serve())
    slow: Any = bench.host.loaded().gatekeeper
    slow.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(decide, client)
        wait_until(lambda: bench.host.in_flight == 1)
        bench.source.champion = 2
        wait_until(lambda: served(client) == "2")
        slow.gate.set()
        answer = begun.result(10)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["versions"]["version"], body["model_id"]) == ("1", "fake@1")
    assert answer.headers["X-Gatekeeper-Bundle"] == digest(1)
    assert decide(client).json()["model_id"] == "fake@2"


def test_moving_the_alias_under_load_loses_and_mixes_nothing(bench: Bench) -> None:
    client = ready(bench.serve(registry_poll_s=0.01, probation_s=0.05))
    stop = threading.Event()
    answers: list[Any] = []

    def ask() -> None:
        while not stop.is_set():
            answers.append(decide(client))

    def moved(number: int) -> Callable[[], bool]:
        return lambda: bench.host.version == str(number)

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        try:
            for move in range(12):
                bench.source.champion = 1 + (move + 1) % 3
                wait_until(moved(bench.source.champion))
        finally:
            stop.set()
        for each in asking:
            each.result(10)
    assert {answer.status_code for answer in answers} == {200}
    seen = set()
    for answer in answers:
        body = answer.json()
        number = int(body["versions"]["version"])
        seen.add(number)
        assert body["versions"]["bundle"] == body["calibration_id"] == digest(number)
        assert body["model_id"] == body["versions"]["classifier"] == f"fake@{number}"
        assert answer.headers["X-Gatekeeper-Bundle"] == digest(number)
    assert seen == {1, 2, 3}


def test_a_certificate_that_is_withdrawn_meanwhile_is_so_when_its_version_is_back(
    bench: Bench,
) -> None:
    client = ready(bench.serve(feedback_share=1.0, probation_s=60.0))
    of_first = [decide(client).json()["decision_id"] for _ in range(10)]
    bench.source.champion = 2
    wait_until(lambda: served(client) == "2")
    for each in of_first:
        answer = client.post("/v1/feedback", json={"decision_id": each, "label": 0})
        assert answer.json()["counted"] is True
    assert decide(client).json()["certified"] is True
    bench.source.champion = 1
    wait_until(lambda: served(client) == "1")
    body = decide(client).json()
    assert (body["model_id"], body["certified"]) == ("fake@1", False)
    assert body["certificate"]["withdrawn"].startswith("Withdrawn at label")
    assert bench.loads == [1, 2]  # the first was still there
