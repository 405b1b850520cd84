"""Ratings of objects in a SQLite file: each one is on the disk before the next is asked for, and can be undone."""

import contextlib
import datetime
import numbers
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

APPLICATION = 0x6B524154  # marks the file as ours
SECONDS = 3.0  # to wait for another program that holds the file
LARGEST = 5
# A log: nothing is ever removed from it. What counts is what was rated since the last deletion and not undone.
TABLES = (
    "CREATE TABLE images (fingerprint TEXT NOT NULL)",
    "CREATE TABLE actions (number INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, object TEXT, "
    "rating INTEGER CHECK (rating BETWEEN 0 AND 5), undone INTEGER NOT NULL DEFAULT 0)",
)
STANDING = """
SELECT object, rating, time FROM actions WHERE number IN (
    SELECT max(number) FROM actions WHERE object IS NOT NULL AND NOT undone AND number > (
        SELECT coalesce(max(number), 0) FROM actions WHERE object IS NULL AND NOT undone
    ) GROUP BY object
) ORDER BY number
"""


class Rating(NamedTuple):
    """A rating that stands: `value` 0..5 and `time`, UTC in ISO 8601.

    Example:
        >>> from astrokeras import discovery
        >>> discovery.Rating(4, "2026-01-01T00:00:00+00:00").value
        4
    """

    value: int
    time: str


class Ratings:
    """The ratings of a set of images, and all that was done to them, in a file.

    Several programs may have it open. A rating is on the disk when `rate` returns.

    Args:
        path: of the SQLite file; it is made if missing.
        ids: of the objects. A file whose ratings are mostly of objects that are not among them is refused.
        fingerprint: of the images; a file of another one is refused.

    Raises:
        ValueError: if the file is none of ours, or of other images.
        TimeoutError: if another program holds it.
        OSError: if it cannot be opened.

    Example:
        >>> from astrokeras import discovery
        >>> ratings = discovery.Ratings("galaxies.sqlite", ["a.png", "b.png"])
        >>> ratings.rate("b.png", 4)
        >>> discovery.Ratings("galaxies.sqlite", ["a.png", "b.png"]).all()["b.png"].value
        4
    """

    def __init__(self, path: str | os.PathLike, ids: Sequence[str], fingerprint: str = ""):
        self.path = Path(path).absolute()
        self._ids = frozenset(ids)
        with self._open(create=True) as file:
            file.execute("BEGIN IMMEDIATE")
            if file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                for statement in (*TABLES, f"PRAGMA application_id = {APPLICATION}"):
                    file.execute(statement)
                file.execute("INSERT INTO images VALUES (?)", (fingerprint,))
                file.execute("COMMIT")
            if file.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
                raise ValueError(
                    f"Expected a database of ratings in {self.path}; it is another program's: name another file."
                )
            known = {name for (name,) in file.execute("SELECT DISTINCT object FROM actions WHERE object IS NOT NULL")}
            (other,) = file.execute("SELECT fingerprint FROM images").fetchone()
        absent = known - self._ids
        if other != fingerprint or 2 * len(absent) > len(known):
            what = f"it rates {len(absent)} others, such as {min(absent)}" if absent else "it is of another stack"
            raise ValueError(
                f"Expected the ratings of these images in {self.path}; {what}: name the file that goes with them, or a "
                "new one."
            )
        self._first = self._last()

    def all(self) -> dict[str, Rating]:
        """Return the ratings that stand, of objects that are there: id -> `Rating`, the latest last."""
        with self._open() as file:
            rows = file.execute(STANDING).fetchall()
        return {name: Rating(value, time) for name, value, time in rows if name in self._ids}

    def rate(self, name: str, rating: int) -> None:
        """Rate an object; an earlier rating of it no longer stands.

        Args:
            name: its id.
            rating: whole number, 0 (boring) to 5 (exciting).

        Raises:
            ValueError: if there is no such object, or the rating is not in 0..5.
            OSError: if the file cannot be written; nothing is lost.
        """
        if name not in self._ids:
            raise ValueError(f"Expected the id of an object; there is none named {name!r}.")
        if isinstance(rating, bool) or not isinstance(rating, numbers.Integral) or not 0 <= rating <= LARGEST:
            raise ValueError(f"Expected a rating, a whole number in 0..{LARGEST}; received {rating!r}.")
        self._add(name, int(rating))

    def delete(self) -> int:
        """Delete all ratings, so that `undo` can bring them back; return how many stood."""
        count = len(self.all())
        if count:
            self._add(None, None)
        return count

    def undo(self) -> str | None:
        """Undo the latest rating or deletion that was not yet undone.

        Returns:
            The id of the object whose rating was undone, `""` for a deletion, `None` if there was nothing to undo.
        """
        with self._open() as file:
            row = file.execute(
                "UPDATE actions SET undone = 1 WHERE number = (SELECT max(number) FROM actions WHERE NOT undone) "
                "RETURNING object"
            ).fetchone()
        return None if row is None else row[0] or ""

    def made(self) -> int:
        """Return how many ratings were made since this object was, and not undone."""
        with self._open() as file:
            query = "SELECT count(*) FROM actions WHERE number > ? AND object IS NOT NULL AND NOT undone"
            return file.execute(query, (self._first,)).fetchone()[0]

    def _add(self, name: str | None, rating: int | None) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        with self._open() as file:
            file.execute("INSERT INTO actions (time, object, rating) VALUES (?, ?, ?)", (now, name, rating))

    def _last(self) -> int:
        with self._open() as file:
            return file.execute("SELECT coalesce(max(number), 0) FROM actions").fetchone()[0]

    @contextlib.contextmanager
    def _open(self, create: bool = False) -> Iterator[sqlite3.Connection]:
        """Open the file for one action: a file that was moved away meanwhile is noticed, threads need no lock."""
        uri = f"{self.path.as_uri()}?mode={'rwc' if create else 'rw'}"
        try:
            with contextlib.closing(sqlite3.connect(uri, SECONDS, isolation_level=None, uri=True)) as file:
                yield file
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise TimeoutError(
                    f"Expected to use {self.path}; another program has locked it: close that and try again, nothing is "
                    "lost."
                ) from error
            raise OSError(
                f"Expected a file that can be read and written at {self.path}; SQLite says: {error}."
            ) from error
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"Expected a database of ratings in {self.path}; it is damaged or of another kind: name another file."
            ) from error
