"""What our SQLite files have in common: the schema version that each carries, and changes that are whole or not at all."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from molorec.errors import MolorecError


def mend(path: Path) -> str:
    """What to do about a file that SQLite or the system refuses to open, read or write."""
    folder = next(each for each in path.absolute().parents if os.path.exists(each))  # it may have been meant to be made
    denied = next((each for each in (folder, path) if os.path.exists(each) and not os.access(each, os.W_OK)), None)
    if denied:
        return f"nothing can be written to {denied}; make it writable, or set MOLOREC_HOME to a folder that is"
    return "check that the disk has room, that no other program holds the file, or set MOLOREC_HOME to another folder"


def schema_version(db: Database, path: Path, known: int, error: type[MolorecError]) -> int:
    """The file's schema version, 0 in a new one. Raises ``error`` if it is above ``known``, the one that this MoLoRec writes."""
    found = db.execute("pragma user_version").fetchone()[0]
    if found > known:
        raise error(f"{path} was written by a newer MoLoRec (schema {found}, this one knows {known}); upgrade, or set "
                    "MOLOREC_HOME to another folder")
    return found


@contextmanager
def upgrade(db: Database, path: Path, known: int, error: type[MolorecError]) -> Iterator[int | None]:
    """Bring a file to the schema ``known`` inside the block, all of it or nothing; for any number of processes at once.

    Yields
    ------
    The version found, 0 in a new file; None if there is nothing to do.
    """
    if schema_version(db, path, known, error) == known:
        yield None
        return
    _enable_wal(db)
    with change(db):
        found = schema_version(db, path, known, error)  # another process may have been first
        yield None if found == known else found
        db.execute(f"pragma user_version = {known}")


def _enable_wal(db: Database) -> None:
    """Readers and a writer at once, from now on and for all; SQLite does not wait for others with this, so we do."""
    for wait in (0.05, 0.1, 0.2, 0.5, 1, 2, None):
        try:
            db.enable_wal()
            return
        except sqlite3.OperationalError as error:
            if wait is None or "locked" not in str(error):
                raise
            time.sleep(wait)


@contextmanager
def change(db: Database) -> Iterator[None]:
    """One change, all of it or nothing."""
    # at once a writer: one that has read before it writes would not wait for another, but fail
    db.execute("begin immediate")
    try:
        yield
        db.commit()
    except BaseException:
        db.rollback()
        raise
