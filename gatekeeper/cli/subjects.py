"""What ``evaluate`` is given: bundles, and recipes that name a classifier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gatekeeper.cli.bundles import resolve_bundle
from gatekeeper.errors import InputError, RecipeError

if TYPE_CHECKING:
    from gatekeeper.bundle import ClassifierSpec, FittedGate
    from gatekeeper.evaluation import Subject
    from gatekeeper.recipe import Recipe


_REMOTE = "v2:"
_OPTIONS = ("kind", "send", "input_name", "logits_output", "features_output", "revision")

# A path may hold a "=", a name holds no slash.
_NAMED = re.compile(r"(?P<name>[\w.+-]+)=(?P<source>.+)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """One argument, opened.

    Attributes:
        name: Under which results show it.
        source: As it was written.
        gate: The gate and the identity of its bundle; None for a recipe.
        recipe: The recipe; None for a bundle.
        remote: Options of a remote classifier that is named by its address; None for others.
        run_id: MLflow run that made the bundle; "" where none is known.
    """

    name: str
    source: str
    gate: tuple[FittedGate, str] | None
    recipe: Recipe | None
    run_id: str = ""
    remote: Mapping[str, str] | None = None

    @property
    def image_size(self) -> tuple[int, int] | None:
        """The size that it brings images to; None where it says none."""
        if self.gate is not None:
            return self.gate[0].image_size
        return None if self.recipe is None else self.recipe.data.image_size


def open_all(texts: Sequence[str]) -> list[Opened]:
    """Open bundles and read recipes.

    Args:
        texts: ``[NAME=]BUNDLE``, ``[NAME=]RECIPE.toml`` or, for a model behind the Open Inference
            Protocol that takes pixels or files, ``[NAME=]v2:URL[#kind=…&send=…]``.

    Raises:
        BundleError: a bundle is not there or not as it was written.
        RecipeError: a recipe cannot be followed.
        InputError: two have the same name.
    """
    opened = [_open(text) for text in texts]
    names = [each.name for each in opened]
    if len(set(names)) != len(names):
        raise InputError(
            f"expected a name of its own for each model, got {', '.join(names)}: write NAME=BUNDLE "
            "or NAME=RECIPE.toml"
        )
    return opened


def _open(text: str) -> Opened:
    from gatekeeper.bundle import load_bundle
    from gatekeeper.recipe import load_recipe

    named = None if Path(text).exists() else _NAMED.match(text)
    source = text if named is None else named["source"]
    if source.startswith(_REMOTE):
        return _open_remote(source, None if named is None else named["name"])
    if source.endswith(".toml"):
        recipe = load_recipe(Path(source))
        return Opened(
            name=recipe.name if named is None else named["name"],
            source=source,
            gate=None,
            recipe=recipe,
        )
    gate = load_bundle(resolve_bundle(source))
    return Opened(
        name=gate[0].name if named is None else named["name"],
        source=source,
        gate=gate,
        recipe=None,
        run_id=_run_of(source),
    )


def _open_remote(source: str, name: str | None) -> Opened:
    """A model behind an address; what is known about it stands behind the ``#``."""
    url, _, fragment = source.removeprefix(_REMOTE).partition("#")
    options = dict(parse_qsl(fragment, keep_blank_values=True))
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InputError(
            f"expected options among {', '.join(_OPTIONS)} behind the # of {url}, got "
            f"{', '.join(unknown)}: write a recipe for the others"
        )
    return Opened(
        name=name or url.rstrip("/").rpartition("/")[2],
        source=source,
        gate=None,
        recipe=None,
        remote={"send": "png", **options, "url": url},
    )


def _run_of(source: str) -> str:
    """The MLflow run behind a registry URI; "" for everything else."""
    if not source.startswith("models:/"):
        return ""
    from gatekeeper.tracking import Registry, TrackingStore

    return Registry(TrackingStore.from_environment()).resolve(source).run_id or ""


def common_image_size(opened: Sequence[Opened]) -> tuple[int, int] | None:
    """The size of the images; None leaves them as they are.

    Raises:
        InputError: two want different sizes, so that they would not see the same images.
    """
    sizes = {each.image_size for each in opened} - {None}
    if len(sizes) > 1:
        raise InputError(
            f"expected models of one image size, got {sorted(map(str, sizes))}: models are "
            "compared on the same images, so evaluate these one by one"
        )
    return next(iter(sizes), None)


def subject_of(opened: Opened, class_names: Sequence[str]) -> Subject:
    """The classifier, or the gate before it, ready to look.

    Args:
        opened: The argument.
        class_names: Of the data, for a recipe that names none.

    Raises:
        RecipeError: the recipe's classifier has still to be trained.
        InputError: the classifier cannot be built.
    """
    from gatekeeper.evaluation import Subject

    if opened.gate is not None:
        fitted, identity = opened.gate
        return Subject(
            name=opened.name,
            classifier=fitted.classifier,
            source=opened.source,
            fitted=fitted,
            identity=identity,
            run_id=opened.run_id,
        )
    spec = _classifier_of(opened, class_names)
    return Subject(name=opened.name, classifier=spec.build(), source=opened.source)


def _classifier_of(opened: Opened, class_names: Sequence[str]) -> ClassifierSpec:
    from gatekeeper.bundle import ClassifierSpec
    from gatekeeper.paths import shipped
    from gatekeeper.training import classifier_of_record

    if opened.remote is not None:
        options = {"class_names": list(class_names), **opened.remote}
        return ClassifierSpec(kind="remote", options=options)
    if opened.recipe is None:
        raise InputError(f"expected a recipe in {opened.source}, got none")
    chosen = opened.recipe.classifier
    if chosen.training is not None:
        raise RecipeError(
            f"the classifier of {opened.source} has still to be trained: run `gatekeeper fit` and "
            "evaluate the bundle, or name a record or a checkpoint"
        )
    if chosen.record is not None:
        return classifier_of_record(shipped("models", chosen.record))
    options = {"class_names": list(class_names), **chosen.options}
    return ClassifierSpec(kind=chosen.kind, options=options)
