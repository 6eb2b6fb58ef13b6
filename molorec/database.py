"""What our SQLite files have in common: the schema version that each carries, and changes that are whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from molorec.errors import MolorecError


def schema_version(db: Database, path: Path, known: int, error: type[MolorecError]) -> int:
    """The file's schema version, 0 in a new one. Raises ``error`` if it is above ``known``, the one that this MoLoRec writes."""
    found = db.execute("pragma user_version").fetchone()[0]
    if found > known:
        raise error(f"{path} was written by a newer MoLoRec (schema {found}, this one knows {known}); upgrade, or set "
                    "MOLOREC_HOME to another folder")
    return found


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
