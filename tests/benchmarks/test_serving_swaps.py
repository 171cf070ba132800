"""Moving an alias under load: what counts as an error, what as mixed, and two real moves."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("skimage", reason="the photographs are scikit-image's")

from benchmarks.serving_running import Scale
from benchmarks.serving_swaps import Tally, swaps

WORDS = {"a": "one", "b": "two"}


def decision(bundle: str, name: str | None) -> dict[str, Any]:
    return {"versions": {"bundle": bundle}, "class_name": name}


@pytest.mark.parametrize(
    ("header", "bundle", "name", "mixed"),
    [
        ("a", "a", "one 007", 0),
        ("b", "b", "two 007", 0),
        ("a", "a", None, 0),  # it abstained
        ("b", "a", "one 007", 1),
        ("a", "a", "two 007", 1),
        ("c", "c", "one 007", 1),  # a bundle that nobody registered
    ],
)
def test_an_answer_is_mixed_where_its_parts_disagree(
    header: str, bundle: str, name: str | None, mixed: int
) -> None:
    tally = Tally()
    tally.take(200, header, decision(bundle, name), WORDS)
    assert (len(tally.mixed), tally.errors) == (mixed, [])
    assert sum(tally.answers.values()) == 1


def test_every_image_of_a_batch_counts() -> None:
    tally = Tally()
    items = [{"decision": decision("a", "one 1")}, {"error": "x"}, {"decision": decision("b", "two 2")}]  # fmt: skip # noqa: E501
    tally.take(200, "a", {"results": items}, WORDS)
    tally.take(503, None, {"error": "down"}, WORDS)
    assert (tally.answers, len(tally.errors), len(tally.mixed)) == ({"one": 1, "two": 1}, 2, 1)


def test_two_moves_under_load() -> None:
    row = swaps(Scale(side=32, n_images=8, threads=1), 2)
    assert (row["errors"], row["mixed"], row["examples"]) == (0, 0, [])
    assert row["versions"] == [1, 2]
    assert min(row["answers"]["one"], row["answers"]["two"]) > 0
