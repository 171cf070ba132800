"""Reports beside a bundle."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.console.reports import reports_of


def test_only_the_reports_that_the_commands_write_are_shown(
    gatekeeper: Gatekeeper, bundle: Path
) -> None:
    folder = bundle.parent
    assert reports_of(gatekeeper) == {"report.html": folder / "report.html"}
    (folder / "secret.html").write_text("no")
    (folder / "levels.html").write_bytes(b"x" * 2_000_001)
    (folder / "evaluation.html").symlink_to(folder / "secret.html")
    try:
        assert list(reports_of(gatekeeper)) == ["report.html"]
    finally:
        for name in ("secret.html", "levels.html", "evaluation.html"):
            (folder / name).unlink()


def test_what_comes_from_no_bundle_has_none() -> None:
    assert reports_of(SimpleNamespace(calibration_id="x", image_size=(4, 4))) == {}
