"""Restorers by name; one line here enters a new one.

``RESTORERS`` maps names to classes. Those without weights are built with no argument; the
autoencoder is built from its own (see :mod:`gatekeeper.restorers.autoencoder`).
"""

from __future__ import annotations

from gatekeeper.protocols import Restorer
from gatekeeper.restorers.autoencoder import AutoencoderRestorer
from gatekeeper.restorers.exposure import Exposure
from gatekeeper.restorers.identity import Identity
from gatekeeper.restorers.median import TripleMedian

__all__ = ["RESTORERS", "AutoencoderRestorer", "Exposure", "Identity", "TripleMedian"]

RESTORERS: dict[str, type[Restorer]] = {
    "autoencoder": AutoencoderRestorer,
    "exposure": Exposure,
    "identity": Identity,
    "median": TripleMedian,
}
