"""How fast each restorer is, how much memory it takes, and its share of the classifier's cost.

    python -m benchmarks.restoration_speed [--side 32] [--classifier RECORD]
    python -m benchmarks.restoration_speed --quick

Batches of fixed sizes, so that a compiled network is compiled once for each; it is compiled
(``reduce-overhead``, which captures graphs) on CUDA only. The weights are untrained: they take as
long as trained ones. Nothing here has a target; the numbers are of the machine that is named.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import RESULTS, write_results
from gatekeeper.classifiers.timm import TimmClassifier
from gatekeeper.paths import shipped
from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.restorers import RESTORERS, AutoencoderRestorer, UNetRestorer
from gatekeeper.restorers.autoencoder import AutoencoderConfig, SkipAutoencoder
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig
from gatekeeper.training import classifier_of_record

NAME = "restoration_speed"
BATCHES = (1, 8, 32, 128)

_QUICK_BATCHES = (1, 4)
_SECONDS, _QUICK_SECONDS = 2.0, 0.05
_MEBI = 2**20
_RESET_PEAK = "5"  # what Linux takes in clear_refs to forget the largest resident size


@dataclass(frozen=True, slots=True)
class Cost:
    """What one pass over a batch costs.

    Attributes:
        seconds: Median over the passes.
        peak_mib: Most memory that a pass took beyond what was there before it; None where the
            system does not tell.
    """

    seconds: float
    peak_mib: float | None


def median_seconds(
    run: Callable[[], object],
    *,
    least: float,
    finish: Callable[[], object] = bool,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Median time of a pass, over at least three passes and ``least`` seconds.

    Args:
        run: One pass; a first one is not counted.
        least: Seconds.
        finish: Waits until the device has finished.
        clock: Seconds, rising.
    """

    def once() -> float:
        start = clock()
        run()
        finish()
        return clock() - start

    once()
    taken = [once() for _ in range(3)]
    while sum(taken) < least:
        taken.append(once())
    return float(np.median(taken))


def peak_mib(run: Callable[[], object], device: torch.device) -> float | None:
    """Most memory that a pass takes beyond what is there before it, in MiB.

    Of CUDA's own count on CUDA; of the process's resident size elsewhere, which only Linux tells.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / _MEBI
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        before = _resident("VmRSS")
        run()
        return max(0.0, _resident("VmHWM") - before)
    except OSError:
        return None


def _resident(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 1024
    raise OSError(f"{name} is not told")


def restorers(device: torch.device) -> dict[str, Restorer]:
    """All that are timed: those without weights, and the two networks at their default widths."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        autoencoder, unet = SkipAutoencoder(AutoencoderConfig()), ResidualUNet(UNetConfig())
    return {
        "median": RESTORERS["median"](),
        "exposure": RESTORERS["exposure"](),
        "autoencoder": AutoencoderRestorer(autoencoder, device=str(device)),
        "unet": UNetRestorer(unet, device=str(device)),
    }


def compiled(restorer: Restorer) -> Restorer:
    """The same restorer with its network compiled for batches of fixed size; changes it."""
    networked: Any = restorer
    networked.network = torch.compile(networked.network, mode="reduce-overhead", dynamic=False)
    return restorer


def rows_of(
    found: Mapping[str, Restorer],
    classifier: Classifier,
    device: torch.device,
    *,
    side: int,
    batches: Sequence[int],
    least: float,
    variant: str,
) -> Iterator[dict[str, Any]]:
    """One row per batch and restorer, the classifier's own pass first."""
    finish = torch.cuda.synchronize if device.type == "cuda" else bool
    for batch in batches:
        images, seeds = _images(batch, side).to(device), np.arange(batch)

        def cost(run: Callable[[], object]) -> Cost:
            run()  # what is kept for good is there before memory is measured
            return Cost(median_seconds(run, least=least, finish=finish), peak_mib(run, device))

        unit = cost(lambda images=images: classifier.look(images))  # type: ignore[misc]
        facts = {"device": device.type, "variant": variant, "batch": batch, "side_px": side}
        yield row("classifier", unit, unit, facts)
        for name, restorer in found.items():
            taken = cost(lambda r=restorer, i=images, s=seeds: r.restore(i, seeds=s))  # type: ignore[misc]
            yield row(name, taken, unit, facts)


def row(name: str, cost: Cost, unit: Cost, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the table; ``share_of_classifier`` is of one pass over the same batch."""
    return {
        "method": name,
        **facts,
        "images_per_s": round(facts["batch"] / cost.seconds, 1),
        "peak_mib": None if cost.peak_mib is None else round(cost.peak_mib, 2),
        "share_of_classifier": round(cost.seconds / unit.seconds, 4),
    }


def _images(batch: int, side: int) -> Tensor:
    values = np.random.default_rng(0).random((batch, 3, side, side), dtype=np.float32)
    return torch.from_numpy(values)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{NAME}", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="two small batches, for a moment each")
    parser.add_argument("--side", type=int, default=32, help="of the square images, in px")
    parser.add_argument("--classifier", default="resnet18-cifar10", help="a record in models/")
    parser.add_argument("--device", default=None, help="such as cpu; CUDA where there is any")
    parser.add_argument("--out", type=Path, default=None, help=f"folder for {NAME}.json")
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    classifier: Classifier = (
        TimmClassifier(
            "gatekeeper_small_resnet",
            checkpoint=None,
            class_names=list("0123456789"),
            kwargs={"mean": [0.5] * 3, "std": [0.25] * 3, "size": [arguments.side] * 2},
            device=device,
        )
        if arguments.quick
        else classifier_of_record(shipped("models", arguments.classifier)).build(device=str(device))
    )
    settings: dict[str, Any] = {
        "side": arguments.side,
        "batches": _QUICK_BATCHES if arguments.quick else BATCHES,
        "least": _QUICK_SECONDS if arguments.quick else _SECONDS,
    }
    table = list(rows_of(restorers(device), classifier, device, variant="eager", **settings))
    if device.type == "cuda":
        networks = {n: compiled(r) for n, r in restorers(device).items() if hasattr(r, "network")}
        table += rows_of(networks, classifier, device, variant="compiled", **settings)
    for line in table:
        memory = "" if line["peak_mib"] is None else f"{line['peak_mib']:>9.1f} MiB"
        print(
            f"{line['method']:<12}{line['variant']:<10}batch {line['batch']:>4}"
            f"{line['images_per_s']:>12,.0f} images/s{memory}"
            f"{line['share_of_classifier']:>9.3f} of the classifier"
        )
    command = [f"python -m benchmarks.{NAME}", *(["--quick"] if arguments.quick else [])]
    path = write_results(
        NAME,
        command=" ".join([*command, f"--side {arguments.side}", f"--device {device.type}"]),
        seeds=[0],
        data={"name": "random pixels", "n": max(settings["batches"])},
        seconds=time.perf_counter() - started,
        figures=[],
        table=table,
        # A quick run must not pass for the benchmark.
        folder=arguments.out or (Path("runs") / "benchmarks" if arguments.quick else RESULTS),
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
