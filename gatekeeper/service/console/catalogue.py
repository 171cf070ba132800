"""The corruptions as a list that people can choose from."""

from __future__ import annotations

from functools import cache

from gatekeeper.corruptions import CORRUPTIONS, groups_of
from gatekeeper.service.console.bodies import CorruptionBody, CorruptionGroupBody

_TWO = "two at once"


@cache
def catalogue() -> tuple[CorruptionGroupBody, ...]:
    """Groups by name, compositions last; within a group by title."""
    groups: dict[str, list[CorruptionBody]] = {}
    for name in CORRUPTIONS:
        group = _TWO if "+" in name else min(groups_of(name))
        groups.setdefault(group, []).append(CorruptionBody(name=name, title=title_of(name)))
    return tuple(
        CorruptionGroupBody(
            group=group, corruptions=sorted(groups[group], key=lambda each: each.title)
        )
        for group in sorted(groups, key=lambda group: (group == _TWO, group))
    )


def title_of(name: str) -> str:
    """A corruption's name for people.

    Example:
        >>> title_of("snow+defocus_blur")
        'Snow, then defocus blur'
    """
    return ", then ".join(part.replace("_", " ") for part in name.split("+")).capitalize()
