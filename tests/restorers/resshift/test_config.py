"""The configuration: there and back through JSON, what follows from it, what it refuses."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift import ResShiftConfig, Schedule, SwinUNetConfig, VQConfig

LATENT = ResShiftConfig(
    steps=15,
    sampling_steps=4,
    least_noise=0.04,
    predicts="residual",
    mask=True,
    find_holes=True,
    network=SwinUNetConfig(width=16, multipliers=(1, 2, 2)),
    autoencoder=VQConfig(multipliers=(1, 2)),
    tile_px=100,
    overlap_px=20,
)


@pytest.mark.parametrize("config", [ResShiftConfig(), LATENT])
def test_there_and_back_through_json(config: ResShiftConfig) -> None:
    text = json.dumps(config.to_json())
    assert ResShiftConfig.from_json(json.loads(text)) == config


def test_what_follows() -> None:
    plain = ResShiftConfig()
    assert (plain.channels, plain.factor, plain.multiple, plain.tile) == (3, 1, 8, (256, 32))
    assert not plain.sampling_chain().latent
    assert plain.sampling_chain().schedule == Schedule.exponential(4)
    assert (LATENT.channels, LATENT.factor, LATENT.multiple) == (3, 2, 32)
    assert LATENT.tile == (128, 32)
    assert LATENT.training_chain().latent
    assert LATENT.training_chain().schedule == Schedule.exponential(15, least_noise=0.04)
    assert LATENT.sampling_chain().schedule.times == (0, 5, 9, 14)


def test_a_tile_is_larger_than_its_overlap() -> None:
    assert ResShiftConfig(tile_px=2, overlap_px=1).tile == (16, 8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "at least one step"),
        ({"sampling_steps": 5}, "1 to 4 steps"),
        ({"predicts": "v"}, "predicts among"),
        ({"find_holes": True}, "set mask"),
        ({"overlap_px": 256}, "overlap_px"),
    ],
)
def test_wrong_values_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ResShiftConfig(**changes)


def test_other_configurations_are_refused() -> None:
    good = LATENT.to_json()
    for change, said in (
        ({"widths": [1]}, "widths"),
        ({"network": {"width": 16}}, "missing or unknown"),
        ({"network": None}, "stored with the weights"),
        ({"autoencoder": {**good["autoencoder"], "codes": "many"}}, "stored with the weights"),
    ):
        with pytest.raises(InputError, match=said):
            ResShiftConfig.from_json({**good, **change})
    del good["kappa"]
    with pytest.raises(InputError, match="kappa"):
        ResShiftConfig.from_json(good)
    with pytest.raises(InputError, match="stored with the weights"):
        ResShiftConfig.from_json({"widths": [4]})


def test_a_recipes_table_is_a_configuration() -> None:
    # Tables of a recipe are read through pydantic, which must find the nested parts.
    table = {
        "steps": 15,
        "least_noise": 0.04,
        "network": {"width": 16, "multipliers": [1, 2]},
        "autoencoder": {"codes": 64},
    }
    expected = ResShiftConfig(
        steps=15,
        least_noise=0.04,
        network=SwinUNetConfig(width=16),
        autoencoder=VQConfig(codes=64),
    )
    assert TypeAdapter(ResShiftConfig).validate_python(table) == expected
