"""Gatekeeper: accept a classifier's answer, restore the image and look again, or abstain.

The names below load on first use, so that ``import gatekeeper`` stays cheap and pulls in neither
torch nor mlflow nor fastapi.

Example:
    >>> from gatekeeper import Action
    >>> Action.ABSTAIN.value
    'abstain'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatekeeper.decision import Action, Attempt, Decision, Reason
    from gatekeeper.errors import GatekeeperError, InputError
    from gatekeeper.gate import Gate
    from gatekeeper.images import load_dataset
    from gatekeeper.metrics import RiskCoverageCurve
    from gatekeeper.pipeline import Gatekeeper
    from gatekeeper.protocols import Evidence

__version__ = "0.6.0"

__all__ = [
    "Action",
    "Attempt",
    "Decision",
    "Evidence",
    "Gate",
    "Gatekeeper",
    "GatekeeperError",
    "InputError",
    "Reason",
    "RiskCoverageCurve",
    "__version__",
    "load_dataset",
]

_HOME_OF = {
    "Action": "gatekeeper.decision",
    "Attempt": "gatekeeper.decision",
    "Decision": "gatekeeper.decision",
    "Evidence": "gatekeeper.protocols",
    "Gate": "gatekeeper.gate",
    "Gatekeeper": "gatekeeper.pipeline",
    "GatekeeperError": "gatekeeper.errors",
    "InputError": "gatekeeper.errors",
    "Reason": "gatekeeper.decision",
    "RiskCoverageCurve": "gatekeeper.metrics",
    "load_dataset": "gatekeeper.images",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562) and keep it."""
    if name not in _HOME_OF:
        raise AttributeError(
            f"module 'gatekeeper' has no attribute {name!r}; its public names are "
            f"{', '.join(__all__)}"
        )
    value: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return list(__all__)
