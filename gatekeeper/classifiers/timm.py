"""Classifiers of the timm library, from local weights; the only module that imports timm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from gatekeeper.classifiers.inputs import checked_class_names
from gatekeeper.classifiers.network import LayerTap, TorchClassifier, own_randomness, pooled
from gatekeeper.classifiers.preprocessing import Preprocessing
from gatekeeper.classifiers.weights import load_into
from gatekeeper.errors import InputError

SMALL_RESNET = "gatekeeper_small_resnet"

_MAX_STAGES = 6
_DECLARABLE = ("size", "mean", "std", "interpolation", "crop_pct", "crop_mode")
# Options that would download, unpickle, or contradict an argument of this class.
_REFUSED = {
    "cache_dir",
    "checkpoint_path",
    "features_only",
    "in_chans",
    "num_classes",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
}


class TimmClassifier(TorchClassifier):
    """A timm network with local weights and its own preprocessing; never downloads.

    Features are the means over all positions of each stage's output, from the first stage to the
    last, followed by the penultimate features (what enters the last linear layer) where the
    network has one such layer. They come out of the pass that gives the logits. Early stages are
    in because their statistics show a corruption that late ones have learned to ignore, which
    helps to predict failure. Of networks with more than six stages (transformers) six are taken,
    evenly spaced, first and last included; where the penultimate features are as wide as the last
    stage they stand in for it, being mostly the same numbers. So F is the sum of these widths.

    Args:
        name: A timm architecture, or ``"gatekeeper_small_resnet"`` (:func:`small_resnet`).
        checkpoint: Weights as ``.safetensors``; None keeps seeded initial weights, for tests and
            timing, and the default ``model_id`` says so.
        class_names: Length K; position = label.
        model_id: Name under which the classifier is known; the architecture's by default.
        kwargs: Options of the architecture. ``size``, ``mean``, ``std``, ``interpolation``,
            ``crop_pct`` and ``crop_mode`` among them override the architecture's own
            preprocessing; the small ResNet has none, so it needs the first three.
        device: Such as ``"cpu"`` or ``"cuda:1"``; None takes CUDA where there is any.
        bf16: Compute in bfloat16 where that is safe: faster, but answers near a tie may differ.

    Raises:
        InputError: the architecture or an option is unknown, the checkpoint is not safetensors
            or does not fit (names, shapes, number of classes), or the preprocessing is incomplete.
        DataError: the checkpoint is missing or damaged.
    """

    def __init__(
        self,
        name: str,
        *,
        checkpoint: Path | str | None,
        class_names: Sequence[str],
        model_id: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        device: torch.device | str | None = None,
        bf16: bool = False,
    ) -> None:
        options = dict(kwargs or {})
        declared = {key: options.pop(key) for key in _DECLARABLE if key in options}
        network = untrained_network(name, len(checked_class_names(class_names)), options)
        if checkpoint is not None:
            load_into(network, checkpoint)
        self._stages = _stages(network)
        last = _last_layer(network)
        self._penultimate = LayerTap(last, side="input") if isinstance(last, nn.Module) else None
        super().__init__(
            network,
            class_names=class_names,
            preprocessing=_preprocessing(name, network, declared),
            model_id=model_id or (name if checkpoint is not None else f"{name}-untrained"),
            identity={"architecture": name, "kwargs": options},
            device=device,
            bf16=bf16,
        )

    def _forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        network: Any = self._network
        stages: list[Tensor | None] = []
        if self._stages:
            final, maps = network.forward_intermediates(
                inputs, indices=self._stages, output_fmt="NCHW"
            )
            logits = network.forward_head(final)
            stages = [pooled(stage) for stage in maps]
        else:
            logits = network(inputs)
        penultimate = self._penultimate.take() if self._penultimate else None
        return logits, _joined([part for part in stages if part is not None], penultimate)


def small_resnet(
    num_classes: int,
    *,
    widths: Sequence[int] = (16, 32, 64, 64),
    layers: Sequence[int] = (1, 1, 1, 1),
) -> ResNet:
    """A narrow ResNet for small images, untrained: the demo's classifier.

    Stock stems halve the image twice before the first block, which leaves nothing of 28 px; this
    one is a 3×3 convolution of stride 1 without pooling.

    Args:
        num_classes: Number of classes K, at least 2.
        widths: Channels of the four stages; the first is also the stem's and must be even.
        layers: Basic blocks of the four stages, each at least 1.

    Returns:
        A network for (B, 3, H, W) with H and W from about 16 px.

    Raises:
        InputError: not four stages, or a number is out of range.
    """
    widths, layers = tuple(widths), tuple(layers)
    if len(widths) != 4 or len(layers) != 4 or min(*widths, *layers, num_classes - 1) < 1:
        raise InputError(
            f"expected four positive widths, four positive layers and at least two classes, got "
            f"widths={widths} layers={layers} num_classes={num_classes}"
        )
    if widths[0] % 2:
        raise InputError(f"expected an even first width, got {widths[0]}: the stem is its half")
    # The deep stem is the only one whose width is free (twice stem_width); its layers go.
    network = ResNet(
        BasicBlock,  # type: ignore[arg-type]  # timm asks for an instance and needs the class
        layers,
        num_classes=num_classes,
        channels=widths,
        stem_type="deep",
        stem_width=widths[0] // 2,
    )
    stem = nn.Conv2d(3, widths[0], 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    network.conv1 = stem  # type: ignore[assignment]  # declared as the deep stem
    network.maxpool = nn.Identity()  # type: ignore[assignment]  # declared as a pool
    return network


def untrained_network(
    name: str, n_classes: int, options: Mapping[str, Any], *, seed: int = 0
) -> nn.Module:
    """A timm network with seeded initial weights; nothing is downloaded.

    Args:
        name: A timm architecture, or ``"gatekeeper_small_resnet"`` (:func:`small_resnet`).
        n_classes: Number of classes K.
        options: Options of the architecture.
        seed: Of the initial weights.

    Raises:
        InputError: the architecture or an option is unknown or refused.
    """
    refused = sorted(_REFUSED & options.keys())
    if refused:
        raise InputError(
            f"expected only options of the architecture in kwargs, got {', '.join(refused)}: "
            "give local weights as checkpoint; the class names set the number of classes"
        )
    # A loader's prefix ("hf-hub:…", "local-dir:…") is not a registered name: refused here too.
    if name != SMALL_RESNET and not timm.is_model(name):
        near = get_close_matches(name, [SMALL_RESNET, *timm.list_models()], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"expected a timm architecture, got {name!r}{hint}")
    try:
        with own_randomness(seed):
            if name == SMALL_RESNET:
                return small_resnet(n_classes, **options)
            return timm.create_model(name, pretrained=False, num_classes=n_classes, **options)
    except TypeError as error:
        raise InputError(
            f"expected options that {name} takes, got {', '.join(options)} ({error})"
        ) from error


def _preprocessing(name: str, network: nn.Module, declared: Mapping[str, Any]) -> Preprocessing:
    if name == SMALL_RESNET:
        return Preprocessing.from_json(declared)
    own = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    own["size"] = own["input_size"][1:]
    return Preprocessing.from_json({**{key: own[key] for key in _DECLARABLE}, **declared})


def _stages(network: nn.Module) -> list[int]:
    """Indices of the stages that give features; none if the network cannot show its stages."""
    if not hasattr(network, "forward_intermediates"):
        return []
    n_stages = len(network.feature_info)  # type: ignore[arg-type]
    spaced = np.linspace(0, n_stages - 1, min(n_stages, _MAX_STAGES))
    return [round(float(index)) for index in spaced]


def _last_layer(network: Any) -> object:  # noqa: ANN401  # timm's classes share no type for it
    return network.get_classifier() if hasattr(network, "get_classifier") else None


def _joined(stages: list[Tensor], penultimate: Tensor | None) -> Tensor | None:
    if penultimate is not None:
        if stages and stages[-1].shape == penultimate.shape:
            stages = stages[:-1]
        stages = [*stages, penultimate]
    return torch.cat(stages, dim=1) if stages else None
