from __future__ import annotations

import json
import shutil

import torch

from gatekeeper import __version__, paths


def test_it_tells_versions_and_places(gatekeeper, cli_home, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "shipped_root", lambda: tmp_path)
    done = gatekeeper("doctor", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["home"] == str(cli_home)
    assert found["version of torch"] == torch.__version__.split("+")[0]
    assert found["version of vision-gatekeeper"] == __version__
    assert found["service max_pixels"] == 25_000_000


def test_every_shipped_bundle_proves_itself(gatekeeper, fitted, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "shipped_root", lambda: tmp_path)
    whole, broken = (tmp_path / "calibration" / name / "bundle" for name in ("whole", "broken"))
    shutil.copytree(fitted.bundle, whole)
    assert "self-test of whole              passed\n" in gatekeeper("doctor").out
    shutil.copytree(fitted.bundle, broken)
    (broken / "golden.json").unlink()
    done = gatekeeper("doctor", "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["self-test of whole"] == "passed"
    assert found["self-test of broken"].startswith("failed: ")
    assert "golden.json" in found["self-test of broken"]
