from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gatekeeper.batch import TIMINGS
from gatekeeper.cli import batch
from gatekeeper.images import load_dataset
from gatekeeper.pipeline import Gatekeeper

N = 40


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Digits in three folders, a noisy one among four; two files are broken."""
    folder = tmp_path_factory.mktemp("batch") / "images"
    pixels = (load_dataset("digits", announce=lambda line: None).batch(np.arange(N)) * 255).byte()
    rng = np.random.default_rng(0)
    for at, image in enumerate(pixels):
        grey = image.permute(1, 2, 0).numpy().copy()
        if at % 4 == 0:
            grey[rng.random(grey.shape[:2]) < 0.2] = 255
        path = folder / f"part{at % 3}" / f"{at:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).save(path)
    (folder / "part0" / "cut.png").write_bytes((folder / "part0" / "000.png").read_bytes()[:60])
    (folder / "part1" / "text.jpg").write_text("no image")
    (folder / "notes.txt").write_text("left out")
    return folder


@pytest.fixture(scope="module")
def decided(gatekeeper, fitted, images, in_cli_home):
    """The folder, in one go."""
    output = images.parent / "decided.parquet"
    with in_cli_home():
        done = gatekeeper("batch", fitted.bundle, images, output, "--chunk", 8, "--json")
    return done, output


def rows(path):
    return pq.read_table(path).drop_columns(list(TIMINGS)).to_pylist()


def test_a_row_per_image_as_decide_gives_it(decided, fitted, images):
    done, output = decided
    assert done.code == 0, done.err
    table = rows(output)
    assert [row["path"] for row in table] == sorted(
        str(path.relative_to(images)) for path in images.rglob("*.*") if path.suffix != ".txt"
    )
    served = Gatekeeper.load(fitted.bundle)
    for row in table:
        if row["path"] in {"part0/cut.png", "part1/text.jpg"}:
            assert row["error"] in {"truncated", "unsupported_format"}
            continue
        alone = served.decide_one(images / row["path"])
        assert (row["action"], row["label"], row["reason"]) == (
            alone.action.value,
            alone.label,
            alone.reason.value,
        )
        assert row["reliability"] == pytest.approx(alone.reliability, abs=1e-5)
        attempts = [each.reliability for each in alone.attempts]
        told = [row["reliability_before"], row["reliability_after"]][: len(attempts)]
        assert told == pytest.approx(attempts, abs=1e-5)
        assert row["symptoms"] == list(alone.symptoms)
        assert row["bundle"] == alone.calibration_id


def test_summary_page_and_progress(decided):
    done, output = decided
    summary = json.loads(done.out)
    assert summary == json.loads(output.with_suffix(".summary.json").read_text(encoding="utf-8"))
    table = rows(output)
    assert summary["n_images"] == N + 2
    assert summary["errors"] == {"truncated": 1, "unsupported_format": 1}
    assert summary["left_out"] == 1
    assert summary["n_accepted"] == sum(row["action"] == "accept" for row in table)
    assert summary["n_restored"] == sum(row["restorer"] is not None for row in table)
    assert f"{N + 2} of {N + 2} images decided" in done.err
    assert "per second, 0 s left" in done.err
    page = output.with_suffix(".html").read_text(encoding="utf-8")
    assert "gatekeeper batch" in page
    assert "part0/cut.png" in page


def test_nothing_is_overwritten(gatekeeper, fitted, images, decided):
    before = decided[1].read_bytes()
    done = gatekeeper("batch", fitted.bundle, images, decided[1])
    assert done.code == 2
    assert "nothing is overwritten" in done.err
    assert decided[1].read_bytes() == before


def test_an_archive_and_a_list_give_the_same_answers(gatekeeper, fitted, images, decided, tmp_path):
    names = [row["path"] for row in rows(decided[1])]
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for name in reversed(names):
            written.write(images / name, name)
    listing = tmp_path / "list.csv"
    pd.DataFrame({"file": [str(images / name) for name in names]}).to_csv(listing, index=False)
    for source in ([archive], [listing, "--column", "file"]):
        output = tmp_path / f"{source[0].stem}.parquet"
        done = gatekeeper("batch", fitted.bundle, source[0], output, "--chunk", 8, *source[1:])
        assert done.code == 0, done.err
        expected = rows(decided[1])
        if source[0] is listing:
            expected = [{**row, "path": str(images / row["path"])} for row in expected]
        assert rows(output) == expected


def test_shards_are_the_whole(gatekeeper, fitted, images, decided, tmp_path):
    whole = {row["path"]: row["action"] for row in rows(decided[1])}
    found = {}
    for index in (1, 2):
        output = tmp_path / f"{index}.parquet"
        assert gatekeeper("batch", fitted.bundle, images, output, "--shard", f"{index}/2").code == 0
        found |= {row["path"]: row["action"] for row in rows(output)}
    assert found == whole


@pytest.mark.parametrize(("rate", "code"), [("0.04", 1), ("0.05", 0)])
def test_a_share_of_failures_that_is_too_large_fails(
    gatekeeper, fitted, images, tmp_path, rate, code
):
    output = tmp_path / "out.parquet"
    done = gatekeeper(
        "batch", fitted.bundle, images, output, "--max-failure-rate", rate, "--chunk", 64
    )
    assert done.code == code, done.err
    assert ("FAIL: 4.76% of the images have no answer" in done.err) == (code == 1)
    assert output.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["out.csv"], "ends in .parquet"),
        (["out.parquet", "--shard", "3/2"], "shard"),
        (["out.parquet", "--max-failure-rate", "2"], "in [0, 1]"),
        (["out.parquet", "--chunk", "0"], "chunk must be at least 1"),
    ],
)
def test_what_cannot_be_meant(gatekeeper, fitted, images, tmp_path, arguments, sentence):
    done = gatekeeper("batch", fitted.bundle, images, tmp_path / arguments[0], *arguments[1:])
    assert done.code == 2
    assert sentence in done.err
    assert list(tmp_path.iterdir()) == []


def test_kill_9_and_resume_give_the_same_rows(gatekeeper, fitted, images, decided, tmp_path):
    output = tmp_path / "out.parquet"
    many = tmp_path / "images"
    for copy in range(6):
        shutil.copytree(images, many / str(copy))
    arguments = ["batch", fitted.bundle, many, output, "--chunk", 8, "--decode-threads", 1]
    command = [sys.executable, "-m", "gatekeeper", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ) as running:
        part = tmp_path / "out.parquet.part"
        try:
            while not list(part.glob("chunk-*2.parquet")):
                assert running.poll() is None
                time.sleep(0.005)
        finally:
            running.send_signal(signal.SIGKILL)
    assert not output.exists()
    kept = len(list(part.glob("chunk-*[0-9].parquet")))
    refused = gatekeeper(*arguments)
    assert refused.code == 2
    assert "--resume" in refused.err
    done = gatekeeper(*arguments, "--resume", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["computed_now"] == 6 * (N + 2) - 8 * kept
    assert not part.exists()
    whole = tmp_path / "whole.parquet"
    assert gatekeeper(*arguments[:3], whole, *arguments[4:]).code == 0
    assert rows(output) == rows(whole)
    again = gatekeeper(*arguments, "--resume", "--json")
    assert again.out == done.out


def test_the_options_of_ray_reach_its_runner(monkeypatch):
    class Gate:
        limits = "limits"

    monkeypatch.setattr("gatekeeper.scale.RayRunner", lambda *told: told)
    parser = argparse.ArgumentParser()
    batch.add_parser(parser.add_subparsers())
    words = "batch b i o.parquet --engine ray --address auto --workers 4 --restore-workers 3"
    more = "--decode-workers 5 --gpus 0.5 --cpus 2"
    arguments = parser.parse_args([*words.split(), *more.split()])
    bundle, facts, limits, options = batch._runner(arguments, Gate(), "bundle", "facts")
    assert (bundle, facts, limits) == ("bundle", "facts", "limits")
    assert (options.address, options.gpus, options.cpus) == ("auto", 0.5, 2.0)
    assert (options.workers, options.restore_workers, options.decode_workers) == (4, 3, 5)
