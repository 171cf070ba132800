"""Captured traffic → a challenger, judged beside the champion on images that neither has used."""

from __future__ import annotations

from gatekeeper.adaptation.captured import Captured, read_captured
from gatekeeper.adaptation.checking import (
    CapturedCertificate,
    Recheck,
    certify_on_draws,
    recheck,
)
from gatekeeper.adaptation.comparing import Contest, Paired, Side, contest, paired
from gatekeeper.adaptation.page import render_adaptation
from gatekeeper.adaptation.promotion import Condition, judge_promotion
from gatekeeper.adaptation.recipe import (
    AdaptationRecipe,
    PromotionRule,
    load_adaptation_recipe,
)
from gatekeeper.adaptation.run import Adapted, Champion, adapt, open_champion
from gatekeeper.adaptation.writing import WrittenAdaptation, write_adaptation

__all__ = [
    "AdaptationRecipe",
    "Adapted",
    "Captured",
    "CapturedCertificate",
    "Champion",
    "Condition",
    "Contest",
    "Paired",
    "PromotionRule",
    "Recheck",
    "Side",
    "WrittenAdaptation",
    "adapt",
    "certify_on_draws",
    "contest",
    "judge_promotion",
    "load_adaptation_recipe",
    "open_champion",
    "paired",
    "read_captured",
    "recheck",
    "render_adaptation",
    "write_adaptation",
]
