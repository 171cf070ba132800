"""An adapted restorer learns, from labels of the traffic, what the frozen classifier needs.

Noise-DA judges a restorer by how it looks. On traffic whose errors are not noise alone (colours,
compression) that may leave the answers as they are. Where labels of noisy images are at hand, the
classifier's own loss on the restored image says what to change; no clean version is needed. Labels
are few and a classifier is easily fooled, so some are kept aside: what is best on those is used.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatekeeper.adaptation.kept import is_kept, keep_restorer, kept_restorer
from gatekeeper.adaptation.recipe import Recognition
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.errors import InputError
from gatekeeper.images import seeds_for
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier, TrainingBatch, WeightedRestorer
from gatekeeper.restorers import AutoencoderRestorer, UNetRestorer
from gatekeeper.restorers.noise_adaptation import synthetic_noise
from gatekeeper.restorers.noise_adaptation.networks import (
    autoencoder_network,
    unet_network,
)
from gatekeeper.restorers.shared import (
    Optimiser,
    Recognise,
    in_halves,
    pixel_loss,
    recognition_loss,
)
from gatekeeper.training.checkpoint import Checkpoint
from gatekeeper.training.sources import Images, Order
from gatekeeper.types import IntArray

_STATE = "checkpoint.safetensors"
_VERSION = 1
_BLOCK = 250
_SHIFT_STREAM = 9002  # of an image's seed; crops use the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What came out.

    Attributes:
        restorer: The taught one, or the given one where nothing could be taught.
        n_labels: Distinct labelled images that it was taught from and chosen on; 0 where none.
        left_out: Why nothing was taught; "" where something was.
    """

    restorer: WeightedRestorer
    n_labels: int
    left_out: str

    def to_json(self) -> dict[str, Any]:
        """For the certificate's facts."""
        return {"n_labels": self.n_labels, "left_out": self.left_out}


def taught_restorer(
    restorer: WeightedRestorer,
    labelled: Images,
    clean: Images,
    classifier: Classifier,
    options: Recognition,
    *,
    highest_sigma: float,
    flips: bool,
    seed: int,
    work: Path,
    progress: Progress,
) -> Taught:
    """Teach it, or read from the disk what was taught; a training that was cut short goes on.

    Args:
        restorer: What starts; it stays as it is.
        labelled: Noisy images with labels, all of the gate's size, repeated as their weights say.
        clean: Clean images of the same size, which must stay as they are.
        classifier: The frozen one.
        options: How long, and from how many labels on.
        highest_sigma: Strongest synthetic noise on clean images that are rehearsed.
        flips: Whether half of all images are mirrored.
        seed: Of order, flips, shifts and synthetic noise.
        work: Folder below which finished and unfinished trainings lie.
        progress: Told of the steps.

    Returns:
        The restorer, and why it was left as it is where it was.

    Raises:
        TrainingError: the loss is not finite.
        InputError: what ``work`` keeps is of another training.
    """
    n_labels = len(set(labelled.digests.tolist()))
    recognise = getattr(classifier, "logits_with_gradient", None)
    left_out = _left_out(restorer, n_labels, recognise is not None, options)
    if left_out or recognise is None:
        return Taught(restorer=restorer, n_labels=0, left_out=left_out)
    learned, held = _apart(labelled, options, seed)
    shown = _Shown(learned, clean, options, highest_sigma=highest_sigma, flips=flips, seed=seed)
    identity = _identity(restorer, labelled, clean, classifier, options, shown.facts())
    folder = work / f"taught-{identity.hex()[:24]}"
    if not is_kept(folder):
        folder.mkdir(parents=True, exist_ok=True)
        training = RecognitionTraining(restorer, options, recognise)
        checkpoint = Checkpoint(folder / _STATE, identity)
        _train(training, shown, held, options, checkpoint, progress)
        keep_restorer(training.export(), folder)
        checkpoint.forget()
    found = kept_restorer(folder)
    if found.digest == restorer.digest:
        reason = f"nothing was better on {len(held.digests)} labelled images that were kept aside"
        return Taught(restorer=restorer, n_labels=0, left_out=reason)
    return Taught(restorer=found, n_labels=n_labels, left_out="")


def _apart(labelled: Images, options: Recognition, seed: int) -> tuple[Images, Images]:
    """Images that teach, with their repetitions, and distinct others that choose."""
    digests, first = np.unique(labelled.digests, return_index=True)
    drawn = seeds_for(seed, digests, "recognition")
    n_held = max(1, round(options.validation_share * len(digests)))
    held = np.argsort(drawn, kind="stable")[:n_held]
    rows = np.flatnonzero(~np.isin(labelled.digests, digests[held]))
    return labelled.take(rows), labelled.take(np.sort(first[held]))


def _left_out(
    restorer: WeightedRestorer, n_labels: int, differentiable: bool, options: Recognition
) -> str:
    if options.steps == 0:
        return "the recipe asks for no steps"
    if n_labels < options.least_labels:
        return f"{n_labels} labelled images that may teach, fewer than {options.least_labels}"
    if not differentiable:
        return "the classifier gives no gradients"
    if not isinstance(restorer, UNetRestorer | AutoencoderRestorer):
        return f"a restorer of kind {restorer.name} is not one network"
    return ""


class RecognitionTraining:
    """A trained restorer that goes on learning; see :class:`gatekeeper.protocols.RestorerTraining`.

    Of a batch, ``degraded`` (noisy images), ``labels`` and ``clean`` are read; the clean images
    need not be those of which the noisy ones were made, but there are as many.

    Args:
        restorer: Where it starts; a copy is trained.
        options: Schedule and the weight of leaving clean images alone.
        recognise: The frozen classifier's logits, differentiable in the images.

    Raises:
        InputError: the restorer is not one network that adds a residual.

    Source:
        Recognition and identity terms after URIE (arXiv:2007.08979). Deviates in needing no clean
        version of the images that it recognises, and in starting from a trained restorer.
    """

    def __init__(
        self, restorer: WeightedRestorer, options: Recognition, recognise: Recognise
    ) -> None:
        if not isinstance(restorer, UNetRestorer | AutoencoderRestorer):
            raise InputError(f"expected a U-Net or an autoencoder to teach, got {restorer.name}")
        is_unet = isinstance(restorer, UNetRestorer)
        self._adds = unet_network() if is_unet else autoencoder_network()
        self.options, self._recognise = options, recognise
        self.device = restorer.device
        self.network = copy.deepcopy(restorer.network).requires_grad_(True)
        self._optimiser = Optimiser(
            self.network,
            steps=options.steps,
            learning_rate=options.learning_rate,
            ema_decay=options.ema_decay,
        )
        self._best = copy.deepcopy(self._optimiser.average)
        self._best_loss = math.inf

    def step(self, batch: TrainingBatch) -> float:
        """One optimiser step; returns its loss.

        Raises:
            InputError: the batch has no labels.
            TrainingError: the loss is not finite; the weights stay as they were.
        """
        if batch.labels is None:
            raise InputError("expected labels in the batch, got none: teach from labelled images")
        labels = torch.from_numpy(batch.labels)
        self._optimiser.clear()
        self.network.train()
        n = len(batch.degraded)

        def gradients(rows: slice) -> float:
            share: float = (rows.stop - rows.start) / n
            loss = self.loss(batch.degraded[rows], labels[rows], batch.clean[rows])
            return self._optimiser.add_gradients(share * loss)

        loss = sum(value for _, value in in_halves(n, gradients))
        self._optimiser.apply(loss)
        return loss

    def loss(self, noisy: Tensor, labels: Tensor, clean: Tensor) -> Tensor:
        """Cross-entropy on the restored images + weight × change of clean ones; a scalar."""
        known = recognition_loss(self._restored(noisy), labels.to(self.device), self._recognise)
        kept = pixel_loss(self._restored(clean), clean.to(self.device), "charbonnier")
        return known + self.options.identity_weight * kept

    def _restored(self, images: Tensor, network: nn.Module | None = None) -> Tensor:
        moved = images.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        return moved + self._adds.residual(network or self.network, moved)

    def choose(self, held: Images) -> float:
        """Remember the averaged weights if they beat all before on labelled images kept aside.

        Args:
            held: Images with labels, of one size, at least one.

        Returns:
            Their mean cross-entropy there; lower is better.

        Raises:
            InputError: the images have no labels.
        """
        total, n, labels = 0.0, len(held.digests), _labels(held)
        for start in range(0, n, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, n))
            images = held.centres(rows, side=None)
            with torch.no_grad():
                restored = self._restored(images, self._optimiser.average)
                told = torch.from_numpy(labels[rows]).to(self.device)
                total += len(rows) * float(recognition_loss(restored, told, self._recognise))
        loss = total / n
        if loss < self._best_loss:
            self._best, self._best_loss = copy.deepcopy(self._optimiser.average), loss
        return loss

    def state(self) -> dict[str, Tensor]:
        """Network, averages, optimiser and steps done, on the CPU."""
        best = {f"best.{name}": t.cpu().clone() for name, t in self._best.state_dict().items()}
        best["best_loss"] = torch.tensor(self._best_loss, dtype=torch.float64)
        return {**self._optimiser.state(), **best}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state.

        Raises:
            InputError: the state is of another network.
        """
        best = {n.removeprefix("best."): t for n, t in state.items() if n.startswith("best.")}
        own = {n: t for n, t in state.items() if not n.startswith(("best.", "best_loss"))}
        if "best_loss" not in state:
            raise InputError("expected the state of this training, got one without best_loss")
        self._optimiser.load_state(own)
        self._best.load_state_dict(best)
        self._best_loss = float(state["best_loss"])

    def export(self) -> WeightedRestorer:
        """The restorer with the averaged weights that were best; a copy."""
        return self._adds.export(copy.deepcopy(self._best), str(self.device))


class _Shown:
    """The batch of each step, a function of the step's number.

    Clean images with labels are shown with synthetic noise, too: there are many more of them, and a
    restorer that must serve both does not learn the few labelled images of the traffic by heart.
    """

    def __init__(
        self,
        labelled: Images,
        clean: Images,
        options: Recognition,
        *,
        highest_sigma: float,
        flips: bool,
        seed: int,
    ) -> None:
        self._labelled, self._clean, self._options = labelled, clean, options
        self._highest_sigma, self._flips, self._seed = highest_sigma, flips, seed
        self._n_rehearsed = 0 if clean.labels is None else options.batch_size // 2
        n_clean = options.batch_size + self._n_rehearsed
        self._of_traffic = Order(
            labelled.digests, options.batch_size, seed=seed, purpose="teach: labelled"
        )
        self._of_clean = Order(clean.digests, n_clean, seed=seed, purpose="teach: clean")

    def facts(self) -> dict[str, Any]:
        return {"sigma": self._highest_sigma, "flips": self._flips, "seed": self._seed}

    def batch(self, step: int) -> TrainingBatch:
        (rows, seeds), (others, own) = self._of_traffic.step(step), self._of_clean.step(step)
        clean = self._clean.crops(others, own, side=None, flips=self._flips)
        noisy = self._labelled.crops(rows, seeds, side=None, flips=self._flips)
        again = slice(0, self._n_rehearsed)
        synthetic = synthetic_noise(clean[again], own[again], highest_sigma=self._highest_sigma)
        every = np.concatenate([seeds, own[again]])
        labels = [_labels(self._labelled)[rows]]
        if self._n_rehearsed:
            labels.append(_labels(self._clean)[others[again]])
        return TrainingBatch(
            clean=clean,
            degraded=shifted(torch.cat([noisy, synthetic]), every, share=self._options.shift),
            labels=np.concatenate(labels),
            seeds=every,
        )


def _labels(images: Images) -> IntArray:
    if images.labels is None:
        raise InputError("expected images with labels to teach from, got none")
    return images.labels


def shifted(images: Tensor, seeds: IntArray, *, share: float) -> Tensor:
    """Each image moved by a whole number of pixels along both axes, its border mirrored.

    Args:
        images: Shape (B, 3, H, W).
        seeds: One per image, shape (B,).
        share: Largest shift either way, as a share of the shorter side; 0 moves nothing.
    """
    height, width = images.shape[2:]
    most = round(share * min(height, width))
    if most == 0 or not len(images):
        return images
    wide = torch.nn.functional.pad(images, (most, most, most, most), mode="reflect")
    draws = (uniform(seeds, 2, stream=_SHIFT_STREAM) * (2 * most + 1)).long().tolist()
    pairs = zip(wide, draws, strict=True)
    return torch.stack([one[:, t : t + height, c : c + width] for one, (t, c) in pairs])


def _identity(
    restorer: WeightedRestorer,
    labelled: Images,
    clean: Images,
    classifier: Classifier,
    options: Recognition,
    shown: Mapping[str, Any],
) -> bytes:
    """Of all that the weights depend on."""
    labels = [] if labelled.labels is None else labelled.labels.tolist()
    facts = {
        "version": _VERSION,
        "start": restorer.digest,
        "classifier": classifier.digest,
        "options": options.model_dump(mode="json", exclude={"least_labels"}),
        "labelled": sorted(zip(labelled.digests.tolist(), labels, strict=True)),
        "clean": sorted(clean.digests.tolist()),
        "shown": dict(shown),
        "torch": torch.__version__.partition("+")[0],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()


def _train(
    training: RecognitionTraining,
    shown: _Shown,
    held: Images,
    options: Recognition,
    checkpoint: Checkpoint,
    progress: Progress,
) -> None:
    done = checkpoint.load(training)
    progress.start("teach: adapted restorer", options.steps)
    progress.advance(done)
    if done == 0:
        training.choose(held)
    for step in range(done, options.steps):
        training.step(shown.batch(step))
        progress.advance(1)
        if (step + 1) % options.check_every == 0 or step + 1 == options.steps:
            training.choose(held)
            checkpoint.save(training, step + 1)
