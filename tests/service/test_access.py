"""Keys: who may ask for what, and how often; secrets are never kept, told or read from URLs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.errors import InputError
from gatekeeper.service.access import Key, TokenBucket, find, read_keys

PNG = {"Content-Type": "image/png"}


def table(name: str, secret: str, scopes: str = '["infer"]', rate: float = 0.01) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return (
        f'[[keys]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = {scopes}\n'
        f"rate_per_s = {rate}\nburst = 2\n"
    )


FILE = table("team-a", "secret-a") + table("ops", "secret-ops", '["metrics"]')


@pytest.fixture
def client(
    start: Callable[..., TestClient], fake: Any, tmp_path: Path, eventually: Callable[..., None]
) -> TestClient:
    path = tmp_path / "keys.toml"
    path.write_text(FILE)
    client = start(lambda: fake, keys_file=str(path), audit_dir=str(tmp_path / "audit"))
    eventually(lambda: client.get("/readyz").status_code == 200)
    return client


def ask(client: TestClient, data: bytes, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/v1/decide", content=data, headers={**PNG, **named})


def test_a_known_key_is_let_in(
    client: TestClient, image_file: Callable[..., bytes], tmp_path: Path
) -> None:
    assert ask(client, image_file(), Authorization="Bearer secret-a").status_code == 200
    assert ask(client, image_file(), X_API_Key="secret-a").status_code == 200
    limited = ask(client, image_file(), X_API_Key="secret-a")
    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limited")
    assert int(limited.headers["Retry-After"]) in range(95, 101)  # a token in 100 s


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorised"),
        ({"X_API_Key": "secret-b"}, 401, "unauthorised"),
        ({"Authorization": "Basic secret-a"}, 401, "unauthorised"),
        ({"Authorization": "Bearer "}, 401, "unauthorised"),
        ({"X_API_Key": "secret-ops"}, 403, "forbidden"),
    ],
)
def test_others_are_not(
    client: TestClient,
    image_file: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = ask(client, image_file(), **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
    assert "secret" not in answer.text + caplog.text


def test_a_key_in_the_url_is_not_read(client: TestClient, image_file: Callable[..., bytes]) -> None:
    for query in ("api_key=secret-a", "key=secret-a", "authorization=Bearer+secret-a"):
        answer = client.post(f"/v1/decide?{query}", content=image_file(), headers=PNG)
        assert answer.status_code == 401


def test_every_post_and_the_metrics_are_guarded_and_probes_are_open(client: TestClient) -> None:
    for path in ("/v1/decide/batch", "/v2/models/gatekeeper/infer", "/nowhere"):
        assert client.post(path).status_code == 401
    assert client.post("/v2/models/gatekeeper/infer").json()["error"].startswith("expected a key")
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"X-API-Key": "secret-a"}).status_code == 403
    assert client.get("/metrics", headers={"X-API-Key": "secret-ops"}).status_code == 200
    for path in ("/healthz", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200


def test_a_bucket_by_hand() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3)
    assert [bucket.take(10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(10.25) == 0.25  # half a token by now
    assert bucket.take(10.5) == 0.0
    assert bucket.take(10.5) == 0.5
    assert [bucket.take(99.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]  # never above the burst


def test_the_key_of_a_secret() -> None:
    one, other = read_keys(FILE)
    assert (find((one, other), "secret-a"), find((one, other), "secret-ops")) == (one, other)
    assert find((one, other), "") is None
    assert find((one, other), "\ud800") is None
    assert (one.name, one.scopes, one.rate_per_s, one.burst) == (
        "team-a", frozenset({"infer"}), 0.01, 2,
    )  # fmt: skip
    assert "secret-a" not in repr(one)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected at least one"),
        ("keys = []", "expected at least one"),
        ("keys = [3]", "expected burst, name, rate_per_s, scopes, sha256 in each"),
        ("[[keys", "expected keys as TOML"),
        (FILE.replace("burst", "bursts", 1), "expected burst, name"),
        (FILE.replace("burst = 2", 'burst = "2"', 1), "got other types"),
        (FILE.replace("burst = 2", "burst = 0", 1), "burst of at least 1"),
        (FILE.replace("0.01", "inf", 1), "rate_per_s above 0"),
        (FILE.replace("0.01", "-1", 1), "rate_per_s above 0"),
        (FILE.replace("team-a", "team\\na", 1), "as name of a key"),
        (FILE.replace("ops", "team-a", 1), "each name once"),
        (FILE.replace('"infer"', '"admin"', 1), "expected scopes of infer, metrics"),
        (FILE.replace('["infer"]', "[]", 1), "expected scopes"),
        (table("a", "x") + table("b", "x"), "each sha256 once"),
    ],
)
def test_files_of_keys_that_cannot_be_meant(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_keys(text)


def test_a_hash_that_is_none() -> None:
    with pytest.raises(InputError, match="64 lower-case hex digits"):
        Key(name="a", sha256="A" * 64, scopes=frozenset({"infer"}), rate_per_s=1, burst=1)


def test_a_missing_file_of_keys_is_no_open_door(
    start: Callable[..., TestClient], fake: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="expected a file of keys at"):
        start(lambda: fake, keys_file=str(tmp_path / "none.toml"))
