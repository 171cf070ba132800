"""Any torch network as a frozen classifier: device, memory layout, one pass, pooled features."""

from __future__ import annotations

import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gatekeeper.classifiers.inputs import check_images, checked_class_names, checked_look
from gatekeeper.classifiers.preprocessing import Preprocessing
from gatekeeper.classifiers.weights import state_digest
from gatekeeper.errors import InputError
from gatekeeper.protocols import Look
from gatekeeper.types import FloatArray


def pooled(value: object) -> Tensor | None:
    """One float32 vector per image, shape (B, F): maps (B, F, H, W) are averaged over H and W.

    None where the layout is neither a map nor a vector (tokens, tuples): an average over an
    unknown axis would be a guess.
    """
    if not isinstance(value, Tensor) or value.ndim not in (2, 4):
        return None
    if value.ndim == 4:
        return value.mean(dim=(2, 3), dtype=torch.float32)
    # A copy, because a later in-place layer may overwrite what was seen.
    return value.to(torch.float32, copy=True)


class LayerTap:
    """Keeps the pooled input or output of one layer, for each thread its own.

    Args:
        layer: The layer to listen to.
        side: ``"input"`` (its first argument) or ``"output"``.
    """

    def __init__(self, layer: nn.Module, *, side: Literal["input", "output"]) -> None:
        self._kept = threading.local()

        def keep_input(_layer: nn.Module, arguments: tuple[Any, ...]) -> None:
            self._kept.value = pooled(arguments[0] if arguments else None)

        def keep_output(_layer: nn.Module, _arguments: tuple[Any, ...], output: object) -> None:
            self._kept.value = pooled(output)

        if side == "input":
            layer.register_forward_pre_hook(keep_input)
        else:
            layer.register_forward_hook(keep_output)

    def take(self) -> Tensor | None:
        """What this thread's last pass left, once; None if the layer did not run."""
        value: Tensor | None = getattr(self._kept, "value", None)
        self._kept.value = None
        return value


class TorchClassifier(ABC):
    """What classifiers made of a torch network share; subclasses write :meth:`_forward`.

    The network is taken over and frozen: evaluation mode, no gradients, channels-last memory
    (two to four times faster for convolutions, on the CPU too). A row's numbers depend on its own
    image only. On CUDA, torch's own precision setting for float32 (TF32 for convolutions) is left
    as the application has it, so fit and serve on the same kind of device.

    Args:
        network: The network with its weights, on the CPU.
        class_names: Length K; position = label.
        preprocessing: Resizing and normalisation of this network.
        model_id: Name under which the classifier is known.
        identity: JSON-ready facts beside weights and preprocessing that determine the output.
        device: Such as ``"cpu"`` or ``"cuda:1"``; None takes CUDA where there is any.
        bf16: Compute in bfloat16 where that is safe: faster, but answers near a tie may differ.

    Raises:
        InputError: an argument is refused, or the network cannot look at one grey image.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        class_names: Sequence[str],
        preprocessing: Preprocessing,
        model_id: str,
        identity: Mapping[str, Any],
        device: torch.device | str | None,
        bf16: bool,
    ) -> None:
        self._class_names = checked_class_names(class_names)
        self._preprocessing = preprocessing
        self._model_id = model_id
        self._bf16 = bf16
        self._device = chosen_device(device)
        self._digest = _digest(network, {**identity, "bf16": bf16}, preprocessing)
        network.eval().requires_grad_(False)
        # The overload for memory formats is missing from the method's published types.
        self._network: nn.Module = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._look_once()

    @property
    def model_id(self) -> str:
        """Name under which the classifier is known."""
        return self._model_id

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        return self._class_names

    @property
    def digest(self) -> str:
        """The sha256 over identity, preprocessing and weights; not over the device."""
        return self._digest

    @property
    def preprocessing(self) -> Preprocessing:
        """The resizing and normalisation in force."""
        return self._preprocessing

    def look(self, images: Tensor) -> Look:
        """Logits and features in one pass.

        Args:
            images: Float32, shape (B, 3, H, W), in [0, 1], on any device; left untouched.

        Returns:
            Logits (B, K) and features (B, F) or None, float32.

        Raises:
            InputError: the images are not that, or the network's output is not finite.
        """
        check_images(images)
        with torch.inference_mode():
            moved = images.to(self._device).contiguous(memory_format=torch.channels_last)
            inputs = self._preprocessing.apply(moved)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
                logits, features = self._forward(inputs)
        return checked_look(
            _to_numpy(logits),
            None if features is None else _to_numpy(features),
            kind="logits",
            n_images=len(images),
            n_classes=len(self._class_names),
        )

    def logits_with_gradient(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images on the classifier's device, differentiable in the images.

        This is what a recognition-aware restorer is trained against; the weights stay frozen.
        """
        return self._forward(self._preprocessing.apply(images))[0]

    def features_with_gradient(self, images: Tensor) -> Tensor:
        """Features (B, F) of images on the classifier's device, differentiable in the images.

        Raises:
            InputError: this network has no features of its own.
        """
        features = self._forward(self._preprocessing.apply(images))[1]
        if features is None:
            raise InputError(
                f"expected a classifier with features, got {self._model_id}, which has none: name "
                "one from timm, or leave out what compares features"
            )
        return features

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self._device

    @abstractmethod
    def _forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Preprocessed (B, 3, *size) -> logits (B, K), features (B, F) or None; one pass."""

    def _look_once(self) -> None:
        """Fail here, with a sentence, rather than at the first request."""
        grey = torch.full((1, 3, *self._preprocessing.size), 0.5)
        try:
            self.look(grey)
        except InputError:
            raise
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"expected a network that takes images of {self._preprocessing.size} px, got "
                f"{type(error).__name__} ({error}): declare the size that it was made for"
            ) from error


@contextmanager
def own_randomness(seed: int = 0) -> Iterator[None]:
    """Draw initial weights from a fixed seed, and leave the caller's generator where it was.

    A network that is built twice is then the same network, with the same digest.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def chosen_device(device: torch.device | str | None) -> torch.device:
    """The device asked for; None takes CUDA where there is any, else the CPU.

    Raises:
        InputError: torch does not know the device, or CUDA is asked for and absent.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f'expected a device such as "cpu" or "cuda:0", got {device!r}') from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f'expected a CUDA device for {device!r}, got none here: use "cpu"')
    return chosen


def _digest(network: nn.Module, identity: Mapping[str, Any], preprocessing: Preprocessing) -> str:
    try:
        facts = json.dumps({**identity, "preprocessing": preprocessing.to_json()}, sort_keys=True)
    except TypeError as error:
        raise InputError(
            f"expected options that JSON can hold, got {dict(identity)!r}: use plain values"
        ) from error
    return hashlib.sha256(f"{facts}\n{state_digest(network.state_dict())}".encode()).hexdigest()


def _to_numpy(value: Tensor) -> FloatArray:
    if not isinstance(value, Tensor):
        raise InputError(
            f"expected a network that returns a tensor of logits, got {type(value).__name__}: "
            "wrap it so that it returns the logits alone"
        )
    array: FloatArray = value.to("cpu", torch.float32).contiguous().numpy()
    return np.asarray(array)
