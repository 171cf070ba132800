"""What peers that learn are told, and that they learn it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers import PEERS, SKETCH_SIGNALS, logit_columns, sketch_columns
from gatekeeper.metrics import failure_auroc
from gatekeeper.protocols import Evidence
from gatekeeper.signals import SIGNAL_NAMES


def evidence(rng: np.random.Generator, n: int) -> tuple[Evidence, np.ndarray]:
    """Answers that are wrong where a signal is high, whatever the logits say."""
    labels = rng.integers(3, size=n)
    signals = rng.normal(size=(n, len(SIGNAL_NAMES) + 2)).astype(np.float32)
    noisy = signals[:, SIGNAL_NAMES.index("noise_sigma")] > 0.5
    logits = rng.normal(size=(n, 3)) * 0.3
    shown = np.where(noisy, (labels + 1) % 3, labels)
    logits[np.arange(n), shown] += rng.uniform(0.5, 3.0, size=n)
    made = Evidence(
        logits=logits.astype(np.float32),
        logits_kind="logits",
        features=rng.normal(size=(n, 4)).astype(np.float32),
        signals=signals,
        probes=np.zeros((n, 0), dtype=np.float32),
        seeds=np.arange(n),
        restorer=np.full(n, ""),
    )
    return made, labels


def test_twenty_signals_that_exist() -> None:
    assert len(set(SKETCH_SIGNALS)) == 20
    assert set(SKETCH_SIGNALS) <= set(SIGNAL_NAMES)


def test_columns_by_hand() -> None:
    made, _ = evidence(np.random.default_rng(0), 2)
    logits = made.logits
    columns = logit_columns(made)
    assert columns[:, :3].tolist() == logits.tolist()
    assert columns[:, 3:].tolist() == np.sort(logits, axis=1)[:, ::-1].tolist()
    sketch = sketch_columns(made)
    assert sketch.shape == (2, 6 + 3 + 20 + 4)
    assert sketch[:, 6:9].argmax(axis=1).tolist() == made.labels.tolist()
    assert sketch[:, 9].tolist() == made.signals[:, SIGNAL_NAMES.index("mean")].tolist()
    assert made.features is not None
    assert sketch[:, -4:].tolist() == made.features.tolist()


@pytest.mark.parametrize("name", PEERS)
def test_peers_learn_what_they_are_told(name: str) -> None:
    rng = np.random.default_rng(3)
    fit, labels = evidence(rng, 600)
    judged, truth = evidence(rng, 300)
    peer = PEERS[name](0).fit(fit, labels)
    scores = peer.score(judged)
    assert scores.shape == (300,)
    value = failure_auroc(scores, judged.labels == truth)
    # Only the sketch is told the signal that decides.
    assert (value > 0.95) if "signals" in name else (0.3 < value < 0.8)
    assert (scores == PEERS[name](0).fit(fit, labels).score(judged)).all()
