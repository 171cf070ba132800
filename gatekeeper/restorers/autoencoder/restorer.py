"""The trained skip autoencoder behind the restorer seam."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import torch
from torch import Tensor

from gatekeeper.errors import BundleError, InputError
from gatekeeper.restorers.autoencoder.network import (
    AutoencoderConfig,
    SkipAutoencoder,
    forward_any_size,
)
from gatekeeper.types import IntArray


class AutoencoderRestorer:
    """One pass of the skip autoencoder; deterministic, so seeds are not used.

    Args:
        network: Trained weights; moved to ``device`` and set to evaluation.
        device: Such as ``"cpu"``; None takes CUDA where there is any.
    """

    name = "autoencoder"

    def __init__(self, network: SkipAutoencoder, *, device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = network.to(device=self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.network.requires_grad_(False)

    @property
    def digest(self) -> str:
        """sha256 over configuration and weights."""
        config = self.network.config
        said = "" if config.transposed is None else f" {config.transposed}"
        digest = hashlib.sha256(f"{config!r}{said}".encode())
        for name, tensor in sorted(self.state().items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def restore(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same shape and range; a grey image stays grey.

        Raises:
            InputError: a mask is given (this restorer fills no holes).
        """
        if mask is not None:
            raise InputError("the autoencoder fills no holes: leave out the mask")
        del seeds
        with torch.inference_mode():
            moved = images.to(self.device, memory_format=torch.channels_last, non_blocking=True)
            restored = forward_any_size(self.network, moved)
            grey = (moved == moved[:, :1]).flatten(1).all(dim=1)[:, None, None, None]
            restored = torch.where(grey, restored.mean(dim=1, keepdim=True), restored)
        return restored.to(images.device, memory_format=torch.contiguous_format)

    def state(self) -> dict[str, Tensor]:
        """The weights, on the CPU."""
        return {n: t.detach().cpu().contiguous() for n, t in self.network.state_dict().items()}

    def config(self) -> dict[str, Any]:
        """The configuration, ready for JSON; what is at its default None is left out."""
        given = asdict(self.network.config)
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], config: Mapping[str, Any], *, device: str | None = None
    ) -> Self:
        """Rebuild from :meth:`state` and :meth:`config`.

        Raises:
            BundleError: they do not fit one another.
        """
        try:
            encoder, decoder = (tuple(config[key]) for key in ("encoder", "decoder"))
            ups = config.get("transposed")
            transposed = None if ups is None else tuple(ups)
            network = SkipAutoencoder(
                AutoencoderConfig(encoder, decoder, config["dropout"], transposed)
            )
            network.load_state_dict(dict(state))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise BundleError(
                "expected weights of a skip autoencoder and the widths that belong to them, got "
                f"others ({error}): fetch or train it again"
            ) from error
        return cls(network, device=device)
