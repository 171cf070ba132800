"""The environment, read once and checked, as one value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Self

from gatekeeper.errors import InputError

PREFIX = "GATEKEEPER_"

_HIGHEST_PORT = 65_535
_LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
_LOG_FORMATS = ("text", "json")
_LIMITS = (
    "max_body_bytes",
    "max_pixels",
    "max_concurrent",
    "decode_threads",
    "body_timeout_s",
    "shutdown_timeout_s",
    "deadline_s",
    "hang_after_s",
    "max_batch",
    "max_restore_batch",
    "max_waiting",
    "max_restoring",
    "max_images",
    "audit_days",
    "registry_poll_s",
    "probation_s",
    "report_s",
    "feedback_share",
    "review_days",
)
_FAILURE_POLICIES = ("reject", "pass_flagged", "abstain")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# So alike that it can only be a slip; variables of other parts or tools are further away.
_SLIP = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the service behaves; each field is the variable ``GATEKEEPER_<NAME>``.

    Attributes:
        host: Address to listen on; the default is reachable from this machine only.
        port: TCP port, 0…65535; 0 takes any free one. (Kubernetes sets GATEKEEPER_PORT to a URL
            where a service is called "gatekeeper": set ``enableServiceLinks: false`` there.)
        max_body_bytes: Largest request body, at least 1.
        max_pixels: Largest image, width × height, at least 1.
        body_timeout_s: Time within which a body must have arrived, above 0.
        max_concurrent: Requests under way at once, at least 1; more are told to come back.
        max_images: Images in one request, at least 1.
        deadline_s: Time that a decision may take where the request sets none, above 0; what would
            take longer is told to come back.
        max_waiting: Images that may wait for their first look, at least 1.
        max_restoring: Images that may wait for restoration, at least 1.
        max_batch: Largest batch of first looks, at least 1.
        max_restore_batch: Largest batch of restorations, at least 1.
        hang_after_s: A batch that takes longer counts as hung, and its engine is replaced; above 0.
        on_decide_error: What becomes of an image on which the first look fails: ``reject`` (an
            error), ``pass_flagged`` (the classifier's answer, flagged) or ``abstain``.
        on_restore_error: The same where restoring fails.
        model_name: Under which name the Open Inference Protocol serves the gate: letters, digits,
            points, dashes and underscores.
        model_version: Which version it calls it, of the same characters.
        decode_threads: Threads that turn bytes into pixels, at least 1.
        admin_port: TCP port of this machine (127.0.0.1) for metrics; 0 opens none, and shows
            them on ``port`` where ``host`` is a loopback address.
        keys_file: TOML file of API keys; empty asks for none.
        audit_dir: Folder for the audit log; empty keeps none.
        audit_days: Days that audit records are kept, at least 1.
        review_images: Images that may be kept for people to label, below the product's home: what
            the gate abstains on, and the drawn share of accepted answers; 0 keeps none.
        review_days: Days that they are kept, at least 1.
        registry_poll_s: Seconds between two looks at the alias that is served, above 0.
        probation_s: Seconds for which a new version may still be undone, above 0.
        report_s: Seconds of traffic that become one set of metrics in mlflow, above 0.
        feedback_share: Probability with which an accepted answer is drawn for labelling, in
            (0, 1].
        ledger_decisions: Decisions that are kept for labels, below the product's home; 0 keeps
            none, so that feedback is not taken.
        shutdown_timeout_s: Time that running requests have to end on shutdown, at least 1.
        log_level: One of critical, error, warning, info, debug.
        log_format: ``text`` or ``json``, one object per line; both carry request ids.
        gears: The table of load gears, ``name:load_from:restored_share`` between spaces, the full
            gear first: from that load on (predicted waiting ÷ time allowed) that share of the
            doubtful images is restored. Answers below the full gear are flagged as uncertified.
        upstream_file: TOML file of the upstream classifier that accepted images are forwarded to;
            empty forwards nothing.
        traces_endpoint: OTLP address of a collector, such as
            ``http://collector:4318/v1/traces``; empty traces nothing. Needs the extra ``[otel]``.

    Raises:
        InputError: a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 20_000_000
    max_pixels: int = 25_000_000
    body_timeout_s: float = 10.0
    max_concurrent: int = 64
    max_images: int = 64
    deadline_s: float = 10.0
    max_waiting: int = 256
    max_restoring: int = 128
    max_batch: int = 16
    max_restore_batch: int = 8
    hang_after_s: float = 30.0
    on_decide_error: str = "abstain"
    on_restore_error: str = "abstain"
    model_name: str = "gatekeeper"
    model_version: str = "1"
    decode_threads: int = 2
    admin_port: int = 0
    keys_file: str = ""
    audit_dir: str = ""
    audit_days: int = 30
    review_images: int = 0
    review_days: int = 30
    registry_poll_s: float = 10.0
    probation_s: float = 60.0
    report_s: float = 60.0
    feedback_share: float = 0.01
    ledger_decisions: int = 100_000
    shutdown_timeout_s: int = 20
    log_level: str = "info"
    log_format: str = "text"
    gears: str = "full:0:1 half:0.5:0.5 raw_only:0.75:0"
    upstream_file: str = ""
    traces_endpoint: str = ""

    def __post_init__(self) -> None:
        """Refuse what no service can work with."""
        if not self.host.strip():
            raise InputError(
                "host must be an address such as 127.0.0.1 (0.0.0.0 for every interface), got an "
                "empty one"
            )
        for name in ("port", "admin_port"):
            if not 0 <= getattr(self, name) <= _HIGHEST_PORT:
                raise InputError(f"{name} must be in 0…{_HIGHEST_PORT}, got {getattr(self, name)}")
        if self.admin_port and self.admin_port == self.port:
            raise InputError(f"admin_port must differ from port, got {self.port} for both")
        for name in _LIMITS:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be above 0 and finite, got {value}: raise it")
        if self.review_images < 0:
            raise InputError(
                f"review_images must be at least 0, got {self.review_images}: 0 keeps none"
            )
        self._check_feedback()
        self._check_words()

    def _check_feedback(self) -> None:
        if self.feedback_share > 1 or self.ledger_decisions < 0:
            raise InputError(
                "feedback_share must be at most 1 and ledger_decisions at least 0, got "
                f"{self.feedback_share} and {self.ledger_decisions}"
            )

    def _check_words(self) -> None:
        for name in ("on_decide_error", "on_restore_error"):
            if getattr(self, name) not in _FAILURE_POLICIES:
                raise InputError(
                    f"{name} must be one of {', '.join(_FAILURE_POLICIES)}, got "
                    f"{getattr(self, name)!r}"
                )
        for name in ("model_name", "model_version"):
            if not _MODEL_NAME.fullmatch(getattr(self, name)):
                raise InputError(
                    f"{name} must be made of letters, digits, points, dashes and underscores, got "
                    f"{getattr(self, name)!r}"
                )
        if self.log_level not in _LOG_LEVELS:
            raise InputError(
                f"log_level must be one of {', '.join(_LOG_LEVELS)}, got {self.log_level!r}"
            )
        if self.log_format not in _LOG_FORMATS:
            raise InputError(
                f"log_format must be one of {', '.join(_LOG_FORMATS)}, got {self.log_format!r}"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables ``GATEKEEPER_<NAME>``; those not set keep their default.

        Args:
            environ: Such as ``os.environ``.

        Raises:
            InputError: a value does not parse or is out of range, or a variable's name is a slip
                of a known one.

        Example:
            >>> Settings.from_env({"GATEKEEPER_PORT": "9000"}).port
            9000
        """
        parsers = {f.name: _PARSERS[str(f.type)] for f in fields(cls)}
        _refuse_slips(environ, tuple(parsers))
        values: dict[str, Any] = {}
        for name, (parse, kind) in parsers.items():
            variable = PREFIX + name.upper()
            if variable not in environ:
                continue
            try:
                values[name] = parse(environ[variable])
            except ValueError as error:
                raise InputError(
                    f"{variable} must be {kind}, got {environ[variable]!r}: correct or unset it"
                ) from error
        return cls(**values)


_PARSERS: dict[str, tuple[Any, str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
}


def _refuse_slips(environ: Mapping[str, str], names: tuple[str, ...]) -> None:
    # A misspelt limit would otherwise be a limit that is silently not there.
    known = [PREFIX + name.upper() for name in names]
    for variable in environ:
        if not variable.startswith(PREFIX) or variable in known:
            continue
        tail = variable.removeprefix(PREFIX)
        near = get_close_matches(tail, [name.upper() for name in names], n=1, cutoff=_SLIP)
        if near:
            raise InputError(
                f"{variable} is not a setting; did you mean {PREFIX}{near[0]}? Correct or unset it"
            )
