"""The plan for many machines: arithmetic, and the table in the document."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.scale_plan import Costs, main, measure, plan

ROOT = Path(__file__).resolve().parents[2]


def cells(text, name):
    line = next(line for line in text.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_by_hand():
    # 86.4 million a day are 1,000 a second.
    costs = Costs(
        decode_ms=0.7, look_ms=2.0, restore_ms=10.0, restored_share=0.5, rows_ms=0.07,
        file_bytes=1000, row_bytes=100, listed_bytes=400,
    )  # fmt: skip
    text = plan(costs, images_per_day=86.4e6, gpus=10, gpu_factor=50, chunk=250)
    assert cells(text, "images per second") == ["1,000", "100.00"]
    assert cells(text, "cores for decoding") == ["1", "0.1"]
    # (2 + 0.5 · 10) ms · 1,000 / s ÷ 0.7
    assert cells(text, "cores for looks") == ["10", "1"]
    assert cells(text, "GPUs, one worth 50 cores") == ["0.2", "0.02"]
    assert cells(text, "cores for rows") == ["0.1", "0.01"]
    assert cells(text, "read, MB/s") == ["1", "0.1"]
    assert cells(text, "rows written, GB/day") == ["8.64", "0.86"]
    assert cells(text, "checkpoints per second") == ["4", "0.4"]
    assert cells(text, "memory of the drivers") == ["34.6", "3.5"]


def test_the_table_of_the_document_is_what_its_command_prints(capsys):
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    command, table = re.search(
        r"python -m benchmarks\.scale_plan ([^\n]*--decode-ms[^\n]*)\n```\n\n(.*?)\n\n",
        page,
        flags=re.DOTALL,
    ).groups()
    main(shlex.split(command))
    assert capsys.readouterr().out.strip() == table


@pytest.fixture(scope="module")
def costs():
    return measure()


def test_measured_costs_are_of_this_gate(costs):
    assert min(costs.decode_ms, costs.look_ms, costs.restore_ms, costs.rows_ms) > 0
    assert 0 < costs.restored_share < 1
    assert 300 < costs.file_bytes < 3000
    assert 50 < costs.row_bytes < 1000
