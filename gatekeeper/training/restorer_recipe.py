"""What ``gatekeeper train`` follows for a restorer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatekeeper.corruptions import corruption
from gatekeeper.errors import InputError
from gatekeeper.recipe import ClassifierRecipe, DataRecipe
from gatekeeper.training.methods import METHODS, method

Range = tuple[float, float]

_SEVERITIES: Range = (0.5, 5.5)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CorruptionDraw(_Strict):
    """A corruption and how strong it is drawn, evenly between two ends.

    Attributes:
        name: A corruption, or two joined by ``+``.
        severity: Continuous severities, within 0.5…5.5; the default where no level is given.
        level: Levels in the corruption's own unit, in place of severities.
    """

    name: str
    severity: Range | None = None
    level: Range | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        corruption(self.name)
        if self.severity is not None and self.level is not None:
            raise InputError(f"{self.name}: give severities or levels, not both")
        low, high = self.strength
        if not low <= high:
            raise InputError(f"{self.name}: expected the milder end first, got {low} and {high}")
        least, most = _SEVERITIES
        if self.level is None and not least <= low <= high <= most:
            raise InputError(f"{self.name}: expected severities in 0.5…5.5, got {low} and {high}")
        return self

    @property
    def strength(self) -> Range:
        """Both ends, of the severities or of the levels."""
        return self.level or self.severity or _SEVERITIES


class RestorerSchedule(_Strict):
    """How long, in what portions, and how images are shown.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images per step.
        learning_rate: Peak of the method's schedule.
        crop_px: Side of the random crops that are shown; None shows whole images, which then must
            be of one size.
        flips: Whether half of the images are mirrored left to right.
        clean_share: Share of images that are left clean, which teaches to leave them alone.
        checkpoint_every: Steps between two kept states.
        validation_images: Most *validation* images that the card's numbers are taken on.
        validation_share: Share of a folder's images that are kept for *validation*.
    """

    steps: int = Field(default=2000, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    crop_px: int | None = Field(default=None, ge=8)
    flips: bool = False
    clean_share: float = Field(default=0.1, ge=0, le=1)
    checkpoint_every: int = Field(default=250, ge=1)
    validation_images: int = Field(default=1000, ge=1)
    validation_share: float = Field(default=0.1, gt=0, lt=1)


class RestorerRecipe(_Strict):
    """What ``gatekeeper train`` follows where ``kind = "restorer"``.

    Attributes:
        id: Name of the record; its folder below ``models/``.
        kind: What is trained.
        method: A key of :data:`gatekeeper.training.methods.METHODS`.
        seed: Of initial weights, order, crops and corruptions; also of the splits.
        data: Which images: *train* is learned from, *validation* gives the card's numbers. May be
            left out where a folder of clean images is given on the command line.
        classifier: The frozen classifier that recognition and feature terms ask, and whose accuracy
            the card tells; None leaves them out.
        corruptions: What the images are degraded by, each as often as the others.
        unlabelled: How images of the target domain are made whose clean versions nobody sees: half
            of *train* is given up for them. A folder of noisy images may take their place.
        network: Options of the method's network.
        objective: Options of the method's objective.
        training: Schedule.
        terms: What the data's terms mean for the weights, for the card.
    """

    schema_version: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    kind: Literal["restorer"]
    method: str
    seed: int = Field(default=0, ge=0)
    data: DataRecipe | None = None
    classifier: ClassifierRecipe | None = None
    corruptions: Annotated[tuple[CorruptionDraw, ...], Field(min_length=1)]
    unlabelled: tuple[CorruptionDraw, ...] = ()
    network: dict[str, Any] = {}
    objective: dict[str, Any] = {}
    training: RestorerSchedule = RestorerSchedule()
    terms: str = ""

    @model_validator(mode="after")
    def _fits_the_method(self) -> Self:
        chosen = method(self.method)
        chosen.network_options(self.network)
        chosen.objective_options(self.objective, self.training)
        if self.classifier is not None and self.classifier.training is not None:
            raise InputError("the classifier of a restorer is frozen: leave out its training")
        if self.unlabelled and not chosen.unlabelled:
            takers = sorted(name for name, known in METHODS.items() if known.unlabelled)
            raise InputError(
                f"{self.method} learns from no unlabelled images, which is what "
                f"{', '.join(takers) or 'no method here'} does: leave out unlabelled"
            )
        return self
