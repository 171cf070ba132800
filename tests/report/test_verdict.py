from __future__ import annotations

from collections.abc import Callable

from scipy import stats

from gatekeeper.report import ReportContent
from gatekeeper.report.numbers import percent_range
from gatekeeper.report.verdict import not_covered, sentence, tiles

Maker = Callable[..., ReportContent]


def test_certified_sentence(make_content: Maker) -> None:
    assert sentence(make_content()).replace("\u00a0", " ") == (
        "Accepted answers are wrong at most 5 % of the time, at a confidence level of 95 %, for "
        "the declared traffic."
    )


def test_uncertified_sentence_gives_the_reason(make_content: Maker) -> None:
    good = make_content()
    content = make_content(
        summary={**good.summary, "certified": False},
        certificate={**good.certificate, "certified": False, "reason": "too few images."},
    )
    assert sentence(content).replace("\u00a0", " ") == (
        "It could not be shown, at a confidence level of 95 %, that accepted answers are wrong "
        "at most 5 % of the time: too few images."
    )


def test_not_covered_names_held_out_families_and_flags(make_content: Maker) -> None:
    lines = [line.replace("\u00a0", " ") for line in not_covered(make_content())]
    assert lines[0] == (
        "Images from outside the declared conditions. In the open stream, which adds held-out "
        "families (circular shift), 7.3 % of the accepted answers were wrong."
    )
    assert "“open” was flagged" in lines[1]
    assert lines[1].endswith("signals left their declared range.")


def test_what_is_not_flagged_is_not_listed(make_content: Maker) -> None:
    good = make_content()
    flags = {"open": {"flagged": False, "reason": "nothing seen"}}
    calm = not_covered(make_content(summary={**good.summary, "flags": flags}))
    assert len(calm) == len(not_covered(good)) - 1
    assert not any("flagged" in line for line in calm)


def test_tiles(make_content: Maker) -> None:
    content = make_content()
    shown = {tile.name: tile for tile in tiles(content)}
    texts = {name: str(tile.cell.text).replace("\u00a0", " ") for name, tile in shown.items()}
    assert texts == {
        "Accepted": "71.2 %",
        "Wrong among accepted": "4.2 %",
        "Accuracy with no gate": "74.1 %",
        "Restored": "24.4 %",
        "Clean harm": "0.022 %",
        "Certified bound": "4.9 %",
    }
    exact = stats.binomtest(2, 8_900).proportion_ci(0.95, method="exact")
    assert "2 of 8,900" in shown["Clean harm"].meaning
    assert percent_range(exact.low, exact.high) in shown["Clean harm"].meaning


def test_without_a_certificate_there_is_no_certified_bound(make_content: Maker) -> None:
    good = make_content()
    content = make_content(
        summary={**good.summary, "certified": False},
        certificate={**good.certificate, "certified": False, "reason": "too few images"},
    )
    shown = {tile.name: tile.cell.text for tile in tiles(content)}
    assert good.certificate["upper_bound"] == 0.0489
    assert shown["Certified bound"] is None
    assert shown["Accepted"] is not None
