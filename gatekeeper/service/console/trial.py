"""Tries an image out: corrupts it, has the engine decide it, and shows where the time went."""

from __future__ import annotations

import binascii
import time
from base64 import b64decode
from dataclasses import dataclass

import torch
from torch import Tensor

from gatekeeper.corruptions import CORRUPTIONS, SEVERITIES
from gatekeeper.decision import Decision
from gatekeeper.engine import EngineAnswer, Stage
from gatekeeper.images import DecodeLimits, decode_image, seeds_for, tensor_digests
from gatekeeper.service.console.bodies import (
    SweepBody,
    SweepPointBody,
    TimingBody,
    TrialBody,
    TrialRequest,
)
from gatekeeper.service.console.pictures import data_uri, fitted_8_bit, restored_images, samples_of
from gatekeeper.service.errors import MalformedRequestError
from gatekeeper.service.host import Host
from gatekeeper.service.schemas import ImageBody
from gatekeeper.service.served import ServedGatekeeper
from gatekeeper.settings import Settings

_STAGES = {Stage.DECIDE: "first look", Stage.RESTORE: "restoration and second look"}


@dataclass(frozen=True, slots=True)
class _Taken:
    """An image on the bench.

    Attributes:
        image: Shape (3, H, W) at the gate's size, in 8 bits.
        width: As received, in pixels.
        height: As received, in pixels.
    """

    image: Tensor
    width: int
    height: int


class Bench:
    """Where images are tried out; nothing of it is counted as traffic.

    Args:
        host: Decides.
        settings: Limits for images that come as files.
    """

    def __init__(self, host: Host, settings: Settings) -> None:
        self._host = host
        self._limits = DecodeLimits(
            max_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels
        )
        self._samples: tuple[str, list[Tensor]] = ("", [])

    def samples(self, gatekeeper: ServedGatekeeper) -> list[Tensor]:
        """The samples of what is served; read once per bundle."""
        known, images = self._samples
        if known != gatekeeper.calibration_id:
            images = samples_of(gatekeeper)
            self._samples = (gatekeeper.calibration_id, images)
        return images

    async def try_out(self, asked: TrialRequest) -> TrialBody:
        """One image under one condition.

        Raises:
            MalformedRequestError: the sample or the corruption does not exist, or the image is not
                base64.
            ImageError: it is no acceptable image.
            GatekeeperError: whatever keeps the engine from answering.
        """
        loaded = self._host.loaded()
        gatekeeper = loaded.gatekeeper
        watch = _Watch()
        taken = await self._host.aside(lambda: self._take(asked, gatekeeper))
        watch.lap("decode")
        received = await self._host.aside(
            lambda: corrupted(taken.image, asked.corruption, asked.severity)
        )
        if asked.corruption is not None:
            watch.lap("corrupt")
        [answer] = await self._host.try_out([received])
        if isinstance(answer, Exception):
            raise answer
        decided = watch.split(answer)
        facts = ImageBody(
            width=taken.width,
            height=taken.height,
            sha256=str(tensor_digests(received[None])[0]),
        )
        body = loaded.body(answer, facts, decided)
        pictures = await self._host.aside(lambda: _pictures(gatekeeper, received, answer))
        original = await self._host.aside(lambda: data_uri(taken.image))
        watch.lap("pictures for this page")
        return TrialBody(
            decision=body,
            original=original,
            received=pictures[0],
            restored=pictures[1],
            timings=watch.timings,
        )

    async def sweep(self, asked: TrialRequest) -> SweepBody:
        """One image under one corruption at every severity, and without it.

        Raises:
            MalformedRequestError: as in :meth:`try_out`, or no corruption is named.
            ImageError: as there.
            GatekeeperError: as there.
        """
        if asked.corruption is None:
            raise MalformedRequestError("expected a corruption to sweep over, got none: name one")
        gatekeeper = self._host.loaded().gatekeeper
        taken = await self._host.aside(lambda: self._take(asked, gatekeeper))
        severities = (None, *SEVERITIES)
        images = await self._host.aside(
            lambda: [
                corrupted(taken.image, None if each is None else asked.corruption, each)
                for each in severities
            ]
        )
        answers = await self._host.try_out(images)
        names = gatekeeper.class_names
        return SweepBody(
            points=[
                _point(severity, answer, names)
                for severity, answer in zip(severities, answers, strict=True)
            ]
        )

    def _take(self, asked: TrialRequest, gatekeeper: ServedGatekeeper) -> _Taken:
        if asked.corruption is not None and asked.corruption not in CORRUPTIONS:
            raise MalformedRequestError(
                f"expected a corruption of the list, got {asked.corruption!r}: choose one"
            )
        if (asked.corruption is None) != (asked.severity is None):
            raise MalformedRequestError("expected a severity of 1…5 with a corruption: send both")
        if asked.sample is not None:
            samples = self.samples(gatekeeper)
            if asked.sample >= len(samples):
                raise MalformedRequestError(
                    f"expected one of {len(samples)} samples, got number {asked.sample}: reload"
                )
            image = samples[asked.sample]
        else:
            try:
                data = b64decode(asked.image or "", validate=True)
            except (binascii.Error, ValueError) as error:
                raise MalformedRequestError(
                    "expected an image as base64, got other text: encode the file"
                ) from error
            image = decode_image(data, limits=self._limits)
        height, width = image.shape[1:]
        return _Taken(fitted_8_bit(image, gatekeeper.image_size), width, height)


class _Watch:
    """Laps of one trial."""

    def __init__(self) -> None:
        self.timings: list[TimingBody] = []
        self._at = time.perf_counter()

    def lap(self, part: str) -> float:
        """End a part; its seconds."""
        now = time.perf_counter()
        seconds, self._at = now - self._at, now
        self._add(part, seconds)
        return seconds

    def split(self, answer: EngineAnswer) -> float:
        """End the engine's part, by stages; its seconds."""
        now = time.perf_counter()
        seconds, self._at = now - self._at, now
        computed = [(_STAGES[mark.stage], mark.ended - mark.began) for mark in answer.marks]
        self._add("waiting", max(0.0, seconds - sum(each for _, each in computed)))
        for part, each in computed:
            self._add(part, each)
        return seconds

    def _add(self, part: str, seconds: float) -> None:
        self.timings.append(TimingBody(part=part, ms=round(max(0.0, seconds) * 1000, 2)))


def corrupted(image: Tensor, name: str | None, severity: int | None) -> Tensor:
    """An image (3, H, W) under a corruption; its seed is the image's own.

    Args:
        image: In [0, 1].
        name: In ``CORRUPTIONS``; None leaves the image as it is.
        severity: 1…5; None leaves it as it is, too.
    """
    if name is None or severity is None:
        return image
    seeds = seeds_for(0, tensor_digests(image[None]), f"console {name}")
    with torch.inference_mode():
        return CORRUPTIONS[name](image[None], severity=severity, seeds=seeds)[0].clone()


def _pictures(
    gatekeeper: ServedGatekeeper, received: Tensor, answer: EngineAnswer
) -> tuple[str, list[str | None]]:
    restored: list[Tensor | None] = []
    if isinstance(answer.outcome, Decision):
        restored = restored_images(gatekeeper, received, answer.outcome)
    return data_uri(received), [None if each is None else data_uri(each) for each in restored]


def _point(
    severity: int | None, answer: EngineAnswer | Exception, names: tuple[str, ...]
) -> SweepPointBody:
    if isinstance(answer, Exception):
        raise answer
    outcome = answer.outcome
    attempts = outcome.attempts if isinstance(outcome, Decision) else ()
    return SweepPointBody(
        severity=severity,
        action=outcome.action.value,
        reason=outcome.reason.value,
        class_name=None if outcome.label is None else names[outcome.label],
        restorer=attempts[-1].restorer if attempts else None,
        raw_reliability=attempts[0].reliability if attempts else 0.0,
        reliability=outcome.reliability if isinstance(outcome, Decision) else 0.0,
    )
