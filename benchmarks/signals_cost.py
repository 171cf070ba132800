"""What signals, predictor and calibrator cost, on one core, beside a ResNet-50."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Figure
from gatekeeper.calibrators import calibrator
from gatekeeper.classifiers.timm import SMALL_RESNET, untrained_network
from gatekeeper.images import fit_to
from gatekeeper.mlp import MlpOptions
from gatekeeper.protocols import Evidence
from gatekeeper.recipe import SecondOpinionRecipe
from gatekeeper.reliability.learned import LearnedPredictor
from gatekeeper.signals import read_signals
from gatekeeper.training.second_opinion import looking_size
from gatekeeper.types import FloatArray

SIDE_PX = 224
BATCH = 8
FEATURES = 2048
"""Of ResNet-50 before its last layer."""

_FITTED_ROWS = 512
_RESAMPLES = 2000
_CLASSES = (10, 1000)


def cost_figures(*, quick: bool) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Milliseconds of all signals per image, and the gate's share of a ResNet-50's time."""
    repeats = 5 if quick else 40
    with _one_core():
        # First, as a gate's classifier does, so that memory is taken from the system only once.
        network = _times(_resnet50(), 2 if quick else 20, BATCH)
        large = _times(_reading(32, SIDE_PX), repeats, 32)
        small = _times(_reading(256, 32), repeats, 256)
        eight = _times(_reading(BATCH, SIDE_PX), repeats, BATCH)
        lone = _times(_reading(1, SIDE_PX), repeats, 1)
        gates = {k: _times(_gate(k), repeats, BATCH) for k in (_CLASSES[:1] if quick else _CLASSES)}
        second = _times(_second_opinion(), repeats, BATCH)
    rows = [
        _row("signals", "224 px, batch 32", large),
        _row("signals", "32 px, batch 256", small),
        _row("signals", "224 px, batch 8", eight),
        _row("signals", "224 px, batch 1", lone),
        _row("resnet50", "timm, untrained, 224 px, batch 8", network),
        *(_row("predictor and calibrator", f"{k} classes, batch 8", g) for k, g in gates.items()),
        _row("second opinion", "where a recipe asks for one, of 224 px, batch 8", second),
    ]
    shares = {k: (eight, gate, second, network) for k, gate in gates.items()}
    figures = [
        _figure(
            "signals_ms",
            [large],
            lambda one: one[0],
            1.0,
            "per image, batch 32, one core, in a process that has run a ResNet-50",
        ),
        max(
            (
                _figure(
                    "gate_cost_share",
                    list(parts),
                    lambda m: (m[0] + m[1] + m[2]) / m[3],
                    0.05,
                    "signals, learned predictor, isotonic calibrator and a second opinion (a view "
                    "would cost another pass of the classifier), fitted on random evidence of "
                    f"{FEATURES} features and {k} classes (the dearer of {list(shares)}), over an "
                    f"untrained timm resnet50 of 1000 classes; batch {BATCH}, one core",
                )
                for k, parts in shares.items()
            ),
            key=lambda figure: figure.value,
        ),
    ]
    return figures, rows


@contextmanager
def _one_core() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _times(work: Callable[[], object], repeats: int, n_images: int) -> FloatArray:
    """Milliseconds per image of each repeat, after one that does not count."""
    work()
    found = np.zeros(repeats)
    for k in range(repeats):
        started = time.perf_counter()
        work()
        found[k] = (time.perf_counter() - started) * 1e3 / n_images
    return found


def _images(n: int, side: int) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def _reading(n: int, side: int) -> Callable[[], object]:
    images = _images(n, side)
    return lambda: read_signals(images)


def _resnet50() -> Callable[[], object]:
    # A benchmark's peer, not the package's classifier: built here, without its preprocessing.
    from timm import create_model

    network = create_model("resnet50", pretrained=False).eval()
    images = _images(BATCH, SIDE_PX)

    def forward() -> object:
        with torch.inference_mode():
            return network(images)

    return forward


def _evidence(n: int, n_classes: int, generator: np.random.Generator) -> Evidence:
    return Evidence(
        logits=generator.normal(size=(n, n_classes)).astype(np.float32),
        logits_kind="logits",
        features=generator.normal(size=(n, FEATURES)).astype(np.float32),
        signals=read_signals(torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(n))),
        probes=np.zeros((n, 0), dtype=np.float32),
        seeds=np.arange(n),
        restorer=np.full(n, ""),
    )


def _gate(n_classes: int) -> Callable[[], object]:
    """Score and calibrate a batch; widths are those of the default options."""
    generator = np.random.default_rng(0)
    fitted = _evidence(_FITTED_ROWS, n_classes, generator)
    labels = generator.integers(0, n_classes, size=_FITTED_ROWS)
    predictor = LearnedPredictor(MlpOptions(epochs=1)).fit(fitted, labels)
    isotonic = calibrator("isotonic").fit(predictor.score(fitted), fitted.labels == labels)
    evidence = _evidence(BATCH, n_classes, generator)
    return lambda: isotonic.reliability(predictor.score(evidence))


def _second_opinion() -> Callable[[], object]:
    """The network that a recipe gets by default, looking at a batch of large images."""
    options = SecondOpinionRecipe()
    network = untrained_network(
        SMALL_RESNET,
        _CLASSES[-1],
        {"widths": list(options.widths), "layers": [options.depth] * 4},
        seed=0,
    ).eval()
    side = looking_size((SIDE_PX, SIDE_PX), options.largest_side_px)
    images = _images(BATCH, SIDE_PX)

    def look() -> object:
        with torch.inference_mode():
            return network(fit_to(images, side))

    return look


def _row(what: str, setting: str, times: FloatArray) -> dict[str, Any]:
    return {
        "method": what,
        "setting": setting,
        "ms_per_image_median": float(np.median(times)),
        "ms_per_image_least": float(times.min()),
        "repeats": len(times),
    }


def _figure(
    name: str,
    parts: list[FloatArray],
    combine: Callable[[list[float]], float],
    target: float,
    note: str,
) -> Figure:
    """A figure of medians over repeats; bootstrap over the repeats of every part."""
    generator = np.random.default_rng(0)
    drawn = [
        np.median(p[generator.integers(0, len(p), size=(_RESAMPLES, len(p)))], axis=1)
        for p in parts
    ]
    values = [combine([d[k] for d in drawn]) for k in range(_RESAMPLES)]
    low, high = np.quantile(values, (0.025, 0.975))
    return Figure(
        name=name,
        value=float(combine([float(np.median(p)) for p in parts])),
        low=float(low),
        high=float(high),
        target=target,
        direction="lower",
        judged="high",
        note=note,
    )
