"""What the operator's page names exists: metrics, settings, tests, codes, anchors of its alerts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gatekeeper.decision import Reason
from gatekeeper.engine import FailureReason
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.proxy import ProxyOptions, read_proxy
from gatekeeper.service.trust_metrics import TrustMetrics
from gatekeeper.settings import Settings
from tests.test_docs import slug

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def metrics() -> dict[str, str]:
    """Name as it is scraped -> kind."""
    registry = CollectorRegistry()
    TrustMetrics(registry)
    text = ServiceMetrics([]).exposition().decode() + generate_latest(registry).decode()
    families = text_string_to_metric_families(text)
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in families
        if family.name.startswith("gatekeeper_") and not family.name.endswith("_created")
    }


def fenced(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_every_metric_of_the_service_is_explained_and_no_other_is_named() -> None:
    named = set(re.findall(r"\bgatekeeper_[a-z_]+\b", PAGE))
    assert set(metrics()) == named


@pytest.mark.parametrize("rule", yaml.safe_load(fenced("yaml"))["groups"][0]["rules"],
                         ids=lambda rule: rule["alert"])  # fmt: skip
def test_alerts_use_metrics_in_their_kind_and_lead_to_the_runbook(rule: dict[str, Any]) -> None:
    kinds = metrics()
    for name in re.findall(r"gatekeeper_[a-z_]+", rule["expr"]):
        rated = re.search(rf"(rate|increase)\({name}\b", rule["expr"])
        assert (kinds[name] == "counter") == bool(rated), name
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/operations.md"
    assert anchor in map(slug, re.findall(r"^#+ (.+)$", PAGE, flags=re.MULTILINE))


def test_settings_exist_with_the_defaults_that_are_told() -> None:
    named = set(re.findall(r"`GATEKEEPER_([A-Z_]+)(?:=\w+)?`", PAGE))
    fields = set(Settings.__dataclass_fields__)
    assert named
    assert {name.lower() for name in named} <= fields
    settings = Settings()
    assert settings.gears in PAGE
    for name, text in (
        ("max_body_bytes", "20 MB"), ("body_timeout_s", "10 s"), ("max_pixels", "25 million"),
        ("max_images", "64 in a request"), ("max_concurrent", "64 requests"),
        ("max_waiting", "256 images"), ("max_restoring", "128 images"), ("deadline_s", "10 s"),
        ("hang_after_s", "30 s a batch"), ("shutdown_timeout_s", "20 s"),
    ):  # fmt: skip
        row = f"| `GATEKEEPER_{name.upper()}` | {text} |"
        assert row in PAGE
        number = float(text.split()[0]) * (10**6 if "MB" in text or "million" in text else 1)
        assert getattr(settings, name) == number


def test_tests_exist() -> None:
    found = TEST.findall(PAGE)
    assert len(found) > 25
    for path, name in found:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in source, f"{path}::{name}"


def test_codes_exist() -> None:
    codes = {reason.value for reason in (*Reason, *FailureReason)}
    named = set(re.findall(r"\bGK\d{3}\b", PAGE))
    assert named <= codes
    assert {"GK230", "GK240", "GK300", "GK310", "GK320"} <= named


def test_the_upstream_file_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "upstream.toml"
    path.write_text(fenced("toml"), encoding="utf-8")
    told = read_proxy(path)
    assert told == ProxyOptions(url=told.url)  # what is shown are the defaults
