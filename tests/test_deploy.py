"""The container and the manifest agree with the code; no container is built here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    text = (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


@pytest.fixture
def pod(objects: dict[str, Any]) -> Any:
    return objects["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod: Any) -> Any:
    return next(each for each in pod["containers"] if each["name"] == "gatekeeper")


def settings_of(container: Any) -> Settings:
    given = {each["name"]: each["value"] for each in container["env"]}
    assert all(isinstance(value, str) for value in given.values())  # else the API refuses them
    return Settings.from_env(given)


def test_its_settings_exist_and_ports_agree(container: Any) -> None:
    settings = settings_of(container)
    names = {each["name"].removeprefix("GATEKEEPER_").lower() for each in container["env"]}
    assert names - {"omp_num_threads"} <= set(Settings.__dataclass_fields__)
    [port] = container["ports"]
    assert (port["name"], port["containerPort"]) == ("http", settings.port)
    assert settings.host == "0.0.0.0"  # noqa: S104
    assert settings.keys_file  # what can be reached from elsewhere asks for keys


def test_probes_ask_what_the_service_answers(container: Any) -> None:
    paths = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}
    assert paths == {
        "startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz",
    }  # fmt: skip
    for name in paths:
        assert container[name]["httpGet"]["port"] == "http"


def test_a_pod_has_the_time_that_draining_takes(pod: Any, container: Any) -> None:
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    needed = wait + settings_of(container).shutdown_timeout_s
    assert needed + 5 <= pod["terminationGracePeriodSeconds"]


def test_every_container_is_locked_down(pod: Any) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"]["drop"] == ["ALL"]
        assert "memory" in container["resources"]["limits"]


def test_what_is_written_lies_on_volumes(pod: Any, container: Any) -> None:
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    for path in ("/var/lib/gatekeeper", "/tmp"):  # noqa: S108
        assert "emptyDir" in volumes[mounts[path]["name"]]
    assert f"GATEKEEPER_HOME={next(iter(m for m in mounts if m.startswith('/var')))}" in DOCKERFILE
    assert settings_of(container).audit_dir.startswith("/var/lib/gatekeeper/")
    assert all(each["name"] in volumes for each in mounts.values())
    assert mounts["/bundle"]["readOnly"]
    assert container["args"] == ["serve", "/bundle"]


def test_metrics_leave_the_pod_and_the_admin_port_does_not(
    objects: dict[str, Any], pod: Any, container: Any
) -> None:
    admin = settings_of(container).admin_port
    config = objects["ConfigMap"]["data"]["metrics.conf"]
    assert f"http://127.0.0.1:{admin}/metrics" in config
    assert "location / { return 404; }" in config
    ports = [each["containerPort"] for each in pod["containers"][1]["ports"]]
    annotations = objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert [str(port) for port in ports] == [annotations["prometheus.io/port"]]
    assert admin not in ports


def test_selectors_meet(objects: dict[str, Any]) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert (
        objects["PodDisruptionBudget"]["spec"]["minAvailable"]
        < (objects["Deployment"]["spec"]["replicas"])
    )


def test_the_container_is_not_root_checks_its_health_and_writes_at_home_only(pod: Any) -> None:
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    last = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    words = dict(each for each in last if len(each) == 2)
    assert words["USER"] == f"{pod['securityContext']['runAsUser']}:10001"
    assert words["STOPSIGNAL"] == "SIGTERM"
    assert words["VOLUME"] == "/var/lib/gatekeeper"
    assert json.loads(words["ENTRYPOINT"]) == ["gatekeeper"]
    check = re.search(r"CMD (\[.*\])", words["HEALTHCHECK"])
    assert check
    python, option, code = json.loads(check[1])
    assert (python, option) == ("python", "-c")
    compile(code, "healthcheck", "exec")
    assert "/healthz" in code
