"""The ledger: what a label changes, what it never changes, and what a restart keeps."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.errors import InputError
from gatekeeper.monitoring import RiskMonitor
from gatekeeper.service.entries import Entry
from gatekeeper.service.errors import (
    DrainingError,
    LabelConflictError,
    LabelRangeError,
    TooBusyError,
    UnknownDecisionError,
)
from gatekeeper.service.ledger import Ledger


def entry(decision_id: str = "one", **changes: Any) -> Entry:
    """An accepted answer of class 1, drawn and covered."""
    fields = {
        "decision_id": decision_id,
        "request_id": f"r-{decision_id}",
        "taken": 5.0,
        "bundle": "b",
        "version": "3",
        "action": "accept",
        "answer": 1,
        "n_classes": 3,
        "reliability": 0.9,
        "drawn": True,
        "probability": 0.5,
        "covered": True,
    }
    return Entry(**{**fields, **changes})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path)
    monitored(ledger)
    yield ledger
    ledger.close()


def monitored(ledger: Ledger, bundle: str = "b", share: float = 0.5) -> None:
    ledger.open_monitor(bundle, target_risk=0.1, confidence_level=0.9, share=share)


def test_a_label_says_whether_the_answer_was_right(ledger: Ledger) -> None:
    ledger.enter(entry("right"))
    ledger.enter(entry("wrong"))
    right = ledger.label(1, decision_id="right", reviewer="ann")
    assert (right.right, right.repeated, right.entry) == (True, False, entry("right"))
    assert right.monitor is not None
    assert (right.monitor.n_labels, right.monitor.n_wrong) == (1, 0)
    wrong = ledger.label(2, decision_id="wrong")
    assert wrong.right is False
    assert wrong.monitor is not None
    assert (wrong.monitor.n_labels, wrong.monitor.n_wrong) == (2, 1)


def test_the_same_label_again_changes_nothing_and_another_is_refused(ledger: Ledger) -> None:
    ledger.enter(entry())
    first = ledger.label(2, decision_id="one")
    again = ledger.label(2, decision_id="one")
    assert (again.repeated, again.right, again.monitor) == (True, False, first.monitor)
    with pytest.raises(LabelConflictError, match=r"expected label 2, which .* got 1"):
        ledger.label(1, decision_id="one")
    assert ledger.monitor("b") == (first.monitor, 0)


@pytest.mark.parametrize(
    "changes",
    [{"drawn": False}, {"action": "abstain"}, {"covered": False}, {"answer": None}],
)
def test_labels_of_other_answers_are_counted_and_never_drive_the_monitor(
    ledger: Ledger, changes: dict[str, Any]
) -> None:
    ledger.enter(entry(**changes))
    done = ledger.label(2, decision_id="one")
    assert done.monitor is not None
    assert (done.monitor.n_labels, done.monitor.e_value) == (0, 1.0)
    state = ledger.monitor("b")
    assert state is not None
    assert state[1] == 1


def test_each_bundle_has_its_own_monitor(ledger: Ledger) -> None:
    monitored(ledger, "c")
    ledger.enter(entry("one"))
    ledger.enter(entry("two", bundle="c"))
    ledger.label(2, decision_id="one")
    ledger.label(1, decision_id="two")
    counts = [(each.n_labels, each.n_wrong) for each, _ in map(known(ledger), ("b", "c"))]
    assert counts == [(1, 1), (1, 0)]
    assert ledger.monitor("never served") is None


def known(ledger: Ledger) -> Callable[[str], Any]:
    def of(bundle: str) -> Any:
        state = ledger.monitor(bundle)
        assert state is not None
        return state

    return of


def test_wrong_labels_withdraw_as_the_monitor_says_and_a_restart_keeps_it(tmp_path: Path) -> None:
    alone = RiskMonitor(target_risk=0.1, confidence_level=0.9, sampling_share=0.5)
    ledger = Ledger(tmp_path)
    monitored(ledger)
    needed = 0
    while not alone.withdrawn:
        needed += 1
        alone.update(True)
        assert ledger.withdrawn("b") is None
        ledger.enter(entry(f"d{needed}"))
        ledger.label(0, decision_id=f"d{needed}")
    reason = alone.state_of_evidence().reason
    assert ledger.withdrawn("b") == reason
    ledger.close()

    again = Ledger(tmp_path)
    assert again.withdrawn("b") == reason
    monitored(again)  # as a service that serves the same bundle again does
    assert again.withdrawn("b") == reason
    assert again.monitor("b") == (alone.state_of_evidence(), 0)
    with pytest.raises(LabelConflictError):
        again.label(1, decision_id="d1")
    again.close()


def test_another_process_sees_the_withdrawal(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path), Ledger(tmp_path)
    monitored(one)
    for number in range(20):
        one.enter(entry(f"d{number}"))
        one.label(0, decision_id=f"d{number}")
    assert two.withdrawn("b") is None
    two.refresh()
    assert two.withdrawn("b") == one.withdrawn("b") != None  # noqa: E711  # one chain
    one.close()
    two.close()


def test_a_decision_is_found_by_its_request_where_that_had_one_image(ledger: Ledger) -> None:
    ledger.enter(entry("single", request_id="r1"))
    ledger.enter(entry("left", request_id="r2"))
    ledger.enter(entry("right", request_id="r2"))
    assert ledger.label(1, request_id="r1").entry.decision_id == "single"
    with pytest.raises(LabelConflictError, match="several"):
        ledger.label(1, request_id="r2")


def test_what_is_not_there_is_refused(ledger: Ledger) -> None:
    ledger.enter(entry())
    for names in ({"decision_id": "two"}, {"request_id": "two"}):
        with pytest.raises(UnknownDecisionError):
            ledger.label(1, **names)
    with pytest.raises(LabelRangeError, match="below 3, got 3"):
        ledger.label(3, decision_id="one")
    assert ledger.label(2, decision_id="one").repeated is False


def test_the_oldest_go_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, max_decisions=2)
    for name in ("one", "two", "three"):
        ledger.enter(entry(name))
        ledger.flush()
    with pytest.raises(UnknownDecisionError, match="newest 2"):
        ledger.label(1, decision_id="one")
    assert ledger.label(1, decision_id="two").right
    ledger.close()


def test_a_restart_keeps_decisions(tmp_path: Path) -> None:
    first = Ledger(tmp_path)
    first.enter(entry())
    first.close()
    second = Ledger(tmp_path)
    assert second.label(1, decision_id="one").entry == entry()
    second.close()


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    dropped: list[int] = []
    ledger = Ledger(tmp_path, waiting=1, on_drop=lambda: dropped.append(1))
    writing = threading.Event()
    with ledger._lock:  # the writer waits with one batch in its hands
        ledger.enter(entry("first"))
        while not ledger._queue.empty():
            writing.wait(0.01)
        ledger.enter(entry("second"))
        ledger.enter(entry("third"))
    assert len(dropped) == 1
    ledger.flush()
    assert ledger.label(1, decision_id="second").right
    ledger.close()


def test_a_locked_file_is_come_back_later(tmp_path: Path, monkeypatch: Any) -> None:
    ledger = Ledger(tmp_path)
    ledger.enter(entry())
    ledger.flush()
    ledger._db.execute("PRAGMA busy_timeout = 1")
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TooBusyError, match="locked"):
            ledger.label(1, decision_id="one")
        other.execute("ROLLBACK")
    assert ledger.label(1, decision_id="one").right
    ledger.close()


def test_a_ledger_that_is_closed_under_its_readers_tells_them(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    monitored(ledger)
    begun, told = threading.Barrier(5), []

    def read() -> None:
        begun.wait(10)
        try:
            while True:
                ledger.refresh()
        except DrainingError as error:
            told.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    begun.wait(10)
    ledger.close()
    for reader in readers:
        reader.join(10)
    assert told == ["expected an open ledger, it is closed: the service stops"] * 4
    with pytest.raises(DrainingError):
        monitored(ledger)


def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="another GATEKEEPER_HOME"):
        Ledger(tmp_path / "file")
    with pytest.raises(InputError, match="at least 1"):
        Ledger(tmp_path, max_decisions=0)
