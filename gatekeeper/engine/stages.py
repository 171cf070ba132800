"""The two stages of a decision: a first look at a batch, and restoration with a second look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gatekeeper.decision import Action, Attempt, Decision
from gatekeeper.engine.problems import NotFiniteError
from gatekeeper.evidence import collect, restore_rows
from gatekeeper.images import seeds_for, tensor_digests
from gatekeeper.mlp import log_softmax
from gatekeeper.pipeline import POLICY, Gatekeeper
from gatekeeper.protocols import Evidence
from gatekeeper.types import FloatArray, IntArray

_DRAWS = 2**32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A finished decision.

    Attributes:
        decision: The gate's.
        probabilities: Softmax of the kept attempt's logits, shape (K,), or None.
    """

    decision: Decision
    probabilities: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Doubted:
    """A first look that is not enough; a restorer fits.

    Attributes:
        image: Shape (3, H, W).
        seed: The image's own.
        draw: In [0, 1), the image's own; a gear restores the images of small draws.
        look: Evidence of this one look.
        raw: Its calibrated reliability.
        restorer: Name of the restorer that fits.
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

    def labels(self, images: Tensor) -> Sequence[int]:
        """The classifier's own answers."""
        logits = self._fitted.classifier.look(images).logits
        return [int(label) for label in np.argmax(logits, axis=1)]

    def first(self, images: Tensor) -> Sequence[Judged | Doubted | Exception]:
        """Look at a batch; images whose numbers are not finite fail alone."""
        fitted = self._fitted
        digests = tensor_digests(images)
        seeds = seeds_for(fitted.seed, digests, "serve")
        draws = seeds_for(fitted.seed, digests, "gear") % _DRAWS / _DRAWS
        look = collect(
            fitted.classifier, images, seeds, views=fitted.views, second_opinion=fitted.second
        )
        rows = np.flatnonzero(np.isfinite(look.logits).all(axis=1))
        results: list[Judged | Doubted | Exception] = [_not_finite("classifier")] * len(images)
        if len(rows) == 0:
            return results
        look = look.take(rows)
        raw = fitted.raw_reliability(look)
        restorers = _route(self._gatekeeper, look, raw)
        symptoms = fitted.symptoms(look)
        unrestored = self._judge(look, raw, symptoms)
        for at, row in enumerate(rows):
            judged = unrestored[at]
            if not restorers[at] or isinstance(judged, Exception):
                results[row] = judged
                continue
            results[row] = Doubted(
                image=images[row],
                seed=int(seeds[row]),
                draw=float(draws[row]),
                look=look.take(np.array([at])),
                raw=float(raw[at]),
                restorer=restorers[at],
                symptoms=symptoms[at],
                unrestored=judged,
            )
        return results

    def second(self, doubted: Sequence[Doubted]) -> Sequence[Judged | Exception]:
        """Restore, look again and decide."""
        fitted = self._fitted
        seeds: IntArray = np.array([each.seed for each in doubted], dtype=np.int64)
        names = np.array([each.restorer for each in doubted], dtype="<U32")
        images = torch.stack([each.image for each in doubted])
        better = restore_rows(fitted.restorers, images, names, seeds)
        look = collect(
            fitted.classifier,
            better,
            seeds,
            names,
            views=fitted.views,
            second_opinion=fitted.second,
        )
        rows = np.flatnonzero(np.isfinite(look.logits).all(axis=1))
        results: list[Judged | Exception] = [_not_finite("restorer")] * len(doubted)
        if len(rows) == 0:
            return results
        kept = [doubted[int(row)] for row in rows]
        first = join([each.look for each in kept])
        raw = np.array([each.raw for each in kept])
        restored = fitted.restored_reliability(look.take(rows).after(first), raw)
        judged = self._judge(
            first, raw, [each.symptoms for each in kept], look.take(rows), restored
        )
        for at, row in enumerate(rows):
            results[row] = judged[at]
        return results

    def _judge(
        self,
        first: Evidence,
        raw: FloatArray,
        symptoms: Sequence[tuple[str, ...]],
        second: Evidence | None = None,
        restored: FloatArray | None = None,
    ) -> list[Judged | Exception]:
        """The gate's decisions over looks and, where there are any, second looks."""
        fitted = self._fitted
        nothing = np.full(len(raw), np.nan)
        replay = fitted.gate.replay(raw, nothing if restored is None else restored)
        final = fitted.final_reliability(
            replay.kept_reliability, replay.keep_restored.astype(np.float64)
        )
        results: list[Judged | Exception] = []
        for row in range(len(raw)):
            better = None if restored is None else float(restored[row])
            outcome = fitted.gate.decide(float(raw[row]), better)
            kept = second if second is not None and outcome.keep_restored else first
            attempts = [
                Attempt(
                    restorer=None,
                    label=int(first.labels[row]),
                    reliability=float(raw[row]),
                    action=outcome.action if better is None else Action.RESTORE,
                )
            ]
            if second is not None and better is not None:
                attempts.append(
                    Attempt(
                        restorer=str(second.restorer[row]),
                        label=int(second.labels[row]),
                        reliability=better,
                        action=outcome.action,
                    )
                )
            decision = Decision(
                action=outcome.action,
                reason=outcome.reason,
                label=int(kept.labels[row]) if outcome.action is Action.ACCEPT else None,
                reliability=float(final[row]),
                attempts=tuple(attempts),
                policy=POLICY,
                certified=bool(self._gatekeeper.certificate["certified"]),
                model_id=self._gatekeeper.model_id,
                calibration_id=self._gatekeeper.calibration_id,
                symptoms=symptoms[row],
            )
            results.append(
                Judged(decision=decision, probabilities=np.exp(log_softmax(kept.logits[row])))
            )
        return results


def _route(gatekeeper: Gatekeeper, look: Evidence, raw: FloatArray) -> list[str]:
    """Name of the restorer per look; "" where the answer is good enough or none fits."""
    names = [""] * len(raw)
    doubted = np.flatnonzero(raw < gatekeeper.fitted.gate.accept_raw_at)
    if len(doubted):
        for row, name in zip(doubted, gatekeeper.fitted.route(look.take(doubted)), strict=True):
            names[row] = str(name)
    return names


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
