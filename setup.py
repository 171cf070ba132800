"""The one build step that pyproject.toml cannot say: shipped data move into the package.

``models/`` and ``calibration/`` lie at the top of the repository, because they are data and not
code. A wheel carries them below ``gatekeeper/_shipped/``; an editable installation carries nothing
and reads the checkout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithShippedData(build_py):
    """``build_py`` that also copies the shipped data into the package."""

    shipped: ClassVar[tuple[str, ...]] = ("models", "calibration")

    def run(self) -> None:
        """Build the package, then copy the shipped data beside it."""
        super().run()
        if self.editable_mode:
            return
        for source, target in self._pairs():
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """All files that this command writes, the shipped data included."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        shipped = [] if self.editable_mode else [str(target) for _, target in self._pairs()]
        return outputs + shipped

    def _pairs(self) -> Iterator[tuple[Path, Path]]:
        """Source and target of every shipped file; caches and hidden files stay behind."""
        package = Path(self.build_lib) / "gatekeeper" / "_shipped"
        for folder in self.shipped:
            for source in sorted(Path(folder).rglob("*")):
                hidden = any(part.startswith((".", "__")) for part in source.parts)
                if source.is_file() and not hidden:
                    yield source, package / source


setup(cmdclass={"build_py": BuildWithShippedData})
