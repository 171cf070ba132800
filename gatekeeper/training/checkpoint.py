"""The state of a restorer's training on disk."""

from __future__ import annotations

from pathlib import Path

import torch

from gatekeeper.classifiers import load_safetensors, save_safetensors
from gatekeeper.errors import InputError
from gatekeeper.protocols import RestorerTraining

_TRAINING = "training."


class Checkpoint:
    """The state of a training on disk.

    Args:
        path: A ``.safetensors`` file.
        identity: sha256 of all that determines the training, 32 bytes.
    """

    def __init__(self, path: Path, identity: bytes) -> None:
        self._path, self._identity = path, identity
        self._kept: int | None = None

    def said(self) -> str:
        """What is kept, for people."""
        if self._kept is None:
            return "nothing was kept yet"
        return f"the state after step {self._kept} is kept in {self._path}"

    def forget(self) -> int:
        """Start anew; the number of steps done, which is none."""
        self._path.unlink(missing_ok=True)
        return 0

    def save(self, training: RestorerTraining, steps_done: int) -> None:
        """Keep everything that the next step starts from."""
        state = {f"{_TRAINING}{name}": tensor for name, tensor in training.state().items()}
        state["identity"] = torch.frombuffer(bytearray(self._identity), dtype=torch.uint8)
        state["steps_done"] = torch.tensor(steps_done)
        save_safetensors(state, self._path)
        self._kept = steps_done

    def load(self, training: RestorerTraining) -> int:
        """Take over a kept state, where there is one; the number of steps done.

        Raises:
            InputError: the state is of another training.
        """
        if not self._path.is_file():
            return 0
        state = load_safetensors(self._path)
        if "identity" not in state or bytes(state["identity"].tolist()) != self._identity:
            raise InputError(
                f"expected in {self._path} the checkpoint of this very training, got that of one "
                "with other images, seed, method or schedule: remove it, or name another folder"
            )
        training.load_state(
            {n.removeprefix(_TRAINING): t for n, t in state.items() if n.startswith(_TRAINING)}
        )
        self._kept = int(state["steps_done"])
        return self._kept
