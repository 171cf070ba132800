"""Reliability predictors: they order answers by trust; a calibrator makes probabilities of it."""

from __future__ import annotations

from gatekeeper.reliability.learned import LearnedPredictor
from gatekeeper.reliability.scores import SINGLE_SCORES, SingleScore

__all__ = ["PREDICTORS", "SINGLE_SCORES", "LearnedPredictor", "SingleScore"]

PREDICTORS = {"learned": LearnedPredictor, **{name: name for name in SINGLE_SCORES}}
"""Names that a recipe may give, and what they stand for."""
