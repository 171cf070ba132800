"""Recipe → trained model: classifiers on clean images, restorers on seen corruptions."""

from __future__ import annotations

from gatekeeper.training.classifier import (
    ChannelStatistics,
    channel_statistics,
    classifier_steps,
    flipped_and_cropped,
    train_classifier,
)
from gatekeeper.training.record import (
    TrainedClassifier,
    classifier_of_record,
    write_classifier_record,
)
from gatekeeper.training.restorer import train_restorer
from gatekeeper.training.run import run_training

__all__ = [
    "ChannelStatistics",
    "TrainedClassifier",
    "channel_statistics",
    "classifier_of_record",
    "classifier_steps",
    "flipped_and_cropped",
    "run_training",
    "train_classifier",
    "train_restorer",
    "write_classifier_record",
]
