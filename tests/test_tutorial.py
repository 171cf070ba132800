"""The tutorial as a new user follows it: its files, then its commands, in an empty folder.

One process runs all of it, because every command line that is started by itself loads torch again.
What serves or takes long is held against the command line's parser.
"""

from __future__ import annotations

import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.cli import main
from gatekeeper.evaluation import load_requirements
from gatekeeper.recipe import load_recipe, parse_recipe
from tests.test_readme import Block, blocks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"
BLOCKS = blocks(PAGE.read_text(encoding="utf-8"))
RUN = ("fit", "decide")


def commands() -> list[list[str]]:
    """Every line of the page's shell blocks, as words."""
    lines = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
    return [shlex.split(line) for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the page, and what ``python prepare.py`` makes of them."""
    place = tmp_path_factory.mktemp("tutorial")
    for block in BLOCKS:
        if block.file is not None:
            (place / block.file).write_text(block.text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(place)
        patch.setenv("GATEKEEPER_HOME", str(place / "home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        _execute(BLOCKS, "prepare.py")
        yield place
    sys.modules.pop("net", None)


def _execute(found: list[Block], name: str | None) -> None:
    (text,) = [b.text for b in found if b.language == "python" and b.file == name]
    exec(compile(text, name or "block", "exec"), {"__name__": "__main__"})  # noqa: S102  # the page's own code


def test_the_commands_fit_and_decide(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ["python", "prepare.py"] in commands()
    assert len(list((folder / "photos").glob("*/*.png"))) == 3500
    printed = {}
    for words in commands():
        if words[0] == "gatekeeper" and words[1] in RUN:
            arguments = [name for word in words[1:] for name in _expanded(folder, word)]
            assert main(arguments) == 0, capsys.readouterr().err
            printed[shlex.join(words)] = capsys.readouterr().out
    assert len(printed) == 3
    fitted, decided, as_json = printed.values()
    assert "CERTIFIED" in fitted
    assert "CANNOT CERTIFY" not in fitted
    assert (folder / "runs" / "mine" / "report.html").is_file()
    assert "accept 3" in decided
    assert '"attempts"' in as_json
    _execute(BLOCKS, None)
    assert capsys.readouterr().out.startswith(("accept", "abstain"))


def _expanded(folder: Path, word: str) -> list[str]:
    """The first three files that a pattern stands for; other words as they are."""
    if "*" not in word:
        return [word]
    return sorted(str(path.relative_to(folder)) for path in folder.glob(word))[:3]


def test_the_other_commands_are_ones_that_the_command_line_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    for words in commands():
        if words[0] != "gatekeeper" or words[1] in RUN:
            continue
        module = sys.modules[f"gatekeeper.cli.{words[1]}"]
        name = "_verify" if words[1] == "registry" else "run"
        monkeypatch.setattr(module, name, lambda arguments: seen.append(arguments.command) or 0)
        assert main(words[1:]) == 0, words
    assert seen == ["serve", "evaluate", "levels", "registry"]


def test_recipes_and_requirements_can_be_followed(tmp_path: Path) -> None:
    files = {block.file: block.text for block in BLOCKS if block.file is not None}
    for name in ("mine.toml", "requirements.toml"):
        (tmp_path / name).write_text(files[name], encoding="utf-8")
    recipe = load_recipe(tmp_path / "mine.toml")
    assert recipe.classifier.options["checkpoint"] == str(tmp_path / "net.safetensors")
    assert load_requirements(tmp_path / "requirements.toml").scope == "declared"
    others = [
        tomllib.loads(block.text)
        for block in BLOCKS
        if block.language == "toml" and block.file is None
    ]
    assert [each["classifier"]["kind"] for each in others] == ["timm", "onnx"]
    whole = tomllib.loads(files["mine.toml"])
    for each in others:
        assert parse_recipe({**whole, **each}, source="tutorial", folder=tmp_path).name == "mine"
