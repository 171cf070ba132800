"""Which images a restorer is trained and judged on, from its recipe and the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gatekeeper.errors import DataError, RecipeError
from gatekeeper.images import load_dataset, make_splits, seeds_for
from gatekeeper.recipe import DataRecipe
from gatekeeper.training.methods import method
from gatekeeper.training.restorer_recipe import RestorerRecipe
from gatekeeper.training.sources import DatasetImages, Images, read_folder
from gatekeeper.types import StrArray

Announce = Callable[[str], None]

_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesUsed:
    """Which images a restorer has seen, for its record.

    Attributes:
        name: Of the data set or folder.
        licence: Of the images.
        train_digest: Of the images that were learned from.
        n_train: How many.
        validation_digest: Of those that the card's numbers are taken on.
        n_validation: How many there are.
        unlabelled: What the unlabelled noisy images are, or "".
        n_unlabelled: How many.
        unlabelled_digest: Of them, or "".
        options: Of the command that named folders, with a leading space, or "".
    """

    name: str
    licence: str
    train_digest: str
    n_train: int
    validation_digest: str
    n_validation: int
    unlabelled: str = ""
    n_unlabelled: int = 0
    unlabelled_digest: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The images of a training.

    Attributes:
        clean: Those that pairs are made of.
        validation: Those that the card's numbers are taken on.
        unlabelled: Those of the target domain, or None.
        used: What the record says about them.
        class_names: Of the data set; None for a folder.
    """

    clean: Images
    validation: Images
    unlabelled: Images | None
    used: ImagesUsed
    class_names: tuple[str, ...] | None


def sources_of(
    recipe: RestorerRecipe,
    *,
    data_dir: Path | None,
    clean: Path | None,
    noisy: Path | None,
    announce: Announce,
) -> Sources:
    """The images that a recipe and the command line name.

    Raises:
        DataError: they are missing or too few.
        RecipeError: none are named, or the method has no use for them.
    """
    chosen = method(recipe.method)
    if noisy is not None and not chosen.unlabelled:
        raise RecipeError(f"{recipe.method} learns from no unlabelled images: leave out {noisy}")
    if chosen.unlabelled and noisy is None and not recipe.unlabelled:
        raise RecipeError(
            f"{recipe.method} learns from noisy images without clean versions, got none: name a "
            "folder with --noisy, or a corruption in [[unlabelled]]"
        )
    if clean is not None:
        found = _of_folder(recipe, clean, announce)
    elif recipe.data is not None:
        found = _of_dataset(recipe, recipe.data, data_dir, announce)
    else:
        raise RecipeError("expected [data] in the recipe or a folder with --clean, got neither")
    if noisy is not None:
        return _with_unlabelled(
            found,
            read_folder(noisy, announce),
            f"the folder {noisy.name}",
            options=" --noisy DIR",
        )
    if recipe.unlabelled:
        return _halved(found, recipe)
    return found


def _of_dataset(
    recipe: RestorerRecipe, data_recipe: DataRecipe, data_dir: Path | None, announce: Announce
) -> Sources:
    data = load_dataset(
        data_recipe.dataset,
        data_dir=data_dir,
        image_size=data_recipe.image_size,
        announce=announce,
    )
    splits = make_splits(
        data.labels,
        data.digests,
        test_index=data.test_index,
        sizes=data_recipe.splits.given(),
        seed=recipe.seed,
    )
    return Sources(
        clean=DatasetImages(data, splits.train),
        validation=DatasetImages(data, splits.validation),
        unlabelled=None,
        used=ImagesUsed(
            name=data.name,
            licence=data.licence,
            train_digest=splits.digest_of("train", data.digests),
            n_train=len(splits.train),
            validation_digest=splits.digest_of("validation", data.digests),
            n_validation=len(splits.validation),
        ),
        class_names=data.class_names,
    )


def _of_folder(recipe: RestorerRecipe, folder: Path, announce: Announce) -> Sources:
    images = read_folder(folder, announce)
    n = len(images.digests)
    if n < _FEWEST:
        raise DataError(
            f"expected at least {_FEWEST} distinct images below {folder}, one of them for "
            f"validation, got {n}"
        )
    order = np.argsort(seeds_for(recipe.seed, images.digests, "folder splits"), kind="stable")
    n_kept = min(n - 1, max(1, round(recipe.training.validation_share * n)))
    validation, train = images.take(np.sort(order[:n_kept])), images.take(np.sort(order[n_kept:]))
    return Sources(
        clean=train,
        validation=validation,
        unlabelled=None,
        used=ImagesUsed(
            name=folder.name,
            licence="that of the folder's owner",
            train_digest=set_digest(train.digests),
            n_train=len(train.digests),
            validation_digest=set_digest(validation.digests),
            n_validation=n_kept,
            options=" --clean DIR",
        ),
        class_names=None,
    )


def _with_unlabelled(
    found: Sources, unlabelled: Images, said: str, *, options: str = ""
) -> Sources:
    used = replace(
        found.used,
        unlabelled=said,
        n_unlabelled=len(unlabelled.digests),
        unlabelled_digest=set_digest(unlabelled.digests),
        options=f"{found.used.options}{options}",
    )
    return replace(found, unlabelled=unlabelled, used=used)


def _halved(found: Sources, recipe: RestorerRecipe) -> Sources:
    """Half of *train* for pairs, the other half for noisy images: no image plays both parts."""
    digests = found.clean.digests
    if len(digests) < _FEWEST:
        raise DataError(f"expected at least {_FEWEST} images in train, got {len(digests)}")
    order = np.argsort(seeds_for(recipe.seed, digests, "unlabelled half"), kind="stable")
    half = len(order) // 2
    pairs, others = found.clean.take(np.sort(order[:half])), found.clean.take(np.sort(order[half:]))
    names = " and ".join(draw.name for draw in recipe.unlabelled)
    return _with_unlabelled(
        replace(found, clean=pairs), others, f"the other half of train under {names}"
    )


def set_digest(digests: StrArray) -> str:
    """Identity of a set of images: sha256 over its sorted digests, one per line.

    That of a split (see :meth:`gatekeeper.images.Splits.digest_of`).
    """
    lines = "".join(f"{line}\n" for line in sorted(digests.tolist()))
    return hashlib.sha256(lines.encode()).hexdigest()
