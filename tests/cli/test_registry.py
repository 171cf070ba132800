from __future__ import annotations

import json
import shutil

import pytest


def aliases(gatekeeper, name):
    listed = json.loads(gatekeeper("registry", "list", name, "--json").out)
    return {version["uri"]: set(version["aliases"]) for version in listed}


def test_promotion_and_rollback(gatekeeper, fitted, fitted_again):
    one, two = "models:/gate-tiny/1", "models:/gate-tiny/2"
    assert aliases(gatekeeper, "gate-tiny") == {one: set(), two: {"champion", "challenger"}}
    back = gatekeeper("registry", "rollback", "gate-tiny")
    assert (back.code, back.out) == (0, f"{one} is champion again\n")
    assert aliases(gatekeeper, "gate-tiny") == {one: {"champion"}, two: {"challenger"}}
    forth = gatekeeper("registry", "promote", "gate-tiny", 2)
    assert (forth.code, forth.out) == (0, f"{two} is champion\n")
    assert aliases(gatekeeper, "gate-tiny") == {one: set(), two: {"champion", "challenger"}}


def test_the_list_is_newest_first(gatekeeper, fitted, fitted_again):
    lines = gatekeeper("registry", "list", "gate-tiny").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        "models:/gate-tiny/2",
        "models:/gate-tiny/1",
    ]


def test_a_version_that_is_not_there_is_refused(gatekeeper, fitted):
    done = gatekeeper("registry", "promote", "gate-tiny", 99)
    assert done.code == 2
    assert "there is no version '99'" in done.err


@pytest.mark.parametrize("where", ["directory", "registry"])
def test_verify_passes_what_was_fitted(gatekeeper, fitted, where):
    bundle = fitted.bundle if where == "directory" else "models:/gate-tiny/1"
    done = gatekeeper("registry", "verify", bundle)
    assert (done.code, done.out) == (0, f"PASS: hashes and golden set of {bundle}\n")


def test_verify_fails_a_changed_file(gatekeeper, fitted, tmp_path):
    changed = tmp_path / "bundle"
    shutil.copytree(fitted.bundle, changed)
    with (changed / "classifier.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    done = gatekeeper("registry", "verify", changed, "--json")
    assert done.code == 1
    body = json.loads(done.out)
    assert body["passed"] is False
    assert "classifier.safetensors" in body["problem"]
