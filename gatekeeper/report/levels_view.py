"""A study of levels as both pages show it: its verdict in words, its maps and profiles laid out."""

from __future__ import annotations

from typing import Any

from gatekeeper.levels import LevelStudy, level_maps, profiles, sentence
from gatekeeper.report.levels_charts import BANDS, map_chart, profile_chart
from gatekeeper.report.numbers import percent, short_percent


def bands() -> list[tuple[str, str]]:
    """Class and meaning of every shade of a map, most reliable first."""
    return [(name, meaning) for name, meaning, _ in reversed(BANDS)]


def verdict(study: LevelStudy) -> list[str]:
    """The safe ranges as sentences."""
    ranges = study.ranges()
    threshold = short_percent(study.options.threshold)
    mildest = study.space.text(study.space.named(study.space.mildest))
    if not ranges.alone:
        return [
            f"Nothing is safe: even at the mildest level ({mildest}) it is not certain that the "
            f"accuracy reaches {threshold}; measured there: {percent(study.mildest_accuracy)}."
        ]
    said = [f"Each alone, the others at their mildest: {sentence(ranges.alone, study.space)}."]
    if len(ranges.alone) > 1:
        said.append(f"Jointly, in every combination: {sentence(ranges.jointly, study.space)}.")
    return said


def study_view(study: LevelStudy) -> dict[str, Any]:
    """What the report of a gate shows of the study that its predictor reads."""
    maps = level_maps(study)
    return {
        "threshold": study.options.threshold,
        "n_levels": len(study.points),
        "verdict": verdict(study),
        "bands": bands(),
        "maps": [map_chart(each) for each in maps],
        # With one coordinate there is no pair to map: its profile is the map.
        "profiles": []
        if maps
        else [profile_chart(each, study.options.threshold) for each in profiles(study)],
    }
