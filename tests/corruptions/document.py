"""Write ``docs/corruptions.md`` from the code: ``python -m tests.corruptions.document``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path

from gatekeeper.corruptions import CORRUPTIONS, GROUPS, Composition, TabulatedCorruption, groups_of
from gatekeeper.corruptions.base import RowTable

PATH = Path(__file__).resolve().parents[2] / "docs" / "corruptions.md"

HEAD = """# Corruptions

Generated from the code by `python -m tests.corruptions.document`; a test compares the two.

A corruption takes images (B, 3, H, W) in [0, 1] and one seed per image, and returns the same
shape, rounded to 8 bit. What happens to an image depends on its pixels, its seed and its severity,
never on the batch.

- `corruption(name)(images, severity=3, seeds=seeds)`: one of five severities.
  `corruption("snow+defocus_blur")` does one after the other, for any two names.
- `.at_severity(images, severity=2.4, seeds=seeds)`: any severity from 0.5 to 5.5, one for all or
  one per image; between the tabulated severities the table is interpolated linearly, outside 1…5
  it is continued.
- `.at(images, level=…, seeds=seeds)`: any level, in the unit of the table.
- `.levels_for(height, width)` and `.table_for(height, width)`: the table at that size.

**Sizes.** The *small* table holds where the shorter side is below 64 px, the *large* one from there
on; where there is no large table the small one holds for all. Lengths of the large table, marked
"px of 224", are meant for a shorter side of 224 px: they shrink with it below and stay above.
Corruptions named as in ImageNet-C have the constants of CIFAR-10-C (small) and of ImageNet-C
(large), except that `contrast` and `gaussian_blur` have a small table of their own.

**Families and groups.** A family is the fine kind, a group the coarse one. Two corruptions with one
kind of damage share the family (`gaussian` and `gaussian_noise`); a composition has the families of
both parts.

**Levels of the group C-bar-like** were set by image quality only: the mean PSNR of each severity
over the photographs of scikit-image is that of the nineteen of ImageNet-C, at 32 px (small) and at
224 px (large).

**Agreement.** `tests/corruptions/test_parity.py` compares the mean PSNR of the nineteen with that
of the package imagecorruptions on the same photographs at 224 px. Frost is left out:
its ice differs.

**What the published small tables do.** The severities of `elastic_transform` trade displacement
against distortion: a classifier that minds displacement can get better from 1 to 5. `saturate`
fades colours at 1 and 2 and exaggerates them from 3 on.
"""


def deviations(corruption: TabulatedCorruption) -> str:
    """What the class says after "Deviates" in its docstring, on one line."""
    found = re.search(r"Deviates:? (.*)", inspect.getdoc(type(corruption)) or "", flags=re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""


def numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def overview() -> list[str]:
    rows = [
        line("name", "families", "groups", "source", "deviations"),
        line(*["---"] * 5),
    ]
    for name, listed in sorted(CORRUPTIONS.items()):
        families = ", ".join(f"`{family}`" for family in listed.families)
        groups = ", ".join(sorted(groups_of(name), key=str.lower))
        rows.append(line(f"`{name}`", families, groups, listed.source, deviations(listed)))
    return rows


def levels() -> list[str]:
    rows = [
        line("name", "unit", "small: severities 1…5", "large: severities 1…5"),
        line(*["---"] * 4),
    ]
    for name, listed in sorted(CORRUPTIONS.items()):
        if isinstance(listed, RowTable | Composition):
            continue
        large = numbers(listed.large_levels) if listed.large_levels else "as small"
        unit = f"{listed.unit} (large: px of 224)" if listed.in_pixels else listed.unit
        rows.append(line(f"`{name}`", unit, numbers(listed.levels), large))
    return rows


def rows_of(name: str, listed: RowTable) -> list[str]:
    heads = [f"{p} (px of 224)" if p in listed.lengths else p for p in listed.parameters]
    text = [
        f"### `{name}`",
        "",
        line("severity", *heads),
        line(*["---"] * (1 + len(heads))),
    ]
    for size, table in (("small", listed.small_rows), ("large", listed.large_rows)):
        text += [
            line(f"{size} {severity}", *(f"{value:g}" for value in row))
            for severity, row in enumerate(table, 1)
        ]
    if len(set(listed.regimes)) > 1:
        last = listed.regimes.index(1)
        text += ["", f"Severities up to {last} and from {last + 1} on are not interpolated."]
    return [*text, ""]


def document() -> str:
    """The whole text of ``docs/corruptions.md``."""
    groups = [
        line("group", "families"),
        line("---", "---"),
        *(
            line(group, ", ".join(f"`{f}`" for f, of in sorted(GROUPS.items()) if of == group))
            for group in dict.fromkeys(GROUPS.values())
        ),
    ]
    tables = [
        text
        for name, listed in sorted(CORRUPTIONS.items())
        if isinstance(listed, RowTable)
        for text in rows_of(name, listed)
    ]
    parts = [
        HEAD,
        *("## Groups", "", *groups, ""),
        *("## All corruptions", "", *overview(), ""),
        *("## Severities with one parameter", "", *levels(), ""),
        *("## Severities with several parameters", "", *tables),
    ]
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
