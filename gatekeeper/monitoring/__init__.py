"""Online tests: is the certificate still about this traffic?"""

from gatekeeper.monitoring.accuracy import AccuracyEstimate, AccuracyEstimator
from gatekeeper.monitoring.conditions import WINDOW, ConditionsTest
from gatekeeper.monitoring.risk_monitor import MonitorState, RiskMonitor, labels_until_withdrawal
from gatekeeper.monitoring.traffic import Seen, TrafficState, TrafficWatch

__all__ = [
    "WINDOW",
    "AccuracyEstimate",
    "AccuracyEstimator",
    "ConditionsTest",
    "MonitorState",
    "RiskMonitor",
    "Seen",
    "TrafficState",
    "TrafficWatch",
    "labels_until_withdrawal",
]
