"""Who may learn from what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.adaptation.captured import UNLABELLED
from gatekeeper.adaptation.dealing import deal
from gatekeeper.adaptation.recipe import Shares
from gatekeeper.errors import DataError, SplitOverlapError
from tests import small_gate
from tests.adaptation.conftest import capture, labelled_sample

CHAMPION = "c" * 64
NAMES = small_gate.digits().class_names


def dealt_out(captured, sample=None):
    return deal(captured, sample, champion=CHAMPION, class_names=NAMES, shares=Shares(), seed=0)


@pytest.fixture(scope="module")
def queue():
    """Two abstentions for every accepted draw, all with labels."""
    rows = small_gate.splits().test
    return capture(rows, ["abstained", "abstained", "accepted"], champion=CHAMPION)


def test_abstentions_train_and_draws_never_do(queue) -> None:
    traffic = dealt_out(queue).traffic
    assert set(queue.kinds[traffic.learn]) == {"abstained"}
    assert set(queue.kinds[traffic.draws]) == {"accepted"}
    assert not set(traffic.seen) & set(traffic.draws)
    assert not set(traffic.judge) & {*traffic.seen, *traffic.draws, *traffic.learn}
    assert set(queue.kinds[traffic.judge]) == {"abstained", "accepted"}
    assert not traffic.sampled


def test_abstentions_weigh_as_their_share_says(queue) -> None:
    halved = replace(queue, probabilities=np.where(queue.kinds == "abstained", 0.5, 1.0))
    times = np.bincount(dealt_out(halved).traffic.learn)
    assert set(times.tolist()) == {0, 2}


def test_draws_of_another_champion_certify_nothing(queue) -> None:
    other = deal(queue, None, champion="d" * 64, class_names=NAMES, shares=Shares(), seed=0).traffic
    assert len(other.draws) == len(other.judge) == 0


def test_missing_labels_are_counted_and_keep_the_traffic_from_judging(queue) -> None:
    accepted = np.flatnonzero(queue.kinds == "accepted")
    labels = queue.labels.copy()
    labels[accepted] = UNLABELLED
    found = dealt_out(replace(queue, labels=labels))
    judging = set(dealt_out(queue).traffic.judge)
    assert found.n_unlabelled_draws == len([row for row in accepted if row not in judging])
    assert len(found.traffic.judge) == 0
    assert dealt_out(replace(queue, complete=False)).n_unlabelled_draws is None


def test_a_sample_is_dealt_to_four_parts() -> None:
    rows = small_gate.splits().test
    captured = capture(rows[:100], [""], labelled=False)
    sample = labelled_sample(rows[100:])
    found = dealt_out(captured, sample)
    traffic = found.traffic
    learned = traffic.learn
    parts = [learned, traffic.calibrate, traffic.certify, traffic.judge]
    together = np.concatenate(parts)
    assert sorted(together.tolist()) == list(range(100, 100 + len(sample)))
    assert traffic.sampled
    assert set(range(100)) < set(traffic.seen.tolist())
    assert found.sample_digest != found.captured_digest


def test_a_small_sample_and_a_shared_image_are_refused() -> None:
    rows = small_gate.splits().test
    captured = capture(rows[:30], [""], labelled=False, seed=9)
    with pytest.raises(DataError, match="at least 50 images in each part"):
        dealt_out(captured, labelled_sample(rows[50:150]))
    with pytest.raises(SplitOverlapError, match="the captured images and the labelled sample"):
        dealt_out(captured, labelled_sample(rows[:300]))
