from __future__ import annotations

from gatekeeper.corruptions import CORRUPTIONS
from tests.corruptions.document import PATH, deviations, document


def test_the_page_is_what_the_code_says() -> None:
    assert PATH.read_text(encoding="utf-8") == document(), "python -m tests.corruptions.document"


def test_deviations_are_read_from_the_docstring() -> None:
    assert deviations(CORRUPTIONS["contrast"]) == "in its own table for small images."
    assert deviations(CORRUPTIONS["jpeg_compression"]) == ""
