"""The summary of a batch as one offline HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from gatekeeper.batch.rows import STAGE_FAILED
from gatekeeper.decision import Reason
from gatekeeper.report.numbers import UNIT_SPACE, percent, short_percent, whole

_STAGES = {
    "decode_ms": "Reading and decoding",
    "decide_ms": "First looks",
    "restore_ms": "Restorations and second looks",
}
_WIDTH, _HEIGHT = 720, 190
_LEFT, _TOP, _BOTTOM = 58, 12, 152


def render_batch(summary: Mapping[str, Any], lineage: Mapping[str, str]) -> str:
    """The page; the same content gives the same text.

    Args:
        summary: As :func:`gatekeeper.batch.run_batch` gives it.
        lineage: Further facts, such as the command.

    Returns:
        A complete page with inline CSS and SVG; all text in it is escaped.
    """
    environment = Environment(
        # The look is that of all pages of the house.
        loader=ChoiceLoader(
            [PackageLoader("gatekeeper.batch"), PackageLoader("gatekeeper.report")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("batch.html.j2").render(_view(summary, lineage))


def _view(summary: Mapping[str, Any], lineage: Mapping[str, str]) -> dict[str, Any]:
    decided = summary["n_decided"]
    return {
        "shard": summary["shard"],
        "good": bool(summary["certificate"]["certified"]) and not summary["below_certificate"],
        "heading": _heading(summary),
        "sentence": _sentence(summary),
        "verdict": _verdict(summary),
        "tiles": _tiles(summary),
        "reasons": _rows(
            {code: (f"{code} {Reason(code).text}", n) for code, n in summary["reasons"].items()},
            decided,
        ),
        "classes": _rows(_named(summary["accepted_classes"]), summary["n_accepted"]),
        "symptoms": _rows(_named(summary["symptoms"]), decided),
        "restorers": _rows(_named(summary["restorers"]), decided),
        "errors": _rows(_named(summary["errors"]), summary["n_images"]),
        "examples": summary["error_examples"],
        "stage_failed": STAGE_FAILED in summary["errors"],
        "bars": _bars(summary["reliability_histogram"]),
        "stages": [
            (name, _seconds(summary["stage_seconds"][key])) for key, name in _STAGES.items()
        ],
        "facts": _facts(summary, lineage),
    }


def _sentence(summary: Mapping[str, Any]) -> str:
    n, decided = summary["n_images"], summary["n_decided"]
    if not decided:
        return f"None of {whole(n)} images could be decided."
    text = (
        f"{whole(summary['n_accepted'])} of {whole(decided)} answers were accepted "
        f"({percent(summary['coverage'])}), {whole(summary['n_abstained'])} are for people."
    )
    errors = summary["n_errors"]
    return f"{text} {whole(errors)} of {whole(n)} files hold no answer." if errors else text


def _heading(summary: Mapping[str, Any]) -> str:
    if summary["below_certificate"]:
        return "✕ Images unlike those that were certified"
    if summary["certificate"]["certified"]:
        return "✓ Decided by a certified policy"
    return "✕ Decided by a policy without a certificate"


def _verdict(summary: Mapping[str, Any]) -> str:
    certificate = summary["certificate"]
    if not certificate["certified"]:
        return f"The policy of this bundle holds no certificate: {certificate['reason']}"
    promise = (
        f"On the conditions that it was certified for, accepted answers are wrong at most "
        f"{short_percent(certificate['target_risk'])} of the time, at "
        f"{short_percent(certificate['confidence_level'])} confidence."
    )
    if summary["below_certificate"]:
        return (
            f"{promise} These are expected to be right {percent(summary['expected_accuracy'])} of "
            "the time only, so the images are most likely unlike those: have people label some of "
            "the accepted answers before you rely on them."
        )
    return f"{promise} Whether these images are such, the certificate does not know."


def _tiles(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    expected = summary["expected_accuracy"]
    return [
        ("Accepted", _percent(summary["coverage"]), f"{whole(summary['n_accepted'])} answers"),
        (
            "Expected to be right",
            _percent(expected),
            "mean reliability of the accepted answers; no labels were seen",
        ),
        (
            "Restored",
            whole(summary["n_restored"]),
            f"{whole(summary['n_accepted_after_restoration'])} of them accepted afterwards",
        ),
        ("Abstained", whole(summary["n_abstained"]), "for people"),
        ("Without an answer", whole(summary["n_errors"]), percent(summary["failure_rate"])),
        (
            "Speed",
            f"{summary['images_per_second']:,.0f}{UNIT_SPACE}/s",
            f"{whole(summary['computed_now'])} images in {_seconds(summary['seconds'])}",
        ),
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else percent(share)


def _named(counts: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    return {name: (name, n) for name, n in counts.items()}


def _rows(counts: Mapping[str, tuple[str, int]], total: int) -> list[tuple[str, str, str]]:
    return [(name, whole(n), percent(n / total) if total else "–") for name, n in counts.values()]


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f}{UNIT_SPACE}s"
    return f"{seconds / 60:.1f}{UNIT_SPACE}min"


def _bars(histogram: Sequence[int]) -> dict[str, Any]:
    """The histogram of reliability, with everything where it is drawn."""
    most = max(*histogram, 1)
    step = (_WIDTH - _LEFT - 8) / len(histogram)
    scale = (_BOTTOM - _TOP) / most
    return {
        "view": f"0 0 {_WIDTH} {_HEIGHT}",
        "bottom": _BOTTOM,
        "left": _LEFT,
        "right": _WIDTH - 8,
        "bars": [
            {
                "x": round(_LEFT + index * step + 1, 2),
                "y": round(_BOTTOM - n * scale, 2),
                "width": round(step - 2, 2),
                "height": round(n * scale, 2),
                "title": f"{index / len(histogram):.2f} to {(index + 1) / len(histogram):.2f}: "
                f"{whole(n)}",
            }
            for index, n in enumerate(histogram)
        ],
        "ticks": [
            {"x": round(_LEFT + at * step * len(histogram), 2), "label": f"{at:.2g}"}
            for at in (0, 0.25, 0.5, 0.75, 1)
        ],
        "most": whole(most),
        "top": _TOP,
    }


def _facts(summary: Mapping[str, Any], lineage: Mapping[str, str]) -> list[tuple[str, str]]:
    versions = summary["versions"]
    facts = {
        **lineage,
        "bundle": versions["bundle"],
        "classifier": versions["classifier"],
        "gatekeeper": versions["gatekeeper"],
        "engine": summary["engine"],
        "shard": summary["shard"],
        "files left out, no pictures by their name": whole(summary["left_out"]),
        "digest of the list of images": summary["input"],
        "policies": ", ".join(summary["policies"]) or "–",
        "degraded": ", ".join(f"{k} ×{n}" for k, n in summary["degraded"].items()) or "–",
    }
    return list(facts.items())
