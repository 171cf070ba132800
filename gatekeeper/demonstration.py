"""From a recipe to a bundle, its figures, its report and its registered version.

What the commands ``demo`` and ``fit`` share: they differ in the recipe alone.
"""

from __future__ import annotations

import io
import json
import platform
import resource
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gatekeeper.bundle import ClassifierSpec, SecondOpinion, save_bundle
from gatekeeper.corruptions import CORRUPTIONS, GROUPS
from gatekeeper.errors import GatekeeperError, RecipeError
from gatekeeper.evaluation import (
    Streams,
    clean_harm,
    conditions_flags,
    curves,
    diagrams,
    examples,
    judge_streams,
    summarise,
    telling_rows,
)
from gatekeeper.evidence import TableBuilder
from gatekeeper.fitting import FitResult, Fitter
from gatekeeper.golden import check_golden, golden_files
from gatekeeper.images import Dataset, Splits, load_dataset, make_splits
from gatekeeper.metrics import help_harm
from gatekeeper.paths import shipped
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import Recipe
from gatekeeper.reliability import level_study_of
from gatekeeper.report import CurvePoints, GalleryItem, ReportContent, write_report
from gatekeeper.tracking import LoggedVersion, Registry, TrackingStore, log_fit
from gatekeeper.training import (
    classifier_of_record,
    classifier_steps,
    restorers_of,
    second_opinion_steps,
    train_classifier,
    train_second_opinion,
)
from gatekeeper.types import BoolArray, IntArray

_GOLDEN_IMAGES = 16
_TEST_SHARE = 0.2  # where a data set has no official test part
_VERSIONED = ("vision-gatekeeper", "torch", "timm", "numpy", "scikit-learn", "mlflow")

Announce = Callable[[str], None]


@dataclass(slots=True)
class Stopwatch:
    """Seconds per stage, in the order in which the stages ran."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A finished run, before anything is written.

    Attributes:
        recipe: What was asked for.
        data: The data set.
        splits: Its splits.
        result: The fitted gate and the attempts that certified it.
        streams: Attempts at the *test* images.
        stopwatch: Seconds per stage.
    """

    recipe: Recipe
    data: Dataset
    splits: Splits
    result: FitResult
    streams: Streams
    stopwatch: Stopwatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a run left behind.

    Attributes:
        summary: The content of ``summary.json``.
        summary_path: Where it lies.
        report_path: The report.
        bundle_path: The bundle's directory.
        version: The registered version, or None where nothing was tracked.
        champion: Whether that version is now the champion.
        warning: Why tracking or promotion did not happen, or None.
    """

    summary: Mapping[str, Any]
    summary_path: Path
    report_path: Path
    bundle_path: Path
    version: LoggedVersion | None
    champion: bool
    warning: str | None


def run(
    recipe: Recipe,
    *,
    out: Path,
    data_dir: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    announce: Announce = lambda line: None,
) -> Run:
    """Everything up to the figures.

    Args:
        recipe: What to fit.
        out: Where a classifier trained on the way is kept; made where it is missing.
        data_dir: Where to look for the data first.
        cache: Folder for evidence cells; None keeps none.
        progress: Told of every stage.
        announce: Told in one line where the data come from.

    Raises:
        DataError: the data are missing or too few.
        RecipeError: classifier and data do not fit together.
    """
    watch, bars = Stopwatch(), progress or Silent()
    # First of all: a folder that cannot be written is better known before the work than after it.
    out.mkdir(parents=True, exist_ok=True)
    with watch.stage("data"):
        data = load_dataset(
            recipe.data.dataset,
            data_dir=data_dir,
            image_size=recipe.data.image_size,
            announce=announce,
        )
        splits = make_splits(
            data.labels,
            data.digests,
            test_index=data.test_index,
            sizes=split_sizes(recipe, data),
            seed=recipe.seed,
        )
    with watch.stage("classifier"):
        spec, classifier = classifier_of(recipe, data, splits, out, bars)
    with watch.stage("restorers"):
        restorers = restorers_of(recipe, data, splits, classifier, bars)
    second = None
    if recipe.predictor.second_opinion is not None:
        with watch.stage("second opinion"):
            second = second_opinion_of(recipe, data, splits, out, bars)
    builder = TableBuilder(
        data,
        classifier,
        restorers,
        cache=cache,
        progress=bars,
        views=recipe.predictor.views,
        second_opinion=None if second is None else second.classifier,
    )
    with watch.stage("fit and certify"):
        fitter = Fitter(
            data,
            splits,
            spec,
            classifier,
            restorers,
            recipe,
            builder=builder,
            second_opinion=second,
        )
        result = fitter.run()
    with watch.stage("judge"):
        streams = judge_streams(
            result.fitted,
            data,
            splits,
            recipe.conditions,
            builder=builder,
            doubt_below=recipe.policy.doubt_below,
            seed=recipe.seed,
        )
    return Run(
        recipe=recipe, data=data, splits=splits, result=result, streams=streams, stopwatch=watch
    )


def split_sizes(recipe: Recipe, data: Dataset) -> Mapping[str, int | float]:
    """Images per split; shares become counts, rounded down so that they cannot ask for too many."""
    sizes = recipe.data.splits.given()
    if not len(data.test_index) and "test" not in sizes:
        rest = sum(size for size in sizes.values() if isinstance(size, float))
        shrunk = min(1.0, (1.0 - _TEST_SHARE) / rest) if rest else 1.0
        sizes = {n: s * shrunk if isinstance(s, float) else s for n, s in sizes.items()}
        sizes["test"] = _TEST_SHARE
    official = np.unique(data.digests[data.test_index])
    n_pool = len(np.setdiff1d(data.digests, official))
    # The small addend keeps a share that means a whole number from losing one to float error.
    return {
        name: size
        if isinstance(size, int)
        else int(size * (len(official) if name == "test" and len(official) else n_pool) + 1e-9)
        for name, size in sizes.items()
    }


def classifier_of(
    recipe: Recipe, data: Dataset, splits: Splits, out: Path, progress: Progress
) -> tuple[ClassifierSpec, Classifier]:
    """The recipe's classifier: of a record, trained on *train*, or rebuilt from its options.

    Args:
        recipe: What to gate.
        data: The data set.
        splits: Its splits.
        out: Folder for the weights of a classifier that is trained.
        progress: Told of the training's steps.

    Raises:
        RecipeError: it knows another number of classes than the data have.
    """
    training, record = recipe.classifier.training, recipe.classifier.record
    if record is not None:
        spec = classifier_of_record(shipped("models", record))
    elif training is not None:
        progress.start("train: classifier", classifier_steps(training, len(splits.train)))
        spec = train_classifier(
            data,
            splits,
            training,
            weights=out / "classifier.safetensors",
            seed=recipe.seed,
            on_step=lambda step, loss: progress.advance(1),
        )
    else:
        options = {"class_names": list(data.class_names), **recipe.classifier.options}
        spec = ClassifierSpec(kind=recipe.classifier.kind, options=options)
    classifier = spec.build()
    if len(classifier.class_names) != len(data.class_names):
        raise RecipeError(
            f"expected a classifier of the {len(data.class_names)} classes of {data.name}, got "
            f"{len(classifier.class_names)}: check class_names and the data"
        )
    return spec, classifier


def second_opinion_of(
    recipe: Recipe, data: Dataset, splits: Splits, out: Path, progress: Progress
) -> SecondOpinion | None:
    """The second opinion, trained on *train* under the seen corruptions, where the recipe asks.

    Args:
        recipe: What to gate.
        data: The data set.
        splits: Its splits.
        out: Folder for its weights.
        progress: Told of the training's steps.
    """
    options = recipe.predictor.second_opinion
    if options is None:
        return None
    progress.start("train: second opinion", second_opinion_steps(options, len(splits.train)))
    spec = train_second_opinion(
        data,
        splits,
        options,
        corruptions=recipe.conditions.seen,
        weights=out / "second-opinion.safetensors",
        seed=recipe.seed,
        on_step=lambda step, loss: progress.advance(1),
    )
    return SecondOpinion(spec=spec, classifier=spec.build())


def write(
    finished: Run, out: Path, *, command: str = "", tracked: bool = True, started: float = 0.0
) -> Written:
    """Write bundle, summary and report, then log them to MLflow.

    Whatever MLflow says, the files stand: a failure there becomes a warning.

    Args:
        finished: The run.
        out: Folder; only the files that this writes are replaced.
        command: How to make the same run again.
        tracked: Whether to log and register.
        started: ``time.perf_counter()`` at the start, for the total duration.
    """
    out.mkdir(parents=True, exist_ok=True)
    bundle_path = out / "bundle"
    with finished.stopwatch.stage("bundle"):
        gatekeeper = Gatekeeper(finished.result.fitted, "")
        golden = golden_files(gatekeeper, _golden_pixels(finished))
        identity = save_bundle(finished.result.fitted, bundle_path, extra=golden)
        check_golden(bundle_path)
        gatekeeper = Gatekeeper(finished.result.fitted, identity)
    with finished.stopwatch.stage("report"):
        summary = summarise_run(finished, identity)
        report_path = out / "report.html"
        write_report(report_path, _report(finished, summary, gatekeeper, command))
    summary_path = out / "summary.json"
    written = Written(
        summary=summary,
        summary_path=summary_path,
        report_path=report_path,
        bundle_path=bundle_path,
        version=None,
        champion=False,
        warning=None,
    )
    _write_json(summary_path, summary)
    if tracked:
        with finished.stopwatch.stage("tracking"):
            written = _track(finished, written)
    summary["durations"]["total"] = round(time.perf_counter() - started, 2) if started else None
    summary["durations"] |= finished.stopwatch.seconds
    summary["peak_memory_gb"] = peak_memory_gb()
    _write_json(summary_path, summary)
    return written


def _write_json(path: Path, body: Mapping[str, Any]) -> None:
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def peak_memory_gb() -> float:
    """Largest resident size of this process so far, in 10⁹ bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return round(peak * unit / 1e9, 3)


def versions() -> dict[str, str]:
    """Versions of what a run depends on."""
    return {"python": platform.python_version()} | {n: metadata.version(n) for n in _VERSIONED}


def summarise_run(finished: Run, identity: str) -> dict[str, Any]:
    """The content of ``summary.json``."""
    fitted, streams = finished.result.fitted, finished.streams
    certificate = dict(fitted.certificate)
    judged = streams.streams
    return {
        "dataset": finished.data.name,
        "data_source": finished.data.source,
        "data_licence": finished.data.licence,
        "certified": certificate["certified"],
        "target_risk": certificate["target_risk"],
        "confidence_level": certificate["confidence_level"],
        **clean_harm(fitted, judged["clean"]),
        "help_harm_noise": _help_harm_noise(finished),
        "seeds": {"run": finished.recipe.seed},
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "durations": dict(finished.stopwatch.seconds),
        "peak_memory_gb": peak_memory_gb(),
        "splits": finished.splits.to_json(finished.data.digests),
        "bundle": identity,
        "certificate": certificate,
        **{name: summarise(fitted, stream) for name, stream in judged.items()},
        "families": {n: summarise(fitted, family) for n, family in streams.families.items()},
        "flags": {name: conditions_flags(fitted, stream) for name, stream in judged.items()},
    }


def noise_rows(finished: Run) -> BoolArray:
    """Rows of the declared stream that are under a corruption of the group "noise"."""
    noisy = [
        name
        for name in finished.recipe.conditions.seen
        if all(GROUPS[family] == "noise" for family in CORRUPTIONS[name].families)
    ]
    return np.isin(finished.streams.streams["declared"].plan.corruptions, noisy)


def _help_harm_noise(finished: Run) -> dict[str, Any]:
    fitted = finished.result.fitted
    judged = finished.streams.streams["declared"].take(noise_rows(finished))
    if not len(judged):
        return {"help": 0, "harm": 0, "ratio": None}
    replay = fitted.gate.replay(judged.raw_reliability, judged.restored_reliability)
    final = judged.final_labels(replay.keep_restored) == judged.labels
    found = help_harm(judged.raw_correct, final)
    ratio = found.ratio if np.isfinite(found.ratio) else None
    return {"help": found.help, "harm": found.harm, "ratio": ratio}


def _golden_pixels(finished: Run) -> IntArray:
    """Images of *calibrate* under the declared mix, half of them clean."""
    calibrate = finished.result.calibrate
    clean = calibrate.plan.corruptions == ""
    half = _GOLDEN_IMAGES // 2
    rows = np.concatenate([np.flatnonzero(clean)[:half], np.flatnonzero(~clean)[:half]])
    gatekeeper = Gatekeeper(finished.result.fitted, "")
    shown = examples(gatekeeper, finished.data, calibrate, rows)
    return np.stack([example.received for example in shown])


def _report(
    finished: Run, summary: Mapping[str, Any], gatekeeper: Gatekeeper, command: str
) -> ReportContent:
    fitted, streams = finished.result.fitted, finished.streams
    declared = streams.streams["declared"]
    names = fitted.classifier.class_names
    shown = examples(gatekeeper, finished.data, declared, telling_rows(fitted, declared))
    return ReportContent(
        summary=summary,
        certificate=fitted.certificate,
        curves={
            name: {
                method: CurvePoints(coverage=c.coverage, selective_risk=c.selective_risk)
                for method, c in curves(fitted, streams.streams[name]).items()
            }
            for name in ("declared", "open")
        },
        diagrams=diagrams(fitted, declared),
        gallery=[
            GalleryItem(
                corruption=example.corruption,
                severity=example.severity,
                truth=names[example.truth],
                original=example.received,
                restored=example.restored,
                decision=example.decision.to_json(names),
                verdict=_verdict(example.decision.label, example.truth),
            )
            for example in shown
        ],
        lineage={
            "bundle": gatekeeper.calibration_id,
            "classifier": fitted.classifier.digest,
            "command": command or "gatekeeper demo",
            "recipe": finished.recipe.name,
        },
        held_out=streams.held_out,
        levels=level_study_of(fitted.predictors["raw"]),
    )


def _verdict(label: int | None, truth: int) -> str:
    if label is None:
        return "Abstained: a person decides."
    return "Accepted, and right." if label == truth else "Accepted, and wrong."


def _track(finished: Run, written: Written) -> Written:
    name = f"gate-{finished.recipe.name}"
    certified = bool(written.summary["certified"])
    try:
        store = TrackingStore.from_environment()
        version = log_fit(
            store,
            experiment=f"gatekeeper/{finished.recipe.name}",
            run_name=f"{finished.recipe.name}-seed{finished.recipe.seed}",
            params=_parameters(finished.recipe),
            metrics=_metrics(written.summary),
            tags={"gatekeeper.classifier": finished.result.fitted.classifier.digest},
            data_digests={n: s["digest"] for n, s in written.summary["splits"].items()},
            artifacts=[written.report_path, written.summary_path],
            bundle=written.bundle_path,
            registered_name=name,
            metadata={
                "schema": 1,
                "classifier_sha256": finished.result.fitted.classifier.digest,
                "bundle_sha256": written.summary["bundle"],
            },
            example=_png(_golden_pixels(finished)[0]),
        )
        written = replace(written, version=version)
        if not certified:
            return replace(written, warning="not certified, so champion stays as it is")
        Registry(store).promote(name, version.version, certified=True, golden=check_golden)
    except GatekeeperError as error:
        return replace(written, warning=str(error))
    return replace(written, champion=True)


def _parameters(recipe: Recipe) -> dict[str, object]:
    def flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield from flat(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            yield prefix, value

    return dict(flat("", recipe.model_dump()))


def _metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    found = {"clean_harm_rate": summary["clean_harm_rate"]}
    found["certified_coverage"] = summary["certificate"]["certified_coverage"]
    for stream in ("clean", "declared", "open"):
        for metric in ("accuracy_no_gate", "accuracy_final", "coverage", "selective_risk"):
            found[f"{stream}/{metric}"] = summary[stream][metric]
        for metric in ("failure_auroc", "aurc"):
            found[f"{stream}/{metric}"] = summary[stream][metric]["gatekeeper"]
        found[f"{stream}/ece"] = summary[stream]["ece"]["reliability"]
    return {name: float(value) for name, value in found.items() if value is not None}


def _png(pixels: IntArray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(encoded, format="PNG")
    return encoded.getvalue()


def reproduce(arguments: list[str]) -> str:
    """The command line that makes the same run again."""
    return shlex.join(["gatekeeper", *arguments])
