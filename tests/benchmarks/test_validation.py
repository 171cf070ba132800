"""The README's table of who knows best which answers are wrong, by hand."""

from __future__ import annotations

from typing import Any

from benchmarks.validation import detection_table, with_detection


def row(method: str, pool: str, auroc: float, gap: float, **more: Any) -> dict[str, Any]:
    found = {"method": method, "group": "noise", "pool": pool, "n": 5}
    return found | {"failure_auroc": auroc, "gap_closed": gap, **more}


BODY = {
    "command": "python -m benchmarks.failure_detection",
    "date": "2026-01-01",
    "machine": "a machine",
    "data": {"name": "cifar10", "split": "test", "n": 5000},
    "seeds": [0],
    "table": [
        {"method": "note", "note": "nothing"},
        row("peer", "seen", 0.8, 0.1),
        row("peer", "held-out", 0.7, 0.3),
        row("peer", "held-out", 0.8, 0.1, group="blur"),
        row("ours", "seen", 0.9, 0.5),
        row("ours", "held-out", 0.85, 0.4),
        row("ours", "clean", 0.1, 0.0),
        row("ours", "held-out", 0.0, 0.0, severity=5),
        {"method": "ours", "family": "blur", "pool": "held-out", "failure_auroc": 0.0},
        row("fitted again", "held-out", 0.6, -0.25),
    ],
}


def test_means_over_groups_best_first() -> None:
    lines = detection_table(BODY).splitlines()[2:]
    assert lines == [
        "| **ours** | 0.900 | 0.850 | 0.500 | 0.400 |",
        "| peer | 0.800 | 0.750 | 0.100 | 0.200 |",
        "| fitted again | – | 0.600 | – | -0.250 |",
    ]


def test_the_readme_gets_the_table_or_the_news_that_there_is_none() -> None:
    empty = "a\n<!-- detection: begin -->\nold\n<!-- detection: end -->\nb"
    filled = with_detection(empty, BODY)
    assert "| peer | 0.800 |" in filled
    assert "old" not in filled
    assert "2026-01-01" in filled
    assert "Not measured yet" in with_detection(filled, None)
