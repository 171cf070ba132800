from __future__ import annotations

from gatekeeper import service


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
