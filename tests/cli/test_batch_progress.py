from __future__ import annotations

import io

from gatekeeper.cli import batch_progress
from gatekeeper.cli.batch_progress import Rate


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_log_gets_a_line_from_time_to_time(capsys):
    clock = Clock()
    with Rate(clock) as progress:
        progress.start("images decided", 1000)
        for seconds, n in ((10, 100), (25, 300), (1, 10), (39, 590)):
            clock.now += seconds
            progress.advance(n)
    assert capsys.readouterr().err.splitlines() == [
        "400 of 1,000 images decided, 11 per second, 52 s left",
        "1,000 of 1,000 images decided, 13 per second, 0 s left",
    ]


def test_nothing_to_do_says_nothing(capsys):
    with Rate(Clock()) as progress:
        progress.start("images decided", 0)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_with_a_rate(monkeypatch):
    err = io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setattr(err, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Rate() as progress:
        progress.start("images decided", 10)
        progress.advance(4)
        progress.advance(2)
    assert "images decided" in err.getvalue()
    assert "6/10" in err.getvalue()
    assert "/s" in err.getvalue()


def test_the_rate_of_a_task_without_speed():
    class Task:
        speed = None

    assert batch_progress._Rate().render(Task()).plain == "–/s"
    Task.speed = 1234.6
    assert batch_progress._Rate().render(Task()).plain == "1,235/s"
