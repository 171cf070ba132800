"""Where in a JSON answer the numbers lie: ``predictions[*].scores``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gatekeeper.errors import InputError

_STEP = re.compile(r"\.?(?P<key>[^.\[\]]+)|\[(?P<at>\d{1,9}|\*)\]")


class AnswerPath:
    """Keys between points, positions in brackets; ``[*]`` stands for one after another.

    Args:
        text: Such as ``"outputs[0].data"``; "" is the whole document.

    Raises:
        InputError: it is not written like that, or has ``[*]`` twice.

    Example:
        >>> AnswerPath("rows[*].p").find({"rows": [{"p": 1}, {"p": 2}]})
        [1, 2]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps: list[str | int | None] = []
        at = 0
        while at < len(text):
            found = _STEP.match(text, at)
            if found is None or text.startswith("."):
                raise InputError(
                    f"expected a path such as predictions[*].scores, got {text!r:.80}: correct it"
                )
            self._steps.append(_step(found))
            at = found.end()
        self.is_many = None in self._steps
        if self._steps.count(None) > 1:
            raise InputError(f"expected [*] once in {text!r:.80}: there is one row per image")

    def find(self, document: object) -> list[Any]:
        """What lies there, one after another where the path has ``[*]``; else one.

        Raises:
            LookupError: nothing lies there.
        """
        found: list[Any] = [document]
        for step in self._steps:
            found = _follow(found, step)
        return found


def _step(found: re.Match[str]) -> str | int | None:
    """A key, a position, or None for one after another."""
    if found["at"] is None:
        return found["key"]
    return None if found["at"] == "*" else int(found["at"])


def _follow(nodes: Sequence[Any], step: str | int | None) -> list[Any]:
    if step is None:
        [node] = nodes
        if not isinstance(node, list):
            raise LookupError("[*]")
        return node
    return [_inside(node, step) for node in nodes]


def _inside(node: object, step: str | int) -> object:
    fits = isinstance(node, dict) if isinstance(step, str) else isinstance(node, list)
    if not fits:
        raise LookupError(str(step))
    return node[step]  # type: ignore[index]
