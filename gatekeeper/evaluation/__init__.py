"""A fitted gate on judged traffic; any classifier or gate under corruptions and severities."""

from __future__ import annotations

from gatekeeper.evaluation.answers import Answers, GateAnswers, Subject, gather
from gatekeeper.evaluation.certificates import Recount, not_recomputed, recount_certificate
from gatekeeper.evaluation.comparison import Comparison, compare
from gatekeeper.evaluation.files import (
    ANSWERS_FILE,
    FIGURES_FILE,
    RECORD_FILE,
    RunFacts,
    certificate_check,
    record,
    verdict_of,
    write_results,
)
from gatekeeper.evaluation.grid import (
    PUBLISHED,
    Grid,
    JudgedImages,
    Mix,
    declared_mix,
    held_out_of,
    images_to_judge,
    own_splits,
)
from gatekeeper.evaluation.measures import measure
from gatekeeper.evaluation.reference import Reference
from gatekeeper.evaluation.requirements import (
    Judgement,
    Requirements,
    judge_requirements,
    load_requirements,
)
from gatekeeper.evaluation.robustness import (
    Evaluation,
    Measured,
    Settings,
    evaluate,
    images_digest,
)
from gatekeeper.evaluation.scopes import MAIN_SCOPES
from gatekeeper.evaluation.streams import (
    Example,
    Streams,
    clean_harm,
    conditions_flags,
    coverage_at_risk,
    curves,
    decided,
    diagrams,
    examples,
    family_of,
    final_correct,
    final_reliability,
    judge_streams,
    policy_curve,
    replay,
    summarise,
    telling_rows,
)
from gatekeeper.evaluation.views import View, main_view, views_of

__all__ = [
    "ANSWERS_FILE",
    "FIGURES_FILE",
    "MAIN_SCOPES",
    "PUBLISHED",
    "RECORD_FILE",
    "Answers",
    "Comparison",
    "Evaluation",
    "Example",
    "GateAnswers",
    "Grid",
    "JudgedImages",
    "Judgement",
    "Measured",
    "Mix",
    "Recount",
    "Reference",
    "Requirements",
    "RunFacts",
    "Settings",
    "Streams",
    "Subject",
    "View",
    "certificate_check",
    "clean_harm",
    "compare",
    "conditions_flags",
    "coverage_at_risk",
    "curves",
    "decided",
    "declared_mix",
    "diagrams",
    "evaluate",
    "examples",
    "family_of",
    "final_correct",
    "final_reliability",
    "gather",
    "held_out_of",
    "images_digest",
    "images_to_judge",
    "judge_requirements",
    "judge_streams",
    "load_requirements",
    "main_view",
    "measure",
    "not_recomputed",
    "own_splits",
    "policy_curve",
    "record",
    "recount_certificate",
    "replay",
    "summarise",
    "telling_rows",
    "verdict_of",
    "views_of",
    "write_results",
]
