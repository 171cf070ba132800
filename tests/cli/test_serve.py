from __future__ import annotations

from fastapi.testclient import TestClient

from gatekeeper import service
from gatekeeper.settings import Settings
from tests.service.conftest import encoded, wait_until

PNG = "image/png"


def test_flags_come_before_the_environment(gatekeeper, fitted, monkeypatch):
    seen = {}

    def serve(load, settings):
        seen["settings"], seen["classes"] = settings, load().class_names
        return 0

    monkeypatch.setattr(service, "serve", serve)
    monkeypatch.setenv("GATEKEEPER_PORT", "9000")
    monkeypatch.setenv("GATEKEEPER_MAX_CONCURRENT", "3")
    assert gatekeeper("serve", fitted.bundle, "--host", "::1").code == 0
    settings = seen["settings"]
    assert (settings.host, settings.port, settings.max_concurrent) == ("::1", 9000, 3)
    assert seen["classes"] == tuple(str(digit) for digit in range(10))
    assert gatekeeper("serve", fitted.bundle, "--port", "0").code == 0
    assert (seen["settings"].host, seen["settings"].port) == ("127.0.0.1", 0)


def test_the_exit_code_is_that_of_the_service(gatekeeper, fitted, monkeypatch):
    monkeypatch.setattr(service, "serve", lambda load, settings: 2)
    assert gatekeeper("serve", fitted.bundle).code == 2


def test_operation_has_flags(gatekeeper, fitted, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        service, "serve", lambda load, settings: (seen.update(settings=settings), 0)[1]
    )
    given = (
        "--admin-port", "9100", "--keys", "keys.toml", "--audit", "log", "--upstream", "up.toml",
    )  # fmt: skip
    assert gatekeeper("serve", fitted.bundle, *given).code == 0
    settings = seen["settings"]
    assert (settings.admin_port, settings.keys_file, settings.audit_dir) == (
        9100, "keys.toml", "log",
    )  # fmt: skip
    assert settings.upstream_file == "up.toml"


def test_a_uri_of_the_registry_is_followed(gatekeeper, fitted, monkeypatch):
    seen = {}
    monkeypatch.setattr(service, "serve", lambda load, settings: (seen.update(load=load), 0)[1])
    assert gatekeeper("serve", "models:/gate-tiny@challenger").code == 0
    follow = seen["load"]
    assert (follow.source.name, follow.source.alias) == ("gate-tiny", "challenger")
    version = follow.source.current()
    directory = follow.source.fetch(version)
    follow.check(directory)
    assert follow.load(directory).calibration_id == version.bundle
    assert gatekeeper("serve", "models:/gate-tiny").code == 2


def test_a_promoted_version_takes_over_and_its_traffic_reaches_mlflow(
    gatekeeper, fitted, fitted_again, monkeypatch
):
    seen = {}
    monkeypatch.setattr(service, "serve", lambda load, settings: (seen.update(load=load), 0)[1])
    assert gatekeeper("serve", "models:/gate-tiny@champion").code == 0
    follow = seen["load"]
    first = follow.source.current().version
    other = 3 - first
    settings = Settings(registry_poll_s=0.2, probation_s=0.2, feedback_share=1.0)
    with TestClient(service.create_app(settings, follow)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200, 60)

        def decide():
            return client.post("/v1/decide", content=encoded(), headers={"Content-Type": PNG})

        assert decide().json()["versions"]["version"] == str(first)
        moved = client.post("/admin/versions/promote", json={"version": other})
        assert moved.status_code == 200
        model = "/v2/models/gatekeeper/versions"
        wait_until(lambda: client.get(f"{model}/{other}/ready").status_code == 200, 60)
        body = decide().json()
        assert body["versions"]["version"] == str(other)
        label = {"decision_id": body["decision_id"], "label": 3}
        assert client.post("/v1/feedback", json=label).status_code == 200
        assert client.post("/admin/versions/rollback", json={}).status_code == 200
        wait_until(lambda: client.get(f"{model}/{first}/ready").status_code == 200, 60)
    store = follow.sink.store
    experiment = store.experiment_id("serving/gate-tiny")
    with store.calls("look"):
        runs = store.client().search_runs([experiment])
    found = {run.data.tags["gatekeeper.serving"]: run.data.metrics for run in runs}
    assert found[f"models:/gate-tiny/{first}"]["decisions"] == 1.0
    assert found[f"models:/gate-tiny/{other}"]["labels"] == 1.0
