"""The doubles: declared answers, and the seams that they fit."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.protocols import Calibrator, Classifier, Restorer
from gatekeeper.testing import ConstantReliability, FakeClassifier, IdentityRestorer
from tests.contracts.restorer import RestorerContract


def flat(*means: float) -> torch.Tensor:
    return torch.tensor(means).reshape(-1, 1, 1, 1).expand(-1, 3, 8, 8).clone()


class TestIdentityRestorer(RestorerContract):
    def build(self) -> Restorer:
        return IdentityRestorer("copy")

    def test_it_changes_nothing_and_bears_its_name(self, images: torch.Tensor) -> None:
        assert torch.equal(self.build().restore(images, seeds=np.arange(5)), images)
        assert self.build().name == "copy"
        assert IdentityRestorer("other").digest != self.build().digest


def test_logits_and_features_as_a_function_of_the_mean() -> None:
    fake = FakeClassifier(
        lambda mean: [mean, 1 - mean, 0.5],
        class_names=["a", "b", "c"],
        features_of=lambda mean: [2 * mean],
    )
    assert isinstance(fake, Classifier)
    assert fake.class_names == ("a", "b", "c")
    look = fake.look(flat(0.25, 0.75))
    assert look.logits.tolist() == [[0.25, 0.75, 0.5], [0.75, 0.25, 0.5]]
    assert look.features is not None
    assert look.features.tolist() == [[0.5], [1.5]]
    assert look.kind == "logits"
    assert look.logits.dtype == look.features.dtype == np.float32
    assert fake.look(flat()).logits.shape == (0, 3)
    assert fake.n_looked == 2


def test_logits_from_a_table_of_levels() -> None:
    table = {51: [-1.0, -2.0], 204: [-3.0, -4.0]}
    fake = FakeClassifier(table, class_names=["a", "b"], kind="log_probabilities")
    look = fake.look(flat(0.8, 0.2, 0.2))
    assert look.logits.tolist() == [[-3, -4], [-1, -2], [-1, -2]]
    assert look.kind == "log_probabilities"
    assert look.features is None
    with pytest.raises(InputError, match=r"mean level among \[51, 204\], got 128"):
        fake.look(flat(0.5))


def test_one_logit_per_class_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"expected 3 declared logits.*got \[2\]"):
        FakeClassifier(lambda mean: [mean, 0.0], class_names="abc").look(flat(0.5))


def test_digest_follows_name_and_classes() -> None:
    def digest(**changes: object) -> str:
        options = {"class_names": "ab", "model_id": "m", **changes}
        return FakeClassifier({}, **options).digest

    assert re.fullmatch(r"[0-9a-f]{64}", digest())
    assert digest() == digest()
    assert len({digest(), digest(model_id="n"), digest(class_names="abc")}) == 3


def test_constant_reliability() -> None:
    constant = ConstantReliability(0.75)
    assert isinstance(constant, Calibrator)
    assert constant.fit(np.zeros(2), np.ones(2, dtype=bool)) is constant
    assert constant.reliability(np.array([-9.0, 9.0])).tolist() == [0.75, 0.75]
    again = ConstantReliability.from_state(constant.state())
    assert again.reliability(np.zeros(1), context=np.zeros((1, 1))).tolist() == [0.75]
    for value in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="must be a probability"):
            ConstantReliability(value)
