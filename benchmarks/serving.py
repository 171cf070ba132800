"""The service against its peers, and under everything that it must survive.

    python -m benchmarks.serving [--quick | --long]

The load generator and every server are processes of their own. The peers, plain FastAPI and
LitServe, run in the same run with the same tuning as ours (decoder, threads, one forward pass at a
time), and once as their documentation begins. Networks are untrained; photographs are those that
scikit-image ships. Cells are kept on disk by the hash of all that determines them, so that a run
that was cut short goes on. What takes long, ten minutes of fuzzing and an hour of soak, is measured
by `make fuzz`, `make soak` or with `--long`, and judged here once it has been.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks import serving_cells as cells
from benchmarks import serving_long
from benchmarks.harness import RESULTS, Figure, machine, versions, write_results
from benchmarks.kept import code_digest
from benchmarks.serving_gate import make_bundle
from benchmarks.serving_running import Scale, jpegs
from benchmarks.serving_servers import TUNED
from benchmarks.serving_swaps import swaps
from gatekeeper.mlp import MlpOptions

QUICK = Scale(
    nets=("small",),
    side=64,
    clients=(1, 16),
    seconds=1.5,
    rounds=1,
    threads=1,
    n_images=8,
    seeds=10,
)
_KEPT = Path("runs") / "benchmarks" / "serving-cells"
_FUZZ_S = 20
_MOVES = 50
_CAPACITY_CLIENTS = 16

Row = dict[str, Any]


class Cells:
    """Measures what is not on disk yet.

    Args:
        scale: How much is measured.
        folder: Where rows are kept.
    """

    def __init__(self, scale: Scale, folder: Path) -> None:
        self.scale = scale
        self._folder = folder
        self._code = code_digest(
            "benchmarks.serving_cells", "benchmarks.serving_servers", "benchmarks.serving_swaps"
        )
        self.rows: list[Row] = []

    def take(self, name: str, measure: Callable[[], Row | list[Row]]) -> list[Row]:
        """The rows of a cell; ``name`` says all about it that scale, code and machine do not."""
        facts = [name, repr(self.scale), self._code, machine(), versions()]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        path = self._folder / f"{name.replace(' ', '-')}-{digest}.json"
        if not path.is_file():
            made = measure()
            self._folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(made if isinstance(made, list) else [made])
            unfinished = path.with_suffix(".part")
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))
        for row in rows:
            print({key: value for key, value in row.items() if key != "statuses"}, flush=True)
        self.rows += rows
        return rows

    def bundle(self, net: str) -> Path:
        """A bundle of the network, made once."""
        name = f"bundle-{net}-{self.scale.side}-{self.scale.n_images}-{self._code[:16]}"
        folder = self._folder / name
        if not folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            quick = self.scale.rounds == 1
            options = MlpOptions(hidden=16, members=1, epochs=1) if quick else None
            make_bundle(net, self.scale.side, self.scale.n_images, folder, options)
        return folder


def measure(kept: Cells, *, quick: bool) -> list[Figure]:
    """All cells, and the figures that they give."""
    systems = ["gate", "plain", "fastapi", "litserve"]
    if quick:
        systems = ["gate", "fastapi"]
    elif importlib.util.find_spec("litserve") is None:
        systems.remove("litserve")
    rows = _throughput(kept, systems)
    if not quick:
        _as_documented(kept, [each for each in systems if each in TUNED])
    return [*throughput_figures(rows, kept.scale), *_under_load(kept, rows, quick=quick)]


def _throughput(kept: Cells, systems: Sequence[str]) -> list[Row]:
    scale = kept.scale
    rows: list[Row] = []
    for turn, net in itertools.product(range(scale.rounds), scale.nets):
        # Every round begins with another system: none has the cool machine to itself.
        for system in np.roll(systems, -turn).tolist():
            bundle = kept.bundle(net) if system == "gate" else None
            work = partial(cells.throughput, system, net, scale, bundle, scale.clients)
            rows += kept.take(f"throughput {system} {net} {turn}", work)
    return rows


def _as_documented(kept: Cells, peers: Sequence[str]) -> None:
    for peer, net in itertools.product(peers, kept.scale.nets):
        system = f"{peer}_documented"
        work = partial(cells.throughput, system, net, kept.scale, None, (_CAPACITY_CLIENTS,))
        kept.take(f"documented {system} {net}", work)


def _under_load(kept: Cells, rows: Sequence[Row], *, quick: bool) -> list[Figure]:
    scale = kept.scale
    bundle = kept.bundle("small")
    capacity = float(np.median(_of(rows, "gate", "small", _CAPACITY_CLIENTS)))
    [over] = kept.take("overload", lambda: cells.overload(scale, bundle, capacity))
    [one] = kept.take("poison", lambda: cells.poison(scale))
    figures = [
        _figure("overload_goodput", over["goodput"], 0.9, "higher", f"{over['shed']} were shed"),
        _figure("overload_accepted_p99_share", over["accepted_p99_share"], 1.0, "lower"),
        _figure("shed_p99_ms", over["shed_p99_ms"], 100, "lower"),
        _figure("poison_right_answers", one["worst_right"], 31, "higher", f"{one['seeds']} seeds"),
    ]
    return figures if quick else figures + _the_rest(kept, bundle, capacity) + _long(kept)


def _the_rest(kept: Cells, bundle: Path, capacity: float) -> list[Figure]:
    scale = kept.scale
    [bare] = kept.take("idle", lambda: cells.idle(scale))
    [wave] = kept.take("burst", lambda: cells.burst(scale, bundle, capacity))
    [mix] = kept.take("mixed", lambda: cells.mixed(scale, bundle, capacity))
    [end] = kept.take("sigterm", lambda: cells.sigterm(scale, bundle))
    [bad] = kept.take("bad_input", lambda: cells.bad_input(scale))
    [moved] = kept.take("swaps", lambda: swaps(scale, _MOVES))
    during = f"{moved['moves']} moves under load, {moved['answers']} images answered"
    pixels = "1 MB of pixels by the Open Inference Protocol"
    return [
        _figure("noop_1mb_p50_ms", bare["p50_ms"], 3, "lower", pixels),
        _figure("noop_1mb_p99_ms", bare["p99_ms"], 10, "lower", pixels),
        _figure("burst_recovery_s", wave["recovery_s"], 2, "lower"),
        _figure("lost_replies", wave["lost_replies"], 0, "lower"),
        _figure("mixed_clean_p95_ratio", mix["ratio"], 1.25, "lower", "at 0.4 of the capacity"),
        _figure("sigterm_dropped", end["dropped"], 0, "lower", f"exit code {end['exit_code']}"),
        _figure("alias_swap_errors", moved["errors"], 0, "lower", during),
        _figure("mixed_bundle_answers", moved["mixed"], 0, "lower", during),
        _figure("bad_input_5xx", len(bad["5xx"]), 0, "lower", f"{bad['cases']} cases"),
        _figure("bad_input_wrong_code", len(bad["wrong_code"]), 0, "lower"),
    ]


def _long(kept: Cells) -> list[Figure]:
    """What was measured for long; fuzzing for a moment stands in where it was not."""
    figures = []
    soaked, fuzzed = (serving_long.measured(what) for what in ("soak", "fuzz"))
    if soaked is None:
        print("soak_growth_mb is not measured: make soak", flush=True)
    else:
        kept.rows.append(soaked)
        note = f"{soaked['seconds']:g} s on {soaked['date']}; {soaked['statuses']}"
        target = serving_long.GROWTH_MB
        figures.append(_figure("soak_growth_mb", soaked["growth_mb"], target, "lower", note))
    if fuzzed is not None:
        kept.rows.append(fuzzed)
    elif importlib.util.find_spec("atheris") is not None:
        [fuzzed] = kept.take("fuzz", lambda: cells.fuzz(_FUZZ_S))
    if fuzzed is not None:
        note = f"by coverage, {fuzzed['seconds']} s each: {fuzzed['runs']}; `make fuzz` for longer"
        figures.append(_figure("fuzz_crashes", fuzzed["crashes"], 0, "lower", note))
    return figures


def throughput_figures(rows: Sequence[Row], scale: Scale) -> list[Figure]:
    """Ours ÷ the better tuned peer, round by round, the worse network where there are two."""
    wanted = [(f"gate_on_vs_best_peer_c{n}", "gate", scale.nets, n, t)
              for n, t in ((1, 0.95), (16, 1.0), (64, 1.0))]  # fmt: skip
    wanted += [
        ("gate_off_vs_best_peer_c1", "plain", scale.nets, 1, 0.98),
        ("gate_off_small_c64", "plain", ("small",), 64, 1.1),
        ("gate_off_resnet50_c64", "plain", ("resnet50",), 64, 1.0),
    ]
    figures = []
    for name, system, nets, clients, target in wanted:
        ratios = {net: found for net in nets if len(found := _ratios(rows, system, net, clients))}
        if ratios:
            net = min(ratios, key=lambda each: float(np.median(ratios[each])))
            low, high = float(ratios[net].min()), float(ratios[net].max())
            note = f"{net}; least and largest of {len(ratios[net])} rounds"
            value = float(np.median(ratios[net]))
            figures.append(_figure(name, value, target, "higher", note, low=low, high=high))
    gate, plain = (_of(rows, each, "resnet50", 1, "p50_ms") for each in ("gate", "plain"))
    if len(gate) and len(plain):
        share = 1 - float(np.median(plain)) / float(np.median(gate))
        note = "of the median latency, against the same service without its gate"
        figures.append(_figure("gate_latency_share", share, 0.05, "lower", note))
    return figures


def _ratios(rows: Sequence[Row], system: str, net: str, clients: int) -> np.ndarray:
    ours = _of(rows, system, net, clients)
    peers = [_of(rows, peer, net, clients) for peer in ("fastapi", "litserve")]
    best = [peer for peer in peers if len(peer) == len(ours) > 0]
    return ours / np.max(best, axis=0) if best else np.zeros(0)


def _of(rows: Sequence[Row], system: str, net: str, clients: int, key: str = "per_s") -> np.ndarray:
    """One number per round, in the order of the rounds."""
    wanted = {"system": system, "net": net, "clients": clients}
    return np.array([row[key] for row in rows if wanted.items() <= row.items()])


def _figure(
    name: str,
    value: float,
    target: float,
    direction: Literal["higher", "lower"],
    note: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
) -> Figure:
    return Figure(
        name=name, value=float(value), low=low, high=high, target=target, direction=direction,
        judged="value", note=note,
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="a small run against FastAPI alone")
    how_much.add_argument("--long", action="store_true", help="with the soak and the long fuzzing")
    parser.add_argument("--out", type=Path, default=None, help="folder for serving.json")
    parser.add_argument("--cells", type=Path, default=None, help=f"kept cells (default {_KEPT})")
    given = parser.parse_args(argv)
    started = time.perf_counter()
    scale = QUICK if given.quick else Scale()
    kept = Cells(scale, given.cells or _KEPT)
    for what, seconds in serving_long.SECONDS.items() if given.long else ():
        if serving_long.measured(what) is None:
            serving_long.measure(what, seconds)
    figures = measure(kept, quick=given.quick)
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<30}{figure.value:>12.4f}  target {figure.target:>7}  {verdict}")
    path = write_results(
        "serving",
        command=f"python -m benchmarks.serving{' --quick' if given.quick else ''}",
        seeds=[0],
        data=_data(scale),
        seconds=time.perf_counter() - started,
        figures=figures,
        table=kept.rows,
        # A quick run must not pass for the benchmark.
        folder=given.out or (Path("runs") / "benchmarks" if given.quick else RESULTS),
    )
    print(f"wrote {path}")


def _data(scale: Scale) -> Mapping[str, Any]:
    files = jpegs(scale.side)
    digest = hashlib.sha256(b"".join(files)).hexdigest()
    return {"name": "skimage.data", "split": "-", "n": len(files), "digest": digest}


if __name__ == "__main__":
    main()
