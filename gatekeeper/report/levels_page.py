"""The study of a level space as one offline HTML file, and as the JSON beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatekeeper.errors import InputError
from gatekeeper.levels import LevelStudy, level_maps, profiles
from gatekeeper.report.html import MAX_BYTES, render_page
from gatekeeper.report.levels_charts import map_chart, profile_chart
from gatekeeper.report.levels_view import bands, verdict
from gatekeeper.report.numbers import whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelsContent:
    """What the page shows.

    Attributes:
        name: Of the classifier.
        study: The finished study.
        data: Which images every level was judged on, a phrase.
        lineage: What it was made from: classifier, digests, version, command.
        image_digests: Of the images that every level was counted on.
        rebalance: Rebalancer of the distortion-classifier that is shown beside the process.
    """

    name: str
    study: LevelStudy
    data: str
    lineage: dict[str, str]
    image_digests: tuple[str, ...] = ()
    rebalance: str = "smote"

    def to_json(self) -> dict[str, Any]:
        """Everything on the page, ready for JSON."""
        return {
            "name": self.name,
            "data": self.data,
            "lineage": self.lineage,
            **self.study.to_json(),
            "distortion_classifier": self.study.second_opinion(self.rebalance),
            "profiles": [each.to_json() for each in profiles(self.study)],
            "maps": [each.to_json() for each in level_maps(self.study)],
            "image_digests": list(self.image_digests),
        }


def budget_sentence(study: LevelStudy) -> str:
    """What the study cost."""
    total = len(study.points) * study.n_images
    kept = total - study.n_evaluated * study.n_images
    text = (
        f"{len(study.points)} levels × {whole(study.n_images)} images = {whole(total)} classifier "
        "evaluations"
    )
    return f"{text}, of which {whole(kept)} had been kept" if kept else text


def render_levels(content: LevelsContent) -> str:
    """The page as HTML; the same content gives the same text."""
    return render_page("levels.html.j2", _view(content))


def write_levels(folder: Path, content: LevelsContent) -> tuple[Path, Path]:
    """Write ``levels.html`` and ``levels.json``; returns both paths.

    Raises:
        InputError: the page would be 2 MB or more.
    """
    page = render_levels(content).encode("utf-8")
    if len(page) >= MAX_BYTES:
        raise InputError(
            f"a page must stay below {MAX_BYTES:,} bytes, got {len(page):,}: study fewer levels or "
            "fewer coordinates"
        )
    folder.mkdir(parents=True, exist_ok=True)
    html, record = folder / "levels.html", folder / "levels.json"
    html.write_bytes(page)
    text = json.dumps(content.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    record.write_text(text + "\n", encoding="utf-8")
    return html, record


def _view(content: LevelsContent) -> dict[str, Any]:
    study = content.study
    opinion = study.second_opinion(content.rebalance)
    return {
        "name": content.name,
        "data": content.data,
        "threshold": study.options.threshold,
        "safe": bool(study.ranges().alone),
        "verdict": verdict(study),
        "budget": budget_sentence(study),
        "mildest_accuracy": study.mildest_accuracy,
        "share_reliable": study.share_reliable,
        "n_reliable": int(study.reliable.sum()),
        "n_levels": len(study.points),
        "bands": bands(),
        "maps": [map_chart(each) for each in level_maps(study)],
        "profiles": [profile_chart(each, study.options.threshold) for each in profiles(study)],
        "coordinates": study.space.to_json(),
        "opinion": opinion,
        "lineage": {
            **content.lineage,
            "sampler": study.options.sampler,
            "seed": str(study.options.seed),
        },
    }
