"""Parts by digest."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gatekeeper.adaptation.parts import check_apart, dealt, digest_of
from gatekeeper.errors import SplitOverlapError

DIGESTS = np.array([hashlib.sha256(str(number).encode()).hexdigest() for number in range(3000)])
SHARES = {"learn": 0.5, "certify": 0.3, "judge": 0.2}


def test_every_image_is_in_one_part_and_parts_are_as_large_as_they_should_be() -> None:
    parts = dealt(DIGESTS, SHARES, seed=0)
    together = np.concatenate(list(parts.values()))
    assert sorted(together.tolist()) == list(range(3000))
    for name, share in SHARES.items():
        # Four standard deviations of a share of 3,000 are below 0.037.
        assert abs(len(parts[name]) / 3000 - share) < 0.037


def test_a_part_depends_on_the_image_alone() -> None:
    whole = dealt(DIGESTS, SHARES, seed=3)
    some = dealt(DIGESTS[:100][::-1], SHARES, seed=3)
    in_whole = {DIGESTS[row] for row in whole["judge"] if row < 100}
    assert {DIGESTS[:100][::-1][row] for row in some["judge"]} == in_whole
    other = dealt(DIGESTS, SHARES, seed=4)
    assert other["judge"].tolist() != whole["judge"].tolist()


def test_shared_images_are_refused_by_name() -> None:
    check_apart({"a": DIGESTS[:5], "b": DIGESTS[5:9], "c": DIGESTS[9:]})
    with pytest.raises(SplitOverlapError, match="got 2 in both a and c"):
        check_apart({"a": DIGESTS[:5], "b": DIGESTS[5:9], "c": DIGESTS[3:5]})


def test_the_digest_of_a_set_is_that_of_its_sorted_lines() -> None:
    expected = hashlib.sha256(b"a\nb\n").hexdigest()
    assert digest_of(np.array(["b", "a"])) == expected
