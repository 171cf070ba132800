"""The wheel alone, in an empty folder: it decides and serves with what it ships."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = "small-resnet-fashion-mnist"


@pytest.fixture
def environment(installed_wheel: Path, tmp_path: Path) -> dict[str, str]:
    """A process that sees the installed wheel and no checkout."""
    return {**os.environ, "PYTHONPATH": str(installed_wheel), "GATEKEEPER_HOME": str(tmp_path)}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    ramp = np.tile(np.linspace(0, 255, 28).astype(np.uint8), (28, 1))
    Image.fromarray(ramp).save(path)
    return path


def test_it_decides_with_the_shipped_bundle(
    environment: dict[str, str], photo: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", "decide", f"shipped:{SHIPPED}", str(photo), "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    decision = json.loads(done.stdout)
    certificate = json.loads(
        (ROOT / "calibration" / SHIPPED / "certificate.json").read_text(encoding="utf-8")
    )
    assert decision["action"] in {"accept", "abstain"}
    assert decision["certified"] == certificate["certified"]
    assert 0.0 <= decision["reliability"] <= 1.0


def test_it_serves_the_shipped_bundle(
    environment: dict[str, str], photo: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    arguments = ["serve", f"shipped:{SHIPPED}", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "gatekeeper", *arguments],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(f"{base}/readyz", server)
        request = urllib.request.Request(  # noqa: S310  # our own loopback address
            f"{base}/v1/decide", data=photo.read_bytes(), headers={"Content-Type": "image/png"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            decision = json.load(answer)
        assert decision["attempts"][0]["restorer"] is None
        assert decision["image"] == {**decision["image"], "width": 28, "height": 28}
    finally:
        server.terminate()
        code = server.wait(timeout=30)
    assert code == 0


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server stopped before it was ready"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
                if json.load(answer)["ready"]:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail("the server was not ready within a minute")
