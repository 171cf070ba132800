"""The second opinion: what it learns from, and what the gate makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from gatekeeper.bundle import (
    EXTENDED_VERSION,
    GATE_FILE,
    SCHEMA_VERSION,
    SecondOpinion,
    load_bundle,
    save_bundle,
)
from gatekeeper.errors import BundleError, InputError
from gatekeeper.evidence import TableBuilder, collect, draw_wide_plan
from gatekeeper.fitting import Fitter
from gatekeeper.manifest import write_manifest
from gatekeeper.mlp import log_softmax
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.recipe import ClassifierTraining, PredictorRecipe, SecondOpinionRecipe
from gatekeeper.training import second_opinion_steps, train_second_opinion
from gatekeeper.training.second_opinion import degraded_looks, looking_size
from tests import small_gate

OPTIONS = SecondOpinionRecipe(
    widths=(16, 16, 16, 16),
    depth=1,
    largest_side_px=12,
    looks_per_image=2,
    training=ClassifierTraining(epochs=1, min_steps=1, batch_size=32),
)
SEEN = ("gaussian", "impulse")


def train(weights: Path, **changed: object) -> SecondOpinion:
    arguments = {"corruptions": SEEN, "seed": 3, **changed}
    spec = train_second_opinion(
        small_gate.digits(), small_gate.splits(), OPTIONS, weights=weights, **arguments
    )
    return SecondOpinion(spec=spec, classifier=spec.build(device="cpu"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> SecondOpinion:
    return train(tmp_path_factory.mktemp("second") / "second.safetensors")


@pytest.fixture(scope="module")
def gate(second: SecondOpinion) -> Gatekeeper:
    builder = TableBuilder(
        small_gate.digits(),
        small_gate.classifier(),
        small_gate.restorers(),
        second_opinion=second.classifier,
    )
    fitter = Fitter(
        small_gate.digits(),
        small_gate.splits(),
        small_gate.spec(),
        small_gate.classifier(),
        small_gate.restorers(),
        small_gate.recipe(),
        builder=builder,
        second_opinion=second,
    )
    return Gatekeeper(fitter.run().fitted, "")


def test_it_learns_from_each_train_image_clean_and_degraded() -> None:
    data, splits = small_gate.digits(), small_gate.splits()
    whole = OPTIONS.model_copy(update={"largest_side_px": 28})
    looks = degraded_looks(data, splits.train, whole, corruptions=SEEN, seed=3)
    n = len(splits.train)
    assert len(looks) == 2 * n
    assert looks.labels.tolist() == [*data.labels[splits.train], *data.labels[splits.train]]
    clean = (data.batch(splits.train) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(looks.images[:n], clean)
    changed = (looks.images[n:] != clean).reshape(n, -1).any(axis=1)
    assert changed.mean() > 0.95


def test_no_corruption_beyond_those_that_are_given_is_drawn() -> None:
    plan = draw_wide_plan(
        small_gate.digits(),
        "train",
        small_gate.splits().train,
        corruptions=SEEN,
        looks_per_image=2,
        composed_share=0.25,
        seed=3,
        purpose="second-opinion",
    )
    parts = {part for name in plan.corruptions if name for part in str(name).split("+")}
    assert parts == set(SEEN)


@pytest.mark.parametrize(
    ("size", "largest", "expected"),
    [((28, 28), 64, (28, 28)), ((224, 224), 64, (64, 64)), ((128, 256), 64, (32, 64))],
)
def test_it_looks_at_no_more_than_the_largest_side(
    size: tuple[int, int], largest: int, expected: tuple[int, int]
) -> None:
    assert looking_size(size, largest) == expected


def test_large_images_are_brought_down_before_it_learns() -> None:
    small = OPTIONS.model_copy(update={"largest_side_px": 14})
    looks = degraded_looks(
        small_gate.digits(), small_gate.splits().train[:4], small, corruptions=SEEN, seed=3
    )
    assert looks.images.shape == (8, 14, 14, 3)


def test_the_same_seed_gives_the_same_network_and_another_another(
    second: SecondOpinion, tmp_path: Path
) -> None:
    assert train(tmp_path / "a.safetensors").classifier.digest == second.classifier.digest
    other = train(tmp_path / "b.safetensors", seed=4)
    assert other.classifier.digest != second.classifier.digest


def test_its_steps_are_those_of_all_looks() -> None:
    n = len(small_gate.splits().train)
    assert second_opinion_steps(OPTIONS, n) == 2 * n // 32
    assert second_opinion_steps(OPTIONS.model_copy(update={"looks_per_image": 4}), n) == 4 * n // 32


def test_its_log_probabilities_are_the_last_probes(second: SecondOpinion) -> None:
    images, seeds = small_gate.stream_images(6), np.arange(6)
    evidence = collect(
        small_gate.classifier(),
        images,
        seeds,
        views=("flip",),
        second_opinion=second.classifier,
    )
    assert evidence.probes.shape == (6, 20)
    expected = log_softmax(second.classifier.look(images).logits)
    assert np.allclose(evidence.probes[:, 10:], expected, atol=1e-6)
    without = collect(small_gate.classifier(), images, seeds, views=("flip",))
    assert np.array_equal(evidence.probes[:, :10], without.probes)
    assert np.array_equal(evidence.logits, without.logits)


def test_cells_of_another_second_opinion_are_not_taken(
    second: SecondOpinion, tmp_path: Path
) -> None:
    data, plan = small_gate.digits(), small_gate.fitter()._plan("fit", 1.0).take(np.arange(5))
    tables = [
        TableBuilder(data, small_gate.classifier(), {}, cache=tmp_path, second_opinion=opinion).raw(
            plan
        )
        for opinion in (None, second.classifier)
    ]
    assert [table.evidence.probes.shape[1] for table in tables] == [0, 10]


def test_a_gate_with_it_decides_the_same_from_disk(gate: Gatekeeper, tmp_path: Path) -> None:
    save_bundle(gate.fitted, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "second_opinion.safetensors").is_file()
    body = json.loads((tmp_path / "bundle" / GATE_FILE).read_text(encoding="utf-8"))
    # A gatekeeper that knows no second opinion must refuse it.
    assert body["schema_version"] == EXTENDED_VERSION > SCHEMA_VERSION
    loaded, identity = load_bundle(tmp_path / "bundle", device="cpu")
    images = small_gate.stream_images(24)
    before = [decision.reliability for decision in gate.decide(images)]
    after = [decision.reliability for decision in Gatekeeper(loaded, identity).decide(images)]
    assert before == after
    assert loaded.certificate["second_opinion_digest"] == gate.fitted.second.digest


def test_it_moves_reliabilities(gate: Gatekeeper) -> None:
    images = small_gate.stream_images(24)
    silent = small_gate.small().result.fitted
    with_it = [decision.attempts[0].reliability for decision in gate.decide(images)]
    without = [d.attempts[0].reliability for d in Gatekeeper(silent, "").decide(images)]
    assert np.abs(np.subtract(with_it, without)).max() > 1e-3


def test_a_bundle_with_another_network_is_refused(gate: Gatekeeper, tmp_path: Path) -> None:
    save_bundle(gate.fitted, tmp_path / "bundle")
    weights = tmp_path / "bundle" / "second_opinion.safetensors"
    state = load_file(weights)
    name = next(iter(state))
    save_file({**state, name: torch.zeros_like(state[name])}, weights)
    write_manifest(tmp_path / "bundle")
    with pytest.raises(BundleError, match=r"second opinion .* is not the one that was calibrated"):
        load_bundle(tmp_path / "bundle", device="cpu")


def test_a_fitter_refuses_evidence_of_another_second_opinion(second: SecondOpinion) -> None:
    builder = TableBuilder(small_gate.digits(), small_gate.classifier(), small_gate.restorers())
    with pytest.raises(InputError, match="expected the second opinion"):
        Fitter(
            small_gate.digits(),
            small_gate.splits(),
            small_gate.spec(),
            small_gate.classifier(),
            small_gate.restorers(),
            small_gate.recipe(),
            builder=builder,
            second_opinion=second,
        )


def test_trust_is_not_chosen_on_groups_that_it_has_seen() -> None:
    with pytest.raises(ValidationError, match="give trust as a number"):
        PredictorRecipe(trust="choose", second_opinion=OPTIONS)


def test_a_network_that_could_not_be_trained_safely_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"widths\.2\n.*greater than or equal to 16"):
        SecondOpinionRecipe(widths=(16, 16, 8, 16))
