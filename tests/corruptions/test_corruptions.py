from __future__ import annotations

import pytest

from gatekeeper.corruptions import CORRUPTIONS, GROUPS, corruption
from gatekeeper.errors import InputError


def test_every_name_leads_to_its_own_corruption() -> None:
    for name, listed in CORRUPTIONS.items():
        assert listed.name == name
        assert corruption(name) is listed


def test_the_family_table_lists_each_family_that_occurs_and_no_other() -> None:
    families = {family for listed in CORRUPTIONS.values() for family in listed.families}
    assert families == set(GROUPS)
    assert GROUPS["gaussian"] == GROUPS["speckle"] == GROUPS["impulse"] == GROUPS["periodic"]
    assert len({GROUPS[f] for f in ("gaussian", "gaussian_blur", "dark", "shift")}) == 4


def test_an_unknown_name_is_refused_with_near_matches() -> None:
    with pytest.raises(InputError, match=r"got 'gausian'; did you mean gaussian"):
        corruption("gausian")
    with pytest.raises(
        InputError, match=r"one of the corruptions .*, contrast, .*, dark, .* got 'zzz'$"
    ):
        corruption("zzz")
