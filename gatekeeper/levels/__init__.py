"""Reliability over distortion levels: where in a space of distortions a classifier can be trusted.

A *level* is a point in a space of continuous coordinates (:mod:`~gatekeeper.levels.space`). The
classifier's accuracy a(c) at level c is counted on a fixed set of images with fixed noise
(:mod:`~gatekeeper.levels.accuracy`); the level is *reliable* where a(c) ≥ h. A Gaussian process on
a(c) says which level to try next and which levels are reliable; a distortion-classifier learned
from rebalanced levels is the published alternative.

All of it speaks about levels, not about single images; :mod:`~gatekeeper.levels.reading` makes
inputs of the per-image predictor from it.

Source:
    "Predicting the reliability of an image classifier under image distortion" (arXiv:2412.16881)
    for the setting; its method is not public, so search, rebalancing and rule are our own reading.
"""

from __future__ import annotations

from gatekeeper.levels.accuracy import AccuracyOracle, FixedSet, counts_at, fixed_set
from gatekeeper.levels.accuracy_process import AccuracyProcess, is_reliable, least_correct
from gatekeeper.levels.acquisition import MODEL_BASED, SAMPLERS, SearchState, sampler
from gatekeeper.levels.classifier import DistortionClassifier, LevelRule, LevelSetRule
from gatekeeper.levels.distortion import distort
from gatekeeper.levels.estimate import LevelEstimator
from gatekeeper.levels.gaussian_process import GaussianProcess, Hyperparameters, Posterior
from gatekeeper.levels.map import LevelMap, Profile, level_maps, profiles
from gatekeeper.levels.ranges import SafeRange, SafeRanges, safe_ranges, sentence
from gatekeeper.levels.reading import FAMILIES_OF, LevelReader, families_of
from gatekeeper.levels.rebalancing import REBALANCERS, LabelledLevels, rebalancer
from gatekeeper.levels.search import SearchOptions, Tried, fitted_process, search
from gatekeeper.levels.space import (
    COORDINATES,
    Axis,
    Coordinate,
    LevelSpace,
    grid_points,
    parse_space,
    sobol_points,
)
from gatekeeper.levels.study import LevelStudy, run_study

__all__ = [
    "COORDINATES",
    "FAMILIES_OF",
    "MODEL_BASED",
    "REBALANCERS",
    "SAMPLERS",
    "AccuracyOracle",
    "AccuracyProcess",
    "Axis",
    "Coordinate",
    "DistortionClassifier",
    "FixedSet",
    "GaussianProcess",
    "Hyperparameters",
    "LabelledLevels",
    "LevelEstimator",
    "LevelMap",
    "LevelReader",
    "LevelRule",
    "LevelSetRule",
    "LevelSpace",
    "LevelStudy",
    "Posterior",
    "Profile",
    "SafeRange",
    "SafeRanges",
    "SearchOptions",
    "SearchState",
    "Tried",
    "counts_at",
    "distort",
    "families_of",
    "fitted_process",
    "fixed_set",
    "grid_points",
    "is_reliable",
    "least_correct",
    "level_maps",
    "parse_space",
    "profiles",
    "rebalancer",
    "run_study",
    "safe_ranges",
    "sampler",
    "search",
    "sentence",
    "sobol_points",
]
