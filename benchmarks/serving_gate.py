"""What the benchmark `serving` serves: a gate over an untrained network, and doubles of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from benchmarks.signals import load_photos
from gatekeeper.bundle import ClassifierSpec, FittedGate, log_odds, save_bundle
from gatekeeper.calibrators import calibrator
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.decision import Action, Attempt, Decision, Reason
from gatekeeper.evidence import collect, restore_rows
from gatekeeper.gate import Gate
from gatekeeper.golden import golden_files
from gatekeeper.images import fit_to
from gatekeeper.mlp import MlpOptions
from gatekeeper.monitoring import ConditionsTest
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.protocols import Classifier, Evidence, ReliabilityPredictor
from gatekeeper.reliability import LearnedPredictor
from gatekeeper.restorers import RESTORERS
from gatekeeper.routing import CLEAN, Router
from gatekeeper.signals import SIGNAL_NAMES
from gatekeeper.types import FloatArray, IntArray

NETS = {"resnet50": "resnet50", "small": "mobilenetv3_small_100"}
"""Our name -> timm's."""
N_CLASSES = 100
NOISE = "gaussian"
NOISE_SEVERITY = 4
POISON = 200 / 255
"""An image of this grey makes :class:`PoisonGate` fail."""

_N_GOLDEN = 4
_RESTORER = "median"
_NOISE_SIGNAL = SIGNAL_NAMES.index("noise_sigma")
_CERTIFICATE = {"certified": False, "target_risk": 0.05, "confidence_level": 0.95}


def spec_of(net: str, word: str = "class") -> ClassifierSpec:
    """How to build the network: seeded initial weights, classes ``word 000`` and so on.

    Images are forwarded as they come to the service's size: a second resizing, which timm would do
    for these networks, is work that the peers are not given either.
    """
    names = [f"{word} {k:03d}" for k in range(N_CLASSES)]
    options = {"name": NETS[net], "checkpoint": None, "class_names": names}
    return ClassifierSpec(kind="timm", options={**options, "kwargs": {"crop_pct": 1.0}})


def photos(n: int, side: int, *, seed: int) -> Tensor:
    """Crops of the photographs that scikit-image ships, shape (n, 3, side, side)."""
    rng = np.random.default_rng(seed)
    found = [photo.pixels for photo in load_photos(None)]
    crops = []
    for k in range(n):
        pixels = found[k % len(found)]
        height, width = pixels.shape[2:]
        size = min(height, width, side * 2)
        top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
        crop = pixels[:, :, top : top + size, left : left + size]
        crop = fit_to(crop, (side, side))
        crops.append(crop.flip(3) if rng.integers(2) else crop)
    return torch.cat(crops)


def noisy(images: Tensor) -> Tensor:
    """The same with noise that the router sends to a restorer."""
    seeds = np.arange(len(images))
    return CORRUPTIONS[NOISE](images, severity=NOISE_SEVERITY, seeds=seeds)


def make_bundle(
    net: str,
    side: int,
    n_images: int,
    folder: Path,
    options: MlpOptions | None = None,
    *,
    word: str = "class",
) -> Path:
    """A bundle whose gate accepts photographs and restores noisy ones, with a golden set.

    It has no views and no second opinion: the classifier sees an image once, as peers' do.

    It is fitted as if the untrained network were right on photographs and on restored ones and
    wrong on noisy ones: what it answers means nothing, what it costs is what a gate costs. Which
    images it doubts is set by :class:`NoiseDoubter`.

    Args:
        net: One of :data:`NETS`.
        side: Height and width of the images.
        n_images: Photographs that it is fitted on, and as many noisy ones.
        folder: Where the bundle is to lie.
        options: Of the predictors; by default those of a real gate, for a single epoch.
        word: Begins the names of its classes.
    """
    spec = spec_of(net, word)
    classifier = spec.build(device="cpu")
    fitted = _fit(spec, classifier, side, n_images, options or MlpOptions(epochs=1))
    pixels = (photos(_N_GOLDEN, side, seed=2) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    golden = golden_files(Gatekeeper(fitted, "0" * 64), pixels.numpy())
    save_bundle(fitted, folder, extra=golden)
    return folder


def _fit(
    spec: ClassifierSpec, classifier: Classifier, side: int, n: int, options: MlpOptions
) -> FittedGate:
    clean = photos(n, side, seed=0)
    images = torch.cat([clean, noisy(clean)])
    seeds = np.arange(2 * n)
    right = np.arange(2 * n) < n
    looks = collect(classifier, images, seeds)
    labels = np.where(right, looks.labels, (looks.labels + 1) % N_CLASSES)
    restorers = {_RESTORER: RESTORERS[_RESTORER]()}
    router = Router({NOISE: _RESTORER}, clean_share=0.02)
    router.fit(looks.signals, [CLEAN if each else NOISE for each in right], seed=0)
    names = np.full(n, _RESTORER, dtype="<U32")
    better = restore_rows(restorers, images[n:], names, seeds[n:])
    first = looks.take(np.arange(n, 2 * n))
    second = collect(classifier, better, seeds[n:], names).after(first)
    raw = LearnedPredictor(options).fit(looks, labels)
    doubter = NoiseDoubter(raw)
    restored = LearnedPredictor(options).fit(second, second.labels)
    raw_calibrator = calibrator("isotonic").fit(doubter.score(looks), right)
    reliability = raw_calibrator.reliability(doubter.score(looks))
    context = log_odds(reliability[n:])[:, None]
    restored_calibrator = calibrator("isotonic").fit(
        restored.score(second), np.ones(n, dtype=bool), context=context
    )
    kept = log_odds(reliability)
    final = calibrator("isotonic").fit(kept, right, context=np.zeros((2 * n, 1)))
    return FittedGate(
        name="serving",
        seed=0,
        image_size=(side, side),
        classifier_spec=spec,
        classifier=classifier,
        restorers=restorers,
        router=router,
        predictors={"raw": raw, "restored": restored},
        views=(),
        calibrators={"raw": raw_calibrator, "restored": restored_calibrator, "final": final},
        gate=Gate(accept_raw_at=0.5, accept_restored_at=0.5, switch_margin=0.0),
        conditions=ConditionsTest().fit(looks.signals, reliability),
        accuracy=None,
        symptom_limits={},
        certificate=_CERTIFICATE,
    )


class NoiseDoubter:
    """Costs what the learned predictor costs, and orders images by their noise.

    A predictor over an untrained network has nothing to learn from, and the traffic of the
    benchmark needs images of which it is known whether they are restored.

    Args:
        learned: Asked about every image, and not believed.
    """

    def __init__(self, learned: ReliabilityPredictor) -> None:
        self._learned = learned

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """There is nothing to learn."""
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Minus the noise of each image, shape (B,)."""
        self._learned.score(evidence)
        return -evidence.signals[:, _NOISE_SIGNAL].astype(np.float64)


def load_gate(folder: Path) -> Gatekeeper:
    """The gatekeeper of a bundle that :func:`make_bundle` made."""
    gatekeeper = Gatekeeper.load(folder, device="cpu")
    fitted = gatekeeper.fitted
    predictors = {**fitted.predictors, "raw": NoiseDoubter(fitted.predictors["raw"])}
    return Gatekeeper(replace(fitted, predictors=predictors), gatekeeper.calibration_id)


class Plain:
    """The classifier alone behind the same service: gate and signals off.

    Args:
        classifier: The classifier.
        side: Height and width of the images.
    """

    model_id = "plain"
    calibration_id = "0" * 64

    def __init__(self, classifier: Classifier, side: int) -> None:
        self._classifier = classifier
        self.image_size = (side, side)
        self.class_names = classifier.class_names

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Nothing is certified."""
        return _CERTIFICATE

    def decide(self, images: Tensor) -> list[Decision]:
        """Accept what the classifier answers."""
        return [accepted(int(label)) for label in self._classifier.look(images).logits.argmax(1)]

    def canary(self) -> Decision:
        """Decide one image."""
        return self.decide(torch.zeros(1, 3, *self.image_size))[0]


class Idle:
    """Answers at once: what is left is the service.

    Args:
        side: Height and width of the images.
    """

    model_id = "idle"
    calibration_id = "1" * 64
    class_names = ("dark", "light")

    def __init__(self, side: int) -> None:
        self.image_size = (side, side)

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Nothing is certified."""
        return _CERTIFICATE

    def decide(self, images: Tensor) -> list[Decision]:
        """Accept everything as "light"."""
        return [accepted(1)] * len(images)

    def canary(self) -> Decision:
        """Decide one image."""
        return accepted(1)


class PoisonGate(Idle):
    """Says whether an image is light, and fails on a batch that holds a certain grey."""

    def decide(self, images: Tensor) -> list[Decision]:
        """Decide by the mean.

        Raises:
            ValueError: one of them is poison.
        """
        means = images.mean(dim=(1, 2, 3))
        if bool(((means - POISON).abs() < 1e-3).any()):
            raise ValueError("poison")
        return [accepted(int(mean > 0.5)) for mean in means]


def accepted(label: int) -> Decision:
    """An answer that is accepted as it is."""
    raw = Attempt(restorer=None, label=label, reliability=0.9, action=Action.ACCEPT)
    return Decision(
        action=Action.ACCEPT,
        reason=Reason.ACCEPTED_RAW,
        label=label,
        reliability=0.9,
        attempts=(raw,),
        policy="plain",
        certified=False,
        model_id="plain",
        calibration_id="0" * 64,
        symptoms=(),
    )
