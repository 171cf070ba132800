"""How soon the console is there, how fast its slider answers, and how much a browser loads.

    python -m benchmarks.console [--quick] [--out DIR]
    python -m benchmarks.console --screenshots DIR

A service of its own over the shipped bundle, a headless Chromium on the same machine, images of
32 px. ``first_paint_ms`` is the browser's own first contentful paint in a context that has nothing
cached; ``slider_ms`` goes from the slider's event to the frame after the new decision is on the
page; ``page_kb`` is everything that a first visit loads, answers included. About two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import stats

from benchmarks.harness import RESULTS, Figure, write_results

BUNDLE = "shipped:small-resnet-fashion-mnist"
CHROMIUM = os.environ.get("GATEKEEPER_CHROMIUM", "/usr/bin/chromium")
SIDE_PX = 32
CORRUPTIONS = ("gaussian", "impulse", "dark", "gaussian_blur", "contrast", "jpeg_compression")
_PATIENCE_S = 180.0
_KB = 1000.0

# From the event to the frame after the answer is on the page, as a person would see it.
_MOVE = """severity => new Promise(resolve => {
  const slider = document.getElementById("severity"), result = document.getElementById("result");
  const before = Number(result.dataset.count);
  const watching = new MutationObserver(() => {
    if (Number(result.dataset.count) <= before) return;
    watching.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - began)));
  });
  watching.observe(result, {attributes: true});
  slider.value = String(severity);
  const began = performance.now();
  slider.dispatchEvent(new Event("input", {bubbles: true}));
})"""
_PAINT = """() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark, or make the pictures of the README."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.console", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="a few loads and moves")
    parser.add_argument("--out", type=Path, default=None, help="folder for console.json")
    parser.add_argument("--screenshots", type=Path, default=None, metavar="DIR")
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    with served() as base, a_browser() as browser:
        if arguments.screenshots is not None:
            take_screenshots(browser, base, arguments.screenshots)
            return
        n_loads, n_moves = (2, 5) if arguments.quick else (15, 60)
        loads = [load(browser, base) for _ in range(n_loads)]
        moves = move(browser, base, n_moves)
    figures = judge(loads, moves)
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<20}{figure.value:>10.1f}  target {figure.target:>7}  {verdict}")
    usual = Path("runs") / "benchmarks" if arguments.quick else RESULTS
    path = write_results(
        "console",
        command="python -m benchmarks.console" + (" --quick" if arguments.quick else ""),
        seeds=[0],
        data={"name": "synthetic", "side_px": SIDE_PX, "n": 1, "bundle": BUNDLE},
        seconds=time.perf_counter() - started,
        figures=figures,
        table=[{"load": at, **row} for at, row in enumerate(loads)]
        + [{"move": at, **row} for at, row in enumerate(moves)],
        folder=arguments.out or usual,
    )
    print(f"wrote {path}")


def judge(loads: Sequence[dict[str, Any]], moves: Sequence[dict[str, Any]]) -> list[Figure]:
    """The figures.

    Args:
        loads: With ``first_paint_ms`` and ``kb``.
        moves: With ``ms``.
    """
    paints = [row["first_paint_ms"] for row in loads]
    slides = [row["ms"] for row in moves]
    figures = []
    for name, values, target in (("first_paint_ms", paints, 1000), ("slider_ms", slides, 300)):
        low, high = median_interval(values)
        figures.append(
            Figure(
                name=name,
                value=round(float(np.median(values)), 2),
                low=round(low, 2),
                high=round(high, 2),
                target=target,
                direction="lower",
                judged="high",
                note=f"median of {len(values)}, exact 95 % interval of it; the slowest took "
                f"{max(values):.0f} ms",
            )
        )
    figures.append(
        Figure(
            name="page_kb",
            value=round(max(row["kb"] for row in loads), 2),
            target=500,
            direction="lower",
            judged="value",
            note="bodies as sent, samples of the bundle and first answers included",
        )
    )
    return figures


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Exact interval of a median from order statistics, at least 95 %, clipped to what was seen.

    Args:
        values: At least one. Below six, no interval within them reaches 95 %: it is their range.

    Example:
        >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        (1.0, 6.0)
    """
    ordered = sorted(values)
    below = int(stats.binom.ppf(0.025, len(ordered), 0.5))
    # One further out than the quantile keeps the level on both sides.
    at = max(0, below - 1)
    return ordered[at], ordered[len(ordered) - 1 - at]


def load(browser: Any, base: str) -> dict[str, Any]:  # noqa: ANN401  # playwright is optional
    """A first visit, until its first decision is shown."""
    context = browser.new_context()
    page = context.new_page()
    sizes: list[int] = []
    page.on("response", lambda answer: sizes.append(int(answer.headers["content-length"])))
    page.goto(f"{base}/console")
    page.wait_for_selector("#result[data-count][aria-busy='false']")
    page.wait_for_load_state("networkidle")
    paint = page.evaluate(_PAINT)
    context.close()
    if paint < 0:
        raise RuntimeError("expected the browser to tell its first paint, it did not: run again")
    return {
        "first_paint_ms": round(paint, 2),
        "kb": round(sum(sizes) / _KB, 2),
        "requests": len(sizes),
    }


def move(browser: Any, base: str, n_moves: int) -> list[dict[str, Any]]:  # noqa: ANN401
    """Move the slider over an image of one's own, a few times per corruption."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{base}/console")
    page.wait_for_selector("#result[data-count][aria-busy='false']")
    upload = {"name": "own.png", "mimeType": "image/png", "buffer": image_file(0)}
    page.set_input_files("#file", upload)
    page.wait_for_selector("#result[data-count][aria-busy='false']")
    rows = []
    for at in range(n_moves):
        name = CORRUPTIONS[at * len(CORRUPTIONS) // n_moves]
        if page.input_value("#corruption") != name:
            page.select_option("#corruption", name)
            page.wait_for_load_state("networkidle")
            page.wait_for_selector("#sweep:not(.waiting) circle")
        severity = 1 + (at * 2) % 5
        ms = page.evaluate(_MOVE, severity)
        rows.append({"corruption": name, "severity": severity, "ms": round(ms, 2)})
    context.close()
    return rows


def image_file(seed: int) -> bytes:
    """A coloured PNG of 32 px that looks like something: a few soft blobs."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    picture = np.zeros((SIDE_PX, SIDE_PX, 3))
    for _ in range(5):
        y, x, width = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.01, 0.06)
        blob = np.exp(-((row - y) ** 2 + (column - x) ** 2) / width)
        picture += blob[:, :, None] * rng.uniform(0.2, 0.9, 3)
    out = BytesIO()
    Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


@contextmanager
def a_browser() -> Iterator[Any]:
    """A headless Chromium that was there already."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def served(**environment: str) -> Iterator[str]:
    """The address of a service in a process and with a home of its own."""
    with tempfile.TemporaryDirectory(prefix="gatekeeper-console-") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "gatekeeper", "serve", BUNDLE, "--port", "0"]
        settings = {**os.environ, "GATEKEEPER_HOME": folder, **environment}
        with log.open("wb") as out:
            server = subprocess.Popen(command, stderr=out, env=settings)  # noqa: S603  # ours
            try:
                yield _address(server, log)
            finally:
                server.terminate()
                server.wait(60)


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"listening on (http://\S+)", log.read_text(encoding="utf-8"))
        if found and _is_ready(found[1]):
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"the service did not become ready:\n{log.read_text(encoding='utf-8')}")


def _is_ready(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=5) as answer:  # noqa: S310  # ours
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


SHOTS = (
    ("console-try-light", "console#try", "light", (1280, 900)),
    ("console-try-dark", "console#try", "dark", (1280, 900)),
    ("console-traffic-light", "console#traffic", "light", (1280, 900)),
    ("console-phone", "console#try", "light", (390, 844)),
)


def take_screenshots(browser: Any, base: str, folder: Path) -> None:  # noqa: ANN401
    """The pictures of the README."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path, scheme, (width, height) in SHOTS:
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}
        )
        page = context.new_page()
        page.goto(f"{base}/{path}")
        if "try" in path:
            page.wait_for_selector("#result[data-count][aria-busy='false']")
            page.locator(".sample").nth(1).click()
            page.select_option("#corruption", "impulse")
            page.locator("#severity").fill("4")
            page.wait_for_load_state("networkidle")
            page.wait_for_selector("#sweep:not(.waiting) circle")
        else:
            _some_traffic(base)
            page.reload()
            page.wait_for_selector("#chart-decisions canvas")
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"{name}.png", full_page=width > height)
        context.close()
        print(f"wrote {folder / name}.png")


def _some_traffic(base: str, seconds: float = 40.0) -> None:
    """Decisions on the bundle's own samples, at a rate that rises and falls."""
    with urllib.request.urlopen(f"{base}/console/api/setup", timeout=30) as answer:  # noqa: S310
        samples = [b64decode(uri.partition(",")[2]) for uri in json.load(answer)["samples"]]
    until, at = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        request = urllib.request.Request(  # noqa: S310  # ours
            f"{base}/v1/decide", samples[at % len(samples)], {"Content-Type": "image/png"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # ours
            answer.read()
        at += 1
        time.sleep(0.02 + 0.15 * abs(np.sin(at / 40)))


if __name__ == "__main__":
    main()
