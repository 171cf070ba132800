from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gatekeeper.errors import DataError
from gatekeeper.images import mirrors


class _Mirror(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", "3000" if self.path == "/short" else "6")
        self.end_headers()
        if self.path == "/slow":
            time.sleep(0.5)
        self.wfile.write(b"/short" if self.path == "/short" else self.path.encode()[:6].ljust(6))

    def log_message(self, *_):
        pass


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Mirror) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_files_arrive_under_their_names(address, tmp_path):
    mirrors.download(address, ("one", "two"), tmp_path / "into", time_limit_s=20)
    contents = {path.name: path.read_bytes() for path in (tmp_path / "into").iterdir()}
    assert contents == {"one": b"/one  ", "two": b"/two  "}


@pytest.mark.parametrize("name", ["missing", "short"])
def test_a_failure_names_the_mirror_and_leaves_no_file(address, tmp_path, name):
    with pytest.raises(DataError, match=f"{address}.*could not be fetched"):
        mirrors.download(address, (name,), tmp_path, time_limit_s=20)
    assert list(tmp_path.iterdir()) == []


def test_silence_ends_the_attempt(address, tmp_path, monkeypatch):
    monkeypatch.setattr(mirrors, "_SILENCE_LIMIT_S", 0.1)
    with pytest.raises(DataError, match="could not be fetched"):
        mirrors.download(address, ("slow",), tmp_path, time_limit_s=20)


def test_the_time_limit_and_the_size_limit_end_the_attempt(address, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="too slow or too large"):
        mirrors.download(address, ("one",), tmp_path, time_limit_s=-1)
    monkeypatch.setattr(mirrors, "_MAX_BYTES", 5)
    with pytest.raises(DataError, match="too slow or too large"):
        mirrors.download(address, ("one",), tmp_path, time_limit_s=20)


def test_nobody_at_the_address_is_said(tmp_path, address):
    with pytest.raises(DataError, match="could not be fetched"):
        mirrors.download("http://127.0.0.1:9/", ("one",), tmp_path, time_limit_s=5)


def test_another_scheme_is_refused(tmp_path):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(DataError, match="http or https"):
        mirrors.download(f"file://{tmp_path}/", ("secret",), tmp_path / "into", time_limit_s=5)
