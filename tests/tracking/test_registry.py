from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from gatekeeper.errors import BundleError, InputError, TrackingError
from gatekeeper.tracking import LoggedVersion, Registry, TrackingStore

LogBundle = Callable[..., LoggedVersion]


def _passes(directory: Path) -> None:
    assert (directory / "gate.json").is_file()


def _fails(directory: Path) -> None:
    raise ValueError("golden image 3 was decided differently")


def _stored_gate(store: TrackingStore, name: str, version: int) -> Path:
    with store.calls("look"):
        uri = store.client().get_model_version_download_uri(name, str(version))
    (found,) = Path(unquote(urlsplit(uri).path)).glob("artifacts/*/gate.json")
    return found


def test_versions_are_listed_newest_first(registry: Registry, log_bundle: LogBundle) -> None:
    log_bundle("listed", "one")
    log_bundle("listed", "two")
    registry.promote("listed", 1, certified=True, golden=_passes)
    versions = registry.list_versions("listed")
    assert [(v.version, v.aliases, v.uri) for v in versions] == [
        (2, ("challenger",), "models:/listed/2"),
        (1, ("champion",), "models:/listed/1"),
    ]
    assert versions[0].created_ms >= versions[1].created_ms > 1_600_000_000_000
    assert "listed" in registry.list_names()


def test_an_alias_is_resolved_once_to_a_number(registry: Registry, log_bundle: LogBundle) -> None:
    log_bundle("moving", "one")
    before = registry.resolve("models:/moving@challenger")
    log_bundle("moving", "two")
    assert before.uri == "models:/moving/1"
    assert registry.resolve("models:/moving@challenger").version == 2
    assert registry.resolve(before.uri).version == 1
    assert registry.resolve(before.uri).aliases == ()


@pytest.mark.parametrize(
    "uri",
    ["moving", "models:/moving", "models:/moving/latest", "models:/moving/0", "models:/a/b@c",
     "runs:/abc/gate", "models:/moving@", "models:/moving/1/../2"],
)  # fmt: skip
def test_other_uris_are_refused(registry: Registry, uri: str) -> None:
    with pytest.raises(InputError, match="models:/NAME@ALIAS or models:/NAME/VERSION"):
        registry.resolve(uri)


def test_what_is_missing_is_named_with_what_there_is(
    registry: Registry, log_bundle: LogBundle
) -> None:
    log_bundle("gate-fashion")
    with pytest.raises(TrackingError, match=r"no model 'gate-fashon'.*did you mean 'gate-fashion'"):
        registry.resolve("models:/gate-fashon/1")
    with pytest.raises(TrackingError, match=r"'challengr'.*there are: challenger; did you mean"):
        registry.resolve("models:/gate-fashion@challengr")
    with pytest.raises(TrackingError, match=r"no version '7' of model 'gate-fashion'.*are: 1$"):
        registry.resolve("models:/gate-fashion/7")
    with pytest.raises(TrackingError, match="no model 'zzz'"):
        registry.list_versions("zzz")


def test_a_bundle_is_fetched_once_and_verified(
    registry: Registry, store: TrackingStore, log_bundle: LogBundle, place: SimpleNamespace
) -> None:
    log_bundle("fetched", "fetched once")
    digest = registry.resolve("models:/fetched/1").tags["gatekeeper.bundle_sha256"]
    directory = registry.download_bundle("models:/fetched@challenger")
    assert directory == place.home / "cache" / "bundles" / digest
    assert (directory / "gate.json").read_text() == "fetched once"
    assert sorted(path.name for path in directory.iterdir()) == ["MANIFEST.sha256", "gate.json"]
    shutil.rmtree(_stored_gate(store, "fetched", 1).parent)
    assert registry.download_bundle("models:/fetched/1") == directory
    assert not list(directory.parent.glob(".fetch-*"))


def test_a_changed_artifact_is_refused(
    registry: Registry, store: TrackingStore, log_bundle: LogBundle, place: SimpleNamespace
) -> None:
    log_bundle("tampered", "tampered with")
    gate = _stored_gate(store, "tampered", 1)
    gate.write_text("accept everything")
    with pytest.raises(BundleError, match=r"gate\.json in the bundle .* was changed"):
        registry.download_bundle("models:/tampered/1")
    digest = registry.resolve("models:/tampered/1").tags["gatekeeper.bundle_sha256"]
    assert not (place.home / "cache" / "bundles" / digest).exists()


def test_another_whole_bundle_in_its_place_is_refused(
    registry: Registry, store: TrackingStore, log_bundle: LogBundle,
    make_bundle: Callable[[str], Path],
) -> None:  # fmt: skip
    log_bundle("swapped", "the certified one")
    stored = _stored_gate(store, "swapped", 1).parent
    shutil.copytree(make_bundle("another, consistent one"), stored, dirs_exist_ok=True)
    with pytest.raises(BundleError, match="was registered with bundle"):
        registry.download_bundle("models:/swapped/1")
    (stored / "MANIFEST.sha256").unlink()
    with pytest.raises(BundleError, match="exactly one bundle, found 0"):
        registry.download_bundle("models:/swapped/1")


def test_a_changed_cache_is_fetched_anew_and_said(
    registry: Registry, log_bundle: LogBundle, caplog: pytest.LogCaptureFixture
) -> None:
    log_bundle("cached", "as it was")
    directory = registry.download_bundle("models:/cached/1")
    (directory / "gate.json").write_text("rotten")
    with caplog.at_level(logging.WARNING, logger="gatekeeper"):
        assert registry.download_bundle("models:/cached/1") == directory
    assert (directory / "gate.json").read_text() == "as it was"
    assert "discarding the cached bundle" in caplog.text


def test_a_version_that_gatekeeper_did_not_log_is_refused(
    registry: Registry, store: TrackingStore, log_bundle: LogBundle
) -> None:
    log_bundle("foreign")
    for tag in ("", "../../../etc"):
        with store.calls("change"):
            store.client().set_model_version_tag("foreign", "1", "gatekeeper.bundle_sha256", tag)
        with pytest.raises(TrackingError, match="was not logged by gatekeeper"):
            registry.download_bundle("models:/foreign/1")


def test_the_champion_moves_only_if_certified_and_golden(
    registry: Registry, log_bundle: LogBundle
) -> None:
    log_bundle("careful", "one")
    log_bundle("careful", "two")
    with pytest.raises(TrackingError, match="not certified"):
        registry.promote("careful", 1, certified=False, golden=_passes)
    with pytest.raises(TrackingError, match=r"golden-set check.*golden image 3"):
        registry.promote("careful", 1, certified=True, golden=_fails)
    with pytest.raises(TrackingError, match="no alias 'champion'"):
        registry.resolve("models:/careful@champion")
    assert registry.resolve("models:/careful/1").tags["gatekeeper.golden"] == "failed"

    champion = registry.promote("careful", 1, certified=True, golden=_passes)
    assert (champion.version, champion.aliases) == (1, ("champion",))
    assert champion.tags["gatekeeper.golden"] == "passed"
    assert champion.tags["gatekeeper.certified"] == "true"

    with pytest.raises(TrackingError, match="not certified"):
        registry.promote("careful", 2, certified=False, golden=_passes)
    with pytest.raises(TrackingError, match="golden-set check"):
        registry.promote("careful", 2, certified=True, golden=_fails)
    assert registry.resolve("models:/careful@champion").version == 1


def test_the_golden_check_gets_the_verified_bundle(
    registry: Registry, log_bundle: LogBundle
) -> None:
    log_bundle("golden", "this very bundle")
    seen: list[str] = []
    registry.promote(
        "golden", 1, certified=True,
        golden=lambda directory: seen.append((directory / "gate.json").read_text()),
    )  # fmt: skip
    assert seen == ["this very bundle"]


def test_rollback_walks_back_through_the_champions(
    registry: Registry, log_bundle: LogBundle
) -> None:
    for content in ("one", "two", "three"):
        log_bundle("back", content)
    with pytest.raises(TrackingError, match="no former champion"):
        registry.rollback("back")
    for version in (1, 2, 2, 3, 3):  # promoting the champion again is not a step
        registry.promote("back", version, certified=True, golden=_passes)
    assert registry.rollback("back").version == 2
    assert registry.resolve("models:/back@champion").version == 2
    assert registry.rollback("back").version == 1
    with pytest.raises(TrackingError, match="no former champion"):
        registry.rollback("back")
    assert registry.resolve("models:/back@champion").version == 1


def test_rollback_refuses_a_deleted_version(
    registry: Registry, store: TrackingStore, log_bundle: LogBundle
) -> None:
    for content in ("one", "two"):
        version = log_bundle("lost", content).version
        registry.promote("lost", version, certified=True, golden=_passes)
    with store.calls("delete"):
        store.client().delete_model_version("lost", "1")
    with pytest.raises(TrackingError, match="no version '1' of model 'lost'"):
        registry.rollback("lost")
    assert registry.resolve("models:/lost@champion").version == 2
