"""What the gate could not answer, and a random share of what it did, for people to label."""

from __future__ import annotations

from gatekeeper.review.candidates import ABSTAINED, ACCEPTED, Candidate, draw_of
from gatekeeper.review.capture import Capture
from gatekeeper.review.export import COLUMNS, export_csv, export_parquet, export_rows
from gatekeeper.review.queue import Counts, Item, ReviewQueue

__all__ = [
    "ABSTAINED",
    "ACCEPTED",
    "COLUMNS",
    "Candidate",
    "Capture",
    "Counts",
    "Item",
    "ReviewQueue",
    "draw_of",
    "export_csv",
    "export_parquet",
    "export_rows",
]
