"""Recipe → trained model: classifiers on clean images, restorers on degraded ones."""

from __future__ import annotations

from gatekeeper.training.classifier import (
    ChannelStatistics,
    channel_statistics,
    classifier_steps,
    flipped_and_cropped,
    train_classifier,
)
from gatekeeper.training.methods import METHODS
from gatekeeper.training.record import (
    TrainedClassifier,
    classifier_of_record,
    write_classifier_record,
)
from gatekeeper.training.restorer import restorers_of, train_restorer
from gatekeeper.training.restorer_record import (
    TrainedRestorer,
    restorer_of_record,
    write_restorer_record,
)
from gatekeeper.training.restorer_run import run_restorer_training
from gatekeeper.training.run import run_training
from gatekeeper.training.second_opinion import second_opinion_steps, train_second_opinion

__all__ = [
    "METHODS",
    "ChannelStatistics",
    "TrainedClassifier",
    "TrainedRestorer",
    "channel_statistics",
    "classifier_of_record",
    "classifier_steps",
    "flipped_and_cropped",
    "restorer_of_record",
    "restorers_of",
    "run_restorer_training",
    "run_training",
    "second_opinion_steps",
    "train_classifier",
    "train_restorer",
    "train_second_opinion",
    "write_classifier_record",
    "write_restorer_record",
]
