"""Weights as plain tensors on disk: safetensors in and out, one digest, one explicit import."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gatekeeper.errors import DataError, InputError

SUFFIX = ".safetensors"
_NESTS = ("state_dict", "model")
_SHOWN = 5


def load_safetensors(path: Path | str) -> dict[str, Tensor]:
    """Read tensors by name, on the CPU.

    Args:
        path: A ``.safetensors`` file.

    Returns:
        Name -> tensor.

    Raises:
        InputError: the file has another ending; other formats can execute code when read.
        DataError: the file is missing or damaged.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(
            f"expected weights as a {SUFFIX} file, got {path.name}: convert it once with "
            f"`gatekeeper data import-weights {path.name} {path.stem}{SUFFIX}`"
        )
    if not path.is_file():
        raise DataError(f"expected weights in {path}, got no such file: check the path")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(
            f"expected a {SUFFIX} file in {path}, got a damaged one ({error}): fetch it again"
        ) from error


def save_safetensors(state: Mapping[str, Tensor], path: Path | str) -> None:
    """Write tensors by name; the same tensors always give the same bytes.

    Args:
        state: Name -> tensor, for example ``module.state_dict()``; tensors may share memory and
            lie on any device.
        path: Target, ends in ``.safetensors``; replaced as a whole, never half-written.

    Raises:
        InputError: the target has another ending.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"expected a target that ends in {SUFFIX}, got {path.name}: rename it")
    # Clones, because the format refuses tensors that share memory (tied weights).
    plain = {name: _plain(state[name]).clone() for name in sorted(state)}
    unfinished = path.with_name(f"{path.name}.part")
    # Bytes, because safetensors' own writer makes files that only their owner can read.
    unfinished.write_bytes(save(plain))
    unfinished.replace(path)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """The sha256 over names, types, shapes and bytes, in the order of names; 64 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = _plain(state[name])
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_into(module: nn.Module, path: Path | str) -> None:
    """Load weights that fit a module exactly, name by name and shape by shape.

    Raises:
        InputError: names or shapes differ; the message lists them.
        DataError: the file is missing or damaged.
    """
    state = load_safetensors(path)
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    misshapen = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in sorted(own.keys() & state.keys())
        if state[name].shape != own[name].shape
    ]
    found = (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
    differences = "; ".join(f"{what}: {_listed(names)}" for what, names in found if names)
    if differences:
        raise InputError(
            f"expected weights that fit the network, got {Path(path).name} with {differences}: "
            "check the architecture and that there is one class name per output"
        )
    module.load_state_dict(state)


def import_weights(source: Path | str, target: Path | str) -> str:
    """Convert a foreign ``.pth`` to safetensors, reading nothing but plain tensors.

    A ``.pth`` file is a pickle, which can run code; it is read by torch's restricted unpickler
    (``weights_only=True``), and only here, never on a load path. A state dict nested under
    ``"state_dict"`` or ``"model"`` is found and what lies beside it (optimiser, epoch) is left
    out; a ``"module."`` that precedes every name (parallel training) is dropped.

    Args:
        source: The foreign file.
        target: A new ``.safetensors`` file.

    Returns:
        :func:`state_digest` of what was written.

    Raises:
        InputError: the file holds anything but plain tensors, no state dict is found, or the
            target exists or has another ending.
        DataError: the source is missing.
    """
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise DataError(f"expected weights in {source}, got no such file: check the path")
    if target.exists():
        raise InputError(f"expected a new file as target, got {target}, which exists: remove it")
    state = _without_prefix(_state_dict(_read_tensors_only(source), source.name))
    save_safetensors(state, target)
    return state_digest(state)


def _read_tensors_only(source: Path) -> object:
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes can end in any exception
        # Torch's own message advises reading the file without protection: not passed on.
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = found.group(1) if found else type(error).__name__
        raise InputError(
            f"expected a file of plain tensors, got {source.name} with something else ({what}): "
            "nothing of it was executed; ask for safetensors or save only `module.state_dict()`"
        ) from error


def _state_dict(loaded: object, file_name: str) -> dict[str, Tensor]:
    while isinstance(loaded, Mapping):
        nests = [key for key in _NESTS if isinstance(loaded.get(key), Mapping)]
        if not nests:
            break
        if len(nests) > 1:
            raise InputError(
                f"expected one state dict in {file_name}, got {' and '.join(nests)}: "
                "save the one you mean on its own"
            )
        loaded = loaded[nests[0]]
    if not isinstance(loaded, Mapping) or not loaded:
        raise InputError(
            f"expected a state dict (name -> tensor) in {file_name}, got "
            f"{'an empty one' if loaded == {} else type(loaded).__name__}: "
            "save `module.state_dict()`"
        )
    foreign = [str(key) for key, value in loaded.items() if not _is_weight(key, value)]
    if foreign:
        raise InputError(
            f"expected only named dense tensors in {file_name}, got also {_listed(foreign)}: "
            "save `module.state_dict()`"
        )
    return dict(loaded)


def _is_weight(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided


def _without_prefix(state: dict[str, Tensor], prefix: str = "module.") -> dict[str, Tensor]:
    if not all(name.startswith(prefix) for name in state):
        return state
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
