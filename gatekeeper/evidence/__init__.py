"""Looks at images under conditions, as tables that everything else reads."""

from __future__ import annotations

from gatekeeper.evidence.building import CELL_ROWS, TableBuilder, collect, restore_rows
from gatekeeper.evidence.plans import Plan, degrade, draw_plan, draw_wide_plan
from gatekeeper.evidence.table import EvidenceTable, require_one_row_per_image

__all__ = [
    "CELL_ROWS",
    "EvidenceTable",
    "Plan",
    "TableBuilder",
    "collect",
    "degrade",
    "draw_plan",
    "draw_wide_plan",
    "require_one_row_per_image",
    "restore_rows",
]
