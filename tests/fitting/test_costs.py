"""Costs are shares of the classifier's, rounded coarsely, and not measured where they are given."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch

from gatekeeper.fitting import declared_costs, look_cost, rounded
from gatekeeper.testing import FakeClassifier, IdentityRestorer


@pytest.mark.parametrize(
    ("share", "expected"),
    [(1.0, 1.0), (1.4, 1.0), (1.42, 2.0), (0.3, 0.25), (0.36, 0.5), (100.0, 128.0), (0, 2**-10)],
)
def test_rounding_is_to_the_nearest_power_of_two(share: float, expected: float) -> None:
    assert rounded(share) == expected


class Clock:
    """Moves when something runs: a look takes 1 s, a restoration as long as it says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(IdentityRestorer):
    """A restorer that takes some seconds by that clock, more at the first call."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds, self.calls = clock, seconds, count()

    def restore(self, images, *, seeds, mask=None):
        self.clock.now += self.seconds + 100 * (next(self.calls) == 0)
        return super().restore(images, seeds=seeds, mask=mask)


def test_a_share_of_the_classifiers_pass_without_the_warm_up() -> None:
    clock = Clock()
    classifier = FakeClassifier(lambda mean: [mean, 0.5], class_names=["light", "dark"])
    look = classifier.look

    def slow(images):
        clock.now += 1.0
        return look(images)

    classifier.look = slow
    restorers = {"slow": Slow(clock, 3.9), "given": Slow(clock, 50.0)}
    images = torch.zeros(2, 3, 8, 8)
    costs = declared_costs(
        restorers, classifier, images, np.arange(2), given={"given": 0.3}, clock=clock
    )
    assert costs == {"given": 0.3, "slow": 4.0}
    assert next(restorers["given"].calls) == 0  # not even tried


def test_a_look_costs_its_views_and_the_second_opinion_too() -> None:
    clock = Clock()

    def taking(seconds: float) -> FakeClassifier:
        classifier = FakeClassifier(lambda mean: [mean, 0.5], class_names=["light", "dark"])
        look = classifier.look

        def slow(images):
            clock.now += seconds
            return look(images)

        classifier.look = slow
        return classifier

    images, first = torch.zeros(2, 3, 8, 8), taking(2.0)
    assert look_cost(first, None, images, n_views=0, clock=clock) == 1.0
    assert look_cost(first, None, images, n_views=2, clock=clock) == 3.0
    assert clock.now == 0.0  # nothing is measured where nothing need be
    # 0.55 s are 0.275 of 2 s: a quarter, to the nearest power of two.
    assert look_cost(first, taking(0.55), images, n_views=1, clock=clock) == 2.25
