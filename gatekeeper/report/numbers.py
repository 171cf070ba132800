"""Numbers as people read them."""

from __future__ import annotations

import math

UNIT_SPACE = "\u00a0"  # no-break: a number is never parted from its unit


def percent(share: float) -> str:
    """A share as a percentage, with the digits that matter.

    One decimal from 1 % to 99 %, two significant digits of what is missing towards 0 % and
    100 %: nothing but 0 reads "0 %", and nothing but 1 reads "100 %".

    Args:
        share: In [0, 1].

    Example:
        >>> [percent(value).replace(UNIT_SPACE, " ") for value in (0.7123, 0.00021, 0.99987, 1)]
        ['71.2 %', '0.021 %', '99.987 %', '100 %']
    """
    value = 100.0 * share
    room = min(value, 100.0 - value)
    if room == 0:
        return f"{value:.0f}{UNIT_SPACE}%"
    digits = 1 if room >= 1 else 1 - math.floor(math.log10(room))
    return f"{value:.{digits}f}{UNIT_SPACE}%"


def short_percent(share: float) -> str:
    """A round percentage without decimals that say nothing: 5 %, 0.5 %, 99.9 %.

    Example:
        >>> [short_percent(value).replace(UNIT_SPACE, " ") for value in (0.05, 0.001, 0.999)]
        ['5 %', '0.1 %', '99.9 %']
    """
    return f"{100.0 * share:.6g}{UNIT_SPACE}%"


def percent_range(low: float, high: float) -> str:
    """Both ends of an interval of shares.

    Example:
        >>> percent_range(0.031, 0.0452).replace(UNIT_SPACE, " ")
        '3.1 % – 4.5 %'
    """
    return f"{percent(low)} – {percent(high)}"


def decimal(value: float, digits: int = 3) -> str:
    """A number that is not a share of anything, with a fixed number of decimals.

    Example:
        >>> decimal(0.9406)
        '0.941'
    """
    return f"{value:.{digits}f}"


def whole(value: int) -> str:
    """A count, in groups of three.

    Example:
        >>> whole(10000)
        '10,000'
    """
    return f"{value:,}"


def any_value(value: object) -> str:
    """A value of which nothing is known but its type, for lists of details.

    Example:
        >>> any_value(12345), any_value(0.25), any_value(True), any_value([1, 2]), any_value("a")
        ('12345', '0.25', 'yes', '1, 2', 'a')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(any_value(each) for each in value)
    return str(value)
