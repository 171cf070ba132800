from __future__ import annotations

import json
import shutil

import pytest

from gatekeeper.pipeline import Gatekeeper


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_json_is_the_decision(gatekeeper, fitted, photos, kind):
    done = gatekeeper("decide", fitted.bundle, photos[kind], "--json")
    assert done.code == 0, done.err
    body = json.loads(done.out)
    served = Gatekeeper.load(fitted.bundle)
    expected = served.decide_one(photos[kind]).to_json(served.class_names)
    assert body == {"image": str(photos[kind]), **json.loads(json.dumps(expected))}


def test_a_line_per_image(gatekeeper, fitted, photos):
    done = gatekeeper("decide", fitted.bundle, *photos.values())
    lines = done.out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(path) for path in photos.values()]
    body = json.loads(gatekeeper("decide", fitted.bundle, photos["PNG"], "--json").out)
    answer = body["class_name"] or "no label"
    start = f"{body['action']} {answer} (reliability {body['reliability']:.3f}; raw: "
    assert lines[0].split(": ", 1)[1].startswith(start)
    seen = f" Seen: {'; '.join(body['symptoms'])}." if body["symptoms"] else ""
    assert lines[0].endswith(f"{body['reason']} {body['reason_text']}{seen}")


def test_a_bad_image_does_not_stop_the_others(gatekeeper, fitted, photos, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    missing = tmp_path / "missing.png"
    done = gatekeeper("decide", fitted.bundle, text, photos["PNG"], missing, "--json")
    assert done.code == 2
    assert [json.loads(line)["image"] for line in done.out.splitlines()] == [str(photos["PNG"])]
    errors = done.err.splitlines()
    assert errors[0].startswith(f"{text}: unsupported_format: ")
    assert errors[1].startswith(f"{missing}: unreadable: ")
    assert len(errors) == 2


def test_a_changed_bundle_is_refused(gatekeeper, fitted, photos, tmp_path):
    changed = tmp_path / "bundle"
    shutil.copytree(fitted.bundle, changed)
    gate = changed / "gate.json"
    gate.write_text(gate.read_text(encoding="utf-8").replace("0.15", "0.05"), encoding="utf-8")
    done = gatekeeper("decide", changed, photos["PNG"])
    assert done.code == 2
    assert "gate.json in the bundle" in done.err
    assert done.out == ""


def test_the_champion_is_the_bundle_that_was_fitted(gatekeeper, fitted, photos):
    one = gatekeeper("decide", "models:/gate-tiny/1", photos["PNG"], "--json")
    other = gatekeeper("decide", fitted.bundle, photos["PNG"], "--json")
    assert one.code == 0, one.err
    assert one.out == other.out
