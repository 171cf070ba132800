"""The trained U-Net behind the restorer seam."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from gatekeeper.errors import BundleError, InputError
from gatekeeper.restorers.shared import in_halves
from gatekeeper.restorers.unet.network import ResidualUNet, UNetConfig
from gatekeeper.types import IntArray


class UNetRestorer:
    """Image plus the residual of one pass, cut to [0, 1]; deterministic, so seeds are not used.

    On CUDA the pass runs in bfloat16 where that is safe, and a batch that does not fit into memory
    is restored in halves.

    Args:
        network: Trained weights; moved to ``device``, set to evaluation and frozen.
        device: Such as ``"cpu"``; None takes CUDA where there is any.
    """

    name = "unet"

    def __init__(self, network: ResidualUNet, *, device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._config = network.config
        self.network = network.to(device=self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.network.requires_grad_(False)

    @property
    def digest(self) -> str:
        """The sha256 over configuration and weights."""
        digest = hashlib.sha256(json.dumps(self.config(), sort_keys=True).encode())
        for name, tensor in sorted(self.state().items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def restore(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same shape and range; a grey image stays grey.

        Raises:
            InputError: a mask is given (this restorer fills no holes), or a single image does not
                fit into memory.
        """
        if mask is not None:
            raise InputError("the U-Net fills no holes: leave out the mask")
        del seeds
        if len(images) == 0:
            return images.clone()
        with torch.inference_mode():
            pieces = in_halves(len(images), lambda rows: self._pass(images[rows]))
        return torch.cat([restored for _, restored in pieces])

    def _pass(self, images: Tensor) -> Tensor:
        moved = images.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            residual = self.network(moved)
        grey = (moved == moved[:, :1]).flatten(1).all(dim=1)[:, None, None, None]
        residual = residual.to(torch.float32)
        residual = torch.where(grey, residual.mean(dim=1, keepdim=True), residual)
        restored = (moved + residual).clamp(0.0, 1.0)
        return restored.to(images.device, memory_format=torch.contiguous_format)

    def state(self) -> dict[str, Tensor]:
        """The weights, on the CPU."""
        return {n: t.detach().cpu().contiguous() for n, t in self.network.state_dict().items()}

    def config(self) -> dict[str, Any]:
        """The configuration, ready for JSON."""
        return self._config.to_json()

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], config: Mapping[str, Any], *, device: str | None = None
    ) -> Self:
        """Rebuild from :meth:`state` and :meth:`config`.

        Raises:
            BundleError: the configuration is no U-Net's, or the weights are of another one.
        """
        try:
            with torch.device("meta"):
                network = ResidualUNet(UNetConfig.from_json(config))
            network = network.to_empty(device="cpu")  # no initial weights are drawn
            network.load_state_dict(dict(state))
        except (InputError, RuntimeError) as error:
            raise BundleError(
                f"expected weights of a U-Net with configuration {dict(config)}, got others "
                f"({str(error).splitlines()[0]}): take both from one record"
            ) from error
        return cls(network, device=device)
