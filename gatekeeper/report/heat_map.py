"""A table of shares whose cells are shaded: one hue, light is good, the number in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gatekeeper.errors import InputError
from gatekeeper.report.numbers import percent

SHADES = 10

_LIGHT, _DARK = (247, 250, 253), (8, 48, 107)
_WHITE, _INK = (255, 255, 255), (20, 24, 29)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """One cell: its number, its shade, 0 (best) … 9, and what a screen reader adds."""

    text: str
    shade: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """One corruption."""

    name: str
    note: str
    cells: tuple[HeatCell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Corruptions x severities.

    Attributes:
        title: What is shown.
        about: How to read it, one sentence.
        columns: Headings.
        rows: One per corruption.
    """

    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]


def heat_map(
    title: str,
    about: str,
    shares: Mapping[str, Mapping[int, float | None]],
    *,
    worst: float,
    best: float,
    notes: Mapping[str, str],
) -> HeatMap:
    """Lay out shares by corruption and severity.

    Args:
        title: What is shown.
        about: How to read it.
        shares: Corruption -> severity -> share in [0, 1]; None where it is not defined.
        worst: The share that is shaded most.
        best: The share that is left light; not the worst.
        notes: Corruption -> second line of its heading, where it has one.

    Raises:
        InputError: there is nothing to show, or best and worst are one.
    """
    if not shares or worst == best:
        raise InputError(
            f"a heat map needs shares and two different ends, got {len(shares)} corruptions and "
            f"ends {worst} and {best}"
        )
    severities = sorted({severity for row in shares.values() for severity in row})
    rows = tuple(
        HeatRow(
            name=name.replace("_", " "),
            note=notes.get(name, ""),
            cells=tuple(
                _cell(name, severity, row.get(severity), worst, best) for severity in severities
            ),
        )
        for name, row in shares.items()
    )
    columns = tuple(str(severity) for severity in severities)
    return HeatMap(title=title, about=about, columns=columns, rows=rows)


def _cell(
    name: str, severity: int, share: float | None, worst: float, best: float
) -> HeatCell | None:
    if share is None:
        return None
    return HeatCell(
        text=percent(share),
        shade=shade_of(share, worst=worst, best=best),
        label=f"{name.replace('_', ' ')}, severity {severity}",
    )


def shade_of(share: float, *, worst: float, best: float) -> int:
    """The shade of a share: 0 at ``best``, 9 at ``worst`` and beyond.

    Example:
        >>> [shade_of(share, worst=0.0, best=1.0) for share in (1.0, 0.85, 0.5, 0.0)]
        [0, 1, 5, 9]
    """
    badness = (best - share) / (best - worst)
    return min(SHADES - 1, max(0, int(badness * SHADES + 1e-9)))


def shade_styles() -> str:
    """The style sheet of the shades: background, and the ink with the better contrast.

    The colours are those of the page in the light and in the dark: a cell brings both.
    """
    return "\n".join(
        f".h{step} {{ background: {_hex(shade_colour(step))}; color: {_hex(ink_on(step))}; }}"
        for step in range(SHADES)
    )


def shade_colour(step: int) -> tuple[int, int, int]:
    """Red, green and blue of a shade, 0…255."""
    share = step / (SHADES - 1)
    mixed = [round(a + (b - a) * share) for a, b in zip(_LIGHT, _DARK, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def ink_on(step: int) -> tuple[int, int, int]:
    """The colour of text on a shade."""
    background = shade_colour(step)
    return max((_INK, _WHITE), key=lambda ink: contrast(ink, background))


def contrast(one: Sequence[int], other: Sequence[int]) -> float:
    """Contrast ratio of two colours, 1…21.

    Source:
        WCAG 2.2, "contrast ratio" and "relative luminance".
    """
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Sequence[int]) -> float:
    linear = []
    for channel in colour:
        value = channel / 255.0
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in colour)
