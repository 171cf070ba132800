"""Restored attempts as they are written down: the most reliable one counts."""

from __future__ import annotations

import numpy as np
import torch

from gatekeeper.pipeline import FirstLook
from gatekeeper.protocols import Evidence


def evidence(labels: list[int]) -> Evidence:
    n = len(labels)
    return Evidence(
        logits=np.eye(5, dtype=np.float32)[labels],
        logits_kind="logits",
        features=None,
        signals=np.zeros((n, 1)),
        probes=np.zeros((n, 0)),
        seeds=np.arange(n),
        restorer=np.full(n, ""),
    )


def first(n: int = 3) -> FirstLook:
    return FirstLook(
        images=torch.arange(n).float().view(n, 1, 1, 1).expand(n, 3, 2, 2),
        look=evidence([0] * n),
        raw=np.full(n, 0.3),
        plans=np.array([["median", "unet"]] * n),
        symptoms=tuple((f"{row}",) for row in range(n)),
        failed=np.zeros(0, dtype=np.int64),
    )


def test_before_any_attempt_the_raw_answer_stands() -> None:
    found = first().untried()
    assert np.isnan(found.counted).all()
    assert found.answers.tolist() == [0, 0, 0]
    assert found.column.tolist() == [-1, -1, -1]


def test_the_most_reliable_attempt_counts_and_a_tie_keeps_the_earlier() -> None:
    found = first().untried()
    found.note(np.array([0, 1, 2]), 0, evidence([1, 1, 1]), np.array([0.5, 0.6, 0.6]))
    found.note(np.array([0, 1]), 1, evidence([2, 2]), np.array([0.7, 0.6]))
    assert found.counted.tolist() == [0.7, 0.6, 0.6]
    assert found.answers.tolist() == [2, 1, 1]
    assert found.logits.argmax(axis=1).tolist() == [2, 1, 1]
    np.testing.assert_array_equal(np.isnan(found.reliability[2]), [False, True])


def test_attempts_at_some_images_find_their_rows() -> None:
    whole = first()
    rows = np.array([2, 0])
    part_look = whole.take(rows)
    assert part_look.symptoms == (("2",), ("0",))
    assert part_look.images[:, 0, 0, 0].tolist() == [2.0, 0.0]
    part = part_look.untried()
    part.note(np.array([0]), 0, evidence([4]), np.array([0.9]))
    found = whole.untried()
    found.spread(rows, part)
    assert found.answers.tolist() == [0, 0, 4]
    assert found.counted[2] == 0.9
    assert np.isnan(found.counted[:2]).all()
    assert found.logits.argmax(axis=1).tolist() == [0, 0, 4]
