"""Every term of the loss by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gatekeeper.restorers.shared.losses import feature_distance, pixel_loss, recognition_loss


def test_pixel_losses_by_hand() -> None:
    restored = torch.tensor([0.5, 0.2]).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)
    clean = torch.tensor([0.2, 0.2]).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert pixel_loss(restored, clean, "l1").item() == pytest.approx(0.15)
    assert pixel_loss(restored, clean, "mse").item() == pytest.approx(0.045)
    charbonnier = (math.sqrt(0.09 + 1e-6) + 1e-3) / 2
    assert pixel_loss(restored, clean, "charbonnier").item() == pytest.approx(charbonnier)


def test_recognition_is_of_what_the_classifier_will_see() -> None:
    # Logits (mean, 0): of an image at 1.7, cut to 1, the cross-entropy of class 0 is log(1 + 1/e).
    def recognise(images: Tensor) -> Tensor:
        means = images.mean(dim=(1, 2, 3))
        return torch.stack([means, torch.zeros_like(means)], dim=1)

    restored = torch.full((1, 3, 2, 2), 1.7, requires_grad=True)
    loss = recognition_loss(restored, torch.tensor([0]), recognise)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1.0)))
    loss.backward()
    assert torch.equal(restored.grad, torch.zeros_like(restored))


def test_feature_distance_by_hand() -> None:
    # Features: mean of red, mean of green. Clean (0.3, 0.4), restored (0.3, 0.1) -> 0.09 / 0.25.
    def features(images: Tensor) -> Tensor:
        return images[:, :2].mean(dim=(2, 3))

    def flat(red: float, green: float) -> Tensor:
        return torch.tensor([red, green, 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)

    clean = torch.cat([flat(0.3, 0.4), flat(0.6, 0.8)]).requires_grad_()
    restored = torch.cat([flat(0.3, 0.1), flat(0.6, 0.8)]).requires_grad_()
    loss = feature_distance(restored, clean, features)
    assert loss.item() == pytest.approx((0.09 / 0.25 + 0.0) / 2)
    loss.backward()
    assert clean.grad is None  # the goal does not move
    assert restored.grad[0, 1].sum().item() == pytest.approx(2 * -0.3 / 0.25 / 2)


def test_features_that_are_all_zero_are_no_division_by_zero() -> None:
    def dark(images: Tensor) -> Tensor:
        return images.flatten(1)

    zeros = torch.zeros(1, 3, 2, 2)
    assert feature_distance(zeros, zeros, dark).item() == 0.0
