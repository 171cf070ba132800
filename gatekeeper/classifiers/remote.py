"""Classifiers that run elsewhere: each look is a request to a server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gatekeeper.classifiers.answer_path import AnswerPath
from gatekeeper.classifiers.breaker import CircuitBreaker
from gatekeeper.classifiers.exchange import (
    Exchange,
    HttpExchange,
    ProtocolName,
    Send,
    V2Exchange,
    check_send,
)
from gatekeeper.classifiers.inputs import check_images, checked_class_names, checked_look
from gatekeeper.classifiers.preprocessing import CropMode, Interpolation, Preprocessing
from gatekeeper.classifiers.upstream import Call, Upstream, UpstreamAnswerError
from gatekeeper.errors import InputError
from gatekeeper.protocols import LogitsKind, Look
from gatekeeper.types import FloatArray
from gatekeeper.wire import WireError, parse_object

RemoteKind = Literal["logits", "log_probabilities", "probabilities"]

_KINDS = ("logits", "log_probabilities", "probabilities")
_SMALLEST = 1e-30
_SUM_TOLERANCE = 1e-2


class RemoteClassifier:
    """A classifier behind HTTP: the Open Inference Protocol (V2), or any server with JSON answers.

    Its weights are not here, so that its digest is over what is declared: mapping, classes and
    ``revision``. Name the upstream's model version there; a silent change of the upstream is what
    a bundle's golden images find.

    Args:
        url: V2: ``http://HOST:PORT/v2/models/NAME`` or with ``/versions/V``; else the address that
            images are posted to. Not part of the digest: the same model may move.
        class_names: Length K; position = label.
        protocol: ``"v2"`` or ``"http"``.
        kind: What the answers hold: ``"logits"``, ``"log_probabilities"`` or ``"probabilities"``;
            never guessed.
        send: V2: ``"tensor"`` (default; FP32, normalised here), ``"pixels"`` (UINT8) or ``"png"``
            (BYTES). HTTP: ``"png"`` (default; one file per request) or ``"json"`` (base64).
            Pixels and files are rounded to 8 bits, and the upstream resizes and normalises.
        mean: For ``"tensor"``: per channel (RGB), subtracted from values in [0, 1].
        std: For ``"tensor"``: per channel, divides afterwards.
        size: For ``"tensor"``: input height and width in pixels; one number for a square.
        interpolation: For ``"tensor"``: ``"bilinear"`` or ``"bicubic"``.
        crop_pct: For ``"tensor"``: share of the resized image that the centre crop keeps.
        crop_mode: For ``"tensor"``: ``"center"`` or ``"squash"``.
        input_name: V2: by default the upstream's only input.
        logits_output: V2: by default the upstream's only output.
        features_output: V2: output with features (B, F), None for none.
        binary: V2: whether the upstream speaks the binary tensor extension.
        request_field: HTTP, ``"json"``: key of the list of base64 files.
        answer: HTTP: where in the answer the numbers lie, such as ``"predictions[*].scores"``;
            a list of K numbers or an object by class name, one per image.
        model_id: Name under which the classifier is known; by default the end of ``url``.
        revision: Which model the upstream serves, such as a version or a digest.
        timeout_s: For one look with all its requests, above 0.
        retries: See :class:`gatekeeper.classifiers.upstream.Upstream`.
        concurrency: Requests at once, for looks of several requests, at least 1.
        token_env: Environment variable with a bearer token; "" for none.
        breaker_failures: Failures in a row that open the circuit breaker.
        breaker_reset_s: Seconds until it is tried again.

    Raises:
        InputError: an option is not that, or the model's inputs and outputs are not as declared.
        UpstreamError: nobody answers at ``url``.
    """

    def __init__(
        self,
        url: str,
        *,
        class_names: Sequence[str],
        protocol: ProtocolName = "v2",
        kind: RemoteKind = "logits",
        send: Send | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        size: int | Sequence[int] | None = None,
        interpolation: Interpolation = "bilinear",
        crop_pct: float = 1.0,
        crop_mode: CropMode = "center",
        input_name: str | None = None,
        logits_output: str | None = None,
        features_output: str | None = None,
        binary: bool = True,
        request_field: str = "images",
        answer: str = "",
        model_id: str | None = None,
        revision: str = "",
        timeout_s: float = 5.0,
        retries: int = 1,
        concurrency: int = 4,
        token_env: str = "",
        breaker_failures: int = 5,
        breaker_reset_s: float = 10.0,
    ) -> None:
        if kind not in _KINDS:
            raise InputError(f"expected kind among {', '.join(_KINDS)}, got {kind!r}: declare one")
        sent: Send = send or ("tensor" if protocol == "v2" else "png")
        check_send(protocol, sent)
        if concurrency < 1:
            raise InputError(f"expected concurrency of at least 1, got {concurrency}")
        self._class_names = checked_class_names(class_names)
        self._kind = kind
        self._timeout_s = timeout_s
        self.upstream = Upstream(
            url,
            timeout_s=timeout_s,
            retries=retries,
            token_env=token_env,
            breaker=CircuitBreaker(failures=breaker_failures, reset_s=breaker_reset_s),
        )
        shape = {"size": size, "mean": mean, "std": std}
        self._preprocessing = preprocessing_of(
            sent, {**shape, "interpolation": interpolation, "crop_pct": crop_pct,
                   "crop_mode": crop_mode},
        )  # fmt: skip
        self._exchange: Exchange
        if protocol == "v2":
            self._exchange = _v2_exchange(
                self.upstream,
                V2Exchange(
                    send=sent,
                    preprocessing=self._preprocessing,
                    input_name=input_name or "",
                    logits_output=logits_output or "",
                    features_output=features_output,
                    binary=binary,
                ),
            )
        else:
            self._exchange = _http_exchange(sent, request_field, answer, self._class_names)
        self._model_id = model_id or url.rstrip("/").rpartition("/")[2]
        facts = {
            "protocol": protocol,
            "kind": kind,
            "send": sent,
            "names": [input_name, logits_output, features_output, request_field, answer],
            "preprocessing": None if self._preprocessing is None else self._preprocessing.to_json(),
            "classes": self._class_names,
            "model_id": self._model_id,
            "revision": revision,
        }
        self._digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self._pool = ThreadPoolExecutor(concurrency, "gatekeeper-upstream")
        # Fail here, with a sentence, rather than at the first request.
        self.look(torch.full((1, 3, *self._example_size()), 0.5))

    def _example_size(self) -> tuple[int, int]:
        return (32, 32) if self._preprocessing is None else self._preprocessing.size

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
        """The sha256 over all that is declared, ``revision`` among it."""
        return self._digest

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The resizing and normalisation in force; None where the upstream has its own."""
        return self._preprocessing

    def look(self, images: Tensor) -> Look:
        """Logits and features of the upstream.

        Args:
            images: Float32, shape (B, 3, H, W), in [0, 1], on any device; left untouched.

        Returns:
            Logits (B, K) and features (B, F) or None, float32. Probabilities become
            log-probabilities, none below log 1e-30.

        Raises:
            InputError: the images are not that.
            UpstreamError: no answer, or not what was declared.
        """
        check_images(images)
        calls = self._exchange.calls(images)
        if len(calls) == 1:
            looks = [self._ask(*calls[0])]
        else:
            looks = list(self._pool.map(self._ask, *zip(*calls, strict=True)))
        features = [look.features for look in looks if look.features is not None]
        return Look(
            logits=np.concatenate([look.logits for look in looks]),
            kind=looks[0].kind,
            features=np.concatenate(features) if features else None,
        )

    def _ask(self, call: Call, n: int) -> Look:
        # Read inside the question: an answer that makes no sense counts as a failure, too.
        return self.upstream.ask(call, lambda reply: self._look(*self._exchange.rows(reply, n), n))

    def _look(self, values: FloatArray, features: FloatArray | None, n: int) -> Look:
        try:
            kind: LogitsKind = "logits" if self._kind == "logits" else "log_probabilities"
            if self._kind == "probabilities":
                values = log_probabilities(values)
            return checked_look(
                values, features, kind=kind, n_images=n, n_classes=len(self._class_names)
            )
        except InputError as error:
            raise UpstreamAnswerError(f"the upstream's answer cannot be used: {error}") from error


def log_probabilities(values: FloatArray) -> FloatArray:
    """Logarithms of probabilities (B, K), rows made to sum to 1, none below log 1e-30.

    Raises:
        InputError: a number is negative or not finite, or a row's sum is not 1 within 0.01.

    Example:
        >>> import numpy as np
        >>> np.exp(log_probabilities(np.array([[0.25, 0.75]]))).round(6).tolist()
        [[0.25, 0.75]]
    """
    values = np.asarray(values, dtype=np.float64)
    sums = values.sum(axis=1, keepdims=True)
    if not ((values >= 0).all() and (np.abs(sums - 1) <= _SUM_TOLERANCE).all()):
        raise InputError(
            "expected probabilities that sum to 1 per image, got other numbers: declare "
            'kind = "logits" if that is what the upstream gives'
        )
    return np.asarray(np.log(np.maximum(values / sums, _SMALLEST)), dtype=np.float32)


def preprocessing_of(send: Send, options: dict[str, Any]) -> Preprocessing | None:
    """The preprocessing that is done here: for tensors, and for nothing else.

    Args:
        send: The form in which images travel.
        options: See :meth:`Preprocessing.from_json`; None stands for what is not declared.

    Raises:
        InputError: size, mean or std are missing for tensors, or declared for another form.
    """
    missing = [name for name in ("size", "mean", "std") if options[name] is None]
    if send == "tensor":
        if missing:
            raise InputError(
                f'expected size, mean and std for send = "tensor", got no {", ".join(missing)}: '
                'declare them, or send = "png" where the upstream decodes images itself'
            )
        return Preprocessing.from_json(options)
    if len(missing) < 3:
        raise InputError(
            f'expected no size, mean or std for send = "{send}", where the upstream has its own, '
            "got some: leave them out"
        )
    return None


def _v2_exchange(upstream: Upstream, exchange: V2Exchange) -> V2Exchange:
    """The exchange with the names that were left out, as the model itself says them."""
    if exchange.input_name and exchange.logits_output:
        return exchange
    try:
        told = upstream.ask(Call(), lambda reply: parse_object(reply.body))
    except WireError as error:
        raise UpstreamAnswerError(
            f"expected the metadata of a model at {upstream.url}, got another answer: {error}"
        ) from error
    return V2Exchange(
        send=exchange.send,
        preprocessing=exchange.preprocessing,
        input_name=exchange.input_name or _only(told.get("inputs"), "input", "input_name"),
        logits_output=exchange.logits_output
        or _only(told.get("outputs"), "output", "logits_output"),
        features_output=exchange.features_output,
        binary=exchange.binary,
    )


def _only(nodes: object, what: str, option: str) -> str:
    listed = nodes if isinstance(nodes, list) else []
    names = [str(node.get("name")) for node in listed if isinstance(node, dict)]
    if len(names) != 1:
        raise InputError(
            f"expected {option}, because the upstream's model has not exactly one {what} but "
            f"{', '.join(names) or 'none'}: declare it"
        )
    return names[0]


def _http_exchange(
    send: Send, request_field: str, answer: str, class_names: tuple[str, ...]
) -> HttpExchange:
    path = AnswerPath(answer)
    if path.is_many != (send == "json"):
        wanted = "with [*], one row per image," if send == "json" else "without [*]"
        raise InputError(f'expected answer {wanted} for send = "{send}", got {answer!r:.80}')
    return HttpExchange(
        send=send, request_field=request_field, answer=path, class_names=class_names
    )
