"""The ledger of recent decisions, the labels that people gave them, and the monitors they drive."""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.monitoring import MonitorState, RiskMonitor
from gatekeeper.service.entries import Entry, Labelled
from gatekeeper.service.errors import (
    DrainingError,
    LabelConflictError,
    LabelRangeError,
    TooBusyError,
    UnknownDecisionError,
)

_LOG = logging.getLogger("gatekeeper.service")
_FILE = "ledger.db"
_BATCH = 500
_FLUSH_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, decision_id TEXT UNIQUE NOT NULL,
    request_id TEXT NOT NULL, taken REAL NOT NULL, bundle TEXT NOT NULL, version TEXT NOT NULL,
    action TEXT NOT NULL, answer INTEGER, n_classes INTEGER NOT NULL, reliability REAL NOT NULL,
    drawn INTEGER NOT NULL, probability REAL NOT NULL, covered INTEGER NOT NULL,
    label INTEGER, reviewer TEXT NOT NULL DEFAULT '', labelled REAL);
CREATE INDEX IF NOT EXISTS by_request ON decisions (request_id);
CREATE TABLE IF NOT EXISTS monitors (
    bundle TEXT PRIMARY KEY, state TEXT NOT NULL, others INTEGER NOT NULL DEFAULT 0);
"""

_COLUMNS = tuple(field.name for field in fields(Entry))
_LISTED = ", ".join(_COLUMNS)
_PLACES = ", ".join("?" * len(_COLUMNS))
# The names are those of the fields above; every value goes in as a parameter.
_INSERT = f"INSERT OR IGNORE INTO decisions ({_LISTED}) VALUES ({_PLACES})"  # noqa: S608
_BY_DECISION = f"SELECT {_LISTED}, label FROM decisions WHERE decision_id = ?"  # noqa: S608
_BY_REQUEST = f"SELECT {_LISTED}, label FROM decisions WHERE request_id = ? LIMIT 2"  # noqa: S608


class Ledger:
    """Recent decisions in SQLite, written beside the requests; several processes may share one.

    Decisions are written in batches by a thread of its own. A label is a transaction: the ledger
    and the monitor that it drives change together or not at all. Only labels of accepted answers
    of the random sample drive the monitor of their bundle; all others are kept and counted.

    Args:
        folder: Made where it is missing.
        max_decisions: Decisions that are kept, at least 1; the oldest go first.
        waiting: Decisions that may wait to be written; more are dropped and counted.
        on_drop: Called for each decision that is dropped.
        clock: Seconds since 1970.

    Raises:
        InputError: ``max_decisions`` is too small, or the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_decisions: int = 100_000,
        waiting: int = 10_000,
        on_drop: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_decisions < 1:
            raise InputError(f"max_decisions must be at least 1, got {max_decisions}")
        self._max = max_decisions
        self._on_drop = on_drop
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._withdrawn: dict[str, str] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(
                folder / _FILE, timeout=5.0, check_same_thread=False, isolation_level=None
            )
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            self._db.executescript(_SCHEMA)
            self.refresh()
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"expected a folder for the ledger of decisions at {folder}, got: {error}; choose "
                "another GATEKEEPER_HOME, or keep no ledger with GATEKEEPER_LEDGER_DECISIONS=0"
            ) from error
        self._queue: queue.Queue[Entry | threading.Event | None] = queue.Queue(waiting)
        self._thread = threading.Thread(
            target=self._write_all, name="gatekeeper-ledger", daemon=True
        )
        self._thread.start()

    def enter(self, entry: Entry) -> None:
        """Have a decision written soon; never blocks."""
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._on_drop()

    def flush(self) -> None:
        """Wait until all that was entered before is written.

        Raises:
            TooBusyError: the disk does not keep up.
        """
        done = threading.Event()
        with suppress(queue.Full):
            self._queue.put(done, timeout=_FLUSH_S)
        if not done.wait(_FLUSH_S):
            raise TooBusyError("expected the ledger to keep up, it does not: come back in a moment")

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._queue.put(None)
        self._thread.join()
        # An engine that still loads may be at it: SQLite dies of a handle closed under a query.
        with self._lock:
            self._closed = True
            self._db.close()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The database, by itself."""
        with self._lock:
            if self._closed:
                raise DrainingError("expected an open ledger, it is closed: the service stops")
            yield self._db

    # --- monitors -------------------------------------------------------------------------------

    def open_monitor(
        self, bundle: str, *, target_risk: float, confidence_level: float, share: float
    ) -> None:
        """Begin to monitor a bundle, or go on where it was left.

        Args:
            bundle: Its identity.
            target_risk: Certified risk, in (0, 1).
            confidence_level: Of the certificate, in (0, 1).
            share: Probability with which accepted answers are drawn, in (0, 1].

        Raises:
            DrainingError: the ledger is closed.
        """
        monitor = RiskMonitor(
            target_risk=target_risk, confidence_level=confidence_level, sampling_share=share
        )
        with self._open() as db:
            db.execute(
                "INSERT OR IGNORE INTO monitors (bundle, state) VALUES (?, ?)",
                (bundle, _as_text(monitor)),
            )
        self.refresh()

    def withdrawn(self, bundle: str) -> str | None:
        """Why the certificate of a bundle is withdrawn; None while it is not."""
        return self._withdrawn.get(bundle)

    def refresh(self) -> None:
        """Look again which certificates are withdrawn: another process may have counted labels.

        Raises:
            DrainingError: the ledger is closed.
        """
        with self._open() as db:
            rows = db.execute("SELECT bundle, state FROM monitors").fetchall()
        states = {bundle: _monitor(text).state_of_evidence() for bundle, text in rows}
        self._withdrawn = {
            bundle: state.reason for bundle, state in states.items() if state.withdrawn
        }

    def monitor(self, bundle: str) -> tuple[MonitorState, int] | None:
        """What the monitor of a bundle knows, and how many labels did not count for it.

        None where that bundle was never served here.

        Raises:
            DrainingError: the ledger is closed.
        """
        with self._open() as db:
            row = db.execute(
                "SELECT state, others FROM monitors WHERE bundle = ?", (bundle,)
            ).fetchone()
        return None if row is None else (_monitor(row[0]).state_of_evidence(), int(row[1]))

    # --- labels ---------------------------------------------------------------------------------

    def label(
        self,
        label: int,
        *,
        decision_id: str | None = None,
        request_id: str | None = None,
        reviewer: str = "",
    ) -> Labelled:
        """Take the true label of a decision.

        Args:
            label: Class index.
            decision_id: Of the decision; or else
            request_id: of its request, where that was about one image.
            reviewer: Who says so.

        Raises:
            UnknownDecisionError: there is no such decision any more, or never was one.
            LabelRangeError: the label is none of its classes.
            LabelConflictError: it has another label already, or the request had several images.
            TooBusyError: the disk does not keep up.
        """
        self.flush()
        try:
            return self._label(label, decision_id, request_id, reviewer)
        except sqlite3.OperationalError as error:
            raise TooBusyError(
                f"expected to write to the ledger, it cannot be written now ({error}): come back "
                "in a moment"
            ) from error

    def _label(
        self, label: int, decision_id: str | None, request_id: str | None, reviewer: str
    ) -> Labelled:
        with self._open(), self._transaction():
            entry, known = self._find(decision_id, request_id)
            if not 0 <= label < entry.n_classes:
                raise LabelRangeError(
                    f"expected a class index below {entry.n_classes}, got {label}: correct it"
                )
            if known is not None and known != label:
                raise LabelConflictError(
                    f"expected label {known}, which this decision has already, got {label}: a "
                    "label is never changed"
                )
            if known is None:
                self._db.execute(
                    "UPDATE decisions SET label = ?, reviewer = ?, labelled = ? "
                    "WHERE decision_id = ?",
                    (label, reviewer, self._clock(), entry.decision_id),
                )
            right = None if entry.answer is None else entry.answer == label
            monitor = self._drive(entry, right, repeated=known is not None)
        if monitor is not None and monitor.withdrawn:
            self._withdrawn = {**self._withdrawn, entry.bundle: monitor.reason}
        return Labelled(
            entry=entry, label=label, right=right, repeated=known is not None, monitor=monitor
        )

    def _find(self, decision_id: str | None, request_id: str | None) -> tuple[Entry, int | None]:
        if decision_id is not None:
            query, value = _BY_DECISION, decision_id
        else:
            query, value = _BY_REQUEST, request_id or ""
        rows = self._db.execute(query, (value,)).fetchall()
        if not rows:
            raise UnknownDecisionError(
                "expected the id of a recent decision, got another: only the newest "
                f"{self._max} are known"
            )
        if len(rows) > 1:
            raise LabelConflictError(
                "expected the id of a request with one decision, this one has several: name the "
                "decision_id"
            )
        *values, label = rows[0]
        found = dict(zip(_COLUMNS, values, strict=True))
        for name in ("drawn", "covered"):
            found[name] = bool(found[name])
        return Entry(**found), label

    def _drive(self, entry: Entry, right: bool | None, *, repeated: bool) -> MonitorState | None:
        """Let a label drive the monitor of its bundle, if it counts."""
        row = self._db.execute(
            "SELECT state FROM monitors WHERE bundle = ?", (entry.bundle,)
        ).fetchone()
        if row is None:
            return None
        monitor = _monitor(row[0])
        if repeated:
            return monitor.state_of_evidence()
        if entry.counts and right is not None:
            monitor.update(not right)
            self._db.execute(
                "UPDATE monitors SET state = ? WHERE bundle = ?",
                (_as_text(monitor), entry.bundle),
            )
        else:
            self._db.execute(
                "UPDATE monitors SET others = others + 1 WHERE bundle = ?", (entry.bundle,)
            )
        return monitor.state_of_evidence()

    # --- the writer -----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _write_all(self) -> None:
        while True:
            taken = self._next_batch()
            entries = [each for each in taken if isinstance(each, Entry)]
            if entries:
                self._write(entries)
            for each in taken:
                if isinstance(each, threading.Event):
                    each.set()
            if None in taken:
                return

    def _next_batch(self) -> list[Entry | threading.Event | None]:
        taken = [self._queue.get()]
        while len(taken) < _BATCH and taken[-1] is not None:
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return taken

    def _write(self, entries: list[Entry]) -> None:
        try:
            with self._lock, self._transaction():
                self._db.executemany(_INSERT, [astuple(entry) for entry in entries])
                self._db.execute(
                    "DELETE FROM decisions WHERE number <= (SELECT MAX(number) FROM decisions) - ?",
                    (self._max,),
                )
        except sqlite3.Error:
            # A full disk or a locked file: later decisions must still have their chance.
            _LOG.exception("%d decisions cannot be written to the ledger", len(entries))
            for _ in entries:
                self._on_drop()


def _as_text(monitor: RiskMonitor) -> str:
    return json.dumps({name: array.tolist() for name, array in monitor.state().items()})


def _monitor(text: str) -> RiskMonitor:
    state = {name: np.array(values) for name, values in json.loads(text).items()}
    return RiskMonitor.from_state(state)
