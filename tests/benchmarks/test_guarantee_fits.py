"""Gates that are judged: kept on disk, one per seed, on the splits of seed 0."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import guarantee_fits
from benchmarks.guarantee_fits import Gates, gate_fits, gates
from gatekeeper.errors import InputError
from gatekeeper.monitoring import WINDOW
from gatekeeper.progress import Silent
from gatekeeper.recipe import ClassifierRecipe, Recipe
from tests.small_gate import digits, recipe, small, spec, splits

STUDIED = {"noise": ("gaussian_noise",), "tone and weather": ("brightness", "contrast")}


def small_recipe(**restorers: object) -> Recipe:
    """The small gate's, with its classifier written out."""
    chosen = recipe()
    classifier = ClassifierRecipe(kind="module", options=spec().options)
    changed = chosen.restorers.model_copy(update=restorers)
    return chosen.model_copy(update={"classifier": classifier, "restorers": changed})


def made(chosen: Recipe) -> Gates:
    return Gates(chosen, digits(), studied=STUDIED, severities=(3,), shuffles=2, progress=Silent())


@pytest.fixture(scope="module")
def own() -> Gates:
    return made(small_recipe())


def test_a_fit_is_that_of_the_product(own: Gates) -> None:
    fit, expected = own.fit(0), small().result
    assert fit.margin == expected.fitted.gate.switch_margin
    assert fit.name == "small seed 0"
    for part in ("calibrate", "certify"):
        ours, theirs = getattr(fit, part), getattr(expected, part)
        assert np.array_equal(ours.digests, theirs.digests)
        assert ours.raw_reliability == pytest.approx(theirs.raw_reliability, abs=1e-6)
    assert sorted(fit.test.digests) == sorted(digits().digests[splits().test])
    assert fit.held_out == ("brightness", "contrast")
    n_windows = len(fit.test) // WINDOW
    assert fit.held_out_p.shape == (2, n_windows)
    assert fit.declared_p.shape == (2 * n_windows,)


def test_another_seed_draws_other_conditions_of_the_same_images(own: Gates) -> None:
    first, second = own.fit(0), own.fit(1)
    assert first.key != second.key
    for part in ("calibrate", "certify", "test"):
        one, other = getattr(first, part), getattr(second, part)
        assert set(one.digests) == set(other.digests)
        assert not np.array_equal(one.plan.corruptions, other.plan.corruptions)


def test_a_finished_fit_is_read_from_the_disk(own: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.fit(0)
    monkeypatch.setattr(guarantee_fits, "Fitter", None)
    again = made(small_recipe()).fit(0)
    assert again.key == before.key
    assert np.array_equal(again.test.raw_reliability, before.test.raw_reliability)
    with pytest.raises(TypeError):
        made(small_recipe(clean_share_restored=0.03)).fit(0)


def test_an_autoencoder_is_trained_once_for_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = small_recipe(restorer_of={"gaussian": "autoencoder", "impulse": "median"}, steps=2)
    first = made(chosen).restorers
    monkeypatch.setattr(guarantee_fits, "train_restorer", None)
    second = made(chosen).restorers
    assert set(first) == set(second) == {"autoencoder", "median"}
    assert first["autoencoder"].digest == second["autoencoder"].digest
    with pytest.raises(TypeError):
        _ = made(small_recipe(restorer_of={"dark": "autoencoder"}, steps=3)).restorers


def test_a_full_run_needs_data() -> None:
    with pytest.raises(InputError, match="--data"):
        gates(None, "cifar10-resnet18", quick=False, progress=Silent())
    with pytest.raises(InputError, match="--data"):
        gate_fits(None, [0], quick=False)


@pytest.mark.parametrize("name", guarantee_fits.RECIPES)
def test_recipes_are_there(name: str) -> None:
    from gatekeeper.paths import shipped
    from gatekeeper.recipe import load_recipe

    assert load_recipe(shipped("calibration", f"{name}.toml")).name == name
