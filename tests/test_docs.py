"""What the documents say about the repository: links and named paths exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("gatekeeper/", "tests/", "docs/", "models/", "calibration/", "benchmarks/", "notebooks/")


def documents() -> list[str]:
    """Every tracked Markdown file, relative to the top."""
    command = ["git", "ls-files", "-z", "--", "*.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def prose(text: str) -> str:
    """The document without its fenced code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """The anchor that a heading gets on the page."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(document: Path, text: str) -> list[str]:
    """Relative links whose file or anchor does not exist."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if not target.exists():
            broken.append(link)
        elif anchor:
            content = text if not name else target.read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", prose(content), flags=re.MULTILINE)
            broken += [] if anchor in map(slug, headings) else [link]
    return broken


def missing_paths(text: str) -> list[str]:
    """Paths that the prose names in backticks and that do not exist (a wheel's own excepted)."""
    named = re.findall(r"`(?!gatekeeper/_shipped)([\w./-]+)`", prose(text))
    return [
        name
        for name in named
        if name.startswith(FOLDERS) and not (ROOT / name.rstrip("/")).exists()
    ]


@pytest.mark.parametrize("name", documents())
def test_links_and_paths_exist(name: str) -> None:
    document = ROOT / name
    text = document.read_text(encoding="utf-8")
    assert broken_links(document, text) == []
    if name != "CHANGELOG.md":  # old entries may speak of what is gone
        assert missing_paths(text) == []


def test_broken_links_are_seen() -> None:
    text = "# A b\n[x](#a-b) [y](#c) [z](LICENSE) [w](nowhere.md) [v](https://example.org)"
    assert broken_links(ROOT / "LICENSE", text) == ["#c", "nowhere.md"]


def test_missing_paths_are_seen() -> None:
    text = "`gatekeeper/errors.py` `gatekeeper/attic.py` `runs/demo/`\n```\n`docs/no.md`\n```\n"
    assert missing_paths(text) == ["gatekeeper/attic.py"]
