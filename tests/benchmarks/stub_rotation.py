"""A rotation whose scores and reliabilities are made up, so that figures can be checked by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from benchmarks.calibrations import CALIBRATIONS
from benchmarks.grid import Grid
from benchmarks.held_out import Rotation
from benchmarks.study import in_group
from gatekeeper.evidence import Plan

CORRUPTIONS = {"noise": ("gaussian_noise", "shot_noise"), "digital": ("pixelate",)}
N_IMAGES = 60


class StubRotation(Rotation):
    """60 images, clean and under three corruptions at severities 1 and 5.

    Args:
        classifier: Its name, which also seeds what is made up.
        skill: How much better than the single scores ours knows what is right.
    """

    def __init__(self, classifier: str, *, skill: float = 1.0) -> None:
        conditions = [("", 0)] + [
            (name, severity)
            for names in CORRUPTIONS.values()
            for name in names
            for severity in (1, 5)
        ]
        kinds = np.repeat([name for name, _ in conditions], N_IMAGES)
        plan = Plan(
            split="test",
            positions=np.tile(np.arange(N_IMAGES) + 5, len(conditions)),
            corruptions=kinds,
            severities=np.repeat([severity for _, severity in conditions], N_IMAGES),
            seeds=np.arange(len(kinds)),
        )
        rng = np.random.default_rng(len(classifier))
        self.classifier = classifier
        self.study = SimpleNamespace(corruptions=CORRUPTIONS)
        self.__dict__["grid"] = Grid.of(plan)
        self.kinds = kinds
        self.chance = rng.uniform(0.3, 0.95, size=len(kinds))
        self.correct = rng.random(len(kinds)) < self.chance
        self.skill = skill

    def _made_up(self, name: str, skill: float) -> np.ndarray:
        noise = np.random.default_rng(sum(name.encode())).normal(size=len(self.kinds))
        return skill * self.chance + 0.3 * noise

    def answers(self) -> dict[str, np.ndarray]:
        logits = np.zeros((len(self.kinds), 3), dtype=np.float32)
        logits[:, 1] = self._made_up("max_softmax", 1.0)
        return {"logits": logits, "labels": np.ones(len(logits), int), "correct": self.correct}

    def single(self, name: str) -> np.ndarray:
        return self._made_up(name, 1.0)

    def adapted(self, name: str, group: str) -> np.ndarray:
        return self._made_up(name + group, 0.9)[self.grid.judged(group)]

    def peer(self, name: str, group: str) -> np.ndarray:
        return self._made_up(name + group, 1.0)

    def ours(self, group: str, seed: int) -> dict[str, np.ndarray]:
        skill = 1.0 + self.skill * (0.5 if seed else 1.0)
        return {"test": self._made_up(f"ours {group} {seed}", skill)}

    def alone(self, group: str) -> np.ndarray:
        return self._made_up(f"alone {group}", 1.2)

    def reliabilities(self, group: str, seed: int) -> dict[str, np.ndarray]:
        rows = np.flatnonzero((self.kinds == "") | in_group(self.kinds, group))
        off = {name: 0.02 * (1 + place + seed) for place, name in enumerate(CALIBRATIONS)}
        return {name: np.clip(self.chance[rows] + off[name], 0.0, 1.0) for name in CALIBRATIONS}
