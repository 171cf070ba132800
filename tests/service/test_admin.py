"""What operators read and move, where they may, and with which key."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.monitoring import AccuracyEstimate, MonitorState, TrafficState
from gatekeeper.service.admin import ADMIN_ROUTES, PROMOTE, ROLL_BACK, _risk, _traffic
from tests.service.conftest import wait_until


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path))


def test_a_directory_has_no_versions_and_cannot_be_moved(client: TestClient) -> None:
    told = client.get("/admin/versions").json()
    assert (told["model"], told["served"], told["versions"], told["up"]) == (None, None, [], False)
    for path, body in ((PROMOTE, {"version": 2}), (ROLL_BACK, {})):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "registry_refused")
        assert "models:/NAME@ALIAS" in answer.json()["error"]["message"]
    assert client.post(ROLL_BACK, json={"more": 1}).status_code == 400


def test_the_monitor_begins_without_evidence(client: TestClient) -> None:
    told = client.get("/admin/monitor").json()
    assert told["versions"]["bundle"] == "b" * 64
    assert told["sampling_share"] == 0.01
    assert told["risk"].pop("reason").startswith("Not withdrawn: 0 wrong of 0")
    assert told["risk"].pop("threshold") == pytest.approx(20)
    assert told["risk"] == {
        "e_value": 1.0,
        "withdrawn": False,
        "withdrawn_at": None,
        "n_labels": 0,
        "n_wrong": 0,
        "n_others": 0,
    }
    assert (told["traffic"]["n_windows"], told["traffic"]["p_value"]) == (0, None)


def test_numbers_are_passed_on() -> None:
    estimate = AccuracyEstimate(
        value=0.8, low=0.7, high=0.9, n_images=500, sampling_error=0.01, calibration_error=0.02
    )
    traffic = _traffic(TrafficState(n_windows=3, n_flagged=1, p_value=0.5, accepted_risk=estimate))
    assert (traffic.n_windows, traffic.n_flagged, traffic.p_value) == (3, 1, 0.5)
    assert traffic.accuracy is None
    assert traffic.accepted_risk is not None
    assert (traffic.accepted_risk.low, traffic.accepted_risk.n_images) == (0.7, 500)
    state = MonitorState(
        e_value=30.0, withdrawn=True, withdrawn_at=4, n_labels=5, n_wrong=4, n_ignored=0, reason="x"
    )
    risk = _risk(state, 2, 0.9)
    assert (risk.threshold, risk.n_others) == (pytest.approx(10), 2)
    assert (risk.e_value, risk.withdrawn_at, risk.n_wrong) == (30.0, 4, 4)


def test_it_is_on_the_admin_port_only_where_there_is_one(
    start: Callable[..., TestClient], fake: Any
) -> None:
    client = start(lambda: fake, admin_port=9100)
    for path in ADMIN_ROUTES:
        assert client.get(path).status_code == 404
    client.base_url = "http://127.0.0.1:9100"  # type: ignore[assignment]
    wait_until(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/admin/monitor").status_code == 200
    public = start(lambda: fake, host="0.0.0.0")  # noqa: S104  # what is not served there
    assert public.get("/admin/versions").status_code == 404


def test_keys_need_their_scopes(
    start: Callable[..., TestClient], fake: Any, tmp_path: Path
) -> None:
    scopes = ("infer", "metrics", "feedback", "admin")
    (tmp_path / "keys.toml").write_text(
        "".join(
            f'[[keys]]\nname = "{scope}"\nsha256 = "{sha256(scope.encode()).hexdigest()}"\n'
            f'scopes = ["{scope}"]\nrate_per_s = 100\nburst = 100\n'
            for scope in scopes
        )
    )
    client = start(lambda: fake, keys_file=str(tmp_path / "keys.toml"))
    wait_until(lambda: client.get("/readyz").status_code == 200)

    def allowed(method: str, path: str, body: Any = None) -> set[str]:
        return {
            scope
            for scope in scopes
            if client.request(method, path, json=body, headers={"X-API-Key": scope}).status_code
            != 403
        }

    assert allowed("GET", "/admin/monitor") == {"metrics"}
    assert allowed("POST", ROLL_BACK, {}) == {"admin"}
    assert allowed("POST", "/v1/feedback", {"label": 1, "decision_id": "x"}) == {"feedback"}
    assert client.get("/admin/versions").status_code == 401
