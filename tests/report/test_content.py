from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.report import CurvePoints, GalleryItem, ReportContent


@pytest.mark.parametrize(
    ("coverage", "risk", "message"),
    [
        ([], [], "at least one"),
        ([0.5, 1], [0.1], "shapes"),
        ([0.5, 0.5], [0.1, 0.1], "must rise"),
        ([0.5, 1.1], [0.1, 0.1], "coverage of a curve"),
        ([0.5, 1], [0.1, np.nan], "selective_risk of a curve"),
    ],
)
def test_a_curve_that_cannot_be_drawn(coverage: list, risk: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CurvePoints(coverage=np.array(coverage), selective_risk=np.array(risk))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"original": np.zeros((4, 4, 3))}, "uint8"),
        ({"original": np.zeros((4, 4), dtype=np.uint8)}, "uint8"),
        ({"restored": np.zeros((4, 4, 3), dtype=np.uint8)}, "shape of the original"),
        ({"corruption": None}, "come together"),
        ({"decision": {"action": "accept"}}, "reason_text"),
    ],
)
def test_an_item_that_cannot_be_shown(
    make_item: Callable[..., GalleryItem], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_item(**changed)


def without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def test_content_with_holes_is_refused(
    make_content: Callable[..., ReportContent], make_block: Callable[..., dict[str, Any]]
) -> None:
    good = make_content()
    with pytest.raises(InputError, match="clean_harm_rate"):
        make_content(summary=without(dict(good.summary), "clean_harm_rate"))
    with pytest.raises(InputError, match=r"'aurc'.* of declared"):
        make_content(summary={**good.summary, "declared": without(make_block(), "aurc")})
    block = make_block(coverage_at_risk={"msp": 0.1, "raw": 0.2})
    with pytest.raises(InputError, match=r"'policy'.* of open\.coverage_at_risk"):
        make_content(summary={**good.summary, "open": block})
    with pytest.raises(InputError, match="reason"):
        make_content(certificate=without(dict(good.certificate), "reason"))
    with pytest.raises(InputError, match="held-out families"):
        make_content(held_out=["fog"])
    with pytest.raises(InputError, match="must be named as in"):
        make_content(curves={"declared": {"magic": good.curves["declared"]["raw"]}})


def test_contradictions_are_refused(make_content: Callable[..., ReportContent]) -> None:
    good = make_content()
    with pytest.raises(InputError, match="agree on certified"):
        make_content(summary={**good.summary, "certified": False})
    with pytest.raises(InputError, match="agree on target_risk"):
        make_content(certificate={**good.certificate, "target_risk": 0.1})
    with pytest.raises(InputError, match="give its reason"):
        make_content(
            summary={**good.summary, "certified": False},
            certificate={**good.certificate, "certified": False},
        )


def test_nan_is_refused_and_its_place_named(
    make_content: Callable[..., ReportContent], make_block: Callable[..., dict[str, Any]]
) -> None:
    good = make_content()
    block = make_block(ece={"msp": float("nan"), "reliability": 0.1})
    with pytest.raises(InputError, match=r"summary\.families\.gaussian\.ece\.msp is nan"):
        make_content(summary={**good.summary, "families": {"gaussian": block}}, held_out=[])


def test_absent_streams_are_left_out(make_content: Callable[..., ReportContent]) -> None:
    good = make_content()
    content = make_content(summary={**without(dict(good.summary), "open"), "seen_families": None})
    assert list(content.streams) == ["clean", "declared", "held_out_families"]
