"""The gate in front of a classifier: accepted images are forwarded, answers come back in one reply.

A TOML file says where and how, so that an upstream needs no code of its own::

    [upstream]
    url = "http://classifier:8000/v2/models/net"
    protocol = "v2"                # or "http": any server that answers with JSON
    send = "png"                   # v2: png, pixels, tensor; http: png, json
    on_failure = "reject"          # or "pass_flagged", "abstain"
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from torch import Tensor

from gatekeeper.classifiers import RemoteClassifier
from gatekeeper.classifiers.breaker import CircuitBreaker
from gatekeeper.classifiers.exchange import ProtocolName, Send, V2Exchange, check_send, png
from gatekeeper.classifiers.remote import preprocessing_of
from gatekeeper.classifiers.upstream import (
    Call,
    Reply,
    Upstream,
    UpstreamAnswerError,
    UpstreamError,
)
from gatekeeper.classifiers.v2 import encoded, infer_call
from gatekeeper.decision import Action
from gatekeeper.engine import DeadlineError, EngineAnswer, FailurePolicy, FailureReason, StageError
from gatekeeper.errors import InputError
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.schemas import DecisionBody, UpstreamBody
from gatekeeper.service.served import ServedGatekeeper
from gatekeeper.wire import WireError, parse_object

FAILED = "upstream_failed"
"""Flag of an answer without the upstream's part."""

_PNG = "image/png"
_TYPES = ((b"\x89PNG", _PNG), (b"\xff\xd8", "image/jpeg"), (b"RIFF", "image/webp"))


class ProxyOptions(BaseModel):
    """How the upstream is asked, and what happens where it fails.

    Attributes:
        url: V2: ``http://HOST:PORT/v2/models/NAME``; else the address that images are posted to.
        protocol: ``v2`` or ``http``.
        send: As in :class:`gatekeeper.classifiers.RemoteClassifier`. Files go as they came unless
            the image was restored; pixels and tensors have the gate's image size.
        input_name: V2: name of the input.
        binary: V2: whether the upstream speaks the binary tensor extension.
        request_field: HTTP, ``json``: key of the list of base64 files.
        size: For ``tensor``, with mean and std.
        mean: Likewise.
        std: Likewise.
        forward_abstained: Whether images that the gate abstains from are forwarded, too.
        on_failure: Where an accepted image gets no answer: ``reject`` (503 with Retry-After),
            ``pass_flagged`` (the gate's own answer, flagged) or ``abstain``.
        timeout_s: For one image, above 0.
        retries: See :class:`gatekeeper.classifiers.upstream.Upstream`.
        concurrency: Requests at once, at least 1.
        token_env: Environment variable with a bearer token.
        breaker_failures: Failures in a row that open the circuit breaker.
        breaker_reset_s: Seconds until it is tried again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    protocol: ProtocolName = "v2"
    send: Send = "png"
    input_name: str = "image"
    binary: bool = True
    request_field: str = "images"
    size: int | list[int] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    forward_abstained: bool = False
    on_failure: Literal["reject", "pass_flagged", "abstain"] = "reject"
    timeout_s: float = Field(default=5.0, gt=0)
    retries: int = Field(default=1, ge=0)
    concurrency: int = Field(default=16, ge=1)
    token_env: str = ""
    breaker_failures: int = Field(default=5, ge=1)
    breaker_reset_s: float = Field(default=10.0, gt=0)


def read_proxy(path: Path) -> ProxyOptions:
    """Read the table ``[upstream]`` of a TOML file.

    Raises:
        InputError: there is no such file, or it says something else.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"expected a TOML file at {path}, got: {error}; correct it") from error
    if set(document) != {"upstream"}:
        raise InputError(f"expected one table [upstream] in {path}, got {sorted(document)}")
    try:
        return ProxyOptions.model_validate(document["upstream"])
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(
            f"expected another {name} in [upstream] of {path}: {first['msg']}"
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """An image as it came.

    Attributes:
        file: Its bytes; None where the client sent pixels.
        image: Shape (3, H, W) at the gate's size, in [0, 1].
    """

    file: bytes | None
    image: Tensor


class Proxy:
    """Forwards images and merges the answers; blocking work happens in threads of its own.

    Args:
        options: Where and how.
        metrics: Where what became of images is counted.

    Raises:
        InputError: the options do not go together.
    """

    def __init__(self, options: ProxyOptions, metrics: ServiceMetrics) -> None:
        check_send(options.protocol, options.send)
        self._options = options
        self._metrics = metrics
        self._policy = FailurePolicy(options.on_failure)
        self._upstream = Upstream(
            options.url,
            timeout_s=options.timeout_s,
            retries=options.retries,
            token_env=options.token_env,
            breaker=CircuitBreaker(
                failures=options.breaker_failures, reset_s=options.breaker_reset_s
            ),
        )
        self._tensors = V2Exchange(
            send=options.send,
            preprocessing=preprocessing_of(
                options.send, {key: getattr(options, key) for key in ("size", "mean", "std")}
            ),
            input_name=options.input_name,
            logits_output="",
            features_output=None,
            binary=True,
        )
        self._threads = ThreadPoolExecutor(options.concurrency, "gatekeeper-proxy")
        breaker = self._upstream.breaker
        metrics.watch_breaker("upstream", lambda: breaker.state)

    def close(self) -> None:
        """Wait for nothing that is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def merge(
        self,
        body: DecisionBody,
        answer: EngineAnswer,
        received: Received,
        gatekeeper: ServedGatekeeper,
        *,
        until: float,
        headers: Mapping[str, str],
    ) -> DecisionBody:
        """The decision with the upstream's answer beside it.

        Args:
            body: The decision.
            answer: As the engine gave it.
            received: The image.
            gatekeeper: What decided.
            until: When the answer is of no use any more, in monotonic seconds.
            headers: For the upstream, such as the context of a trace.

        Raises:
            UpstreamError: the image was accepted, the upstream failed, and the policy is to say so.
            DeadlineError: no time is left.
            StageError: the restored image is not at hand.
        """
        if self._is_judged(gatekeeper) and answer.probabilities is not None:
            self._metrics.upstream_not_asked("looked")
            return _with(body, UpstreamBody(outcome="looked", body=_own(body, answer)))
        accepted = body.action is Action.ACCEPT
        if not (accepted or self._options.forward_abstained):
            self._metrics.upstream_not_asked("abstained")
            return _with(body, UpstreamBody(outcome="abstained"))
        restored = accepted and len(body.attempts) > 1
        chosen = _restored(answer) if restored else received
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._ask, chosen, until, dict(headers)
            )
        except UpstreamError:
            if accepted and self._policy is FailurePolicy.REFUSE:
                raise
            return self._without(body, accepted=accepted)
        return _with(
            body,
            UpstreamBody(
                outcome="answered", sent="restored" if restored else "received",
                status=found[0], body=found[1],
            ),
        )  # fmt: skip

    def _is_judged(self, gatekeeper: ServedGatekeeper) -> bool:
        """Whether the upstream is the classifier that is judged: its looks are its answers."""
        if not isinstance(gatekeeper, Gatekeeper):
            return False
        classifier = gatekeeper.fitted.classifier
        return isinstance(classifier, RemoteClassifier) and classifier.upstream.is_at(
            self._options.url
        )

    def _ask(
        self, chosen: Received, until: float, headers: dict[str, str]
    ) -> tuple[int, JsonValue]:
        left = until - time.monotonic()
        if left <= 0:
            raise DeadlineError(
                "expected to ask the upstream within the deadline, no time is left: allow more"
            )
        call = self._call(chosen)
        call = Call(suffix=call.suffix, body=call.body, headers={**headers, **call.headers})
        began = time.monotonic()
        try:
            found = self._upstream.ask(call, _read, timeout_s=left)
        except UpstreamError:
            self._metrics.upstream_asked("failed", time.monotonic() - began)
            raise
        self._metrics.upstream_asked("answered", time.monotonic() - began)
        return found

    def _call(self, chosen: Received) -> Call:
        send = self._options.send
        if self._options.protocol == "v2":
            tensor = (
                encoded(self._options.input_name, [_file(chosen)])
                if send == "png"
                else self._tensors.tensor(chosen.image[None])
            )
            return infer_call([tensor], binary=self._options.binary, binary_output=False)
        file = _file(chosen)
        if send == "png":
            kinds = (name for start, name in _TYPES if file.startswith(start))
            return Call(body=file, headers={"Content-Type": next(kinds, _PNG)})
        text = json.dumps({self._options.request_field: [base64.b64encode(file).decode()]})
        return Call(body=text.encode(), headers={"Content-Type": "application/json"})

    def _without(self, body: DecisionBody, *, accepted: bool) -> DecisionBody:
        """The answer where the upstream gave none."""
        changes: dict[str, Any] = {"degraded": [*body.degraded, FAILED]}
        if accepted and self._policy is FailurePolicy.ABSTAIN:
            reason = FailureReason.UPSTREAM
            changes |= {
                "action": Action.ABSTAIN,
                "reason": reason,
                "reason_text": reason.text,
                "label": None,
                "class_name": None,
                "policy": f"{body.policy}@{FAILED}",
                "certified": False,
            }
        return _with(body.model_copy(update=changes), UpstreamBody(outcome="failed"))


def _with(body: DecisionBody, upstream: UpstreamBody) -> DecisionBody:
    return body.model_copy(update={"upstream": upstream})


def _own(body: DecisionBody, answer: EngineAnswer) -> JsonValue:
    """What the judged upstream said about the image of the kept attempt."""
    rows = () if answer.probabilities is None else answer.probabilities.tolist()
    return {
        "label": body.label,
        "class_name": body.class_name,
        "probabilities": [float(value) for value in rows],
    }


def _restored(answer: EngineAnswer) -> Received:
    if answer.image is None:
        raise StageError(
            "expected the restored image to forward, got none from what decides: serve a bundle"
        )
    return Received(file=None, image=answer.image)


def _file(chosen: Received) -> bytes:
    return png(chosen.image) if chosen.file is None else chosen.file


def _read(reply: Reply) -> tuple[int, JsonValue]:
    try:
        document = parse_object(b'{"body":' + reply.body + b"}")
    except WireError as error:
        raise UpstreamAnswerError(
            "expected an answer in JSON from the upstream, got another: correct its address"
        ) from error
    if set(document) != {"body"}:
        raise UpstreamAnswerError("expected one JSON value from the upstream, got several")
    return reply.status, document["body"]
