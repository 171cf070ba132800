"""What a recipe may say of a method, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.protocols import RestorerTraining, WeightedRestorer
from gatekeeper.restorers import WEIGHTED
from gatekeeper.training.methods import METHODS, Frozen, method


@dataclass(frozen=True)
class Plan:
    steps: int = 7
    batch_size: int = 3
    learning_rate: float = 0.25


NOTHING = Frozen(recognise=None, features=None, seed=0, device="cpu")
SMALL = {
    "autoencoder": {"encoder": [4, 4, 4, 4, 4, 4], "decoder": [4, 4, 4]},
    "noise_adaptation": {
        "unet": {"widths": [4, 4]}, "denoiser": {"width": 4, "multipliers": [1], "groups": 2},
    },
    "resshift": {"network": {"width": 8, "swin_width": 16}},
    "unet": {"widths": [4, 4]},
}  # fmt: skip


def test_the_schedule_reaches_the_objective() -> None:
    found = method("autoencoder").objective_options({"recognition_weight": 0.5}, Plan())
    assert (found.steps, found.batch_size, found.learning_rate) == (7, 3, 0.25)
    assert found.recognition_weight == 0.5


def test_lists_of_a_recipe_become_what_the_network_wants() -> None:
    found = method("autoencoder").network_options(SMALL["autoencoder"])
    assert found.encoder == (4, 4, 4, 4, 4, 4)
    assert found.dropout == 0.0


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_training_is_built_and_exports_a_restorer_of_a_known_name(name: str) -> None:
    chosen = METHODS[name]
    training = chosen.build(
        chosen.network_options(SMALL[name]), chosen.objective_options({}, Plan()), NOTHING
    )
    assert isinstance(training, RestorerTraining)
    restorer = training.export()
    assert isinstance(restorer, WeightedRestorer)
    assert restorer.name in WEIGHTED


def test_recognition_without_weight_asks_no_classifier() -> None:
    def refuse(images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("asked")

    chosen = METHODS["autoencoder"]
    objective = chosen.objective_options({"recognition_weight": 0.0}, Plan())
    frozen = Frozen(recognise=refuse, features=None, seed=0, device="cpu")
    training = chosen.build(chosen.network_options(SMALL["autoencoder"]), objective, frozen)
    assert training._recognise is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recognition_wieght": 1}, r"unknown option 'recognition_wieght'; did you mean recog"),
        ({"steps": 3}, "objective: steps belong into training"),
        ({"recognition_weight": "much"}, "objective: recognition_weight: Input should be"),
    ],
)
def test_options_that_cannot_be_followed_are_named(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        method("autoencoder").objective_options(given, Plan())


def test_a_networks_options_are_checked_by_the_network() -> None:
    with pytest.raises(InputError, match=r"network: .*at least one width"):
        method("unet").network_options({"widths": []})
    with pytest.raises(InputError, match="there is widths"):
        method("unet").network_options({"colour": 3})


def test_latents_are_learned_in_steps_of_their_own() -> None:
    chosen = METHODS["resshift"]
    objective = chosen.objective_options({"autoencoder_steps": 11}, Plan())
    pixels, latents = (
        chosen.network_options({**SMALL["resshift"], **more})
        for more in ({}, {"autoencoder": {"width": 8}})
    )
    assert chosen.steps_before(pixels, objective) == 0
    assert chosen.steps_before(latents, objective) == 11
    assert METHODS["unet"].steps_before(None, None) == 0


def test_every_method_is_tried_here() -> None:
    assert SMALL.keys() == METHODS.keys()


def test_either_network_can_be_adapted_to_a_camera() -> None:
    chosen = METHODS["noise_adaptation"]
    both = {"unet": {"widths": [4, 4]}, "autoencoder": SMALL["autoencoder"]}
    with pytest.raises(InputError, match="expected one restorer, got unet and autoencoder"):
        chosen.network_options(both)
    objective = chosen.objective_options({"negatives": False}, Plan())
    other = {"autoencoder": SMALL["autoencoder"], "denoiser": SMALL["noise_adaptation"]["denoiser"]}
    training = chosen.build(chosen.network_options(other), objective, NOTHING)
    assert training.export().name == "autoencoder"


def test_an_unknown_method_names_its_neighbours() -> None:
    with pytest.raises(InputError, match="got 'autoencodr'; did you mean autoencoder"):
        method("autoencodr")
