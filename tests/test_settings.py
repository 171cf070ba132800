"""The environment as one checked value."""

from __future__ import annotations

import pytest

from gatekeeper.errors import InputError
from gatekeeper.settings import Settings


def test_defaults_listen_on_this_machine_only() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.max_body_bytes == 20_000_000
    assert settings.body_timeout_s == 10.0
    assert settings.max_concurrent == 64


def test_every_field_is_read_in_its_type() -> None:
    settings = Settings.from_env(
        {
            "GATEKEEPER_HOST": "0.0.0.0",  # noqa: S104  # only parsed
            "GATEKEEPER_PORT": "0",
            "GATEKEEPER_MAX_BODY_BYTES": "1000",
            "GATEKEEPER_MAX_PIXELS": "64",
            "GATEKEEPER_BODY_TIMEOUT_S": "0.5",
            "GATEKEEPER_MAX_CONCURRENT": "3",
            "GATEKEEPER_DECODE_THREADS": "1",
            "GATEKEEPER_SHUTDOWN_TIMEOUT_S": "7",
            "GATEKEEPER_LOG_LEVEL": "debug",
            "GATEKEEPER_DEADLINE_S": "2.5",
            "GATEKEEPER_MAX_BATCH": "4",
            "GATEKEEPER_ON_DECIDE_ERROR": "reject",
            "GATEKEEPER_MODEL_NAME": "gate-demo",
        }
    )
    assert settings == Settings(
        host="0.0.0.0",  # noqa: S104  # only parsed
        port=0,
        max_body_bytes=1000,
        max_pixels=64,
        body_timeout_s=0.5,
        max_concurrent=3,
        decode_threads=1,
        shutdown_timeout_s=7,
        log_level="debug",
        deadline_s=2.5,
        max_batch=4,
        on_decide_error="reject",
        model_name="gate-demo",
    )


def test_foreign_variables_are_left_alone() -> None:
    others = {"GATEKEEPER_HOME": "/there", "PORT": "1", "GATEKEEPER_SERVICE_HOST": "10.0.0.1"}
    assert Settings.from_env(others) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PORT", "tcp://10.0.0.1:80", "GATEKEEPER_PORT must be a whole number, got 'tcp:"),
        ("PORT", "", "GATEKEEPER_PORT must be a whole number, got ''"),
        ("PORT", "65536", r"port must be in 0…65535, got 65536"),
        ("PORT", "-1", r"port must be in 0…65535, got -1"),
        ("HOST", " ", "host must be an address"),
        ("MAX_BODY_BYTES", "0", "max_body_bytes must be above 0"),
        ("MAX_BODY_BYTES", "1e6", "MAX_BODY_BYTES must be a whole number, got '1e6'"),
        ("MAX_PIXELS", "-5", "max_pixels must be above 0"),
        ("MAX_CONCURRENT", "0", "max_concurrent must be above 0"),
        ("DECODE_THREADS", "0", "decode_threads must be above 0"),
        ("BODY_TIMEOUT_S", "0", "body_timeout_s must be above 0"),
        ("BODY_TIMEOUT_S", "nan", "body_timeout_s must be above 0 and finite, got nan"),
        ("BODY_TIMEOUT_S", "inf", "body_timeout_s must be above 0 and finite, got inf"),
        ("BODY_TIMEOUT_S", "soon", "GATEKEEPER_BODY_TIMEOUT_S must be a number, got 'soon'"),
        ("SHUTDOWN_TIMEOUT_S", "0", "shutdown_timeout_s must be above 0"),
        ("ADMIN_PORT", "65536", r"admin_port must be in 0…65535"),
        ("ADMIN_PORT", "8080", "admin_port must differ from port, got 8080 for both"),
        ("AUDIT_DAYS", "0", "audit_days must be above 0"),
        ("REVIEW_DAYS", "0", "review_days must be above 0"),
        ("REVIEW_IMAGES", "-1", "review_images must be at least 0"),
        ("DEADLINE_S", "0", "deadline_s must be above 0"),
        ("MAX_IMAGES", "0", "max_images must be above 0"),
        ("ON_DECIDE_ERROR", "open", "on_decide_error must be one of reject, pass_flagged, abstain"),
        ("MODEL_NAME", "../a", "model_name must be made of letters"),
        ("MODEL_VERSION", "", "model_version must be made of letters"),
        ("LOG_LEVEL", "loud", "log_level must be one of critical"),
        ("LOG_FORMAT", "xml", "log_format must be one of text, json, got 'xml'"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(variable: str, value: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Settings.from_env({f"GATEKEEPER_{variable}": value})


def test_a_misspelt_limit_is_not_silently_absent() -> None:
    with pytest.raises(InputError, match="did you mean GATEKEEPER_MAX_BODY_BYTES"):
        Settings.from_env({"GATEKEEPER_MAX_BODY_BYTE": "5"})
