"""Arrays are kept under what determines them; code under all that it imports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import kept
from benchmarks.kept import Store, code_digest


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gatekeeper/{a,b,c}.py and gatekeeper/room/: a imports b, b imports c and the room."""
    package = tmp_path / "gatekeeper"
    (package / "room").mkdir(parents=True)
    (package / "a.py").write_text("import numpy\nfrom gatekeeper import b\n")
    (package / "b.py").write_text("from gatekeeper.room import x\nimport gatekeeper.c\n")
    (package / "c.py").write_text("y = 1\n")
    (package / "d.py").write_text("import gatekeeper.a\n")
    (package / "room" / "__init__.py").write_text("x = 1\n")
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    return package


def digest(*modules: str) -> str:
    return code_digest.__wrapped__(*modules)  # past the memory: a test changes its code


@pytest.mark.parametrize("changed", ["a.py", "b.py", "c.py", "room/__init__.py"])
def test_digest_changes_with_whatever_is_imported(checkout: Path, changed: str) -> None:
    before = digest("gatekeeper.a")
    assert digest("gatekeeper.a") == before
    (checkout / changed).write_text((checkout / changed).read_text() + "\n# changed\n")
    assert digest("gatekeeper.a") != before


def test_digest_does_not_change_with_code_that_is_not_imported(checkout: Path) -> None:
    before = digest("gatekeeper.a"), digest("gatekeeper.c")
    (checkout / "d.py").write_text("changed = True\n")
    (checkout / "b.py").write_text("import gatekeeper.c\n")
    assert digest("gatekeeper.c") == before[1]
    assert digest("gatekeeper.a") != before[0]
    assert digest("gatekeeper.a", "gatekeeper.d") != digest("gatekeeper.a")


def test_arrays_are_made_once(tmp_path: Path) -> None:
    store, made = Store(tmp_path / "new"), []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"scores": np.arange(6.0)[::2], "right": np.array([True, False])}

    first = store.arrays("x", {"seed": 0}, make)
    again = store.arrays("x", {"seed": 0}, make)
    assert len(made) == 1
    for arrays in (first, again):
        assert arrays["scores"].tolist() == [0.0, 2.0, 4.0]
        assert arrays["right"].tolist() == [True, False]
    store.arrays("x", {"seed": 1}, make)
    assert len(made) == 2
    assert len(list((tmp_path / "new").glob("x-*.safetensors"))) == 2
    assert not list((tmp_path / "new").glob("*.part"))


def test_what_failed_is_not_kept(tmp_path: Path) -> None:
    def fail() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).arrays("x", {}, fail)
    assert not list(tmp_path.iterdir())
