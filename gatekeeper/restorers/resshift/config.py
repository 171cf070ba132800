"""All that a ResShift restorer is built from, besides its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift.autoencoder import VQConfig
from gatekeeper.restorers.resshift.chain import PARAMETRISATIONS, Chain, Parametrisation
from gatekeeper.restorers.resshift.schedule import Schedule
from gatekeeper.restorers.resshift.unet import SwinUNetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ResShiftConfig:
    """Chain, networks, and how they are used.

    Attributes:
        steps: T, on which the network is trained (paper: 15, or 4).
        sampling_steps: Network calls per restored image, at most ``steps``; None for all of them.
        kappa: As in :meth:`Schedule.exponential`.
        power: Likewise.
        end: Likewise.
        least_noise: Likewise (paper: 0.04 with 15 steps, 0.2 with 4).
        predicts: What the network predicts (paper: x0).
        mask: Whether holes can be filled: a channel that tells them.
        find_holes: Whether images that come without a mask are searched for dead areas, which are
            then filled and nothing else is changed; needs ``mask``.
        network: Size of the network.
        autoencoder: Size of the autoencoder; None runs the chain on pixels.
        tile_px: Images of longer sides are restored tile by tile; rounded up to what fits.
        overlap_px: By how much neighbouring tiles overlap; rounded up likewise.

    Raises:
        InputError: a value is outside its range.
    """

    steps: int = 4
    sampling_steps: int | None = None
    kappa: float = 2.0
    power: float = 0.3
    end: float = 0.99
    least_noise: float = 0.2
    predicts: Parametrisation = "x0"
    mask: bool = False
    find_holes: bool = False
    network: SwinUNetConfig = field(default_factory=SwinUNetConfig)
    autoencoder: VQConfig | None = None
    tile_px: int = 256
    overlap_px: int = 32

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        self.sampling_chain()
        if self.predicts not in PARAMETRISATIONS:
            raise InputError(
                f"expected predicts among {', '.join(PARAMETRISATIONS)}, got {self.predicts!r}"
            )
        if self.find_holes and not self.mask:
            raise InputError("expected mask with find_holes, got none: set mask, too")
        if not 0 <= self.overlap_px < self.tile_px:
            raise InputError(
                f"expected an overlap_px in [0, tile_px), got {self.overlap_px} for tiles of "
                f"{self.tile_px}"
            )

    @property
    def channels(self) -> int:
        """Of the images on which the chain runs: 3, or those of the latent."""
        return 3 if self.autoencoder is None else self.autoencoder.channels

    @property
    def factor(self) -> int:
        """How many times smaller the grid of the chain is than the image, per side."""
        return 1 if self.autoencoder is None else self.autoencoder.factor

    @property
    def multiple(self) -> int:
        """Images are padded to multiples of this, in pixels."""
        return self.factor * self.network.stride

    @property
    def tile(self) -> tuple[int, int]:
        """Side and overlap of the tiles, multiples of ``multiple`` and the side larger."""
        n_overlap, n_side = (-(-px // self.multiple) for px in (self.overlap_px, self.tile_px))
        return max(n_side, n_overlap + 1) * self.multiple, n_overlap * self.multiple

    def training_chain(self) -> Chain:
        """The chain of all T steps."""
        schedule = Schedule.exponential(
            self.steps,
            kappa=self.kappa,
            power=self.power,
            end=self.end,
            least_noise=self.least_noise,
        )
        return Chain(schedule, latent=self.autoencoder is not None)

    def sampling_chain(self) -> Chain:
        """The chain of the steps that sampling takes."""
        chain = self.training_chain()
        if self.sampling_steps is None:
            return chain
        return Chain(chain.schedule.respaced(self.sampling_steps), latent=chain.latent)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        plain = asdict(self)
        for part in ("network", "autoencoder"):
            if plain[part] is not None:
                plain[part]["multipliers"] = list(plain[part]["multipliers"])
        return plain

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: other keys, or values that are no configuration.
        """
        try:
            given = dict(config)
            given["network"] = _part(SwinUNetConfig, given["network"])
            if given["autoencoder"] is not None:
                given["autoencoder"] = _part(VQConfig, given["autoencoder"])
            wrong = {f.name for f in fields(cls)} ^ set(given)
            if wrong:
                raise InputError(f"missing or unknown: {', '.join(sorted(wrong))}")
            return cls(**given)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"expected the configuration of a ResShift restorer, got another ({error}): pass "
                "the one that was stored with the weights"
            ) from error


def _part(kind: type[Any], given: Mapping[str, Any]) -> Any:  # noqa: ANN401  # one of two
    wrong = {f.name for f in fields(kind)} ^ set(given)
    if wrong:
        raise InputError(f"missing or unknown: {', '.join(sorted(wrong))}")
    return kind(**{**given, "multipliers": tuple(given["multipliers"])})
