"""Decisions: the same whatever the batch, the same after save and load, the same as the replay."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.bundle import save_bundle
from gatekeeper.decision import Action, Decision, Reason
from gatekeeper.errors import BundleError, ImageError, InputError, NotFittedError
from gatekeeper.images import DecodeLimits
from gatekeeper.pipeline import Gatekeeper
from tests.small_gate import small, stream_images


@pytest.fixture(scope="module")
def gatekeeper() -> Gatekeeper:
    return Gatekeeper(small().result.fitted, "c" * 64)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return stream_images(120)


@pytest.fixture(scope="module")
def decisions(gatekeeper: Gatekeeper, images: torch.Tensor) -> list[Decision]:
    return gatekeeper.decide(images)


def same(one: Decision, other: Decision) -> None:
    """Equal but for the last digits of the reliabilities."""
    assert (one.action, one.reason, one.label) == (other.action, other.reason, other.label)
    assert [(a.restorer, a.label, a.action) for a in one.attempts] == [
        (a.restorer, a.label, a.action) for a in other.attempts
    ]
    np.testing.assert_allclose(one.reliability, other.reliability, atol=1e-5)
    for mine, theirs in zip(one.attempts, other.attempts, strict=True):
        np.testing.assert_allclose(mine.reliability, theirs.reliability, atol=1e-5)


def test_all_kinds_of_decision_occur(decisions: list[Decision]) -> None:
    """What the other tests of this file compare must not be trivial."""
    assert {d.action for d in decisions} == {Action.ACCEPT, Action.ABSTAIN}
    assert {Reason.ACCEPTED_RAW, Reason.ACCEPTED_AFTER_RESTORATION} < {d.reason for d in decisions}
    assert {"median", "exposure", None} == {d.attempts[-1].restorer for d in decisions}


def test_a_decision_does_not_depend_on_its_batch(gatekeeper, images, decisions) -> None:
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = gatekeeper.decide(images[order])
    for place, row in enumerate(order):
        same(shuffled[place], decisions[row])
    for row in range(0, len(images), 3):
        same(gatekeeper.decide(images[row : row + 1])[0], decisions[row])


def test_a_decision_is_the_same_after_save_and_load(images, decisions, tmp_path: Path) -> None:
    identity = save_bundle(small().result.fitted, tmp_path / "bundle")
    loaded = Gatekeeper.load(tmp_path / "bundle", device="cpu")
    assert loaded.calibration_id == identity
    for again, before in zip(loaded.decide(images), decisions, strict=True):
        same(again, before)
        assert again.reliability == before.reliability  # to the bit
        assert [a.reliability for a in again.attempts] == [a.reliability for a in before.attempts]
        assert again.calibration_id == identity


def test_attempts_tell_what_happened(gatekeeper, decisions) -> None:
    gate = gatekeeper.fitted.gate
    for decision in decisions:
        raw, *rest = decision.attempts
        assert raw.restorer is None
        second = rest[0].reliability if rest else None
        outcome = gate.decide(raw.reliability, second)
        assert (decision.action, decision.reason) == (outcome.action, outcome.reason)
        if rest:
            assert raw.action is Action.RESTORE
            assert raw.reliability < gate.accept_raw_at
        if decision.action is Action.ACCEPT:
            kept = rest[0] if outcome.keep_restored else raw
            assert decision.label == kept.label
        else:
            assert decision.label is None
        assert decision.model_id == "tiny"
        assert decision.calibration_id == "c" * 64
        assert decision.certified
        assert 0 <= decision.reliability <= 1


def test_the_number_returned_is_the_final_calibrators(gatekeeper, decisions) -> None:
    for decision in decisions[:20]:
        raw, *rest = decision.attempts
        second = rest[0].reliability if rest else None
        kept_restored = gatekeeper.fitted.gate.decide(raw.reliability, second).keep_restored
        kept = np.array([second if kept_restored else raw.reliability])
        expected = gatekeeper.fitted.final_reliability(kept, np.array([float(kept_restored)]))
        assert decision.reliability == expected[0]


def test_live_decisions_agree_with_the_table_that_was_certified(gatekeeper) -> None:
    """Clean rows of *certify*: the same answers and reliabilities as on record."""
    judged = small().result.certify
    rows = np.flatnonzero(judged.plan.corruptions == "")[:50]
    live = gatekeeper.decide(small().data.batch(judged.plan.positions[rows]))
    replay = gatekeeper.fitted.gate.replay(judged.raw_reliability, judged.restored_reliability)
    for decision, row in zip(live, rows, strict=True):
        assert decision.attempts[0].label == judged.raw_labels[row]
        np.testing.assert_allclose(
            decision.attempts[0].reliability, judged.raw_reliability[row], atol=1e-5
        )
        assert (decision.action is Action.ACCEPT) == replay.accepted[row]


def test_the_input_is_untouched_and_an_empty_batch_is_empty(gatekeeper, images) -> None:
    kept = images.clone()
    gatekeeper.decide(images[:5])
    assert torch.equal(images, kept)
    assert gatekeeper.decide(images[:0]) == []


def test_other_sizes_are_brought_to_the_gates(gatekeeper, images) -> None:
    large = torch.nn.functional.interpolate(images[:2], size=(56, 56), mode="nearest")
    assert len(gatekeeper.decide(large)) == 2
    assert gatekeeper.image_size == (28, 28)


def test_one_image_from_path_bytes_and_pil(gatekeeper, images, decisions, tmp_path) -> None:
    row = 0
    pixels = (images[row] * 255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    path = tmp_path / "digit.png"
    picture.save(path)
    for source in (path, str(path), path.read_bytes(), picture):
        same(gatekeeper.decide_one(source), decisions[row])


def test_unreadable_sources_are_refused(gatekeeper, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected an image file") as caught:
        gatekeeper.decide_one(tmp_path / "none.png")
    assert caught.value.reason == "unreadable"
    with pytest.raises(ImageError):
        gatekeeper.decide_one(b"no image")
    big = io.BytesIO()
    Image.new("RGB", (64, 64)).save(big, format="PNG")
    path = tmp_path / "big.png"
    path.write_bytes(big.getvalue())
    careful = Gatekeeper(small().result.fitted, "c", limits=DecodeLimits(max_bytes=50))
    with pytest.raises(ImageError, match="at most 50 bytes") as caught:
        careful.decide_one(path)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x[0], r"float32 images of shape \(B, 3, H, W\)"),
        (lambda x: x[:, :1], r"shape \(B, 3, H, W\)"),
        (lambda x: (x * 255).byte(), r"got torch\.uint8"),
        (lambda x: x * 255, "divide 8-bit values by 255"),
        (lambda x: torch.where(x > 0.5, torch.nan, x), "NaN is none"),
    ],
)
def test_what_is_not_images_is_refused(gatekeeper, images, spoil, message) -> None:
    with pytest.raises(InputError, match=message):
        gatekeeper.decide(spoil(images[:2]))


def test_the_canary_is_decided_and_always_alike(gatekeeper) -> None:
    assert gatekeeper.canary() == gatekeeper.canary()


def test_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected a bundle"):
        Gatekeeper.load(tmp_path)


def test_a_decision_says_what_is_wrong_with_the_image(gatekeeper) -> None:
    black = torch.zeros(1, 3, 28, 28)
    fitted = replace(gatekeeper.fitted, symptom_limits={})
    decision = Gatekeeper(fitted, "c" * 64).decide(black)[0]
    assert decision.symptoms == ("underexposed, brightest parts at 0 %",)
    assert decision.to_json()["symptoms"] == decision.symptoms
    usual = replace(gatekeeper.fitted, symptom_limits={"underexposed": 1.0})
    assert Gatekeeper(usual, "c" * 64).decide(black)[0].symptoms == ()


def test_few_clean_images_are_told_a_symptom(gatekeeper) -> None:
    clean = small().data.batch(small().splits.calibrate)

    def told(limits: dict[str, float]) -> int:
        fitted = replace(gatekeeper.fitted, symptom_limits=limits)
        decisions = Gatekeeper(fitted, "c" * 64).decide(clean)
        return sum(bool(decision.symptoms) for decision in decisions)

    # One in a hundred for each kind of symptom; strokes of digits look like noise without limits.
    assert told(dict(gatekeeper.fitted.symptom_limits)) <= 0.03 * len(clean)
    assert told({}) > told(dict(gatekeeper.fitted.symptom_limits))


def test_accuracy_is_estimated_from_the_reliabilities_of_all_decisions(
    gatekeeper: Gatekeeper, decisions: list[Decision]
) -> None:
    estimator = gatekeeper.fitted.accuracy
    assert estimator is not None
    reliability = np.array([decision.reliability for decision in decisions])
    assert gatekeeper.estimate_accuracy(decisions) == estimator.accuracy(reliability)
    with pytest.raises(InputError):
        gatekeeper.estimate_accuracy([])
    without = Gatekeeper(replace(gatekeeper.fitted, accuracy=None), "c" * 64)
    with pytest.raises(NotFittedError, match="fit it again"):
        without.estimate_accuracy(decisions)
