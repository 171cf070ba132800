"""Public names: the lazy façade, and ``__all__`` of every room.

That lists are sorted and that no import is left over is ruff's part (RUF022, F401).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import gatekeeper

PACKAGE = Path(gatekeeper.__file__).parent
ROOMS = sorted(
    ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    for path in PACKAGE.glob("*/**/__init__.py")
)
HEAVY = ("torch", "mlflow", "fastapi", "timm", "sklearn", "scipy", "pandas")


def loaded_by(code: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after running ``code``."""
    report = f"{code}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_facade_lists_its_names() -> None:
    assert sorted(dir(gatekeeper)) == sorted(gatekeeper.__all__)


@pytest.mark.parametrize("name", sorted(set(gatekeeper.__all__) - {"__version__"}))
def test_facade_gives_the_object_of_its_home(name: str) -> None:
    home = import_module(gatekeeper._HOME_OF[name])
    assert getattr(gatekeeper, name) is getattr(home, name)
    assert name in getattr(home, "__all__", [name])


def test_facade_promises_to_the_type_checker_what_it_gives() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    promised = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    assert promised == gatekeeper._HOME_OF
    assert {*promised, "__version__"} == set(gatekeeper.__all__)


def test_unknown_name_is_refused_with_the_public_names() -> None:
    with pytest.raises(AttributeError, match=r"'Gatekeeperr'; its public names are .*Gatekeeper,"):
        gatekeeper.Gatekeeperr  # noqa: B018  # the access is what is tested


def test_import_is_light() -> None:
    assert loaded_by("import gatekeeper") == []
    assert loaded_by("from gatekeeper import Action, Decision, GatekeeperError") == []


def test_the_light_check_sees_a_heavy_import() -> None:
    assert loaded_by("import scipy") == ["scipy"]


def test_help_is_light() -> None:
    code = (
        "import contextlib, io\n"
        "from gatekeeper.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "assert 'demo' in out.getvalue(), out.getvalue()\n"
    )
    assert loaded_by(code) == []


@pytest.mark.parametrize("room", ROOMS)
def test_room_has_what_it_lists(room: str) -> None:
    module = import_module(room)
    listed = list(getattr(module, "__all__", []))
    assert len(set(listed)) == len(listed)
    assert [name for name in listed if not hasattr(module, name)] == []
    assert [name for name in listed if name.startswith("_")] == []


def test_every_folder_of_the_package_is_a_room() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
