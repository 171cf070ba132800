"""The files: all small, local, served with a strict policy and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.service.console.pages import POLICY, static_files


def test_no_file_reaches_for_another_place_or_runs_inline() -> None:
    files = static_files()
    for name, (content, _) in files.items():
        text = content.decode()
        if name.endswith(".html"):
            assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=|style=|<style", text), name
            for link in re.findall(r'(?:src|href)="([^"]+)"', text):
                assert not link.startswith(("http:", "https:", "//", "/")), link
        if name.endswith(".js") and name != "uplot.js":
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|innerHTML|eval\(", text), name
        if name.endswith(".css"):
            assert "url(" not in text, name
    assert sum(len(content) for content, _ in files.values()) <= 200_000


def test_every_file_that_is_named_exists() -> None:
    files = static_files()
    named: set[str] = {"console.html", "review.html"}
    for name, (content, _) in files.items():
        pattern = r'static/([\w.]+)"' if name.endswith(".html") else r'from "\./([\w.]+)"'
        named |= set(re.findall(pattern, content.decode()))
    assert named == set(files)


def test_the_licence_of_what_is_bundled_goes_with_it() -> None:
    text = static_files()["uplot.js"][0].decode()
    assert "The MIT License" in text[:200]
    assert "Copyright (c) 2022 Leon Sorokin" in text
    assert "uPlot (v1.6.32)" in text


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/console", "text/html; charset=utf-8"),
        ("/console/review", "text/html; charset=utf-8"),
        ("/console/static/console.css", "text/css; charset=utf-8"),
        ("/console/static/api.js", "text/javascript; charset=utf-8"),
        ("/console/static/icon.svg", "image/svg+xml"),
    ],
)
def test_headers(start: Callable[..., TestClient], fake: Any, path: str, media_type: str) -> None:
    client = start(lambda: fake)
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/console/static/nothing.js", "/console/static/..%2Froutes.py", "/console/static/",
     "/console/reports/report.html", "/console/nothing", "/console/"],
)  # fmt: skip
def test_nothing_else_is_there(
    start: Callable[..., TestClient], fake: Any, eventually: Callable[..., None], path: str
) -> None:
    client = start(lambda: fake)
    eventually(lambda: client.get("/readyz").status_code == 200)
    assert client.get(path).status_code == 404
