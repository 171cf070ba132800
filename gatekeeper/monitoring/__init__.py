"""Online tests: is the certificate still about this traffic?"""

from gatekeeper.monitoring.conditions import WINDOW, ConditionsTest
from gatekeeper.monitoring.risk_monitor import MonitorState, RiskMonitor, labels_until_withdrawal

__all__ = [
    "WINDOW",
    "ConditionsTest",
    "MonitorState",
    "RiskMonitor",
    "labels_until_withdrawal",
]
