"""Write what the benchmarks measured into the documents.

python -m benchmarks.validation            # docs/validation.md and the table in README.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

_HEAD = """# What is verified, by which command, and what is not

Written by `python -m benchmarks.validation` from `benchmarks/results/`; nothing below is typed by hand but the last two
sections. `value` is the mean over the seeds, the interval a 95 % one (the note says how it was made), and a figure holds
if the judged number meets the target that was written down beforehand. A figure that does not hold stays here.
"""

_TESTS = """
## Verified by the tests (`make test`)

- The certificate, by simulation: 1,000 redraws of a certify set from a population, at three confidence levels, and that
  the same simulation catches a procedure that cheats (`tests/test_risk_control.py`).
- Metrics against hand arithmetic, closed forms and independent libraries (`tests/metrics/`).
- Disjoint splits, one row per image at the door to certification, decisions that do not depend on their batch, bundles
  that refuse a changed, missing, extra or newer file (`tests/`).
- Decoding of hostile bytes, and an HTTP service that answers them with 4xx (`tests/images/`, `tests/service/`).

## Not verified

- Nothing has run on a GPU; the code is written for one and proven on CPU.
- The Dockerfile has not been built.
- torchvision's mirrors of Fashion-MNIST have been tried against a local server only.
- The restorer, its router and all thresholds were developed on Fashion-MNIST with the seen families. Other data, cameras
  and classifiers need their own fit; nothing is claimed for them.
"""


def figure_table(body: Mapping[str, Any]) -> str:
    """One benchmark's figures as a Markdown table."""
    lines = [
        "| figure | value | 95 % interval | target | holds |",
        "|---|---|---|---|---|",
    ]
    for figure in body["figures"]:
        sign = "≥" if figure["direction"] == "higher" else "≤"
        ends = "–" if figure["low"] is None else f"{figure['low']:.4g} … {_end(figure['high'])}"
        holds = "yes" if figure["holds"] else "**no**"
        lines.append(
            f"| `{figure['name']}` | {figure['value']:.4g} | {ends} | {sign} {figure['target']:g} "
            f"| {holds} |"
        )
    return "\n".join(lines)


def _end(number: float | None) -> str:
    """An upper end; None stands for no bound, as of a ratio whose denominator may be 0."""
    return "∞" if number is None else f"{number:.4g}"


def described(body: Mapping[str, Any]) -> str:
    """Command, date, machine and data of a result in one sentence."""
    data, seeds = body["data"], ", ".join(map(str, body["seeds"]))
    return (
        f"`{body['command']}`, {body['date']}, {body['machine']}; {data['name']}, "
        f"{data['split']}, n = {data['n']:,}; seeds {seeds}."
    )


def validation_page(results: Sequence[Mapping[str, Any]]) -> str:
    """The whole of ``docs/validation.md``."""
    parts = [_HEAD]
    for body in results:
        notes = [f"- `{f['name']}`: {f['note']}" for f in body["figures"] if f["note"]]
        parts.append(f"\n{described(body)}\n\n{figure_table(body)}\n\n" + "\n".join(notes) + "\n")
    return "".join([*parts, _TESTS])


def with_figures(readme: str, body: Mapping[str, Any]) -> str:
    """The README with the figures of benchmark ``demo`` between its two markers."""
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{described(body)}\n\n{figure_table(body)}\n{END}{after}"


def main() -> int:
    """Write both documents."""
    paths = sorted(RESULTS.glob("*.json"))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    (ROOT / "docs" / "validation.md").write_text(validation_page(results), encoding="utf-8")
    readme = ROOT / "README.md"
    for path, body in zip(paths, results, strict=True):
        if path.stem == "demo":
            readme.write_text(with_figures(readme.read_text(encoding="utf-8"), body), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
