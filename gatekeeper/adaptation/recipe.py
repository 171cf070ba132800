"""What ``gatekeeper adapt`` follows: the champion's recipe, the adapted restorer, the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatekeeper.errors import InputError, RecipeError
from gatekeeper.recipe import Recipe, Share, checked, load_recipe, read_toml
from gatekeeper.training.methods import METHODS
from gatekeeper.training.restorer_recipe import RestorerSchedule

METHOD = "noise_adaptation"
"""The method of restoration that learns from noisy images without clean versions."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Recognition(_Strict):
    """How the adapted restorer learns from labels of the traffic what the classifier needs.

    Attributes:
        steps: Optimiser steps; 0 leaves the restorer as Noise-DA trained it.
        batch_size: Labelled images per step, and half as many clean ones with synthetic noise.
        learning_rate: Peak of the one-cycle schedule.
        identity_weight: Of the change of clean images, beside the classifier's cross-entropy.
        shift: Images are shown moved by at most this share of their shorter side.
        ema_decay: Of the moving average of the weights, which is what is used; in [0, 1).
        least_labels: Fewest distinct labelled images; with fewer the restorer stays as it is, and
            the certificate's facts say so.
        validation_share: Of the distinct labelled images: kept aside, they choose among the states
            that are looked at, the first one among them.
        check_every: Steps between two looks; the state is kept there, too.
    """

    steps: int = Field(default=200, ge=0)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    identity_weight: float = Field(default=1.0, ge=0)
    shift: float = Field(default=0.125, ge=0, le=0.5)
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    least_labels: int = Field(default=200, ge=2)
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    check_every: int = Field(default=25, ge=1)


class AdaptedRestorer(_Strict):
    """The restorer that is adapted to the captured noise; its clean images are those of *train*.

    Attributes:
        training: Schedule; its ``clean_share`` and what it says about validation are not read.
        network: Options of the networks, as in a recipe of ``gatekeeper train``.
        objective: Options of the objective.
        highest_sigma: Strongest white noise put on clean images, in units of full scale.
    """

    training: RestorerSchedule = RestorerSchedule(steps=2000, batch_size=16)
    network: dict[str, Any] = {}
    objective: dict[str, Any] = {}
    highest_sigma: float = Field(default=25 / 255, gt=0, le=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        METHODS[METHOD].network_options(self.network)
        METHODS[METHOD].objective_options(self.objective, self.training)
        return self


class Shares(_Strict):
    """How images with labels are dealt out, each to one part, by their digests.

    Attributes:
        learn: Of a labelled sample: predictor and router.
        calibrate: Of a labelled sample: calibrators, margin, path.
        certify: Of a labelled sample, and of the random draws of the review queue.
        judge: What is left: champion against challenger.
    """

    learn: Share = 0.3
    calibrate: Share = 0.25
    certify: Share = 0.25

    @property
    def judge(self) -> float:
        """Share that judges."""
        return 1.0 - self.learn - self.calibrate - self.certify

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if min(self.learn, self.calibrate, self.certify) <= 0 or self.judge < 0.01:
            raise InputError(
                "shares of learn, calibrate and certify must be above 0 and leave at least 0.01 "
                f"to judge, got {self.learn:g}, {self.calibrate:g} and {self.certify:g}"
            )
        return self


class PromotionRule(_Strict):
    """When a challenger may replace the champion; all conditions together.

    Attributes:
        automatic: Whether a challenger that meets the rule is promoted without being told to.
        least_images: Judged images below which nothing is promoted by rule.
        accuracy_margin: The lower bound of the paired difference of accuracy, challenger less
            champion, must be above this.
        coverage_margin: The challenger's certified coverage may be lower by this much.
        most_harm: Largest upper bound of the share of judged images that the champion answers
            rightly and the challenger does not, final answers before abstention.
        confidence_level: One-sided, of both bounds.
    """

    automatic: bool = False
    least_images: int = Field(default=200, ge=1)
    accuracy_margin: float = Field(default=0.0, gt=-1, lt=1)
    coverage_margin: float = Field(default=0.0, ge=0, lt=1)
    most_harm: float = Field(default=0.02, gt=0, le=1)
    confidence_level: float = Field(default=0.95, gt=0, lt=1)


class AdaptationRecipe(_Strict):
    """All of it.

    Attributes:
        fit: The recipe that fitted the champion; a relative path starts at this file.
        seed: Of the parts, the adapted restorer and the refit.
        restorer: What is adapted.
        recognition: What it learns from labels afterwards.
        shares: How images with labels are dealt out.
        promotion: When the challenger may become the champion.
    """

    fit: str
    seed: int = Field(default=0, ge=0)
    restorer: AdaptedRestorer = AdaptedRestorer()
    recognition: Recognition = Recognition()
    shares: Shares = Shares()
    promotion: PromotionRule = PromotionRule()


def load_adaptation_recipe(path: Path) -> tuple[AdaptationRecipe, Recipe]:
    """Read the recipe of an adaptation and the champion's that it names.

    Args:
        path: A TOML file.

    Raises:
        RecipeError: a file is missing, is not TOML, or says something that cannot be followed.
    """
    recipe = checked(AdaptationRecipe, read_toml(path, "an adaptation recipe"), source=str(path))
    fit = load_recipe(path.resolve().parent / recipe.fit)
    check_fit(fit)
    return recipe, fit


def check_fit(fit: Recipe) -> None:
    """Refuse a champion's recipe that adaptation cannot follow.

    Raises:
        RecipeError: it asks for an arbiter.
    """
    if fit.restorers.arbitrate:
        raise RecipeError(
            "expected a champion whose router names the restorer, got a recipe with "
            "restorers.arbitrate: adaptation does not order several attempts; fit one without"
        )
