"""The security page: each claim names tests, and these exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`")


def section(title: str) -> str:
    """What stands below a heading of the second level."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every row of its tables, heads excepted."""
    cells = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    heads = {"claim", "recommendation", "from"}
    return [[cell.strip() for cell in row] for row in cells if row[0].strip() not in heads]


def functions(path: str) -> set[str]:
    """Names of a module's functions."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_named_test_exists() -> None:
    named = _NAMED.findall(PAGE)
    assert len(named) > 50
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or (name and name not in functions(path))
    ]
    assert missing == []


def test_every_claim_names_a_test() -> None:
    claims = rows(section("What is defended"))
    assert len(claims) > 35
    without = [row[0] for row in claims if not _NAMED.search(row[-1])]
    # What is not done is said to be so, and taken up again below.
    assert [name.split()[0] for name in without] == ["1", "4", "9"]
    for words in ("decoder runs in the service's process", "not pinned with hashes", "current"):
        assert words in section("What is not defended")


def test_all_ten_recommendations_are_there() -> None:
    numbers = [row[0].split()[0] for row in rows(section("What is defended"))]
    assert [number for number in numbers if number.isdigit()] == [str(n) for n in range(1, 11)]


def test_a_missing_test_would_be_seen() -> None:
    assert "test_a_missing_test_would_be_seen" in functions("tests/service/test_security_page.py")
    assert "test_that_is_none" not in functions("tests/service/test_security_page.py")
