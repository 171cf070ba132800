"""Single scores against scipy and by hand; sign, log-probabilities, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from gatekeeper.errors import InputError
from gatekeeper.protocols import Evidence
from gatekeeper.reliability import SINGLE_SCORES
from tests.contracts.predictor import PredictorContract, looks

OF_PROBABILITIES = ("doctor", "entropy", "gen", "margin", "max_softmax")
OF_LOGITS = ("energy", "max_logit")


def evidence_of(logits, kind="logits"):
    logits = np.asarray(logits)
    n = len(logits)
    return Evidence(
        logits=logits,
        logits_kind=kind,
        features=None,
        signals=np.zeros((n, 1)),
        probes=np.zeros((n, 0)),
        seeds=np.arange(n),
        restorer=np.full(n, ""),
    )


@pytest.mark.parametrize("name", sorted(SINGLE_SCORES))
class TestContract(PredictorContract):
    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    @pytest.fixture
    def fitted(self, name):
        return SINGLE_SCORES[name].fit(*looks(20))

    def build(self):
        return SINGLE_SCORES[self.name]


def test_every_score_knows_its_name():
    assert {name: score.name for name, score in SINGLE_SCORES.items()} == {
        name: name for name in (*OF_PROBABILITIES, *OF_LOGITS)
    }


def test_values_by_hand():
    evidence = evidence_of(np.log([[1.0, 2.0, 5.0], [4.0, 4.0, 8.0], [3.0, 3.0, 3.0]]))
    expected = {
        "max_softmax": [0.625, 0.5, 1 / 3],
        "margin": [0.375, 0.25, 0.0],
        "entropy": [
            np.log(0.125) / 8 + np.log(0.25) / 4 + np.log(0.625) * 5 / 8,
            -1.5 * np.log(2.0),
            -np.log(3.0),
        ],
        # Σ p² = 30/64, 3/8 and 1/3.
        "doctor": [-34 / 30, -5 / 3, -2.0],
        "gen": [
            -((7 / 64) ** 0.1 + (12 / 64) ** 0.1 + (15 / 64) ** 0.1),
            -(2 * (3 / 16) ** 0.1 + (1 / 4) ** 0.1),
            -3 * (2 / 9) ** 0.1,
        ],
        "energy": np.log([8.0, 16.0, 9.0]),
        "max_logit": np.log([5.0, 8.0, 3.0]),
    }
    assert set(expected) == set(SINGLE_SCORES)
    for name, values in expected.items():
        np.testing.assert_allclose(SINGLE_SCORES[name].score(evidence), values, atol=1e-12)


def test_values_against_scipy(rng):
    logits = rng.normal(0.0, 4.0, (200, 10))
    evidence = evidence_of(logits)
    p = special.softmax(logits, axis=1)
    first, second = -np.partition(-p, 1, axis=1)[:, :2].T
    for name, values in {
        "max_softmax": p.max(axis=1),
        "doctor": 1.0 - 1.0 / np.square(p).sum(axis=1),
        "margin": first - second,
        "entropy": -stats.entropy(p, axis=1),
        "energy": special.logsumexp(logits, axis=1),
    }.items():
        np.testing.assert_allclose(SINGLE_SCORES[name].score(evidence), values, atol=1e-12)


def test_values_of_pytorch_ood():
    """Recorded by ``record_peer_scores.py``; they are computed in single precision there."""
    record = json.loads(Path(__file__).with_name("peer_scores.json").read_text(encoding="utf-8"))
    evidence = evidence_of(record["logits"])
    for name, expected in record["scores"].items():
        np.testing.assert_allclose(SINGLE_SCORES[name].score(evidence), expected, rtol=1e-6)


def test_gen_reads_the_100_likeliest_classes(rng):
    logits = rng.normal(0.0, 2.0, (20, 150))
    p = np.sort(special.softmax(logits, axis=1), axis=1)[:, -100:]
    expected = -((p * (1.0 - p)) ** 0.1).sum(axis=1)
    np.testing.assert_allclose(SINGLE_SCORES["gen"].score(evidence_of(logits)), expected)
    all_tie = SINGLE_SCORES["gen"].score(evidence_of(np.zeros((1, 150))))
    assert all_tie == pytest.approx([-100 * (149 / 150**2) ** 0.1])


def test_a_tiny_doubt_keeps_its_digits():
    """1 − p = e^-50 is lost beside 1; Doctor and GEN still read it."""
    scores = evidence_of([[50.0, 0.0]])
    assert SINGLE_SCORES["doctor"].score(scores) == pytest.approx([-2.0 * np.exp(-50.0)])
    assert SINGLE_SCORES["gen"].score(scores) == pytest.approx([-2.0 * np.exp(-5.0)])


@pytest.mark.parametrize("name", sorted(SINGLE_SCORES))
def test_a_stronger_answer_scores_higher(name):
    logits = np.zeros((20, 4))
    logits[:, 2] = np.linspace(0.0, 10.0, 20)
    assert np.diff(SINGLE_SCORES[name].score(evidence_of(logits))).min() > 0.0


@pytest.mark.parametrize("name", sorted(SINGLE_SCORES))
def test_large_logits_are_finite(name):
    scores = SINGLE_SCORES[name].score(evidence_of(np.array([[3e4, -3e4]], dtype=np.float32)))
    expected = 3e4 if name in OF_LOGITS else {"max_softmax": 1.0, "margin": 1.0}.get(name, 0.0)
    assert scores == pytest.approx([expected])


def test_single_precision_logits_are_read_in_double():
    """In single precision both largest probabilities would be exactly 1 and tie."""
    logits = np.array([[18.0, 0.0], [19.0, 0.0]], dtype=np.float32)
    for name in OF_PROBABILITIES:
        low, high = SINGLE_SCORES[name].score(evidence_of(logits))
        assert low < high


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_log_probabilities_give_the_same_as_their_logits(name, rng):
    logits = rng.normal(0.0, 2.0, (50, 6))
    shifted = evidence_of(special.log_softmax(logits, axis=1), "log_probabilities")
    np.testing.assert_allclose(
        SINGLE_SCORES[name].score(shifted),
        SINGLE_SCORES[name].score(evidence_of(logits)),
        atol=1e-12,
    )


def test_a_probability_of_zero_is_allowed_where_declared():
    logits = np.array([[0.0, -np.inf], [np.log(0.5), np.log(0.5)]])
    declared = evidence_of(logits, "log_probabilities")
    assert SINGLE_SCORES["max_softmax"].score(declared) == pytest.approx([1.0, 0.5])
    assert SINGLE_SCORES["margin"].score(declared) == pytest.approx([1.0, 0.0])
    assert SINGLE_SCORES["entropy"].score(declared) == pytest.approx([0.0, -np.log(2.0)])
    assert SINGLE_SCORES["doctor"].score(declared) == pytest.approx([0.0, -1.0])
    assert SINGLE_SCORES["gen"].score(declared) == pytest.approx([0.0, -2.0 / 4.0**0.1])
    with pytest.raises(InputError, match="got 1 NaN or infinite of 4"):
        SINGLE_SCORES["max_softmax"].score(evidence_of(logits))


@pytest.mark.parametrize("name", OF_LOGITS)
def test_scores_of_the_size_of_logits_refuse_log_probabilities(name):
    evidence = evidence_of(np.log([[0.5, 0.5]]), "log_probabilities")
    with pytest.raises(InputError, match=f"{name} needs logits.*is 0.*use max_softmax"):
        SINGLE_SCORES[name].score(evidence)
    with pytest.raises(InputError, match="needs logits"):
        SINGLE_SCORES[name].fit(evidence, np.array([0]))


@pytest.mark.parametrize("kind", ["logits", "log_probabilities"])
@pytest.mark.parametrize("row", [[np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_rows_that_order_nothing_are_refused(kind, row):
    with pytest.raises(InputError, match="logits must be finite"):
        SINGLE_SCORES["max_softmax"].score(evidence_of([row], kind))


def test_no_looks_give_no_scores_and_teach_nothing():
    none = evidence_of(np.zeros((0, 3)))
    for score in SINGLE_SCORES.values():
        assert score.score(none).shape == (0,)
        with pytest.raises(InputError, match="at least 1 look"):
            score.fit(none, np.zeros(0, dtype=int))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 1)), [0, 0], "K at least 2"),
        (np.zeros(2), [0, 0], "K at least 2"),
        (np.zeros((2, 3)), [0, 3], "lie in 0…2, got 0 to 3"),
        (np.zeros((2, 3)), [0.0, 1.0], "labels must be integers"),
        (np.zeros((2, 3)), [[0], [1]], "labels must be integers"),
    ],
)
def test_fit_refuses(logits, labels, message):
    with pytest.raises(InputError, match=message):
        SINGLE_SCORES["margin"].fit(evidence_of(logits), np.array(labels))
