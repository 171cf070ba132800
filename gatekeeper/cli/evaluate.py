"""``gatekeeper evaluate``: classifiers and gates under corruptions; figures, report, verdict."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.cli.options import add_command
from gatekeeper.errors import InputError

if TYPE_CHECKING:
    from gatekeeper.evaluation import Evaluation, Grid, Mix, Reference, Subject

_EXAMPLE = """  gatekeeper evaluate shipped:small-resnet-fashion-mnist --data fashion-mnist
  gatekeeper evaluate runs/demo/bundle plain.toml --data auto --requirements ci.toml
  gatekeeper evaluate a.toml b.toml --data cifar10:data --corruptions fog,snow --reference a"""

_FAIL = 1
_CELLS = "cells"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands,
        "evaluate",
        "measure classifiers and gates under corruptions, and judge the first of them",
        _EXAMPLE,
    )
    parser.add_argument(
        "models",
        metavar="BUNDLE|RECIPE",
        nargs="+",
        help="a bundle's directory, shipped:ID, models:/NAME@champion, a recipe that names a "
        "classifier, or v2:URL of a model behind the Open Inference Protocol that takes files "
        "(#kind=probabilities and more behind it); NAME=… gives it a name; the first one is judged",
    )
    parser.add_argument("--data", required=True, metavar="SPEC", help="see `gatekeeper data`")
    parser.add_argument("--data-dir", type=Path, help="folder to look for the data in first")
    parser.add_argument("--requirements", type=Path, metavar="TOML", help="exit with 1 on FAIL")
    parser.add_argument(
        "--corruptions",
        default="published",
        help="names joined by commas; published (the 19 of ImageNet-C; what a gate was certified "
        "on is added), declared, or all",
    )
    parser.add_argument("--severities", default="1,2,3,4,5", help="such as 1,3,5")
    parser.add_argument("--limit", type=int, metavar="N", help="judge N images at most")
    parser.add_argument("--target-risk", type=float, help="of the coverage at risk")
    parser.add_argument(
        "--reference", help="model, or an earlier evaluation.json, that errors are divided by"
    )
    parser.add_argument("--draws", type=int, default=200, help="redraws behind an interval")
    parser.add_argument("--seed", type=int, default=0, help="of corruptions and redraws")
    parser.add_argument(
        "--out", type=Path, default=Path("runs") / "evaluation", help="folder to write"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the finished cells in the folder"
    )
    parser.add_argument("--json", action="store_true", help="print evaluation.json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.cli.progress import Bars
    from gatekeeper.cli.subjects import common_image_size, open_all, subject_of
    from gatekeeper.evaluation import (
        Settings,
        check_judgeable,
        evaluate,
        images_to_judge,
        judge_requirements,
        load_requirements,
    )
    from gatekeeper.images import load_dataset

    started = time.perf_counter()
    required = None
    if arguments.requirements is not None:
        required = load_requirements(arguments.requirements)
    opened = open_all(arguments.models)
    cells = _cells_folder(arguments.out, resume=arguments.resume)
    data = load_dataset(
        arguments.data,
        data_dir=arguments.data_dir,
        image_size=common_image_size(opened),
        announce=_say,
    )
    subjects = [subject_of(each, data.class_names) for each in opened]
    if required is not None:
        # What cannot be judged is told before hours of looking, not after them.
        check_judgeable(required, subjects[0], has_reference=arguments.reference is not None)
    gates = [subject.fitted for subject in subjects if subject.fitted is not None]
    judged = images_to_judge(
        data, [(gate.seed, gate.certificate) for gate in gates], limit=arguments.limit
    )
    grid = _grid(arguments, subjects)
    settings = Settings(
        seed=arguments.seed,
        n_draws=arguments.draws,
        target_risk=arguments.target_risk,
        reference=_reference(arguments.reference, grid, data.digests[judged.positions]),
    )
    with Bars() as bars:
        finished = evaluate(
            subjects, data, judged, grid, settings=settings, cache=cells, progress=bars
        )
    judgements = [] if required is None else judge_requirements(finished, required)
    return _write(arguments, finished, judgements, started)


def _cells_folder(out: Path, *, resume: bool) -> Path:
    """Where finished cells lie; without ``--resume`` a fresh one."""
    cells = out / _CELLS
    if not resume:
        shutil.rmtree(cells, ignore_errors=True)
    cells.mkdir(parents=True, exist_ok=True)
    return cells


def _grid(arguments: argparse.Namespace, subjects: list[Subject]) -> Grid:
    from gatekeeper.corruptions import CORRUPTIONS
    from gatekeeper.evaluation import PUBLISHED, Grid, declared_mix

    gates = [subject.fitted for subject in subjects if subject.fitted is not None]
    mix: Mix | None = declared_mix(gates[0].certificate) if gates else None
    declared = () if mix is None else mix.corruptions
    named = {
        "published": (*PUBLISHED, *(name for name in declared if name not in PUBLISHED)),
        "declared": declared,
        "all": tuple(CORRUPTIONS),
    }
    chosen = named.get(arguments.corruptions, tuple(arguments.corruptions.split(",")))
    try:
        severities = tuple(int(part) for part in arguments.severities.split(","))
    except ValueError as error:
        raise InputError(
            f"expected severities such as 1,3,5, got {arguments.severities!r}"
        ) from error
    return Grid(chosen, severities)


def _reference(text: str | None, grid: Grid, digests: Any) -> str | Reference | None:  # noqa: ANN401
    from gatekeeper.evaluation import Reference, images_digest

    if text is None or not text.endswith(".json"):
        return text
    try:
        record = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"expected the evaluation.json of a reference, got: {error}") from error
    return Reference.of_record(record, grid, images_digest(digests))


def _write(
    arguments: argparse.Namespace, finished: Evaluation, judgements: list[Any], started: float
) -> int:
    from datetime import UTC, datetime

    from gatekeeper.cli.evaluation_table import print_evaluation
    from gatekeeper.demonstration import reproduce, versions
    from gatekeeper.evaluation import RunFacts, record, write_results
    from gatekeeper.report import EvaluationContent, gallery_of, write_evaluation

    facts = RunFacts(
        command=reproduce(_command(arguments)),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - started, 1),
        versions=versions(),
    )
    content = record(finished, judgements, facts)
    paths = write_results(arguments.out, finished, content)
    report = arguments.out / "report.html"
    page = EvaluationContent(evaluation=finished, record=content, gallery=gallery_of(finished))
    write_evaluation(report, page)
    if arguments.json:
        json.dump(content, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print_evaluation(content)
    _say(f"Data: {finished.data.source}; {finished.judged.which}")
    _say(f"Wrote {', '.join(map(str, (*paths, report)))}")
    return _FAIL if content["verdict"] == "FAIL" else 0


def _command(arguments: argparse.Namespace) -> list[str]:
    """The arguments that make the same figures; where they are written is left out."""
    words = ["evaluate", *arguments.models, "--data", arguments.data]
    for name in ("data_dir", "requirements", "limit", "target_risk", "reference"):
        if getattr(arguments, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    for name in ("corruptions", "severities", "draws", "seed"):
        words += [f"--{name}", str(getattr(arguments, name))]
    return words


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
