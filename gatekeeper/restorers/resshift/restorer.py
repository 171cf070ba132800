"""The trained chain behind the restorer seam."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import BundleError, InputError
from gatekeeper.restorers.resshift.autoencoder import VQAutoencoder
from gatekeeper.restorers.resshift.config import ResShiftConfig
from gatekeeper.restorers.resshift.draws import normal_noise
from gatekeeper.restorers.resshift.masks import dead_areas
from gatekeeper.restorers.resshift.sampler import sample
from gatekeeper.restorers.resshift.tiling import Tile, by_tiles, mirrored
from gatekeeper.restorers.resshift.unet import SwinUNet
from gatekeeper.restorers.shared import in_halves
from gatekeeper.types import IntArray


class ResShiftNetworks(nn.Module):
    """The U-Net of the chain and, for a chain on latents, the autoencoder.

    Args:
        config: What they are built from.
    """

    def __init__(self, config: ResShiftConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ResShiftConfig()
        self.unet = SwinUNet(
            config.network, channels=config.channels, mask=config.mask, factor=config.factor
        )
        self.autoencoder = VQAutoencoder(config.autoencoder) if config.autoencoder else None

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> what the chain runs on: the same, or latents."""
        return images if self.autoencoder is None else self.autoencoder.encode(images)

    def decode(self, values: Tensor) -> Tensor:
        """The inverse of :meth:`encode`, up to what the codebook loses; not cut to [-1, 1]."""
        return values if self.autoencoder is None else self.autoencoder.decode(values)


class ResShiftRestorer:
    """Noise is added to the image, and T network calls shift it to what a clean one looks like.

    All noise comes from an image's own seed: the same seed gives the same answer, in any batch. On
    CUDA the network runs in bfloat16 where that is safe, and a batch that does not fit into memory
    is restored in halves. Sizes that do not fit the network are padded by mirroring, and images
    larger than a tile are restored tile by tile under one field of noise.

    Args:
        networks: Trained weights; moved to ``device``, set to evaluation and frozen.
        device: Such as ``"cpu"``; None takes CUDA where there is any.

    Source:
        ResShift (arXiv:2307.12348), sampling as in its published code. Deviates in padding the
        mask together with the image.
    """

    name = "resshift"

    def __init__(self, networks: ResShiftNetworks, *, device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._config = networks.config
        self.networks = networks.to(
            device=self.device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        ).eval()
        self.networks.requires_grad_(False)
        self._chain = self._config.sampling_chain()

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

        Args:
            images: Of any height and width.
            seeds: One per image, shape (B,); all noise comes from them.
            mask: Shape (B, 1, H, W), 1 where a pixel is known and 0 in holes, whatever the image
                shows there: holes are filled, and known pixels come back bit by bit as they were.
                None changes all pixels; or those of the dead areas only, of images that have any,
                where the configuration says ``find_holes``.

        Raises:
            InputError: shapes do not fit one another, a value is not finite, a mask has values
                besides 0 and 1 or is given to a restorer without a channel for it, or a single
                image does not fit into memory.
            BundleError: the network gives a value that is not finite.
        """
        self._check(images, seeds, mask)
        if len(images) == 0:
            return images.clone()
        kept = mask
        if mask is None and self._config.find_holes:
            mask = dead_areas(images)
            # Where nothing was found nobody says that the pixels are good: all may change.
            kept = mask * (mask == 0).flatten(1).any(dim=1).reshape(-1, 1, 1, 1)
        with torch.inference_mode():
            pieces = in_halves(
                len(images),
                lambda rows: self._restored(
                    images[rows],
                    seeds[rows],
                    None if mask is None else mask[rows],
                    None if kept is None else kept[rows],
                ),
            )
        return torch.cat([restored for _, restored in pieces])

    def enlarge(self, images: Tensor, *, seeds: IntArray, scale: int = 2) -> Tensor:
        """Super-resolution: bicubic enlargement, cut to [0, 1], then :meth:`restore`.

        Args:
            images: Shape (B, 3, H, W), in [0, 1].
            seeds: Shape (B,).
            scale: How many times larger, at least 1; the restorer must have been trained on
                images enlarged like that.

        Returns:
            Shape (B, 3, scale · H, scale · W), in [0, 1].

        Raises:
            InputError: as :meth:`restore`, or the scale is below 1.
        """
        return self.restore(enlarged(images, scale), seeds=seeds)

    def _check(self, images: Tensor, seeds: IntArray, mask: Tensor | None) -> None:
        if images.ndim != 4 or images.shape[1] != 3 or len(seeds) != len(images):
            raise InputError(
                f"expected images (B, 3, H, W) and one seed per image, got {tuple(images.shape)} "
                f"and {len(seeds)} seeds"
            )
        if not bool(torch.isfinite(images).all()):
            raise InputError("expected finite images in [0, 1], got NaN or infinity: decode again")
        if mask is None:
            return
        if not self._config.mask:
            raise InputError(
                "this ResShift restorer was trained without a mask channel and fills no holes: "
                "leave out the mask, or use one trained with mask"
            )
        wanted = (len(images), 1, *images.shape[2:])
        if mask.shape != wanted or not bool(((mask == 0) | (mask == 1)).all()):
            raise InputError(
                f"expected a mask {wanted} of 1 for known pixels and 0 for holes, got "
                f"{tuple(mask.shape)} or other values: round it"
            )

    def _restored(
        self, images: Tensor, seeds: IntArray, mask: Tensor | None, kept: Tensor | None
    ) -> Tensor:
        """Some rows; where ``kept`` is 1, the result is the image itself."""
        moved = images.to(self.device, non_blocking=True)
        known = None if mask is None else mask.to(self.device, moved.dtype)
        shown = moved if known is None else moved * known
        grey = (shown == shown[:, :1]).flatten(1).all(dim=1)
        padded = 2.0 * mirrored(shown, self._config.multiple) - 1.0
        padded_known = None if known is None else mirrored(known, self._config.multiple)
        side, overlap = self._config.tile
        filled = by_tiles(
            padded,
            lambda tile: self._sampled(padded, padded_known, tile, seeds, grey),
            side=side,
            overlap=overlap,
        )
        restored = ((filled + 1.0) / 2.0).clamp(0.0, 1.0)[
            :, :, : images.shape[2], : images.shape[3]
        ]
        mean = restored.mean(dim=1, keepdim=True)
        restored = torch.where(grey.reshape(-1, 1, 1, 1), mean, restored)
        if kept is not None:
            restored = torch.where(kept.to(self.device) == 1, moved, restored)
        return restored.to(images.device, memory_format=torch.contiguous_format)

    def _sampled(
        self, padded: Tensor, known: Tensor | None, tile: Tile, seeds: IntArray, grey: Tensor
    ) -> Tensor:
        """One tile, in [-1, 1]; its noise is a part of the whole image's."""
        factor, latent = self._config.factor, self._config.autoencoder is not None
        shape = (
            self._config.channels,
            padded.shape[2] // factor,
            padded.shape[3] // factor,
        )
        degraded = tile.of(padded).contiguous(memory_format=torch.channels_last)
        mask = None if known is None else tile.of(known)

        def noise(stream: int) -> Tensor:
            drawn = normal_noise(seeds, shape, stream=stream, grey=None if latent else grey)
            return tile.of(drawn.to(self.device), factor)

        def predict(noisy: Tensor, times: Tensor) -> Tensor:
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            predicted: Tensor = self.networks.unet(noisy, degraded, times, mask)
            return predicted

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            y = self.networks.encode(degraded).float()
            x0 = sample(
                predict,
                self._chain,
                y,
                noise=noise,
                kind=self._config.predicts,
                clip=not latent,
            )
            decoded: Tensor = self.networks.decode(x0).float()
            return decoded

    def state(self) -> dict[str, Tensor]:
        """The weights, on the CPU."""
        return {n: t.detach().cpu().contiguous() for n, t in self.networks.state_dict().items()}

    def config(self) -> dict[str, Any]:
        """The configuration, ready for JSON."""
        return self._config.to_json()

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], config: Mapping[str, Any], *, device: str | None = None
    ) -> Self:
        """Rebuild from :meth:`state` and :meth:`config`.

        Raises:
            BundleError: they do not fit one another, or a weight is not finite.
        """
        try:
            with torch.device("meta"):
                networks = ResShiftNetworks(ResShiftConfig.from_json(config))
            networks = networks.to_empty(device="cpu")  # no initial weights are drawn
            networks.load_state_dict(dict(state))
        except (InputError, RuntimeError) as error:
            raise BundleError(
                f"expected weights of a ResShift restorer and their configuration, got others "
                f"({str(error).splitlines()[0]}): take both from one record"
            ) from error
        damaged = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
        if damaged:
            raise BundleError(
                f"expected finite weights, got others in {damaged[0]}: take an earlier record"
            )
        return cls(networks, device=device)


def enlarged(images: Tensor, scale: int) -> Tensor:
    """Images enlarged by bicubic interpolation and cut to [0, 1], as super-resolution starts.

    Raises:
        InputError: the scale is below 1.
    """
    if scale < 1:
        raise InputError(f"expected a scale of at least 1, got {scale}: 2 doubles each side")
    if scale == 1:
        return images.clone()
    grown = F.interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False)
    return grown.clamp(0.0, 1.0)
