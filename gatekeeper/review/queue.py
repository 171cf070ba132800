"""The review queue: SQLite for what is known about an image, one PNG beside it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from gatekeeper.errors import DataError, InputError
from gatekeeper.review.candidates import ABSTAINED, Candidate, draw_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    decision_id TEXT PRIMARY KEY, kind TEXT NOT NULL, taken REAL NOT NULL, draw REAL NOT NULL,
    probability REAL NOT NULL, digest TEXT NOT NULL, answer INTEGER, reliability REAL NOT NULL,
    reason TEXT NOT NULL, bundle TEXT NOT NULL, label INTEGER, reviewer TEXT NOT NULL DEFAULT '',
    labelled REAL, skipped REAL);
CREATE INDEX IF NOT EXISTS by_digest ON items (digest);
CREATE TABLE IF NOT EXISTS share (one INTEGER PRIMARY KEY CHECK (one = 1), share REAL NOT NULL,
    refused INTEGER NOT NULL DEFAULT 0);
INSERT OR IGNORE INTO share (one, share) VALUES (1, 1.0);
"""
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image in the queue.

    Attributes:
        decision_id: By which feedback names the decision.
        kind: ``"abstained"`` or ``"accepted"``.
        taken: Seconds since 1970.
        draw: The image's own number in [0, 1).
        probability: With which an image of this kind is in the queue, in (0, 1].
        digest: Of the pixels.
        answer: Class index that the classifier answered; None where there is none.
        reliability: The decision's, in [0, 1].
        reason: Code of the decision's reason.
        bundle: Identity of the bundle that decided.
        label: What a person says it shows, a class index; None so far.
        reviewer: Who; "" where nobody said.
        labelled: When, seconds since 1970; None so far.
        skipped: When it was put back, seconds since 1970; None if never.
    """

    decision_id: str
    kind: str
    taken: float
    draw: float
    probability: float
    digest: str
    answer: int | None
    reliability: float
    reason: str
    bundle: str
    label: int | None
    reviewer: str
    labelled: float | None
    skipped: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is in the queue.

    Attributes:
        abstained: Abstentions that wait for a label.
        accepted: Accepted answers, drawn at random, that wait for one.
        labelled: Images with a label.
        share: Share of the abstentions that are taken at the moment, in (0, 1].
        refused: Images for which there was no room at all.
    """

    abstained: int
    accepted: int
    labelled: int
    share: float
    refused: int


_COLUMNS = ", ".join(field.name for field in fields(Item))


class ReviewQueue:
    """Images that wait for a label, within a quota, for a while.

    Abstentions are taken with a *share* that starts at 1. Where the quota is reached the share is
    halved and every waiting abstention whose draw is not below it is dropped, so that what is left
    is at any time a random sample of all abstentions, each with probability ``share``. Once no
    abstention waits, the share is 1 again. A label keeps the share that was in force when it was
    given. Accepted answers keep the probability with which they were drawn and are never dropped
    for room; with a quota full of those and of labels, nothing more is taken and that is counted.

    Args:
        folder: Made where it is missing; several processes may use one.
        max_images: Quota of images, with a label or without, at least 1.
        keep_days: Days after which an image and all that is known about it are removed, above 0.
        clock: Seconds since 1970.

    Raises:
        InputError: a bound is too small, or the folder cannot be used.

    Source:
        A sample that is thinned by a falling threshold on each item's own random number is bottom-k
        sampling (Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches"), here with
        thresholds that are powers of 1/2.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_images: int,
        keep_days: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_images < 1 or not keep_days > 0:
            raise InputError(
                f"expected max_images of at least 1 and keep_days above 0, got {max_images} and "
                f"{keep_days}"
            )
        self.max_images = max_images
        self.keep_days = keep_days
        self._clock = clock
        self._pictures = folder / "images"
        self._lock = threading.Lock()
        try:
            # Other people's images: nobody else on this machine is to read them.
            self._pictures.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            self._db = sqlite3.connect(
                folder / "review.db", timeout=5.0, check_same_thread=False, isolation_level=None
            )
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"expected a folder for the review queue at {folder}, got: {error}; choose another "
                "home or free it"
            ) from error
        self.expire()

    def take(self, candidate: Candidate) -> bool:
        """Take an image if its draw and the quota allow it.

        Returns:
            Whether it is in the queue now: not if its draw was above the share, if the same pixels
            wait already as an abstention, if the decision is known, or if there is no room.
        """
        digest = candidate.digest
        draw = draw_of(digest)
        with self._lock:
            self._begin()
            try:
                self._expire()
                taken = self._admits(candidate, digest, draw)
                if taken:
                    # The file first: a row whose picture is missing would be shown to people.
                    self._write(candidate)
                    self._insert(candidate, digest, draw)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        return taken

    def waiting(self, limit: int) -> list[Item]:
        """The next images to label, in random order, those that were skipped last.

        Args:
            limit: Most items.
        """
        with self._lock:
            return self._items(
                "WHERE label IS NULL ORDER BY skipped IS NOT NULL, skipped, draw, taken LIMIT ?",
                limit,
            )

    def all_items(self) -> list[Item]:
        """Everything, oldest first."""
        with self._lock:
            return self._items("ORDER BY taken, decision_id")

    def item(self, decision_id: str) -> Item:
        """One item.

        Raises:
            DataError: there is none of that id.
        """
        with self._lock:
            found = self._items("WHERE decision_id = ?", decision_id)
        if not found:
            raise DataError(
                f"no image waits under {decision_id!r}: it was removed after {self.keep_days:g} "
                "days or to make room; take the next one"
            )
        return found[0]

    def picture(self, decision_id: str) -> bytes:
        """The PNG of an item.

        Raises:
            DataError: there is none of that id.
        """
        self.item(decision_id)
        try:
            return self._file(decision_id).read_bytes()
        except OSError as error:
            raise DataError(
                f"the image of {decision_id!r} cannot be read ({error.strerror}): take the next one"
            ) from error

    def label(self, decision_id: str, label: int, *, reviewer: str = "") -> Item:
        """Give an item its label, or another one.

        Args:
            decision_id: Of the item.
            label: Class index, at least 0.
            reviewer: Who says so.

        Raises:
            DataError: there is no such item.
            InputError: the label is negative.
        """
        if label < 0:
            raise InputError(f"expected a class index of at least 0, got {label}")
        self.item(decision_id)
        with self._lock:
            self._db.execute(
                "UPDATE items SET label = ?, reviewer = ?, labelled = ? WHERE decision_id = ?",
                (label, reviewer, self._clock(), decision_id),
            )
            self._reset_share()
        return self.item(decision_id)

    def skip(self, decision_id: str) -> None:
        """Put an item at the end.

        Raises:
            DataError: there is no such item.
        """
        self.item(decision_id)
        with self._lock:
            self._db.execute(
                "UPDATE items SET skipped = ? WHERE decision_id = ?", (self._clock(), decision_id)
            )

    def counts(self) -> Counts:
        """What is in it."""
        with self._lock:
            by_kind = dict(
                self._db.execute(
                    "SELECT CASE WHEN label IS NULL THEN kind ELSE 'labelled' END, COUNT(*) "
                    "FROM items GROUP BY 1"
                ).fetchall()
            )
            share, refused = self._share()
        return Counts(
            abstained=by_kind.get(ABSTAINED, 0),
            accepted=by_kind.get("accepted", 0),
            labelled=by_kind.get("labelled", 0),
            share=share,
            refused=refused,
        )

    def expire(self) -> int:
        """Remove what is older than ``keep_days``; how many that was."""
        with self._lock:
            return self._expire()

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()

    # --- under the lock -------------------------------------------------------------------------

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _admits(self, candidate: Candidate, digest: str, draw: float) -> bool:
        known = self._db.execute(
            "SELECT 1 FROM items WHERE decision_id = ? OR (digest = ? AND kind = ? AND ? = kind "
            "AND label IS NULL)",
            (candidate.decision_id, digest, ABSTAINED, candidate.kind),
        ).fetchone()
        if known:
            return False
        self._reset_share()
        share, _ = self._share()
        while self._count() >= self.max_images and self._has_abstentions():
            share /= 2
            self._drop("kind = ? AND label IS NULL AND draw >= ?", ABSTAINED, share)
            self._set_share(share)
        if candidate.kind == ABSTAINED and draw >= share:
            return False
        if self._count() >= self.max_images:
            self._db.execute("UPDATE share SET refused = refused + 1")
            return False
        return True

    def _insert(self, candidate: Candidate, digest: str, draw: float) -> None:
        self._db.execute(
            "INSERT INTO items (decision_id, kind, taken, draw, probability, digest, answer, "
            "reliability, reason, bundle) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                candidate.decision_id,
                candidate.kind,
                self._clock(),
                draw,
                self._share()[0] if candidate.kind == ABSTAINED else candidate.probability,
                digest,
                candidate.answer,
                candidate.reliability,
                candidate.reason,
                candidate.bundle,
            ),
        )

    def _write(self, candidate: Candidate) -> None:
        path = self._file(candidate.decision_id)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(candidate.png())
        part.replace(path)

    def _file(self, decision_id: str) -> Path:
        # An id may come from a client: nothing of it becomes part of a path.
        return self._pictures / f"{hashlib.sha256(decision_id.encode()).hexdigest()[:40]}.png"

    def _count(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM items").fetchone()[0])

    def _share(self) -> tuple[float, int]:
        share, refused = self._db.execute("SELECT share, refused FROM share").fetchone()
        return float(share), int(refused)

    def _set_share(self, share: float) -> None:
        self._db.execute("UPDATE share SET share = ?", (share,))
        # What is still here would have been taken with this smaller share, too.
        self._db.execute(
            "UPDATE items SET probability = ? WHERE kind = ? AND label IS NULL", (share, ABSTAINED)
        )

    def _reset_share(self) -> None:
        if not self._has_abstentions():
            self._db.execute("UPDATE share SET share = 1.0")

    def _has_abstentions(self) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM items WHERE kind = ? AND label IS NULL", (ABSTAINED,)
        ).fetchone()
        return found is not None

    def _expire(self) -> int:
        removed = self._drop("taken < ?", self._clock() - self.keep_days * _DAY_S)
        if removed:
            self._reset_share()
        return removed

    def _drop(self, condition: str, *values: object) -> int:
        rows = self._db.execute(
            f"DELETE FROM items WHERE {condition} RETURNING decision_id",  # noqa: S608  # ours
            values,
        ).fetchall()
        for (decision_id,) in rows:
            self._file(decision_id).unlink(missing_ok=True)
        return len(rows)

    def _items(self, condition: str, *values: object) -> list[Item]:
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM items {condition}",  # noqa: S608  # ours
            values,
        ).fetchall()
        names = [field.name for field in fields(Item)]
        return [Item(**dict(zip(names, row, strict=True))) for row in rows]
