"""What a service needs of an alias: a number, the bundle behind it, and what served well last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatekeeper.errors import InputError, TrackingError
from gatekeeper.tracking import LoggedVersion, Registry, ServedAlias, TrackingStore

LogBundle = Callable[..., LoggedVersion]


def _passes(directory: Path) -> None:
    assert (directory / "gate.json").is_file()


@pytest.fixture(scope="module")
def name() -> str:
    return "followed"


@pytest.fixture
def two(registry: Registry, log_bundle: LogBundle, name: str) -> None:
    """Two versions, the first one champion; logged by the first test that asks."""
    if name not in registry.list_names():
        log_bundle(name, "followed one")
        log_bundle(name, "followed two")
        registry.promote(name, 1, certified=True, golden=_passes)


@pytest.mark.usefixtures("two")
def test_it_follows_the_alias_and_fetches_by_number(registry: Registry, name: str) -> None:
    alias = ServedAlias(registry, f"models:/{name}@champion")
    assert (alias.name, alias.alias) == (name, "champion")
    first = alias.current()
    assert first.version == 1
    registry.promote(name, 2, certified=True, golden=_passes)
    assert alias.current().version == 2
    assert (alias.fetch(first) / "gate.json").read_text() == "followed one"
    assert [each.version for each in alias.known()] == [2, 1]
    assert alias.roll_back().version == 1
    assert alias.current() == alias.known()[1]


@pytest.mark.usefixtures("two")
def test_a_number_never_moves(registry: Registry, name: str) -> None:
    pinned = ServedAlias(registry, f"models:/{name}/2")
    assert (pinned.name, pinned.alias, pinned.current().version) == (name, "", 2)


@pytest.mark.usefixtures("two")
def test_what_served_well_is_written_down_and_fetched_without_the_registry(
    registry: Registry, name: str, place: SimpleNamespace
) -> None:
    uri = f"models:/{name}@champion"
    alias = ServedAlias(registry, uri)
    version = alias.current()
    assert alias.last_good() is None
    alias.fetch(version)
    alias.keep(version)

    nowhere = TrackingStore(uri="http://127.0.0.1:9", artifact_root=None)
    after_restart = ServedAlias(Registry(nowhere), uri)
    with pytest.raises(TrackingError):
        after_restart.current()
    good = after_restart.last_good()
    assert good == version
    assert good is not None
    assert (after_restart.fetch(good) / "gate.json").read_text() == "followed one"

    shutil.rmtree(place.home / "cache" / "bundles" / version.bundle)
    with pytest.raises(TrackingError):
        after_restart.fetch(good)
    assert (alias.fetch(version) / "gate.json").read_text() == "followed one"


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "other"}'])
def test_a_record_that_cannot_be_read_is_none(
    registry: Registry, name: str, place: SimpleNamespace, text: str
) -> None:
    alias = ServedAlias(registry, f"models:/{name}/1")
    alias.keep(alias.current())
    [record] = (place.home / "served").glob("followed_1.json")
    assert json.loads(record.read_text())["version"] == 1
    record.write_text(text)
    assert alias.last_good() is None


def test_a_version_that_gatekeeper_did_not_log_has_no_bundle(
    registry: Registry, store: TrackingStore, log_bundle: LogBundle
) -> None:
    log_bundle("unlogged")
    with store.calls("change"):
        store.client().set_model_version_tag("unlogged", "1", "gatekeeper.bundle_sha256", "../x")
    version = registry.resolve("models:/unlogged/1")
    assert version.bundle == ""
    with pytest.raises(TrackingError, match="was not logged by gatekeeper"):
        ServedAlias(registry, "models:/unlogged/1").fetch(version)


@pytest.mark.parametrize("uri", ["followed", "models:/followed", "models:/a@b/c", "models:/a/0"])
def test_other_uris_are_refused(registry: Registry, uri: str) -> None:
    with pytest.raises(InputError, match="models:/NAME@ALIAS or models:/NAME/VERSION"):
        ServedAlias(registry, uri)
