"""Which schema an SQLite file of ours has: a number that the file itself carries, 0 in a new one."""

from pathlib import Path

from sqlite_utils import Database

from molorec.errors import MolorecError


def version(db: Database, path: Path, known: int, error: type[MolorecError]) -> int:
    """The file's schema version. Raises ``error`` if it is above ``known``, the one that this MoLoRec writes."""
    found = db.execute("pragma user_version").fetchone()[0]
    if found > known:
        raise error(f"{path} was written by a newer MoLoRec (schema {found}, this one knows {known}); upgrade, or set "
                    "MOLOREC_HOME to another folder")
    return found
