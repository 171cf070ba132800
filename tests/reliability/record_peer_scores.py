"""Records what pytorch-ood makes of the same logits, in ``peer_scores.json``.

It is too heavy to be a test dependency, so its values are stored. To record them again, install
``pytorch-ood==0.4.0`` into an environment of its own and run

    python -m tests.reliability.record_peer_scores
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("peer_scores.json")


def main() -> None:
    """Ask the peer and write the file."""
    import torch
    from pytorch_ood.detector import GEN, EnergyBased, Entropy, MaxLogit, MaxSoftmax

    logits = np.round(np.random.default_rng(7).normal(0.0, 2.0, (8, 12)), 4)
    columns = torch.from_numpy(logits)
    # Higher is more outlying there; its GEN is the mean over the classes.
    outlier = {
        "energy": EnergyBased.score(columns),
        "entropy": Entropy.score(columns),
        "gen": 12 * GEN.score(columns),
        "max_logit": MaxLogit.score(columns),
        "max_softmax": MaxSoftmax.score(columns),
    }
    record = {
        "command": "python -m tests.reliability.record_peer_scores",
        "versions": {name: version(name) for name in ("pytorch-ood", "torch")},
        "logits": logits.tolist(),
        "scores": {name: (-values.double().numpy()).tolist() for name, values in outlier.items()},
    }
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
