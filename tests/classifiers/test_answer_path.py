"""Paths into JSON, by hand."""

from __future__ import annotations

import pytest

from gatekeeper.classifiers.answer_path import AnswerPath
from gatekeeper.errors import InputError

DOCUMENT = {"a": {"b": [1, {"c d": 2}]}, "rows": [{"p": [0.1]}, {"p": [0.2]}]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", [DOCUMENT]), ("a.b[0]", [1]), ("a.b[1].c d", [2]), ("rows[*].p", [[0.1], [0.2]]),
     ("rows[*].p[0]", [0.1, 0.2]), ("a.b[*]", [1, {"c d": 2}])],
)  # fmt: skip
def test_what_lies_there(text: str, expected: object) -> None:
    assert AnswerPath(text).find(DOCUMENT) == expected


@pytest.mark.parametrize("text", ["b", "a.c", "a[0]", "a.b[2]", "a.b.c", "a[*]", "rows[*].q"])
def test_nothing_lies_there(text: str) -> None:
    with pytest.raises(LookupError):
        AnswerPath(text).find(DOCUMENT)


def test_whether_it_is_one_per_image() -> None:
    assert AnswerPath("a[*]").is_many
    assert AnswerPath("[*]").find([1, 2]) == [1, 2]
    assert not AnswerPath("a.*").is_many
    assert AnswerPath("a.*").find({"a": {"*": 3}}) == [3]


@pytest.mark.parametrize("text", [".a", "a..b", "a[", "a[x]", "a.", "[-1]", "a[*].b[*]", "]"])
def test_paths_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        AnswerPath(text)
