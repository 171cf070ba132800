from __future__ import annotations

import argparse
import re

import pytest

from gatekeeper import __version__, cli

COMMANDS = (
    *("demo", "fit", "evaluate", "levels", "train", "decide", "batch", "serve", "adapt"),
    *("audit", "registry", "data", "doctor"),
)
VERBS = (
    *((command,) for command in COMMANDS),
    *(("registry", verb) for verb in ("list", "promote", "rollback", "verify")),
    *(("data", verb) for verb in ("get", "import-weights")),
)


def test_help_lists_what_there_is_and_nothing_else(gatekeeper):
    done = gatekeeper("--help")
    assert done.code == 0
    assert tuple(re.findall(r"^    ([a-z]+) ", done.out, flags=re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("command", VERBS, ids=" ".join)
def test_every_help_has_an_example_of_itself(gatekeeper, command):
    done = gatekeeper(*command, "--help")
    assert done.code == 0
    _, _, example = done.out.partition("example:\n")
    assert example.startswith(f"  gatekeeper {' '.join(command)}")


@pytest.mark.parametrize("command", VERBS, ids=" ".join)
def test_every_example_parses(gatekeeper, command):
    example = gatekeeper(*command, "--help").out.partition("example:\n")[2]
    # A long example goes on after a backslash.
    joined = example.replace("\\\n", "")
    lines = [line.split() for line in joined.splitlines() if line.startswith("  gatekeeper ")]
    assert lines
    for _, *arguments in lines:
        assert cli._parser().parse_args(arguments).command == command[0]


def test_version(gatekeeper):
    assert gatekeeper("--version").out == f"gatekeeper {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "required: COMMAND"),
        (("adopt",), "invalid choice: 'adopt'"),
        (("evaluate", "nowhere", "--data", "digits"), "expected a bundle's directory, got nowhere"),
        (("demo", "--sede", "1"), "unrecognized arguments: --sede"),
        (("demo", "--seed", "one"), "invalid int value"),
        (("decide", "somewhere"), "required: IMAGE"),
        (("registry",), "required: VERB"),
        (("demo", "--dataset", "fashon-mnist"), "did you mean fashion-mnist?"),
        (("demo", "--seed", "-1"), "seed: Input should be greater than or equal to 0"),
        (("data", "get", "digit"), "did you mean digits"),
        (("fit", "nowhere.toml"), "expected a recipe at nowhere.toml"),
        (("decide", "nowhere", "x.png"), "expected a bundle's directory, got nowhere"),
        (("decide", "shipped:dem", "x.png"), "nothing called 'dem' is shipped"),
        (("serve", "nowhere"), "expected a bundle's directory, got nowhere"),
        (("serve", "nowhere", "--port", "70000"), "port must be in 0…65535, got 70000"),
        (("registry", "rollback", "no-such-model"), "there is no model 'no-such-model'"),
        (("decide", "models:/no-such-model@champion", "x.png"), "there is no model"),
        (("decide", "models:/nonsense", "x.png"), "a registry URI is"),
        (("data", "import-weights", "no.pth", "o.safetensors"), "no such file"),
    ],
)
def test_bad_usage_and_bad_input_exit_with_2(gatekeeper, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = gatekeeper(*arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_place_that_cannot_be_written_is_found_before_the_work(gatekeeper, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file", encoding="utf-8")
    done = gatekeeper("demo", "--quick", "--no-tracking", "--out", taken)
    assert done.code == 2
    said = f"gatekeeper: expected to use {taken}, got: File exists; check the path"
    assert done.err.strip() == said


def _command_that(monkeypatch, error):
    def fail(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(cli.doctor, "run", fail)


def test_an_internal_error_is_a_sentence(gatekeeper, monkeypatch):
    _command_that(monkeypatch, ZeroDivisionError("a slip of ours"))
    done = gatekeeper("doctor")
    assert done.code == 3
    assert "internal error (ZeroDivisionError: a slip of ours)" in done.err
    assert "Traceback" not in done.err


def test_debug_shows_where_it_came_from(gatekeeper, monkeypatch):
    _command_that(monkeypatch, ZeroDivisionError("a slip of ours"))
    done = gatekeeper("--debug", "doctor")
    assert done.code == 3
    assert "Traceback" in done.err


def test_an_error_without_a_place_is_internal(gatekeeper, monkeypatch):
    _command_that(monkeypatch, OSError("no file is at fault"))
    assert gatekeeper("doctor").code == 3


def test_interruption(gatekeeper, monkeypatch):
    _command_that(monkeypatch, KeyboardInterrupt())
    assert gatekeeper("doctor") == type(gatekeeper("--help"))(130, "", "gatekeeper: interrupted\n")
