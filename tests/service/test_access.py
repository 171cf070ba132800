"""Keys: who may ask for what, and how often; secrets are never kept, told or read from URLs."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.errors import InputError
from gatekeeper.service import access
from gatekeeper.service.access import Key, TokenBucket, find, read_keys
from gatekeeper.service.surfaces import is_loopback
from gatekeeper.settings import Settings

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


def test_a_key_in_the_url_reaches_no_log_no_answer_and_no_record(
    client: TestClient, image_file: Callable[..., bytes], caplog: pytest.LogCaptureFixture,
    tmp_path: Path, fake: Any,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG, logger="gatekeeper")
    query = "api_key=secret-a&token=secret-a"
    answers = [
        client.post(f"/v1/decide?{query}", content=image_file(), headers=PNG),
        client.post(f"/v2/models/secret-a/infer?{query}", content=b"{}"),
        client.get(f"/nowhere?{query}"),
        client.get(f"/metrics?{query}"),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 404, 401]
    fake.judge = lambda _: object()  # a bug, which is logged with its traceback
    broken = client.post(
        f"/v1/decide?{query}", content=image_file(), headers={**PNG, "X-API-Key": "secret-a"}
    )
    assert broken.status_code == 500
    assert "unexpected error" in caplog.text
    told = "".join(answer.text + str(answer.headers) for answer in [*answers, broken])
    ours = "".join(r.getMessage() + (r.exc_text or "") for r in caplog.records
                   if r.name.startswith(("gatekeeper", "uvicorn")))  # fmt: skip
    scraped = client.get("/metrics", headers={"X-API-Key": "secret-ops"}).text
    written = "".join(p.read_text() for p in (tmp_path / "audit").rglob("*") if p.is_file())
    assert "secret-a" not in told + ours + scraped + written


def test_the_name_of_the_key_goes_on_record_and_the_key_does_not(
    client: TestClient, image_file: Callable[..., bytes], tmp_path: Path,
    eventually: Callable[..., None],
) -> None:  # fmt: skip
    assert ask(client, image_file(), X_API_Key="secret-a").status_code == 200

    def written() -> str:
        files = (tmp_path / "audit").rglob("*")
        return "".join(path.read_text() for path in files if path.is_file())

    eventually(lambda: '"team-a"' in written())
    assert "secret-a" not in written()


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = read_keys(FILE)
    compared: list[tuple[str, str]] = []

    def counted(known: str, given: str) -> bool:
        compared.append((known, given))
        return hmac.compare_digest(known, given)

    monkeypatch.setattr(access, "hmac", SimpleNamespace(compare_digest=counted))
    for secret in ("secret-a", "secret-ops", "neither", ""):
        compared.clear()
        find((one, other), secret)
        digest = hashlib.sha256(secret.encode()).hexdigest()  # of equal length for every secret
        assert compared == [(one.sha256, digest), (other.sha256, digest)]


def test_a_refused_key_takes_nothing_from_a_bucket(
    client: TestClient, image_file: Callable[..., bytes]
) -> None:
    for _ in range(5):
        assert ask(client, image_file(), X_API_Key="secret-ops").status_code == 403
        assert ask(client, image_file(), X_API_Key="guess").status_code == 401
    assert ask(client, image_file(), X_API_Key="secret-a").status_code == 200


def test_a_bucket_is_its_own_key_s(client: TestClient, image_file: Callable[..., bytes]) -> None:
    statuses = [ask(client, image_file(), X_API_Key="secret-a").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert client.get("/metrics", headers={"X-API-Key": "secret-ops"}).status_code == 200


def test_by_default_nobody_outside_reaches_it() -> None:
    assert Settings().host == "127.0.0.1"
    assert is_loopback(Settings().host)


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
        (FILE.replace('"infer"', '"owner"', 1), "expected scopes of infer, metrics"),
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
