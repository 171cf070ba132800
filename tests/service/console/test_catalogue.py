"""The list of corruptions."""

from __future__ import annotations

from gatekeeper.corruptions import CORRUPTIONS, GROUPS
from gatekeeper.service.console.catalogue import catalogue, title_of


def test_every_corruption_is_listed_once_in_a_group_of_its_own() -> None:
    listed = [each.name for group in catalogue() for each in group.corruptions]
    assert sorted(listed) == sorted(CORRUPTIONS)
    groups = [group.group for group in catalogue()]
    assert groups == [*sorted(set(GROUPS.values())), "two at once"]
    for group in catalogue():
        for each in group.corruptions:
            families = CORRUPTIONS[each.name].families
            if group.group != "two at once":
                assert group.group in {GROUPS[family] for family in families}


def test_titles() -> None:
    assert title_of("jpeg_compression") == "Jpeg compression"
    assert title_of("dark+shot_noise") == "Dark, then shot noise"
