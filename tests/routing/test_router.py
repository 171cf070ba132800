"""The router on real images: it tells degradations apart and leaves clean images be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.images.digits import load_digits
from gatekeeper.recipe import RestorersRecipe
from gatekeeper.routing import CLEAN, NoiseTypeClassifier, Router, confusion_counts
from gatekeeper.signals import N_SCALARS, read_signals

RESTORER_OF = {"gaussian": "smooth", "periodic": "notch", "impulse": "median"}


@pytest.fixture(scope="module")
def signals() -> dict[str, np.ndarray]:
    """Signals of 3,000 digits: as they are, and under three corruptions of severity 3."""
    images = load_digits().batch(np.random.default_rng(0).permutation(5000)[:3000])
    seeds = np.arange(len(images))
    found = {CLEAN: read_signals(images)}
    for name in RESTORER_OF:
        found[name] = read_signals(CORRUPTIONS[name](images, severity=3, seeds=seeds))
    return found


def rows(signals: dict[str, np.ndarray], names: tuple[str, ...], part: slice) -> tuple:
    """Signals, codes and names of some of the images under each of the conditions."""
    parts = [signals[name][part] for name in names]
    codes = np.repeat(np.arange(len(names)), [len(p) for p in parts])
    return np.concatenate(parts), codes, [names[code] for code in codes]


FIRST, SECOND = slice(0, 2000), slice(2000, 3000)


TYPES = (CLEAN, "gaussian", "periodic")


@pytest.fixture(scope="module")
def spectral(signals: dict[str, np.ndarray]) -> NoiseTypeClassifier:
    columns, codes, _ = rows(signals, TYPES, FIRST)
    return NoiseTypeClassifier(TYPES, spectrum_only=True).fit(columns, codes, seed=0)


def test_types_are_told_apart_on_spectra_alone(spectral, signals) -> None:
    columns, codes, _ = rows(signals, TYPES, SECOND)
    found = spectral.probabilities(columns)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (found.argmax(axis=1) == codes).mean() > 0.97


def test_confusion_matrix_on_spectra_alone(spectral, signals) -> None:
    columns, codes, _ = rows(signals, TYPES, SECOND)
    found = spectral.confusion(columns, codes)
    answers = spectral.probabilities(columns).argmax(axis=1)
    np.testing.assert_array_equal(found, confusion_matrix(codes, answers, labels=range(3)))
    assert found.sum(axis=1).tolist() == [1000] * 3
    assert np.diag(found).min() > 950


def test_confusion_by_hand() -> None:
    truth, answers = np.array([0, 0, 2, 1, 2, 2]), np.array([0, 1, 2, 1, 0, 2])
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert confusion_counts(truth, answers, n_types=3).tolist() == expected


def test_spectra_alone_means_that_scalars_are_not_read(spectral, signals) -> None:
    columns, _, _ = rows(signals, TYPES, SECOND)
    changed = columns.copy()
    changed[:, :N_SCALARS] = 0.0
    np.testing.assert_array_equal(spectral.probabilities(changed), spectral.probabilities(columns))


def test_on_shuffled_magnitudes_it_falls_to_chance(spectral, signals) -> None:
    columns, codes, _ = rows(signals, TYPES, SECOND)
    magnitudes = columns[:, N_SCALARS:]
    columns[:, N_SCALARS:] = np.random.default_rng(3).permuted(magnitudes, axis=1)
    found = spectral.probabilities(columns).argmax(axis=1)
    assert 0.28 < (found == codes).mean() < 0.45  # noise still has more energy in all


def test_noise_type_classifier_refuses() -> None:
    for names in (("gaussian", CLEAN), (CLEAN,), ()):
        with pytest.raises(InputError, match="'clean' and at least one degradation"):
            NoiseTypeClassifier(names)
    with pytest.raises(NotFittedError, match="call fit first"):
        NoiseTypeClassifier(TYPES).probabilities(np.zeros((1, N_SCALARS + 1)))


@pytest.fixture(scope="module")
def router(signals: dict[str, np.ndarray]) -> Router:
    columns, _, names = rows(signals, (CLEAN, *RESTORER_OF), FIRST)
    return Router(RESTORER_OF, clean_share=0.02).fit(columns, names, seed=0)


def test_each_degradation_goes_to_its_restorer(router, signals) -> None:
    for name, restorer in RESTORER_OF.items():
        assert (router.route(signals[name][SECOND]) == restorer).mean() > 0.95


def test_the_routers_confusion_is_cross_fitted(router, signals) -> None:
    assert router.confusion_.sum(axis=1).tolist() == [2000] * 4
    columns, codes, _ = rows(signals, (CLEAN, *router.restorer_of), SECOND)
    unseen = router.types.confusion(columns, codes)
    # Both are shares of images that were not fitted on; half as many fitted the cross-fitted ones.
    assert abs(np.trace(router.confusion_) / 8000 - np.trace(unseen) / 4000) < 0.02
    assert np.trace(unseen) / 4000 > 0.95


def test_clean_images_are_restored_no_more_often_than_declared(router, signals) -> None:
    restored = (router.route(signals[CLEAN][SECOND]) != "").sum()
    assert restored <= stats.binom.ppf(0.999, 1000, 0.02)


def test_a_limit_that_is_given_is_kept(signals) -> None:
    columns, _, names = rows(signals, (CLEAN, *RESTORER_OF), FIRST)
    never = Router(RESTORER_OF, clean_limit=-1.0).fit(columns, names, seed=0)
    assert (never.route(columns) == "").all()
    always = Router(RESTORER_OF, clean_limit=1.0).fit(columns, names, seed=0)
    assert (always.route(columns) != "").all()


def test_salt_and_pepper_goes_to_the_median_and_never_to_the_autoencoder(signals) -> None:
    restorer_of = RestorersRecipe().restorer_of
    assert restorer_of["impulse"] == "median"
    assert [kind for kind, name in restorer_of.items() if name == "median"] == ["impulse"]
    kinds = ("gaussian", "periodic", "impulse")
    columns, _, names = rows(signals, (CLEAN, *kinds), FIRST)
    router = Router({kind: restorer_of[kind] for kind in kinds}).fit(columns, names, seed=0)
    found = router.route(signals["impulse"][SECOND])
    assert (found == "median").mean() > 0.95
    assert (found == "autoencoder").mean() < 0.005


def test_a_row_does_not_depend_on_its_batch(router, signals) -> None:
    some = np.concatenate([signals[name][2000:2005] for name in signals])
    alone = [router.route(some[i : i + 1])[0] for i in range(len(some))]
    assert router.route(some).tolist() == alone


def test_state_round_trip(router, signals) -> None:
    state = {name: array.copy() for name, array in router.state().items()}
    again = Router.from_state(state, RESTORER_OF)
    for columns in signals.values():
        np.testing.assert_array_equal(again.route(columns), router.route(columns))
    assert again.clean_limit_ == router.clean_limit_


def test_same_seed_same_router(router, signals) -> None:
    columns, _, names = rows(signals, (CLEAN, *RESTORER_OF), FIRST)
    again = Router(RESTORER_OF, clean_share=0.02).fit(columns, names, seed=0).state()
    for name, array in router.state().items():
        np.testing.assert_array_equal(again[name], array)


def test_refusals(signals) -> None:
    with pytest.raises(InputError, match="none for clean images"):
        Router({CLEAN: "median"})
    with pytest.raises(InputError, match="a restorer per degradation"):
        Router({})
    with pytest.raises(InputError, match=r"\['fog'\]"):
        Router(RESTORER_OF).fit(signals[CLEAN][:2], [CLEAN, "fog"], seed=0)
    with pytest.raises(InputError, match=r"per row \(2\), got 1"):
        Router(RESTORER_OF).fit(signals[CLEAN][:2], [CLEAN], seed=0)
    with pytest.raises(NotFittedError, match="call fit first"):
        Router(RESTORER_OF).route(signals[CLEAN][:2])
    with pytest.raises(NotFittedError, match="call fit first"):
        Router(RESTORER_OF).state()


def test_allowed_are_the_restorer_named_and_those_of_likely_degradations(monkeypatch) -> None:
    router = Router({"a": "one", "b": "two", "c": "two", "d": "three"}, clean_limit=0.5)
    assert router.restorers == ("one", "three", "two")
    # Columns: clean, a, b, c, d.
    found = np.array([
        [0.6, 0.4, 0.0, 0.0, 0.0],  # may be clean: nothing
        [0.0, 0.9, 0.03, 0.03, 0.04],  # b and c together suit "two"
        [0.5, 0.46, 0.0, 0.01, 0.03],  # of the half that is degraded, d has 6 in 100
    ])  # fmt: skip
    monkeypatch.setattr(router.types, "probabilities", lambda signals: found)
    assert router.allowed(np.zeros((3, 1))).tolist() == [
        [False, False, False], [True, False, True], [True, True, False],
    ]  # fmt: skip


def test_the_restorer_named_is_allowed_however_many_share_the_probability(monkeypatch) -> None:
    names = [f"n{i}" for i in range(40)]
    router = Router({name: name for name in names}, clean_limit=0.5)
    found = np.full((1, 41), 1 / 40)
    found[0, 0], found[0, 7] = 0.0, 1 / 39
    monkeypatch.setattr(router.types, "probabilities", lambda signals: found)
    allowed = router.allowed(np.zeros((1, 1)))[0]
    assert [router.restorers[at] for at in np.flatnonzero(allowed)] == [router.types.names[7]]
