"""``gatekeeper registry verify`` with a recipe: what a bundle does not hold is fitted again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.errors import RecipeError

if TYPE_CHECKING:
    from gatekeeper.bundle import FittedGate
    from gatekeeper.evaluation import Recount
    from gatekeeper.fitting import Fitter
    from gatekeeper.images import Dataset
    from gatekeeper.progress import Progress
    from gatekeeper.recipe import Recipe
    from gatekeeper.selection import Candidate

# How far a network that is fitted on another machine may move these: its rounding differs.
GAIN_WITHIN = 0.005
ROWS_WITHIN = 0.01

_FITTED = {
    "router": "router: needs its recipe's looks_per_image and a new fit",
    "trust_judged": "trust_judged: needs its recipe's predictor and a new fit for each group of "
    "corruptions",
    "arbitration": "arbitration: needs its recipe and a new fit of the arbiter",
}


def not_refitted(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Parts of a certificate that only its recipe gives again, and what they need."""
    return tuple(text for part, text in _FITTED.items() if certificate.get(part))


def recipe_of(name: str, bundle: Path, given: Path | None) -> Recipe | None:
    """The recipe named, or of a bundle that ships the shipped one of its name; None without one.

    Raises:
        RecipeError: the recipe named cannot be followed, or is that of another gate.
    """
    from gatekeeper.paths import shipped_root
    from gatekeeper.recipe import load_recipe

    if given is not None:
        recipe = load_recipe(given)
        if recipe.name != name:
            raise RecipeError(
                f"expected the recipe of the gate {name!r} in {given}, got that of "
                f"{recipe.name!r}: name the recipe that the bundle was fitted with"
            )
        return recipe
    issued = shipped_root() / "calibration"
    if bundle.resolve().parent.parent != issued.resolve():
        # Another bundle of the same name may have been fitted with other options.
        return None
    shipped = map(load_recipe, sorted(issued.glob("*.toml")))
    return next((recipe for recipe in shipped if recipe.name == name), None)


def recount_refits(
    fitted: FittedGate,
    certificate: Mapping[str, Any],
    data: Dataset,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
) -> list[Recount]:
    """Fit router, trust and arbiter again on *fit*, and hold them against a certificate.

    Args:
        fitted: The gate of the certificate's bundle; its classifier and restorers look.
        certificate: As it was published. Of one without a part, that part is not compared.
        data: The data set.
        recipe: That the gate was fitted with.
        progress: Told of every look.

    Returns:
        The router's confusion, what each degree of trust did, and what cross-fitting showed of each
        restorer. Gains agree within ``GAIN_WITHIN``, counts within ``ROWS_WITHIN`` of the rows.

    Raises:
        RecipeError: the recipe asks for other traffic than the certificate is about.
        DataError: these are not the certificate's data.
    """
    _check(recipe, certificate)
    chosen = recipe.predictor.trust == "choose"
    wanted = [part for part in _FITTED if part in certificate]
    found: list[Recount] = []
    if "trust_judged" in wanted and not chosen:
        # A trust that the recipe gives was never judged.
        wanted.remove("trust_judged")
        found += _trust(certificate["trust_judged"], ())
    if not wanted:
        return found
    fitter = _fitted_again(fitted, certificate, data, recipe, progress)
    if "router" in wanted:
        router = fitter.router
        counts = [] if router.confusion_ is None else router.confusion_.tolist()
        found += _confusion(certificate["router"], list(router.types.names), counts)
    if "trust_judged" in wanted:
        found += _trust(certificate["trust_judged"], fitter.trust_judged)
    if "arbitration" in wanted:
        said = fitter.arbitration.said({})["arbitration"]
        found += _arbitration(certificate["arbitration"], said)
    return found


def _check(recipe: Recipe, certificate: Mapping[str, Any]) -> None:
    from gatekeeper.evaluation import declared_mix

    mix = declared_mix(certificate)
    asked = (tuple(recipe.conditions.seen), recipe.conditions.clean_share)
    if mix is not None and (mix.corruptions, mix.clean_share) != asked:
        raise RecipeError(
            f"expected a recipe for the certificate's traffic ({', '.join(mix.corruptions)}, "
            f"{mix.clean_share:g} clean), got one for {', '.join(asked[0])}, {asked[1]:g} clean: "
            "name the recipe that the bundle was fitted with"
        )


def _fitted_again(
    fitted: FittedGate,
    certificate: Mapping[str, Any],
    data: Dataset,
    recipe: Recipe,
    progress: Progress | None,
) -> Fitter:
    from gatekeeper.evaluation import own_splits
    from gatekeeper.evidence import TableBuilder
    from gatekeeper.fitting import Fitter

    seed = int(certificate["seed"])
    changed: dict[str, Any] = {"seed": seed}
    if "arbitration" in certificate:
        # Costs may have been measured then: what was declared counts, not this machine's speed.
        costs = {"costs": dict(certificate["arbitration"]["costs"])}
        changed["restorers"] = recipe.restorers.model_copy(update=costs)
    builder = TableBuilder(
        data,
        fitted.classifier,
        fitted.restorers,
        progress=progress,
        views=fitted.views,
        second_opinion=fitted.second,
    )
    fitter = Fitter(
        data,
        own_splits(data, seed, certificate),
        fitted.classifier_spec,
        fitted.classifier,
        fitted.restorers,
        recipe.model_copy(update=changed),
        builder=builder,
        second_opinion=fitted.second_opinion,
    )
    fitter.fit_predictors()
    return fitter


def _confusion(
    recorded: Mapping[str, Any], names: Sequence[str], counts: Sequence[Sequence[int]]
) -> Iterator[Recount]:
    from gatekeeper.evaluation import Recount

    yield Recount(name="router.types", recorded=recorded["types"], recomputed=list(names))
    then = recorded["confusion"]
    if recorded["types"] != list(names) or len(then) != len(counts):
        return
    for name, before, now in zip(names, then, counts, strict=True):
        yield Recount(name=f"router.{name}.rows", recorded=sum(before), recomputed=sum(now))
        for taken_for, old, new in zip(names, before, now, strict=True):
            yield Recount(
                name=f"router.{name}.{taken_for}",
                recorded=old,
                recomputed=new,
                within=ROWS_WITHIN * sum(now),
            )


def _trust(recorded: Sequence[Mapping[str, Any]], judged: Sequence[Candidate]) -> Iterator[Recount]:
    from gatekeeper.evaluation import Recount

    degrees = [each["trust"] for each in recorded]
    yield Recount(name="trust_judged", recorded=degrees, recomputed=[each.trust for each in judged])
    for before, now in zip(recorded, judged, strict=False):
        for key in ("mean", "worst", "clean"):
            yield Recount(
                name=f"trust_judged.{now.trust:g}.{key}",
                recorded=before[key],
                recomputed=getattr(now, key),
                within=GAIN_WITHIN,
            )


def _arbitration(recorded: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[Recount]:
    from gatekeeper.evaluation import Recount

    for key in ("costs", "look_cost", "max_attempts", "max_cost", "never_tried"):
        yield Recount(name=f"arbitration.{key}", recorded=recorded[key], recomputed=said[key])
    before, now = recorded["cross_fitted"], said["cross_fitted"]
    for name in sorted({*before, *now}):
        old, new = before.get(name, {}), now.get(name, {})
        for key in ("rows", "tried", "helped", "harmed"):
            yield Recount(
                name=f"arbitration.{name}.{key}",
                recorded=old.get(key),
                recomputed=new.get(key),
                # Which rows are looked at again is the router's word, too.
                within=ROWS_WITHIN * new.get("rows", 0),
            )
