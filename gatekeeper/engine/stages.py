"""The two stages of a decision: a first look at a batch, and restoration with a second look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from gatekeeper.decision import Decision
from gatekeeper.engine.problems import NotFiniteError
from gatekeeper.images import seeds_for, tensor_digests
from gatekeeper.mlp import log_softmax
from gatekeeper.pipeline import FirstLook, Gatekeeper, SecondLook
from gatekeeper.protocols import Evidence
from gatekeeper.types import FloatArray

NO_RESTORER = "no_restorer"
"""Name of the policy without restoration, in certificates and in answers."""

_DRAWS = 2**32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A finished decision.

    Attributes:
        decision: The gate's.
        probabilities: Softmax of the kept attempt's logits, shape (K,), or None.
        image: The restored image, shape (3, H, W), where its answer is kept; else None.
        signals: Of the image as received, shape (D,), or None.
        alone_at: Raw reliability from which on the certified policy without restoration accepts
            the classifier's answer; None where there is no such policy.
    """

    decision: Decision
    probabilities: FloatArray | None = None
    image: Tensor | None = None
    signals: FloatArray | None = None
    alone_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Doubted:
    """A first look that is not enough; a restorer fits.

    Attributes:
        image: Shape (3, H, W).
        seed: The image's own.
        draw: In [0, 1), the image's own; a gear restores the images of small draws.
        look: Evidence of this one look.
        raw: Its calibrated reliability.
        restorer: Name of the restorer that is tried first.
        later: Those that are tried after it, in order, while no answer is good enough.
        symptoms: As in the decision.
        unrestored: The decision where nothing is restored.
    """

    image: Tensor
    seed: int
    draw: float
    look: Evidence
    raw: float
    restorer: str
    symptoms: tuple[str, ...]
    unrestored: Judged
    later: tuple[str, ...] = ()


class Stages(Protocol):
    """What an engine runs, in its thread."""

    def first(self, images: Tensor) -> Sequence[Judged | Doubted | Exception]:
        """Look at a batch (B, 3, H, W); one result per image, or what is wrong with it."""
        ...

    def second(self, doubted: Sequence[Doubted]) -> Sequence[Judged | Exception]:
        """Restore, look again and decide; one result each."""
        ...

    def labels(self, images: Tensor) -> Sequence[int]:
        """The classifier's own answers, with nothing judged; for the policy ``pass_flagged``."""
        ...


class Decides(Protocol):
    """Whatever decides a batch in one go."""

    def decide(self, images: Tensor, /) -> list[Decision]:
        """Decide a batch, shape (B, 3, H, W)."""
        ...


class WholeStages:
    """The stages of what decides in one go: all of it is the first.

    Args:
        decider: Decides.
    """

    def __init__(self, decider: Decides) -> None:
        self._decider = decider

    def first(self, images: Tensor) -> Sequence[Judged | Doubted | Exception]:
        """Decide a batch."""
        return [Judged(decision=decision) for decision in self._decider.decide(images)]

    def second(self, doubted: Sequence[Doubted]) -> Sequence[Judged | Exception]:
        """What the first stage decided; it leaves nothing to do."""
        return [each.unrestored for each in doubted]

    def labels(self, images: Tensor) -> Sequence[int]:
        """The labels of the raw attempts."""
        return [decision.attempts[0].label for decision in self._decider.decide(images)]


class GatekeeperStages:
    """The stages of a gatekeeper; together they decide exactly as its ``decide`` does.

    Args:
        gatekeeper: Decides.
    """

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper
        self._fitted = gatekeeper.fitted
        self._alone_at = certified_alone_at(gatekeeper.certificate)

    def labels(self, images: Tensor) -> Sequence[int]:
        """The classifier's own answers."""
        logits = self._fitted.classifier.look(images).logits
        return [int(label) for label in np.argmax(logits, axis=1)]

    def first(self, images: Tensor) -> Sequence[Judged | Doubted | Exception]:
        """Look at a batch; images whose numbers are not finite fail alone."""
        fitted = self._fitted
        digests = tensor_digests(images)
        draws = seeds_for(fitted.seed, digests, "gear") % _DRAWS / _DRAWS
        first = self._gatekeeper.first_look(images, digests=digests)
        results: list[Judged | Doubted | Exception] = [_not_finite("classifier")] * len(images)
        places = np.setdiff1d(np.arange(len(images)), first.failed)
        if len(places) == 0:
            return results
        unrestored = self._judged(first, first.untried())
        for at, place in enumerate(places):
            plan = tuple(str(name) for name in first.plans[at] if name)
            if not plan:
                results[place] = unrestored[at]
                continue
            results[place] = Doubted(
                image=first.images[at],
                seed=int(first.look.seeds[at]),
                draw=float(draws[place]),
                look=first.look.take(np.array([at])),
                raw=float(first.raw[at]),
                restorer=plan[0],
                later=plan[1:],
                symptoms=first.symptoms[at],
                unrestored=unrestored[at],
            )
        return results

    def second(self, doubted: Sequence[Doubted]) -> Sequence[Judged | Exception]:
        """Restore, look again and decide."""
        first = _rejoined(doubted)
        second = self._gatekeeper.second_look(first)
        judged = self._judged(first, second)
        return [
            _not_finite("restorer") if row in second.failed else _with_image(each, image)
            for row, (each, image) in enumerate(zip(judged, second.images, strict=True))
        ]

    def _judged(self, first: FirstLook, second: SecondLook) -> list[Judged]:
        """The gatekeeper's decisions, with the probabilities of the attempt that is kept."""
        keep = self._fitted.gate.replay(first.raw, second.counted).keep_restored
        logits = np.where(keep[:, None], second.logits, first.look.logits)
        return [
            Judged(
                decision=decision,
                probabilities=np.exp(log_softmax(row)),
                signals=np.array(signals),
                alone_at=self._alone_at,
            )
            for decision, row, signals in zip(
                self._gatekeeper.conclude(first, second), logits, first.look.signals, strict=True
            )
        ]


def certified_alone_at(certificate: Mapping[str, Any]) -> float | None:
    """The raw threshold of the policy without restoration, if it was certified with the whole one.

    Args:
        certificate: Of a bundle.

    Example:
        >>> certified_alone_at({"variants": {"no_restorer": {"certified": False}}}) is None
        True
    """
    variant = certificate.get("variants", {}).get(NO_RESTORER, {})
    return float(variant["accept_raw_at"]) if variant.get("certified") else None


def _rejoined(doubted: Sequence[Doubted]) -> FirstLook:
    """The first look at a batch, from what was kept of it image by image."""
    longest = max(1 + len(each.later) for each in doubted)
    plans = np.full((len(doubted), longest), "", dtype="<U32")
    for row, each in enumerate(doubted):
        names = (each.restorer, *each.later)
        plans[row, : len(names)] = names
    look = join([each.look for each in doubted])
    return FirstLook(
        images=torch.stack([each.image for each in doubted]),
        look=replace(look, seeds=np.array([each.seed for each in doubted], dtype=np.int64)),
        raw=np.array([each.raw for each in doubted]),
        plans=plans,
        symptoms=tuple(each.symptoms for each in doubted),
        failed=np.zeros(0, dtype=np.int64),
    )


def _with_image(result: Judged, image: Tensor) -> Judged:
    """The same, with the restored image where the restored attempt's answer is accepted."""
    return replace(result, image=image) if result.decision.label is not None else result


def join(looks: Sequence[Evidence]) -> Evidence:
    """The evidence of several raw looks behind one another.

    Args:
        looks: At least one, of the same classifier.
    """
    return Evidence(
        logits=np.concatenate([each.logits for each in looks]),
        logits_kind=looks[0].logits_kind,
        features=None
        if looks[0].features is None
        else np.concatenate([each.features for each in looks if each.features is not None]),
        signals=np.concatenate([each.signals for each in looks]),
        probes=np.concatenate([each.probes for each in looks]),
        seeds=np.concatenate([each.seeds for each in looks]),
        restorer=np.concatenate([each.restorer for each in looks]),
    )


def _not_finite(what: str) -> NotFiniteError:
    return NotFiniteError(
        f"expected finite numbers from the {what}, got others for this image: inspect the image"
    )


def stages_of(decider: Decides) -> Stages:
    """The stages of a gatekeeper: two of a real one, one of anything else that decides."""
    return GatekeeperStages(decider) if isinstance(decider, Gatekeeper) else WholeStages(decider)
