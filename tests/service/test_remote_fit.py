"""``gatekeeper fit`` around a classifier that runs elsewhere, then decisions by what was fitted."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gatekeeper.classifiers.upstream import UpstreamError
from gatekeeper.cli import main
from gatekeeper.pipeline import Gatekeeper
from tests import small_gate
from tests.upstream import LocalUpstream, serving

RECIPE = """
name = "far"
[classifier]
kind = "remote"
[classifier.options]
url = "{url}"
send = "pixels"
class_names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
revision = "7"
timeout_s = 60.0
[data]
dataset = "digits"
[data.splits]
train = 200
validation = 50
fit = 600
calibrate = 500
certify = 800
test = 200
[conditions]
seen = ["impulse", "dark", "gaussian"]
held_out = ["contrast"]
clean_share = 0.7
[restorers]
steps = 0
[restorers.restorer_of]
impulse = "median"
dark = "exposure"
[predictor]
hidden = 16
members = 1
epochs = 2
looks_per_image = 2
[policy]
target_risk = 0.15
confidence_level = 0.9
"""


def model(inputs: np.ndarray) -> np.ndarray:
    """The logits (B, 10) of the tiny network of the tests."""
    return small_gate.classifier().look(torch.from_numpy(inputs.astype(np.float32))).logits


def run(*arguments: object) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([str(each) for each in arguments])
    return code, out.getvalue()


def test_a_gate_is_fitted_around_a_classifier_behind_v2_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_gate.classifier()  # what the tests share is trained before they get another home
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    images = small_gate.stream_images(24)
    with serving(LocalUpstream(model=model, datatype="UINT8")) as upstream:
        recipe = tmp_path / "far.toml"
        recipe.write_text(RECIPE.format(url=upstream.v2), encoding="utf-8")
        code, _ = run("fit", recipe, "--out", tmp_path / "run", "--require-certificate")
        assert code == 0
        bundle = tmp_path / "run" / "bundle"
        asked = upstream.count("/infer")
        assert asked > 0
        gate = json.loads((bundle / "gate.json").read_text(encoding="utf-8"))
        assert gate["classifier"]["kind"] == "remote"
        assert not [each.name for each in bundle.iterdir() if "classifier" in each.name]
        gatekeeper = Gatekeeper.load(bundle)
        decisions = gatekeeper.decide(images)
        assert upstream.count("/infer") > asked
        # The upstream gets 8-bit pixels, so that its answers are those to rounded images.
        expected = model((images * 255).round().numpy() / 255).argmax(axis=1)
        assert [each.attempts[0].label for each in decisions] == expected.tolist()
        assert any(each.label is not None for each in decisions)
        assert all(each.certified for each in decisions)
        # It is down: no decision is made up.
        upstream.fault = "500"
        with pytest.raises(UpstreamError):
            gatekeeper.decide(images[:1])
