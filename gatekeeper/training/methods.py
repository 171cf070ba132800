"""How each method of restoration is trained; one line in ``METHODS`` enters a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import RestorerTraining
from gatekeeper.restorers.autoencoder import (
    AutoencoderConfig,
    AutoencoderOptions,
    AutoencoderTraining,
)
from gatekeeper.restorers.noise_adaptation import (
    DenoiserConfig,
    NoiseAdaptationOptions,
    NoiseAdaptationTraining,
    autoencoder_network,
    unet_network,
)
from gatekeeper.restorers.resshift import ResShiftConfig, ResShiftOptions, ResShiftTraining
from gatekeeper.restorers.unet import UNetConfig, UNetOptions, UNetTraining

OfImages = Callable[[Tensor], Tensor]
"""(images) -> logits or features of the frozen classifier, differentiable in the images."""

_FROM_SCHEDULE = frozenset({"steps", "batch_size", "learning_rate"})


class Schedule(Protocol):
    """What every method's objective is told beside its own options."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        ...

    @property
    def batch_size(self) -> int:
        """Images per step."""
        ...

    @property
    def learning_rate(self) -> float:
        """Peak."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What a training may ask of the frozen classifier, and where it computes.

    Attributes:
        recognise: Its logits, or None.
        features: Its features, or None.
        seed: Of the initial weights.
        device: Such as ``"cpu"``.
    """

    recognise: OfImages | None
    features: OfImages | None
    seed: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method of restoration.

    Attributes:
        network: Dataclass of the network's options.
        objective: Dataclass of the objective's options, among them those of the schedule.
        build: Both and what is frozen -> a training at its first step.
        unlabelled: Whether it learns from noisy images without a clean version.
        steps_before: Both -> steps that come before those of the schedule, such as those in which
            an autoencoder learns the latents.
    """

    network: type[Any]
    objective: type[Any]
    build: Callable[[Any, Any, Frozen], RestorerTraining]
    unlabelled: bool = False
    steps_before: Callable[[Any, Any], int] = lambda network, objective: 0

    def network_options(self, given: Mapping[str, Any]) -> Any:  # noqa: ANN401  # the method's own
        """The network's options from a recipe's table.

        Raises:
            InputError: one is unknown or not what it must be.
        """
        return _options(self.network, given, "network", frozenset())

    def objective_options(self, given: Mapping[str, Any], schedule: Schedule) -> Any:  # noqa: ANN401  # the method's own
        """The objective's options from a recipe's table and the schedule.

        Raises:
            InputError: one is unknown or not what it must be.
        """
        known = {field.name for field in fields(self.objective)}
        told = {name: getattr(schedule, name) for name in _FROM_SCHEDULE & known}
        return _options(self.objective, {**given, **told}, "objective", _FROM_SCHEDULE & set(given))


def _options(
    kind: type[Any], given: Mapping[str, Any], table: str, elsewhere: frozenset[str]
) -> Any:  # noqa: ANN401  # the method's own
    if elsewhere:
        raise InputError(f"{table}: {', '.join(sorted(elsewhere))} belong into training")
    known = sorted({field.name for field in fields(kind)} - _FROM_SCHEDULE)
    for name in set(given) - _FROM_SCHEDULE - set(known):
        near = get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(known)}"
        raise InputError(f"{table}: unknown option {name!r}; {hint}")
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise InputError(f"{table}: {problems}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedNetworks:
    """What is adapted to a camera's noise, and what helps it.

    Attributes:
        unet: The restorer's widths, where it is a U-Net; that is the default.
        autoencoder: The restorer's widths, where it is a skip autoencoder.
        denoiser: Size of the diffusion network, which is dropped afterwards.

    Raises:
        InputError: both restorers are given.
    """

    unet: UNetConfig | None = None
    autoencoder: AutoencoderConfig | None = None
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)

    def __post_init__(self) -> None:
        """Refuse two restorers."""
        if self.unet is not None and self.autoencoder is not None:
            raise InputError("expected one restorer, got unet and autoencoder: leave one out")


def _adapted(
    network: AdaptedNetworks, objective: NoiseAdaptationOptions, frozen: Frozen
) -> RestorerTraining:
    restorer = (
        unet_network(network.unet)
        if network.autoencoder is None
        else autoencoder_network(network.autoencoder)
    )
    return NoiseAdaptationTraining(
        objective,
        restorer=restorer,
        denoiser=network.denoiser,
        seed=frozen.seed,
        device=frozen.device,
    )


METHODS: dict[str, Method] = {
    "autoencoder": Method(
        network=AutoencoderConfig,
        objective=AutoencoderOptions,
        build=lambda network, objective, frozen: AutoencoderTraining(
            network,
            objective,
            recognise=frozen.recognise if objective.recognition_weight > 0 else None,
            seed=frozen.seed,
            device=frozen.device,
        ),
    ),
    "noise_adaptation": Method(
        network=AdaptedNetworks,
        objective=NoiseAdaptationOptions,
        build=_adapted,
        unlabelled=True,
    ),
    "resshift": Method(
        network=ResShiftConfig,
        objective=ResShiftOptions,
        build=lambda network, objective, frozen: ResShiftTraining(
            network,
            objective,
            features=frozen.features,
            seed=frozen.seed,
            device=frozen.device,
        ),
        steps_before=lambda network, objective: (
            0 if network.autoencoder is None else objective.autoencoder_steps
        ),
    ),
    "unet": Method(
        network=UNetConfig,
        objective=UNetOptions,
        build=lambda network, objective, frozen: UNetTraining(
            network,
            objective,
            recognise=frozen.recognise,
            features=frozen.features,
            seed=frozen.seed,
            device=frozen.device,
        ),
    ),
}
"""Name of the method -> how it is trained; the name is also that of the restorer it gives, but for
methods that only train another one's network."""


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: it is unknown; the message lists near matches and all names.
    """
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"expected one of the methods {', '.join(METHODS)}, got {name!r}{hint}")
    return METHODS[name]
