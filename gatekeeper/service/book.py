"""What is kept about every decision: its place in the ledger, its window of traffic, its totals."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

from gatekeeper.decision import Action, Decision
from gatekeeper.engine import EngineAnswer
from gatekeeper.images import seeds_for
from gatekeeper.monitoring import WINDOW, Seen, TrafficState, TrafficWatch
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.bodies import Loaded
from gatekeeper.service.entries import Entry
from gatekeeper.service.feedback_bodies import FeedbackBody, FeedbackRequest
from gatekeeper.service.ledger import Ledger
from gatekeeper.service.schemas import DecisionBody, SampleBody
from gatekeeper.service.trust_metrics import TrustMetrics
from gatekeeper.signals import N_SCALARS

_DRAWS = float(2**63)
# What a stalled test may leave behind; older images are forgotten then.
_WINDOWS_KEPT = 20

Decider: TypeAlias = tuple[str, str]
"""Bundle and its version in the registry, "" for none: two versions may hold the same bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over a period of the decisions of one bundle under one version.

    Attributes:
        decisions: All of them.
        accepted: Accepted ones.
        restored: Those with a second look.
        reliability: Sum of the final reliabilities.
        labels: Labels that came in, whichever decision they are about.
        labels_counted: Those that drove the monitor.
        wrong_counted: Wrong answers among these.
    """

    decisions: int = 0
    accepted: int = 0
    restored: int = 0
    reliability: float = 0.0
    labels: int = 0
    labels_counted: int = 0
    wrong_counted: int = 0

    def __add__(self, other: Totals) -> Totals:
        """Both periods together."""
        names = (field.name for field in fields(self))
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Book:
    """Keeps what later questions need; what it does on the way of a request is a few microseconds.

    Args:
        ledger: Where decisions wait for their labels; closed with the book.
        share: Probability with which an accepted answer is drawn for labelling, in (0, 1].
        metrics: Where it is shown.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        share: float,
        metrics: TrustMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ledger = ledger
        self.share = share
        self._metrics = metrics
        self._clock = clock
        self._watches: dict[str, TrafficWatch] = {}
        self._seen: dict[str, deque[Seen]] = {}
        self._totals: dict[Decider, Totals] = {}
        self._adding = threading.Lock()
        self._testing = threading.Lock()

    # --- in the engine's thread, when a bundle becomes ready -------------------------------------

    def open(self, loaded: Loaded) -> str | None:
        """Begin to keep a bundle's decisions.

        Returns:
            Why its certificate is withdrawn; None where it is not.
        """
        bundle, certificate = loaded.versions.bundle, loaded.certificate
        self.ledger.open_monitor(
            bundle,
            target_risk=certificate.target_risk,
            confidence_level=certificate.confidence_level,
            share=self.share,
        )
        gatekeeper = loaded.gatekeeper
        if isinstance(gatekeeper, Gatekeeper) and bundle not in self._watches:
            fitted = gatekeeper.fitted
            self._seen[bundle] = deque(maxlen=_WINDOWS_KEPT * WINDOW)
            self._watches[bundle] = TrafficWatch(fitted.conditions, fitted.accuracy)
        return self.ledger.withdrawn(bundle)

    # --- in the event loop ----------------------------------------------------------------------

    def enter(
        self, body: DecisionBody, answer: EngineAnswer, loaded: Loaded, who: Mapping[str, str]
    ) -> DecisionBody:
        """Keep a decision.

        Args:
            body: About to go out.
            answer: As the engine gave it.
            loaded: What decided.
            who: The request's id.

        Returns:
            The body, which says whether it is in the random sample of accepted answers.
        """
        request_id = who.get("request_id", "")
        accepted = body.action is Action.ACCEPT
        drawn = accepted and draw_of(body.image.sha256, request_id) < self.share
        self.ledger.enter(
            Entry(
                decision_id=body.decision_id,
                request_id=request_id,
                taken=self._clock(),
                bundle=body.versions.bundle,
                version=body.versions.version or "",
                action=body.action.value,
                answer=_kept(body),
                n_classes=len(loaded.class_names),
                reliability=body.reliability,
                drawn=drawn,
                probability=self.share,
                covered=_is_covered(answer),
            )
        )
        self._count(body, accepted)
        self._see(body, answer, accepted)
        if not accepted:
            return body
        return body.model_copy(update={"sample": SampleBody(drawn=drawn, probability=self.share)})

    def _count(self, body: DecisionBody, accepted: bool) -> None:
        self._add(
            (body.versions.bundle, body.versions.version or ""),
            Totals(
                decisions=1,
                accepted=int(accepted),
                restored=int(len(body.attempts) > 1),
                reliability=body.reliability,
            ),
        )

    def _add(self, decider: Decider, more: Totals) -> None:
        with self._adding:
            self._totals[decider] = self._totals.get(decider, Totals()) + more

    def _see(self, body: DecisionBody, answer: EngineAnswer, accepted: bool) -> None:
        seen = self._seen.get(body.versions.bundle)
        if seen is None or answer.signals is None or not body.attempts:
            return
        seen.append(
            Seen(
                # The spectrum is not tested; a copy, so that it does not keep the whole row.
                signals=answer.signals[:N_SCALARS].copy(),
                raw_reliability=body.attempts[0].reliability,
                reliability=body.reliability,
                accepted=accepted,
            )
        )

    # --- in threads beside it -------------------------------------------------------------------

    def label(self, asked: FeedbackRequest) -> FeedbackBody:
        """Take a label; blocks.

        Raises:
            RequestError: as in :meth:`Ledger.label`.
        """
        done = self.ledger.label(
            asked.label,
            decision_id=asked.decision_id,
            request_id=asked.request_id,
            reviewer=asked.reviewer,
        )
        counted = done.entry.counts
        use = "repeated" if done.repeated else "counted" if counted else "kept"
        self._metrics.feedback.labels(use).inc()
        if not done.repeated:
            wrong = counted and not done.right
            self._add(
                (done.entry.bundle, done.entry.version),
                Totals(labels=1, labels_counted=int(counted), wrong_counted=int(wrong)),
            )
        return FeedbackBody(
            decision_id=done.entry.decision_id,
            bundle=done.entry.bundle,
            action=Action(done.entry.action),
            label=done.label,
            right=done.right,
            repeated=done.repeated,
            counted=counted,
        )

    def test(self, bundle: str) -> TrafficState:
        """Test what was seen of a bundle's traffic since the last time; blocks."""
        watch, seen = self._watches.get(bundle), self._seen.get(bundle)
        if watch is None or seen is None:
            return TrafficState()
        with self._testing:
            if len(seen) >= WINDOW:
                taken = [seen.popleft() for _ in range(len(seen) // WINDOW * WINDOW)]
                watch.test(taken)
            return watch.state

    def take_totals(self) -> dict[Decider, Totals]:
        """The sums since the last time, by bundle and version."""
        with self._adding:
            taken, self._totals = self._totals, {}
        return taken

    def close(self) -> None:
        """Write what waits."""
        self.ledger.close()


def draw_of(digest: str, request_id: str) -> float:
    """A number in [0, 1) that anyone can draw again: it follows from the image and its request.

    The same image in another request has another one, so that an image that comes often is in the
    sample as often as its share of the traffic says.

    Args:
        digest: Of the bytes received.
        request_id: As in the header ``X-Request-ID``.
    """
    return float(seeds_for(0, [digest], f"feedback {request_id}")[0]) / _DRAWS


def _kept(body: DecisionBody) -> int | None:
    """Class index of the kept answer; of an abstention, that of the attempt it ended with."""
    if body.label is not None:
        return body.label
    return body.attempts[-1].label if body.attempts else None


def _is_covered(answer: EngineAnswer) -> bool:
    """Whether the whole policy decided, at the full gear and with nothing failed."""
    return isinstance(answer.outcome, Decision) and "@" not in answer.outcome.policy
