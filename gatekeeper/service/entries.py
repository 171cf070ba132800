"""What the ledger keeps of a decision, and what becomes of its label."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.decision import Action
from gatekeeper.monitoring import MonitorState


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One decision.

    Attributes:
        decision_id: By which feedback names it.
        request_id: Of its request.
        taken: Seconds since 1970.
        bundle: Identity of the bundle that decided.
        version: Its version in the registry; "" where it came from elsewhere.
        action: ``accept`` or ``abstain``.
        answer: Class index of the kept answer, given out or not; None where there is none.
        n_classes: Classes that a label may name.
        reliability: The final one, in [0, 1].
        drawn: Whether it is in the random sample of accepted answers.
        probability: With which accepted answers were drawn, in [0, 1].
        covered: Whether the policy that decided is the one that the certificate speaks of.
    """

    decision_id: str
    request_id: str
    taken: float
    bundle: str
    version: str
    action: str
    answer: int | None
    n_classes: int
    reliability: float
    drawn: bool
    probability: float
    covered: bool

    @property
    def counts(self) -> bool:
        """Whether its label says something about the certified risk."""
        return self.action == Action.ACCEPT and self.drawn and self.covered


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What became of a label.

    Attributes:
        entry: The decision.
        label: The true class index.
        right: Whether the kept answer was it; None where there is no answer.
        repeated: Whether the same label had been given before: nothing changed then.
        monitor: The monitor of its bundle afterwards.
    """

    entry: Entry
    label: int
    right: bool | None
    repeated: bool
    monitor: MonitorState | None
