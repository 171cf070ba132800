"""Log lines: request ids, JSON, and nothing secret."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.service.logs import REQUEST_ID, JsonLines, WithRequestId, log_config

PNG = {"Content-Type": "image/png"}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the service's loggers write as JSON at level debug."""
    loggers = [logging.getLogger(name) for name in ("gatekeeper", "uvicorn")]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    out = io.StringIO()
    config = log_config("debug", "json")
    config["handlers"]["stderr"]["stream"] = out
    logging.config.dictConfig(config)
    yield out
    for each, handlers, level, propagate in before:
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_per_answer_with_its_request_id_and_nothing_secret(
    client: TestClient, image_file: Callable[..., bytes], written: io.StringIO
) -> None:
    headers = {**PNG, "X-Request-ID": "find-me", "Authorization": "Bearer secret"}
    client.post("/v1/decide?token=secret", content=image_file(), headers=headers)
    client.get("/secret")
    found = [line for line in lines(written) if line["logger"] == "gatekeeper.access"]
    assert [(line["method"], line["route"], line["status"], line["level"]) for line in found] == [
        ("POST", "/v1/decide", 200, "DEBUG"),
        ("GET", "other", 404, "INFO"),
    ]
    assert found[0]["request_id"] == "find-me"
    assert len(found[1]["request_id"]) == 32
    assert all(line["duration_ms"] > 0 for line in found)
    assert "secret" not in written.getvalue()


def test_an_error_is_found_by_its_request(
    client: TestClient, fake: Any, image_file: Callable[..., bytes], written: io.StringIO
) -> None:
    fake.judge = lambda _: object()
    headers = {**PNG, "X-Request-ID": "find-me"}
    client.post("/v1/decide", content=image_file(), headers=headers)
    [line] = [line for line in lines(written) if line["level"] == "ERROR"]
    assert line["request_id"] == "find-me"
    assert "Traceback" in line["exception"]


def test_an_answer_without_what_failed_is_found_by_its_request(
    client: TestClient, fake: Any, image_file: Callable[..., bytes], written: io.StringIO
) -> None:
    fake.error = RuntimeError("broken")
    headers = {**PNG, "X-Request-ID": "find-me"}
    assert client.post("/v1/decide", content=image_file(), headers=headers).status_code == 200
    [line] = [line for line in lines(written) if line["level"] == "WARNING"]
    assert line["request_id"] == "find-me"
    assert line["message"] == "answered without what failed: decide_failed"


def test_a_record_is_one_line_whatever_it_says() -> None:
    record = logging.makeLogRecord(
        {"msg": "two\nlines %s", "args": ("é\x1b[31m",), "levelname": "INFO", "name": "a",
         "created": 86_400.5}
    )  # fmt: skip
    text = JsonLines().format(record)
    assert "\n" not in text
    assert text.isascii()
    assert json.loads(text) == {
        "time": "1970-01-02T00:00:00.500+00:00", "level": "INFO", "logger": "a",
        "message": "two\nlines é\x1b[31m", "request_id": "",
    }  # fmt: skip


def test_text_names_the_request_inside_one_only() -> None:
    config = log_config("warning", "text")
    form = logging.Formatter(config["formatters"]["text"]["format"])
    record = logging.makeLogRecord({"msg": "hello", "levelname": "INFO", "name": "a"})
    WithRequestId().filter(record)
    assert form.format(record).endswith("INFO a: hello")
    token = REQUEST_ID.set("7")
    try:
        WithRequestId().filter(record)
    finally:
        REQUEST_ID.reset(token)
    assert form.format(record).endswith("INFO a: hello [7]")
    assert config["loggers"]["gatekeeper"]["level"] == "WARNING"
