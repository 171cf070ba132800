"""The two stages as Ray Serve deployments, behind the same service as ever.

The service's own engine stays in front: it admits, batches, sets deadlines and tells clients when
to come back (429 with Retry-After). What it hands over as a batch is spread over the replicas of
stage A; what they doubt goes on to stage B at once, without waiting for the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatekeeper.decision import Decision
from gatekeeper.engine import Doubted, Judged, NotFiniteError, StageError, stages_of
from gatekeeper.errors import InputError
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.scale.cluster import Needs, connected, import_ray
from gatekeeper.settings import Settings

_APPS = ("gatekeeper-look", "gatekeeper-restore")
_SHUTDOWN_S = 20.0
_HEALTH_S = 5.0
# One batch computes, one waits at each replica.
_ONGOING = 2

Look = list[Judged | Doubted | Exception]


@dataclass(frozen=True, slots=True, kw_only=True)
class RayServeOptions:
    """Who works.

    Attributes:
        address: Of a running cluster; None starts one on this machine, with its dashboard on the
            loopback.
        replicas: Of stage A, first looks; at least 1.
        restore_replicas: Of stage B, restorations; at least 1.
        cpus: Cores per replica, above 0.
        gpus: GPUs per replica of stage A, at least 0; fractions share one.
        restore_gpus: The same for stage B.
        max_queued: Batches that may wait for a stage before more are refused, at least 1.
        answer_s: Time that a batch may take in one stage, above 0.

    Raises:
        InputError: a number is out of range.
    """

    address: str | None = None
    replicas: int = 1
    restore_replicas: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    restore_gpus: float = 0.0
    max_queued: int = 64
    answer_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("replicas", "restore_replicas", "max_queued"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (self.cpus > 0 and self.answer_s > 0 and min(self.gpus, self.restore_gpus) >= 0):
            raise InputError(
                f"expected cpus and answer_s above 0 and GPUs of at least 0, got {self}"
            )

    @property
    def needs(self) -> Needs:
        """What must be free at once."""
        return Needs(
            cpus=(self.replicas + self.restore_replicas) * self.cpus,
            gpus=self.replicas * self.gpus + self.restore_replicas * self.restore_gpus,
        )


def settings_for(settings: Settings, options: RayServeOptions) -> Settings:
    """The service's settings with batches that give every replica of stage A as much as before."""
    return replace(settings, max_batch=settings.max_batch * options.replicas)


class RayGatekeeper:
    """A gatekeeper whose stages run on a Ray cluster.

    Args:
        here: The same bundle in this process, for what it says of itself.
        first: Takes pixels (B, 3, H, W); gives a thing whose ``result(timeout_s=…)`` is one
            result per image.
        second: The same for doubted images.
        options: Who works.
    """

    def __init__(
        self,
        here: Gatekeeper,
        first: Callable[[npt.NDArray[np.float32]], Any],
        second: Callable[[Sequence[Doubted]], Any],
        options: RayServeOptions,
    ) -> None:
        self._here = here
        self._first = first
        self._second = second
        self._options = options

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        return self._here.class_names

    @property
    def model_id(self) -> str:
        """Identity of the classifier."""
        return self._here.model_id

    @property
    def calibration_id(self) -> str:
        """Identity of the bundle."""
        return self._here.calibration_id

    @property
    def certificate(self) -> Mapping[str, Any]:
        """What was certified, or why it could not be."""
        return self._here.certificate

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that images are brought to at the door."""
        return self._here.image_size

    def canary(self) -> Decision:
        """Decide a fixed image on the cluster, to prove that both stages work."""
        height, width = self.image_size
        ramp = torch.linspace(0, 1, width).expand(3, height, width).clone()
        ramp[:, ::3, ::2] = 1.0
        return self.decide(ramp[None])[0]

    def decide(self, images: Tensor) -> list[Decision]:
        """Decide a batch, shape (B, 3, H, W).

        Raises:
            StageError: a stage failed on an image, or did not answer in time; the engine then
                halves the batch until the image at fault is alone.
        """
        pixels = images.numpy()
        parts = [part for part in np.array_split(pixels, self._options.replicas) if len(part)]
        asked = [self._first(part) for part in parts]
        looks: list[Judged | Doubted] = []
        restoring: list[tuple[list[int], Any]] = []
        for answer in asked:
            found = _checked(self._result(answer), Judged, Doubted)
            rows = [i for i, each in enumerate(found, len(looks)) if isinstance(each, Doubted)]
            doubted = [each for each in found if isinstance(each, Doubted)]
            looks += found
            # At once: the other replicas of stage A may still be at it.
            restoring += self._restore(rows, doubted)
        for rows, answer in restoring:
            for row, judged in zip(rows, _checked(self._result(answer), Judged), strict=True):
                looks[row] = judged
        return [each.decision for each in looks if isinstance(each, Judged)]

    def _restore(
        self, rows: Sequence[int], doubted: Sequence[Doubted]
    ) -> list[tuple[list[int], Any]]:
        cuts = np.array_split(np.arange(len(rows)), self._options.restore_replicas)
        return [
            ([rows[i] for i in cut], self._second([doubted[i] for i in cut]))
            for cut in cuts
            if len(cut)
        ]

    def _result(self, answer: Any) -> Look:  # noqa: ANN401  # Ray's
        try:
            found: Look = answer.result(timeout_s=self._options.answer_s)
        except Exception as error:
            raise StageError(
                f"expected an answer of the cluster, got {type(error).__name__}: try again"
            ) from error
        return found


def _checked(found: Look, *kinds: type[Any]) -> list[Any]:
    for each in found:
        if isinstance(each, Exception):
            raise each
        if not isinstance(each, kinds):
            raise StageError(f"expected a decision, got {type(each).__name__}: report this bug")
    return found


class LookStage:
    """Stage A in a replica.

    Args:
        bundle: Directory of the bundle.
    """

    def __init__(self, bundle: str) -> None:
        self._stages = stages_of(Gatekeeper.load(bundle))

    def run(self, pixels: npt.NDArray[np.float32]) -> Look:
        """First looks at (B, 3, H, W); one result per image."""
        return _sendable(self._stages.first(torch.from_numpy(pixels.copy())))


class RestoreStage:
    """Stage B in a replica.

    Args:
        bundle: Directory of the bundle.
    """

    def __init__(self, bundle: str) -> None:
        self._stages = stages_of(Gatekeeper.load(bundle))

    def run(self, doubted: Sequence[Doubted]) -> Look:
        """Restorations and second looks; one result each."""
        return _sendable(self._stages.second(doubted))


def _sendable(results: Sequence[Judged | Doubted | Exception]) -> Look:
    """Errors as such that any process can read."""
    return [NotFiniteError(str(each)) if isinstance(each, Exception) else each for each in results]


@contextmanager
def ray_serving(bundle: Path, options: RayServeOptions) -> Iterator[Callable[[], RayGatekeeper]]:
    """The stages on a cluster, for as long as the context lasts.

    Args:
        bundle: Directory of the bundle, which every machine of the cluster must see.
        options: Who works.

    Yields:
        What ``gatekeeper.service.serve`` loads.

    Raises:
        InputError: Ray is not installed, or the cluster is too small.
        DataError: no cluster answers.
    """
    serve = import_ray("ray.serve")
    place = str(bundle.resolve())
    with connected(options.address, options.needs, dashboard=True):
        # The service has a door of its own: Serve opens no port.
        serve.start(proxy_location="Disabled")
        try:
            yield lambda: _deployed(serve, place, options)
        finally:
            # Requests under way are the service's and have ended; replicas get time to end theirs.
            for name in _APPS:
                serve.delete(name)


def _deployed(serve: Any, bundle: str, options: RayServeOptions) -> RayGatekeeper:  # noqa: ANN401
    chosen = (
        (LookStage, options.replicas, options.gpus),
        (RestoreStage, options.restore_replicas, options.restore_gpus),
    )
    handles = []
    for name, (stage, replicas, gpus) in zip(_APPS, chosen, strict=True):
        deployment = serve.deployment(stage).options(
            num_replicas=replicas,
            max_ongoing_requests=_ONGOING,
            max_queued_requests=options.max_queued,
            graceful_shutdown_timeout_s=_SHUTDOWN_S,
            health_check_period_s=_HEALTH_S,
            ray_actor_options={"num_cpus": options.cpus, "num_gpus": gpus},
        )
        handles.append(serve.run(deployment.bind(bundle), name=name, route_prefix=None))
    look, restore = handles
    return RayGatekeeper(
        Gatekeeper.load(bundle, device="cpu"), look.run.remote, restore.run.remote, options
    )
