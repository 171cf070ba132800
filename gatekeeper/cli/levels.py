"""``gatekeeper levels``: how far images may be distorted before a classifier falls below h."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.cli.options import add_command
from gatekeeper.errors import InputError

if TYPE_CHECKING:
    from gatekeeper.cli.subjects import Opened
    from gatekeeper.evaluation import JudgedImages, Subject
    from gatekeeper.images import Dataset
    from gatekeeper.levels import AccuracyOracle, LevelSpace, LevelStudy, SearchOptions
    from gatekeeper.report.levels_page import LevelsContent

_EXAMPLE = """  gatekeeper levels shipped:small-resnet-fashion-mnist --data fashion-mnist \\
      --space rotation=0:60,noise_sigma=0:0.3 --threshold 0.8 --budget 60
  gatekeeper levels runs/demo/bundle --data auto --space blur_sigma=0:3,noise_sigma=0:0.3 \\
      --threshold 0.8 --budget 60 --split fit
  gatekeeper levels mine.toml --space brightness=0.4:1.6,blur_sigma=0:2 --threshold 0.9 \\
      --budget 120 --resume"""

_KEPT = "finished-levels.jsonl"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands, "levels", "map how far images may be distorted, and print safe ranges", _EXAMPLE
    )
    parser.add_argument(
        "model",
        metavar="BUNDLE|RECIPE",
        help="a bundle's directory, shipped:ID, models:/NAME@champion, or a recipe that names a "
        "classifier",
    )
    parser.add_argument(
        "--space",
        required=True,
        metavar="SPEC",
        help="1 to 6 of NAME=LOW:HIGH joined by commas; names: rotation (degrees), scale, shift_x, "
        "shift_y, blur_sigma (px), brightness, contrast (factors), noise_sigma, jpeg_quality",
    )
    parser.add_argument(
        "--threshold", required=True, type=float, metavar="H", help="accuracy asked for, in (0, 1]"
    )
    parser.add_argument(
        "--budget", required=True, type=int, metavar="N", help="levels to try, at least 2"
    )
    parser.add_argument("--data", metavar="SPEC", help="images; a recipe's own by default")
    parser.add_argument("--data-dir", type=Path, help="folder to look for the data in first")
    parser.add_argument("--images", type=int, default=500, help="images per level (at most)")
    parser.add_argument(
        "--split",
        choices=("test", "fit"),
        default="test",
        help="images to count on: those of the test, or those of fit, for a recipe's "
        "predictor.levels (default: test)",
    )
    parser.add_argument("--sampler", default="straddle", help="how levels are chosen")
    parser.add_argument(
        "--rebalance", default="smote", help="of the distortion-classifier's second opinion"
    )
    parser.add_argument("--seed", type=int, default=0, help="of images, noise and search")
    parser.add_argument("--out", type=Path, default=Path("runs") / "levels", help="folder to write")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the finished levels in the folder"
    )
    parser.add_argument("--json", action="store_true", help="print levels.json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.levels import SearchOptions, parse_space, rebalancer
    from gatekeeper.report.levels_page import write_levels

    # Slips of the pen are told before anything is loaded.
    space = parse_space(arguments.space)
    rebalancer(arguments.rebalance)
    options = SearchOptions(
        threshold=arguments.threshold,
        budget=arguments.budget,
        sampler=arguments.sampler,
        seed=arguments.seed,
    )
    content = _content(arguments, space, options)
    html, record = write_levels(arguments.out, content)
    if arguments.json:
        sys.stdout.write(record.read_text(encoding="utf-8"))
    else:
        _print(content)
    _say(f"Wrote {html} and {record}")
    return 0


def _content(
    arguments: argparse.Namespace, space: LevelSpace, options: SearchOptions
) -> LevelsContent:
    from gatekeeper.cli.subjects import open_all, subject_of
    from gatekeeper.demonstration import reproduce, versions
    from gatekeeper.images import load_dataset
    from gatekeeper.levels import AccuracyOracle, fixed_set
    from gatekeeper.report.levels_page import LevelsContent

    (opened,) = open_all([arguments.model])
    data = load_dataset(
        _data_spec(arguments.data, opened),
        data_dir=arguments.data_dir,
        image_size=opened.image_size,
        announce=_say,
    )
    subject = subject_of(opened, data.class_names)
    judged = _images(arguments, opened, subject, data)
    images = fixed_set(data, judged.positions, seed=arguments.seed)
    kept = arguments.out / _KEPT
    if not arguments.resume:
        kept.unlink(missing_ok=True)
    oracle = AccuracyOracle(subject.classifier, images, space, kept=kept)
    study = _study(oracle, options)
    return LevelsContent(
        name=opened.name,
        study=study,
        data=f"{data.name}: {judged.which}",
        lineage={
            "classifier": subject.classifier.model_id,
            "classifier digest": subject.classifier.digest,
            "bundle": subject.identity or "none: a recipe",
            "images digest": images.digest,
            "gatekeeper": versions()["vision-gatekeeper"],
            "command": reproduce(_command(arguments)),
        },
        image_digests=tuple(data.digests[judged.positions].tolist()),
        rebalance=arguments.rebalance,
    )


def _images(
    arguments: argparse.Namespace, opened: Opened, subject: Subject, data: Dataset
) -> JudgedImages:
    """The images that every level is counted on.

    Raises:
        InputError: *fit* is asked for and there is neither a bundle nor a recipe with splits.
    """
    from gatekeeper.demonstration import splits_of
    from gatekeeper.evaluation import JudgedImages, images_to_judge, own_splits

    fitted = subject.fitted
    if arguments.split == "test":
        gates = [] if fitted is None else [(fitted.seed, fitted.certificate)]
        return images_to_judge(data, gates, limit=arguments.images)
    if fitted is not None:
        splits = own_splits(data, fitted.seed, fitted.certificate)
    elif opened.recipe is not None:
        splits = splits_of(opened.recipe, data)
    else:
        raise InputError(f"expected a bundle or a recipe for --split fit, got {opened.source}")
    # By digest, so that the choice does not depend on the order of files.
    order = data.digests[splits.fit].argsort()[: max(1, arguments.images)]
    return JudgedImages(
        positions=splits.fit[order], which=f"{len(order):,} of the images of the split fit"
    )


def _study(oracle: AccuracyOracle, options: SearchOptions) -> LevelStudy:
    from gatekeeper.cli.progress import Bars
    from gatekeeper.levels import run_study

    with Bars() as bars:
        bars.start("levels", options.budget)
        return run_study(oracle, options, on_level=lambda n, point, n_correct: bars.advance(1))


def _data_spec(given: str | None, opened: Opened) -> str:
    """The data named, or the recipe's own.

    Raises:
        InputError: a bundle comes without data.
    """
    if given is not None:
        return given
    if opened.recipe is None:
        raise InputError(
            f"expected --data SPEC, because the bundle {opened.source} holds no images: name the "
            "data that its classifier is meant for"
        )
    return opened.recipe.data.dataset


def _command(arguments: argparse.Namespace) -> list[str]:
    """The arguments that make the same study; where it is written is left out."""
    words = ["levels", arguments.model, "--space", arguments.space]
    words += ["--threshold", f"{arguments.threshold:g}", "--budget", str(arguments.budget)]
    words += ["--data", arguments.data] if arguments.data else []
    words += ["--images", str(arguments.images), "--sampler", arguments.sampler]
    words += ["--split", arguments.split] if arguments.split != "test" else []
    return [*words, "--rebalance", arguments.rebalance, "--seed", str(arguments.seed)]


def _print(content: LevelsContent) -> None:
    from gatekeeper.report.levels_page import budget_sentence
    from gatekeeper.report.levels_view import verdict
    from gatekeeper.report.numbers import percent, short_percent

    study = content.study
    lines = [
        f"{content.name}: accuracy {percent(study.mildest_accuracy)} at the mildest level; "
        f"{percent(study.share_reliable)} of the space reaches "
        f"{short_percent(study.options.threshold)}",
        *(f"Safe. {line}" if study.ranges().alone else line for line in verdict(study)),
        f"Budget spent: {budget_sentence(study)}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
