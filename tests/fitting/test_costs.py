"""Costs are shares of the classifier's, rounded coarsely, and not measured where they are given."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch

from gatekeeper.fitting import declared_costs, rounded
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
