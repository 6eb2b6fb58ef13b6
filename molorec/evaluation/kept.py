"""JSON files of measurements that were kept: whatever is in a folder, each is used or refused in words."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from molorec.errors import BadFile, BadInput, MolorecError

T = TypeVar("T")


def read(file: Path, make: Callable[[dict], T], *, schema: int, most: int, mend: str, name: str | None = None) -> T:
    """What ``make`` makes of a file's object, without its ``schema``.

    Parameters
    ----------
    make : raises KeyError, TypeError, ValueError, AttributeError or BadInput if the object is not as it should be.
    most : bytes.
    mend : what to do about a file that cannot be used.
    name : of the file in a message; its last part unless given.

    Raises
    ------
    BadFile : the file cannot be used, with the reason.
    """
    name = name or file.name
    try:
        size = file.stat().st_size
        if size > most:
            raise BadFile(name, f"it has {size:,} bytes, more than {most:,}, so it is none of ours; delete it")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(name, f"it cannot be read ({error}); {mend}") from error
    if not isinstance(content, dict):
        raise BadFile(name, f"it does not hold an object; {mend}")
    if content.pop("schema", None) != schema:
        raise BadFile(name, f"it was not written in schema {schema}, which this MoLoRec reads; {mend}")
    try:
        return make(content)
    except (KeyError, TypeError, ValueError, AttributeError, BadInput) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else error
        raise BadFile(name, f"it is not as it should be ({detail}); {mend}") from error


def readable(place: Path, pattern: str, read: Callable[[Path], T]) -> tuple[list[T], list[str]]:
    """What ``read`` makes of a folder's files of a pattern, by path; and in words which of them it refuses with BadFile."""
    found, problems = [], []
    try:
        files = sorted(place.glob(pattern))
    except OSError as error:
        return [], [f"{place} cannot be read ({error})"]
    for file in files:
        try:
            found.append(read(file))
        except BadFile as error:
            problems.append(str(error))
    return found, problems


def set_aside(file: Path, place: Path) -> Path:
    """Move a file from below ``place`` into ``place/earlier``, which is not read; where it is now.

    Raises
    ------
    MolorecError : it cannot be moved.
    """
    to = place / "earlier" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f") / file.relative_to(place)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        return file.replace(to)
    except OSError as error:
        raise MolorecError(f"{file} was made with something else and could not be moved to {to} ({error})") from error
