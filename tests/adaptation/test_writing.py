"""A challenger in the registry: its alias, its lineage, and when it is promoted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gatekeeper.adaptation import writing
from gatekeeper.adaptation.run import Adapted
from gatekeeper.errors import BundleError, TrackingError
from gatekeeper.tracking import LoggedVersion

LOGGED = LoggedVersion(
    run_id="r", model_name="gate-small", version=7, model_uri="models:/gate-small/7",
    experiment_id="1",
)  # fmt: skip


@pytest.fixture
def finished(from_a_folder: Adapted) -> Adapted:
    return from_a_folder


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What mlflow would have been told."""
    told: dict[str, list] = {"logged": [], "promoted": []}

    def log_fit(store, **given):
        told["logged"].append(given)
        return LOGGED

    monkeypatch.setattr(writing, "log_fit", log_fit)
    monkeypatch.setattr(
        writing, "promote_checked", lambda registry, *version: told["promoted"].append(version)
    )
    return told


def write(finished: Adapted, out: Path, **changes: bool) -> writing.WrittenAdaptation:
    given = {"tracked": True, "promote": False, **changes}
    return writing.write_adaptation(
        finished, out, champion="models:/gate-small@champion", command="gatekeeper adapt", **given
    )


def test_lineage_goes_with_the_version(finished: Adapted, tmp_path: Path, registry) -> None:
    written = write(finished, tmp_path)
    (given,) = registry["logged"]
    assert given["registered_name"] == "gate-small"
    assert given["tags"]["gatekeeper.champion"] == "models:/gate-small@champion"
    assert given["tags"][writing.CHAMPION_TAG] == finished.champion.identity
    assert given["tags"][writing.CAPTURED_TAG] == finished.dealt.captured_digest
    assert given["metrics"]["paired/difference"] == finished.contest.paired.difference
    assert [path.name for path in given["artifacts"]] == ["adaptation.html", "adaptation.json"]
    assert registry["promoted"] == []
    assert written.version == LOGGED
    assert not written.promoted


def test_promotion_by_hand(finished: Adapted, tmp_path: Path, registry) -> None:
    assert write(finished, tmp_path, promote=True).promoted
    assert registry["promoted"] == [("gate-small", 7)]


def test_nothing_is_registered_where_nothing_is_tracked(
    finished: Adapted, tmp_path: Path, registry
) -> None:
    assert write(finished, tmp_path, tracked=False).version is None
    assert registry["logged"] == []


def test_a_registry_that_refuses_leaves_the_files(
    finished: Adapted, tmp_path: Path, registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise TrackingError("not certified")

    monkeypatch.setattr(writing, "promote_checked", refused)
    written = write(finished, tmp_path, promote=True)
    assert written.warning == "not certified"
    assert not written.promoted
    assert written.bundle_path.is_dir()
    assert written.record["rule_met"] is finished.rule_met


def test_a_champion_without_a_golden_set_is_refused(finished: Adapted, tmp_path: Path) -> None:
    bare = replace(finished, champion=replace(finished.champion, directory=tmp_path))
    with pytest.raises(BundleError, match="expected a golden set"):
        write(bare, tmp_path / "out")
