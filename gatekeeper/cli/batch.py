"""``gatekeeper batch``: decide a folder, an archive or a list of images, one row per image."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.cli.bundles import resolve_bundle
from gatekeeper.cli.options import add_bundle, add_command
from gatekeeper.errors import InputError

if TYPE_CHECKING:
    from gatekeeper.batch import Facts, Runner
    from gatekeeper.pipeline import Gatekeeper

_EXAMPLE = """  gatekeeper batch runs/demo/bundle photos/ decided.parquet
  gatekeeper batch shipped:small-resnet-fashion-mnist photos.zip decided.parquet --resume
  gatekeeper batch runs/demo/bundle list.csv part2.parquet --shard 2/4 --max-failure-rate 0.01"""

_FAIL = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(commands, "batch", "decide many images, one row each", _EXAMPLE)
    add_bundle(parser)
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=Path,
        help="a folder, a .zip, or a .csv or .parquet with a column of paths",
    )
    parser.add_argument(
        "output",
        metavar="OUTPUT.parquet",
        type=Path,
        help="is made, with OUTPUT.summary.json and OUTPUT.html; nothing is overwritten",
    )
    parser.add_argument("--column", default="path", help="column of the paths (default path)")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run")
    parser.add_argument("--shard", metavar="i/n", default="1/1", help="decide the i-th of n parts")
    parser.add_argument(
        "--max-failure-rate",
        type=float,
        metavar="R",
        help="exit with 1 if a larger share of the images, in [0, 1], has no answer",
    )
    parser.add_argument(
        "--chunk", type=int, default=256, help="images per checkpoint (default 256)"
    )
    parser.add_argument("--batch", type=int, default=64, help="images per look (default 64)")
    parser.add_argument("--decode-threads", type=int, help="default: one per core, 8 at most")
    parser.add_argument("--json", action="store_true", help="print the summary")
    _add_ray(parser)
    parser.set_defaults(run=run)


def _add_ray(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: workers of a Ray cluster, which must all see INPUT and BUNDLE (extra [ray])",
    )
    ray = parser.add_argument_group("with --engine ray")
    ray.add_argument("--address", help="of a running cluster (default: start one here)")
    ray.add_argument("--workers", type=int, default=1, help="workers, each with a gate")
    ray.add_argument(
        "--restore-workers", type=int, default=0, help="further workers for restorations"
    )
    ray.add_argument("--decode-workers", type=int, default=0, help="further processes that decode")
    ray.add_argument("--gpus", type=float, default=0.0, help="GPUs per worker, such as 0.5")
    ray.add_argument("--cpus", type=float, default=1.0, help="cores per worker")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.batch import (
        BatchFiles,
        BatchOptions,
        Plan,
        close_archives,
        default_decode_threads,
        facts_of,
        open_source,
        parse_shard,
        run_batch,
    )
    from gatekeeper.cli.batch_progress import Rate
    from gatekeeper.demonstration import reproduce
    from gatekeeper.pipeline import Gatekeeper

    _check_rate(arguments.max_failure_rate)
    files = BatchFiles.beside(arguments.output)
    if not arguments.resume:
        files.require_free()  # before anything slow
    options = BatchOptions(
        chunk=arguments.chunk,
        batch=arguments.batch,
        decode_threads=arguments.decode_threads or default_decode_threads(),
    )
    shard = parse_shard(arguments.shard)
    plan = Plan(open_source(arguments.input, column=arguments.column), shard, options)
    bundle = resolve_bundle(arguments.bundle)
    # With Ray the looks are taken elsewhere; here only the bundle's facts are needed.
    gatekeeper = Gatekeeper.load(bundle, device="cpu" if arguments.engine == "ray" else None)
    facts = facts_of(gatekeeper)
    files.rows.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Rate() as progress:
            summary = run_batch(
                plan,
                facts,
                _runner(arguments, gatekeeper, bundle, facts),
                files,
                engine=arguments.engine,
                resume=arguments.resume,
                lineage={"command": reproduce(_command(arguments))},
                progress=progress,
            )
    finally:
        close_archives()
    return _tell(arguments, summary, files)


def _runner(
    arguments: argparse.Namespace,
    gatekeeper: Gatekeeper,
    bundle: Path,
    facts: Facts,
) -> Runner:
    if arguments.engine == "local":
        from gatekeeper.batch import LocalRunner
        from gatekeeper.engine import stages_of

        return LocalRunner(stages_of(gatekeeper), facts, gatekeeper.limits)
    from gatekeeper.scale import RayBatchOptions, RayRunner

    return RayRunner(
        bundle,
        facts,
        gatekeeper.limits,
        RayBatchOptions(
            address=arguments.address,
            workers=arguments.workers,
            restore_workers=arguments.restore_workers,
            decode_workers=arguments.decode_workers,
            gpus=arguments.gpus,
            cpus=arguments.cpus,
        ),
    )


def _check_rate(rate: float | None) -> None:
    if rate is not None and not 0 <= rate <= 1:
        raise InputError(f"expected --max-failure-rate in [0, 1], got {rate}")


def _tell(arguments: argparse.Namespace, summary: dict[str, Any], files: Any) -> int:  # noqa: ANN401  # BatchFiles, whose import is slow
    if arguments.json:
        json.dump(summary, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(f"{_line(summary)}\n")
    sys.stderr.write(f"Wrote {files.rows}, {files.summary}, {files.page}\n")
    limit = arguments.max_failure_rate
    if limit is not None and summary["failure_rate"] > limit:
        sys.stderr.write(
            f"FAIL: {summary['failure_rate']:.2%} of the images have no answer, at most "
            f"{limit:.2%} were to be tolerated; {files.page} names the causes\n"
        )
        return _FAIL
    return 0


def _line(summary: dict[str, Any]) -> str:
    left_out = summary["left_out"]
    return (
        f"{summary['n_images']:,} images: {summary['n_accepted']:,} accepted "
        f"({summary['n_accepted_after_restoration']:,} of them after restoration), "
        f"{summary['n_abstained']:,} abstained, {summary['n_errors']:,} without an answer"
        + (f"; {left_out:,} other files left out" if left_out else "")
        + (
            ". The accepted answers look less reliable than certified: these images are most "
            "likely unlike those of the certificate"
            if summary["below_certificate"]
            else ""
        )
    )


def _command(arguments: argparse.Namespace) -> list[str]:
    words = ["batch", arguments.bundle, str(arguments.input), str(arguments.output)]
    words += ["--shard", arguments.shard, "--chunk", str(arguments.chunk)]
    words += ["--batch", str(arguments.batch), "--engine", arguments.engine]
    return words
