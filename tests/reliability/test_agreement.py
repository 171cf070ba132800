"""Agreement and divergence of views, by hand and against scipy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from gatekeeper.errors import InputError
from gatekeeper.reliability import VIEW_SCORES, ProbeLayout
from tests.contracts.predictor import PredictorContract, looks
from tests.reliability.test_scores import evidence_of


def looks_with_probes(n, *, seed=11):
    """Two views whose logits are the image's with a little noise."""
    evidence, labels = looks(n, seed=seed)
    rng = np.random.default_rng(seed + 3)
    n_classes = evidence.logits.shape[1]
    layout = ProbeLayout(n_classes=n_classes)
    views = {
        view: special.log_softmax(
            evidence.logits.astype(np.float64) + 0.5 * rng.normal(size=(n, n_classes)), axis=1
        )
        for view in layout.views
    }
    return replace(evidence, probes=layout.join(views)), labels


@pytest.mark.parametrize("name", sorted(VIEW_SCORES))
class TestContract(PredictorContract):
    least_failure_auroc = 0.65

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def looks(self, n, *, seed=11):
        return looks_with_probes(n, seed=seed)

    def build(self):
        return VIEW_SCORES[self.name]


def evidence_with(probabilities, views, kind="log_probabilities"):
    """Raw probabilities (B, K) and those of the views (B, V, K)."""
    with np.errstate(divide="ignore"):
        evidence = evidence_of(np.log(probabilities), kind)
        probes = np.log(np.asarray(views, dtype=float))
    return replace(evidence, probes=probes.reshape(len(probes), -1))


def test_every_score_knows_its_name():
    assert [score.name for score in VIEW_SCORES.values()] == list(VIEW_SCORES)


def test_agreement_by_hand():
    evidence = evidence_with(
        [[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]],
        [[[0.1, 0.9], [0.6, 0.4]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]],
    )
    scores = VIEW_SCORES["view_agreement"].score(evidence)
    np.testing.assert_allclose(scores, [(0.9 + 0.4) / 2, 0.5, 0.0], atol=1e-12)


def test_divergence_by_hand():
    evidence = evidence_with(
        [[0.25, 0.75], [0.25, 0.75], [0.5, 0.5]],
        [[[0.25, 0.75]] * 2, [[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.0, 1.0]]],
    )
    half = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    floored = 0.5 * (np.log(0.5) + 30.0) + 0.5 * np.log(0.5)  # −inf counts as −30
    scores = VIEW_SCORES["view_divergence"].score(evidence)
    np.testing.assert_allclose(scores, [0.0, -half / 2, -floored / 2], atol=1e-12)


def test_values_against_scipy(rng):
    raw = special.softmax(rng.normal(size=(60, 5)), axis=1)
    views = special.softmax(rng.normal(size=(60, 3, 5)), axis=2)
    evidence = evidence_with(raw, views)
    expected = -stats.entropy(raw[:, None, :], views, axis=2).mean(axis=1)
    np.testing.assert_allclose(VIEW_SCORES["view_divergence"].score(evidence), expected)
    agreement = [views[i, :, raw[i].argmax()].mean() for i in range(60)]
    np.testing.assert_allclose(VIEW_SCORES["view_agreement"].score(evidence), agreement)


def test_logits_need_no_normalising(rng):
    logits = rng.normal(0.0, 3.0, (20, 4))
    probes = special.log_softmax(rng.normal(size=(20, 4)), axis=1)
    plain = replace(evidence_of(logits), probes=probes)
    shifted = replace(evidence_of(logits + 1e3), probes=probes)
    for score in VIEW_SCORES.values():
        np.testing.assert_allclose(score.score(plain), score.score(shifted), atol=1e-9)


@pytest.mark.parametrize("name", sorted(VIEW_SCORES))
def test_views_that_keep_the_answer_score_higher(name):
    """The second look's views turn away from the answer step by step."""
    given = np.linspace(0.95, 0.05, 10)
    views = np.stack([given, 1.0 - given], axis=1)[:, None, :]
    evidence = evidence_with(np.tile([0.95, 0.05], (10, 1)), views)
    assert np.diff(VIEW_SCORES[name].score(evidence)).max() < 0.0


@pytest.mark.parametrize("name", sorted(VIEW_SCORES))
def test_evidence_without_probes_is_refused(name):
    evidence = evidence_of(np.zeros((2, 3)))
    with pytest.raises(InputError, match=f"{name} reads probes and this evidence has none"):
        VIEW_SCORES[name].score(evidence)
    with pytest.raises(InputError, match="at least 1 look"):
        VIEW_SCORES[name].fit(looks_with_probes(3)[0].take(np.arange(0)), np.zeros(0, dtype=int))
