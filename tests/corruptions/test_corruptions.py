from __future__ import annotations

import pytest

from gatekeeper.corruptions import CORRUPTIONS, GROUPS, corruption, groups_of, names_in_group
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


def test_groups_by_hand() -> None:
    assert set(GROUPS.values()) == {
        "noise",
        "blur",
        "tone and weather",
        "digital",
        "geometric",
        "C-bar-like",
    }
    assert groups_of("camera") == {"noise", "tone and weather", "digital"}
    assert groups_of("snow+defocus_blur") == {"tone and weather", "blur"}
    assert groups_of("shear+glass_blur") == {"geometric", "blur"}
    assert CORRUPTIONS["gaussian_noise"].families == CORRUPTIONS["gaussian"].families
    assert CORRUPTIONS["shift"].families == CORRUPTIONS["horizontal_shift"].families
    assert set(names_in_group("digital")) == {
        "camera",
        "elastic_transform",
        "fog+jpeg_compression",
        "gaussian_blur+jpeg_compression",
        "jpeg_compression",
        "pixelate",
        "rotation+pixelate",
    }
    assert len(names_in_group("C-bar-like")) == 6
    with pytest.raises(InputError, match=r"one of the groups C-bar-like, blur, .* got 'sound'"):
        names_in_group("sound")
