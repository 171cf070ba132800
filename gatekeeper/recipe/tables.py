"""The tables of a recipe and what they may hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatekeeper.calibrators import calibrator
from gatekeeper.corruptions import CORRUPTIONS, corruption
from gatekeeper.errors import InputError
from gatekeeper.images import DATASET_SPECS
from gatekeeper.restorers import RESTORERS, WEIGHTED
from gatekeeper.views import check_views

_TRAINED = "autoencoder"
"""The restorer that fitting can train itself."""
_BUNDLE_FILES = {"gate", "classifier", "golden", "second_opinion"}

Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Training narrower convolutions in channels-last on several threads corrupts memory in torch 2.14.
_Width = Annotated[int, Field(ge=16, multiple_of=2)]
Size = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0.0, lt=1.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitSizes(_Strict):
    """Base images per split: counts, or shares of what there is outside the official test part."""

    train: Size = 0.4
    validation: Size = 0.04
    fit: Size = 0.26
    calibrate: Size = 0.13
    certify: Size = 0.16
    test: Size | None = None

    def given(self) -> dict[str, int | float]:
        """The sizes that are set."""
        return {name: size for name, size in self.model_dump().items() if size is not None}


class DataRecipe(_Strict):
    """Which images.

    Attributes:
        dataset: A data set's name or ``NAME:PATH``; see ``gatekeeper data --help``.
        image_size: Height and width that all images are brought to; needed where they differ.
        splits: Sizes of the six splits.
    """

    dataset: str = "auto"
    image_size: tuple[int, int] | None = None
    splits: SplitSizes = SplitSizes()

    @model_validator(mode="after")
    def _known(self) -> Self:
        names = {spec.partition(":")[0] for spec in DATASET_SPECS}
        if self.dataset.partition(":")[0] not in names:
            raise InputError(
                f"dataset must be one of {', '.join(DATASET_SPECS)}, got {self.dataset!r}"
            )
        return self


class ClassifierTraining(_Strict):
    """Schedule by which the demo trains its small classifier; flips and crops only.

    Attributes:
        epochs: Passes over *train*; more where they would not make ``min_steps``.
        batch_size: Images per step.
        learning_rate: Peak of the one-cycle schedule.
        crop_padding_px: Zeros around an image before a random crop of its own size.
        small_epochs: The first passes that see ``small_crop_px`` crops of the unpadded image
            instead: cheaper, and a stronger augmentation; 0 for none.
        small_crop_px: Side of those crops, in pixels; at most the image's.
        min_steps: Least optimiser steps, for small data sets.
        weight_decay: Of SGD.
        restart_epochs: Passes of a second cycle after the first; 0 for none. A finished first cycle
            that was kept goes on from there.
        restart_learning_rate: Peak of the second cycle.
        bf16: Compute in bfloat16 while training; weights and served answers stay float32.
    """

    epochs: int = Field(default=7, ge=1)
    min_steps: int = Field(default=600, ge=1)
    batch_size: int = Field(default=128, ge=2)
    learning_rate: float = Field(default=0.2, gt=0)
    crop_padding_px: int = Field(default=4, ge=0)
    small_epochs: int = Field(default=0, ge=0)
    small_crop_px: int = Field(default=24, ge=8)
    weight_decay: float = Field(default=5e-4, ge=0)
    restart_epochs: int = Field(default=0, ge=0)
    restart_learning_rate: float = Field(default=0.1, gt=0)
    bf16: bool = False


class ClassifierRecipe(_Strict):
    """The frozen classifier that is gated.

    Attributes:
        kind: ``timm``, ``module``, ``onnx`` or ``remote``.
        options: That kind's own options, such as name, checkpoint, mean, std, size. A relative
            ``checkpoint`` or ``path`` is taken from the recipe's folder.
        training: Present where the classifier is to be trained on *train* first.
        record: Name of a shipped record in ``models/``, in place of kind and options.
    """

    kind: Literal["timm", "module", "onnx", "remote"] = "timm"
    options: dict[str, Any] = {}
    training: ClassifierTraining | None = None
    record: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.record is not None and (self.options or self.training is not None):
            raise InputError("a classifier's record says it all: leave out options and training")
        return self


class ConditionsRecipe(_Strict):
    """The traffic that the certificate speaks about.

    Attributes:
        seen: Corruptions that may be fitted on; each drawn as often as the others, severities
            evenly.
        held_out: Corruptions that nothing may be fitted on; they judge.
        clean_share: Share of clean images in the declared and open streams.
    """

    seen: tuple[str, ...] = ("gaussian", "impulse", "periodic", "gaussian_blur", "dark")
    held_out: tuple[str, ...] = ("contrast", "horizontal_shift", "speckle")
    clean_share: Share = 0.5

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for name in (*self.seen, *self.held_out):
            corruption(name)
        families = [
            {family for name in names for family in CORRUPTIONS[name].families}
            for names in (self.seen, self.held_out)
        ]
        if shared := families[0] & families[1]:
            raise InputError(f"families must be seen or held out, got both for {sorted(shared)}")
        if not self.seen:
            raise InputError("at least one corruption must be seen")
        return self


class RestorersRecipe(_Strict):
    """The restoration stage.

    Attributes:
        restorer_of: Corruption -> name of the restorer that suits it; seen corruptions only.
        records: Name of a restorer -> shipped record in ``models/`` that it is read from, such as
            ``{unet = "unet-cifar10"}``; the name may then be used in ``restorer_of``.
        steps: Training steps of the autoencoder; 0 leaves it out. Not used where a record has it.
        batch_size: Images per step.
        recognition_weight: Weight of the frozen classifier's loss in the training.
        clean_share_restored: Share of clean images that the router may send to a restorer.
        arbitrate: Whether the restorer is chosen by expected gain per cost among those that fit,
            and every restorer gets a calibrator of its own. Otherwise the router's word counts.
        max_attempts: Most restorers tried on one image, the cheapest first; more than one needs
            ``arbitrate``.
        max_cost: Most that the attempts at one image may cost together, in passes of the
            classifier, the looks after restoring included; no limit by default.
        costs: Name of a restorer -> cost of restoring one image, in passes of the classifier. What
            is not given is measured once while fitting and rounded to a power of two.
    """

    restorer_of: dict[str, str] = {
        "gaussian": "autoencoder",
        "periodic": "autoencoder",
        "gaussian_blur": "autoencoder",
        "impulse": "median",
        "dark": "exposure",
    }
    records: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")], str] = {}
    steps: int = Field(default=900, ge=0)
    batch_size: int = Field(default=64, ge=2)
    recognition_weight: float = Field(default=0.02, ge=0)
    clean_share_restored: Share = 0.01
    arbitrate: bool = False
    max_attempts: int = Field(default=1, ge=1, le=8)
    max_cost: float | None = Field(default=None, gt=0)
    costs: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}

    @property
    def trains(self) -> bool:
        """Whether the autoencoder is trained: it is routed to and no record has it."""
        return _TRAINED in set(self.restorer_of.values()) - set(self.records)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if taken := _BUNDLE_FILES & set(self.records):
            raise InputError(f"records must not be called {sorted(taken)}: bundles have such files")
        if shadowed := (set(RESTORERS) - WEIGHTED) & set(self.records):
            raise InputError(f"records must not be called {sorted(shadowed)}, which need no record")
        known = {*RESTORERS} - WEIGHTED | {_TRAINED, *self.records}
        for degradation, name in self.restorer_of.items():
            if name not in known:
                raise InputError(
                    f"restorer_of.{degradation} must be one of {', '.join(sorted(known))}, got "
                    f"{name!r}: give a restorer with weights its record in restorers.records"
                )
        if self.trains and self.steps == 0:
            raise InputError("restorer_of names the autoencoder, whose steps are 0")
        self._check_arbitration()
        return self

    def _check_arbitration(self) -> None:
        if not self.arbitrate and (self.max_attempts > 1 or self.costs or self.max_cost):
            raise InputError(
                "max_attempts, max_cost and costs are read by the arbiter: set arbitrate = true"
            )
        if unknown := sorted(set(self.costs) - set(self.restorer_of.values())):
            raise InputError(f"costs must name restorers of restorer_of, got {unknown}")


class SecondOpinionRecipe(_Strict):
    """A small network of the gate's own, trained on degraded *train* images, as a probe.

    Attributes:
        widths: Channels of its four stages, each at least 16 and even.
        depth: Residual blocks per stage.
        largest_side_px: Larger images are brought to this longest side before it looks; its cost
            does not grow with the classifier's input.
        looks_per_image: Looks at each *train* image, the first of them clean.
        training: Schedule; an epoch passes over all looks.
    """

    widths: tuple[_Width, _Width, _Width, _Width] = (16, 32, 64, 128)
    depth: int = Field(default=2, ge=1)
    largest_side_px: int = Field(default=64, ge=8)
    looks_per_image: int = Field(default=4, ge=2)
    training: ClassifierTraining = ClassifierTraining(
        epochs=8, small_epochs=5, min_steps=1, bf16=True
    )


class PredictorRecipe(_Strict):
    """The reliability predictors of raw and restored looks.

    Attributes:
        hidden: Width of the hidden layers.
        members: Networks in the ensemble.
        epochs: Passes over the looks.
        dropout: Share of hidden units dropped in fitting.
        looks_per_image: Looks at each *fit* image, the first of them clean.
        views: Views that the classifier is asked about at every look, such as ``["flip"]``; each
            costs another pass of the classifier.
        trust: Share of the learned log-odds in the score, or "choose": by leaving one group of the
            seen corruptions out at a time, on *fit*.
        wide_looks: Further looks at each *fit* image, at continuous severities and under
            compositions of two seen corruptions.
        levels: File ``levels.json`` that ``gatekeeper levels … --split fit`` wrote for the same
            classifier: the estimated level of an image and the map's probability there become
            inputs. A relative path is taken from the recipe's folder.
        calibrator: Of raw and restored looks; a key of ``gatekeeper.calibrators.CALIBRATORS``.
        second_opinion: A network of the gate's own, as a probe; None does without.
    """

    hidden: int = Field(default=128, ge=1)
    members: int = Field(default=3, ge=1)
    epochs: int = Field(default=8, ge=1)
    dropout: Share = 0.1
    looks_per_image: int = Field(default=3, ge=2)
    wide_looks: int = Field(default=0, ge=0)
    trust: Annotated[float, Field(gt=0, le=1)] | Literal["choose"] = 0.8
    views: tuple[str, ...] = ()
    levels: str | None = None
    calibrator: str = "isotonic"
    second_opinion: SecondOpinionRecipe | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_views(self.views)
        calibrator(self.calibrator)
        if self.second_opinion is not None and self.trust == "choose":
            raise InputError(
                "trust is chosen by leaving groups of corruptions out, and the second opinion has "
                "seen them all: give trust as a number"
            )
        return self


class PolicyRecipe(_Strict):
    """What is to be certified.

    Attributes:
        target_risk: Largest share of wrong answers among the accepted ones.
        confidence_level: Probability with which that must hold.
        doubt_below: Raw reliability below which restored looks are collected in fitting; no
            threshold on the path exceeds it.
        switch_margins: Margins to choose from.
        clean_flips: Largest share of clean, rightly answered *calibrate* images whose answer the
            chosen margin may turn wrong.
        coverage_tolerance: Coverage that a larger, less harmful margin may cost.
    """

    target_risk: float = Field(default=0.05, gt=0, lt=1)
    confidence_level: float = Field(default=0.95, gt=0, lt=1)
    doubt_below: Share = 0.99
    switch_margins: tuple[Share, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
    clean_flips: Share = 0.0
    coverage_tolerance: Share = 0.005


class Recipe(_Strict):
    """All of it."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    seed: int = Field(default=0, ge=0)
    data: DataRecipe = DataRecipe()
    classifier: ClassifierRecipe
    conditions: ConditionsRecipe = ConditionsRecipe()
    restorers: RestorersRecipe = RestorersRecipe()
    predictor: PredictorRecipe = PredictorRecipe()
    policy: PolicyRecipe = PolicyRecipe()

    @property
    def held_out_families(self) -> frozenset[str]:
        """Families of corruptions that nothing may be fitted on."""
        return frozenset(f for n in self.conditions.held_out for f in CORRUPTIONS[n].families)

    @model_validator(mode="after")
    def _restorers_fit(self) -> Self:
        unseen = set(self.restorers.restorer_of) - set(self.conditions.seen)
        if unseen:
            raise InputError(
                f"restorer_of may name seen corruptions only, got {sorted(unseen)}; "
                "a held-out family must not shape the router"
            )
        return self
