"""A trained restorer as a folder: weights, identity, card; written and read back."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gatekeeper.classifiers import load_safetensors, save_safetensors
from gatekeeper.errors import BundleError, DataError
from gatekeeper.metrics import exact_proportion_interval
from gatekeeper.protocols import WeightedRestorer
from gatekeeper.restorers import rebuilt_restorer
from gatekeeper.training.judgement import CLEAN, Judgement, psnr_said
from gatekeeper.training.record import CARD_FILE, MODEL_FILE, WEIGHTS_FILE, read_record
from gatekeeper.training.restorer_data import ImagesUsed
from gatekeeper.training.restorer_recipe import CorruptionDraw, RestorerRecipe
from gatekeeper.training.toml_text import toml_value, with_none, without_none

RECIPE_FILE = "recipe.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRestorer:
    """What is recorded about a training.

    Attributes:
        recipe: What was followed.
        restorer: What came out.
        images: Which images were used.
        families: Corruption families that it was trained on.
        classifier: ``model_id`` and digest of the frozen classifier, or None.
        judgements: What it does to *validation*.
        versions: Of the packages that the weights depend on.
    """

    recipe: RestorerRecipe
    restorer: WeightedRestorer
    images: ImagesUsed
    families: Sequence[str]
    classifier: tuple[str, str] | None
    judgements: Sequence[Judgement]
    versions: Mapping[str, str]


def write_restorer_record(trained: TrainedRestorer, folder: Path) -> None:
    """Write weights, ``model.toml`` and ``CARD.md``.

    Args:
        trained: The training.
        folder: Made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_safetensors(trained.restorer.state(), folder / WEIGHTS_FILE)
    recipe, images = trained.recipe, trained.images
    facts: dict[str, Any] = {
        "id": recipe.id,
        "kind": "restorer",
        "method": recipe.method,
        "restorer": trained.restorer.name,
        "digest": trained.restorer.digest,
        "recipe": RECIPE_FILE,
        "seed": recipe.seed,
        "steps": recipe.training.steps,
        "date": datetime.now(UTC).date().isoformat(),
        "dataset": images.name,
        "dataset_licence": images.licence,
        "train_digest": images.train_digest,
        "n_train": images.n_train,
        "validation_digest": images.validation_digest,
        "n_validation": images.n_validation,
        "families": list(trained.families),
        "versions": dict(trained.versions),
        "licence": "Apache-2.0",
    }
    if images.unlabelled:
        facts["unlabelled"] = images.unlabelled
        facts["n_unlabelled"] = images.n_unlabelled
        facts["unlabelled_digest"] = images.unlabelled_digest
    if trained.classifier is not None:
        facts["classifier"], facts["classifier_digest"] = trained.classifier
    config, absent = without_none(trained.restorer.config())
    if absent:
        facts["config_none"] = absent
    lines = [f"{key} = {toml_value(value)}" for key, value in facts.items()]
    lines += ["", "[config]"]
    lines += [f"{key} = {toml_value(value)}" for key, value in config.items()]
    (folder / MODEL_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(_card(trained), encoding="utf-8")


def restorer_of_record(folder: Path, *, device: str | None = None) -> WeightedRestorer:
    """The restorer of a record.

    Args:
        folder: Holds ``model.toml`` and ``weights.safetensors``.
        device: Where it computes; None takes CUDA where there is any.

    Raises:
        DataError: a file is missing or damaged, or the record is not that of a restorer.
        BundleError: the weights are not those that the record speaks about.
    """
    record = read_restorer_record(folder)
    state = load_safetensors(folder / WEIGHTS_FILE)
    method = str(record.get("restorer", record["method"]))
    config = with_none(record["config"], record.get("config_none", []))
    restorer = rebuilt_restorer(method, state, config, device=device)
    if restorer.digest != record["digest"]:
        raise BundleError(
            f"expected in {folder} the weights that its record speaks about, got others (digest "
            f"{restorer.digest[:12]}… instead of {str(record['digest'])[:12]}…): fetch it again"
        )
    return restorer


def read_restorer_record(folder: Path) -> dict[str, Any]:
    """The content of ``model.toml``.

    Raises:
        DataError: it is missing, damaged, or not the record of a restorer.
    """
    record = read_record(folder, "restorer")
    missing = sorted({"method", "digest", "config"} - record.keys())
    if missing:
        raise DataError(
            f"expected {', '.join(missing)} in {folder / MODEL_FILE}, got none: train it again"
        )
    return record


def _card(trained: TrainedRestorer) -> str:
    recipe, images = trained.recipe, trained.images
    n_weights = sum(tensor.numel() for tensor in trained.restorer.state().values())
    rows = "\n".join(_row(one) for one in trained.judgements)
    facts = "\n".join(_bullet(line) for line in _facts(trained))
    known = "\n".join(_bullet(line) for line in known_failures(trained))
    return f"""# {recipe.id}

A restorer of the method `{recipe.method}`, {n_weights:,} numbers. It restores an image that the
gate doubts, before the same classifier looks again.

{facts}

## Numbers

{trained.judgements[0].n:,} images of *validation* ({images.n_validation:,} in all), each once under
every condition, strengths drawn as in training. PSNR is that of the mean squared error over all
images. Nothing was selected on these images. In brackets: exact 95 % intervals.

| condition | PSNR before | PSNR after | right before | right after |
|---|---|---|---|---|
{rows}

## Known failures

{known}
"""


def _facts(trained: TrainedRestorer) -> list[str]:
    recipe, images, schedule = trained.recipe, trained.images, trained.recipe.training
    versions = ", ".join(f"{name} {version}" for name, version in trained.versions.items())
    unlabelled = (
        f" Unlabelled noisy images: {images.unlabelled} ({images.n_unlabelled:,}, digest "
        f"`{images.unlabelled_digest[:16]}`)."
        if images.unlabelled
        else ""
    )
    asked = (
        "no classifier had a say"
        if trained.classifier is None
        else f"the frozen classifier is `{trained.classifier[0]}` (digest "
        f"`{trained.classifier[1][:16]}`)"
    )
    crops = "whole images" if schedule.crop_px is None else f"crops of {schedule.crop_px} px"
    said = "; ".join(_said(draw) for draw in recipe.corruptions)
    return [
        f"**Made by** `gatekeeper train models/{recipe.id}/{RECIPE_FILE}{images.options}`, "
        f"{versions}.",
        f"**Data** {images.name}, licence: {images.licence}. Weights from {images.n_train:,} "
        f"images (digest `{images.train_digest[:16]}`), numbers from *validation* (digest "
        f"`{images.validation_digest[:16]}`).{unlabelled}",
        f"**Trained for** {said}; a share of {schedule.clean_share:g} left clean.",
        f"**Schedule** {schedule.steps:,} steps on {crops}, batches of {schedule.batch_size}, peak "
        f"learning rate {schedule.learning_rate:g}; {asked}.",
        f"**Terms** The weights are under Apache-2.0, as the code. {recipe.terms}".rstrip(),
    ]


def _bullet(text: str) -> str:
    return textwrap.fill(
        text, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def _said(draw: CorruptionDraw) -> str:
    low, high = draw.strength
    return f"`{draw.name}`, {'severity' if draw.level is None else 'level'} {low:g}–{high:g}"


def _row(one: Judgement) -> str:
    psnr = [psnr_said(value) for value in (one.psnr_before_db, one.psnr_after_db)]
    right = [_share(count, one.n) for count in (one.right_before, one.right_after)]
    return f"| {one.condition} | {' | '.join(psnr)} | {' | '.join(right)} |"


def _share(count: int | None, n: int) -> str:
    if count is None:
        return "–"
    low, high = exact_proportion_interval(count, n)
    return f"{count / n:.1%} ({low:.1%}–{high:.1%})"


def known_failures(trained: TrainedRestorer) -> list[str]:
    """Where restoration does not help, in sentences."""
    said = []
    for one in trained.judgements:
        name = "Clean images" if one.condition == CLEAN else f"`{one.condition}`"
        if one.condition != CLEAN and one.psnr_after_db <= one.psnr_before_db:
            said.append(f"{name}: no closer to the clean image than before.")
        if one.right_before is not None and one.right_after is not None:
            lost = one.right_before - one.right_after
            if lost > 0:
                said.append(f"{name}: {lost} of {one.n:,} right answers fewer after restoration.")
    families = ", ".join(trained.families)
    said.append(f"Trained for {families} on {trained.images.name}; nothing is claimed for others.")
    return said
