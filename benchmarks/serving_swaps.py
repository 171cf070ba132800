"""The cell of the benchmark `serving` that moves an alias under load.

Two versions of a model differ in nothing but the names of their classes. The alias moves from one
to the other and back, each time as soon as the service has followed, while clients ask without a
pause. An answer is mixed where its header, its body and the name of its class do not all come from
one version.
"""

from __future__ import annotations

import base64
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.serving_gate import make_bundle
from benchmarks.serving_running import OK, TIMEOUT_S, Scale, jpegs, server
from gatekeeper.errors import DataError
from gatekeeper.mlp import MlpOptions
from gatekeeper.tracking import Registry, TrackingStore, log_fit

WORDS = ("one", "two")
"""How the classes of the two versions are called."""

_NAME = "serving"
_CLIENTS = 6
_BATCH = 4
_POLL_S = 0.1
_FOLLOWED_S = 120.0
# Short, so that most moves find the version unloaded and load it again.
_SETTINGS = {"registry_poll_s": "0.2", "probation_s": "0.3", "deadline_s": "60"}


@dataclass(slots=True)
class Tally:
    """What clients were answered.

    Attributes:
        answers: Images that were decided, by the word of the version that decided them.
        errors: What went wrong with others, in words.
        mixed: Answers whose parts come from two versions, in words.
    """

    answers: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)

    def take(self, status: int, header: str | None, body: Any, words: Mapping[str, str]) -> None:  # noqa: ANN401  # JSON
        """Judge one answer.

        Args:
            status: Of the answer.
            header: Bundle that its header names.
            body: Of a decision, or of a batch of them.
            words: Identity of a bundle -> how its classes are called.
        """
        if status != OK:
            self.errors.append(f"{status}: {body}")
            return
        for item in body.get("results", [{"decision": body}]):
            decision = item.get("decision")
            if decision is None:
                self.errors.append(f"{status}: {item}")
                continue
            bundle = decision["versions"]["bundle"]
            word = words.get(bundle, "neither")
            said = decision["class_name"]
            if header != bundle or (said is not None and said.split(" ")[0] != word):
                self.mixed.append(f"header {header}, body {bundle}, class {said}")
            self.answers[word] = self.answers.get(word, 0) + 1


def swaps(scale: Scale, moves: int) -> dict[str, Any]:
    """Move an alias so often under load, and count what went wrong.

    Raises:
        DataError: the service does not follow the alias.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = TrackingStore(
            uri=f"sqlite:///{home / 'mlflow.db'}", artifact_root=home / "artifacts"
        )
        words = _register(store, home, scale)
        registry, tally, ended = Registry(store), Tally(), threading.Event()
        _move(store, 1)
        environ = {"GATEKEEPER_HOME": folder, "MLFLOW_TRACKING_URI": store.uri}
        uri = f"models:/{_NAME}@champion"
        with server("alias", scale, bundle=uri, environ=environ, **_SETTINGS) as running:
            with _clients(running.port, jpegs(scale.side), words, tally, ended):
                began = time.monotonic()
                for move in range(1, moves + 1):
                    version = 1 + move % 2
                    _move(store, version)
                    _wait_for(running.port, str(version))
            seconds = time.monotonic() - began
        found = [each.version for each in registry.list_versions(_NAME)]
    return {
        "cell": "swaps",
        "moves": moves,
        "seconds": seconds,
        "versions": sorted(found),
        "answers": tally.answers,
        "errors": len(tally.errors),
        "mixed": len(tally.mixed),
        "examples": (tally.errors + tally.mixed)[:5],
    }


def _register(store: TrackingStore, home: Path, scale: Scale) -> dict[str, str]:
    """Two versions; the identity of each one's bundle with how its classes are called."""
    words = {}
    options = MlpOptions(hidden=16, members=1, epochs=1)
    for word in WORDS:
        bundle = make_bundle("small", scale.side, scale.n_images, home / word, options, word=word)
        logged = log_fit(
            store,
            experiment=_NAME,
            run_name=word,
            params={},
            metrics={},
            tags={},
            data_digests={},
            artifacts=[],
            bundle=bundle,
            registered_name=_NAME,
            metadata={},
            example=jpegs(scale.side, 1)[0],
            requirements=["vision-gatekeeper"],
        )
        words[Registry(store).resolve(logged.model_uri).bundle] = word
    return words


def _move(store: TrackingStore, version: int) -> None:
    with store.calls("move the alias"):
        store.client().set_registered_model_alias(_NAME, "champion", str(version))


def _wait_for(port: int, version: str) -> None:
    until = time.monotonic() + _FOLLOWED_S
    while time.monotonic() < until:
        status, _, body = _asked(port, "GET", "/readyz", b"", "")
        if status == OK and body["versions"]["version"] == version:
            return
        time.sleep(_POLL_S)
    raise DataError(
        f"expected version {version} to decide within {_FOLLOWED_S:g} s, got {status} {body}"
    )


@contextmanager
def _clients(
    port: int,
    files: Sequence[bytes],
    words: Mapping[str, str],
    tally: Tally,
    ended: threading.Event,
) -> Iterator[None]:
    """Clients that ask without a pause until the context ends."""
    lock, turns = threading.Lock(), count()

    def ask() -> None:
        while not ended.is_set():
            turn = next(turns)
            try:
                answer = _asked(port, "POST", *_request(files, turn))
            except (OSError, HTTPException) as error:
                answer = (0, None, repr(error))
            with lock:
                tally.take(*answer, words)

    threads = [threading.Thread(target=ask) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _request(files: Sequence[bytes], turn: int) -> tuple[str, bytes, str]:
    """Path, body and type: one image, and every third time several."""
    if turn % 3:
        return "/v1/decide", files[turn % len(files)], "image/jpeg"
    chosen = [files[(turn + k) % len(files)] for k in range(_BATCH)]
    images = [base64.b64encode(file).decode() for file in chosen]
    return "/v1/decide/batch", json.dumps({"images": images}).encode(), "application/json"


def _asked(
    port: int, method: str, path: str, body: bytes, kind: str
) -> tuple[int, str | None, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)) as connection:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        bundle = answer.headers["X-Gatekeeper-Bundle"]
        return answer.status, bundle, json.loads(answer.read())
