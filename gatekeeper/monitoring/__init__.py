"""Online tests: is the certificate still about this traffic?"""

from gatekeeper.monitoring.conditions import WINDOW, ConditionsTest

__all__ = ["WINDOW", "ConditionsTest"]
