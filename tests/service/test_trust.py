"""Now and then: labels of another process are heeded, and a period ends in mlflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gatekeeper.paths import home
from gatekeeper.service.host import Host
from gatekeeper.service.ledger import Ledger
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.trust import Upkeep, make_trust
from gatekeeper.settings import Settings
from tests.service.conftest import wait_until
from tests.service.test_ledger import entry


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path))


def test_a_withdrawal_by_another_process_is_heeded(fake: Any) -> None:
    settings, registry = Settings(), CollectorRegistry()
    trust = make_trust(settings, registry, None)
    assert trust.watcher is trust.reporter is None
    host = Host(lambda: fake, settings, ServiceMetrics([]), book=trust.book)
    upkeep = Upkeep(trust, host, settings)
    upkeep.tend()  # nothing is loaded yet
    host.start()
    wait_until(lambda: host.bundle_id is not None)
    upkeep.tend()
    assert host.loaded().certificate.withdrawn is None
    assert "gatekeeper_certificate_withdrawn 0.0" in generate_latest(registry).decode()

    other = Ledger(home() / "feedback")
    bundle, number = host.bundle_id or "", 0
    while other.withdrawn(bundle) is None:
        number += 1
        other.enter(entry(f"d{number}", bundle=bundle))
        other.label(0, decision_id=f"d{number}")
    other.close()
    assert host.loaded().certificate.certified is True
    upkeep.tend()
    assert host.loaded().certificate.withdrawn == f"{other.withdrawn(bundle)}"
    assert host.loaded().certificate.certified is False
    shown = generate_latest(registry).decode()
    assert "gatekeeper_certificate_withdrawn 1.0" in shown
    upkeep.report()  # there is nobody to report to
    host.close()
    upkeep.close()


def test_no_ledger_is_kept_where_none_is_asked_for(tmp_path: Path) -> None:
    trust = make_trust(Settings(ledger_decisions=0), CollectorRegistry(), None)
    assert trust.book is None
    assert not list(tmp_path.iterdir())
