"""Folders that are there whole or not at all, whatever goes wrong while they are made."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder beside ``folder`` to fill, which has that name once the block has ended well; if it has not, it is gone.

    Raises
    ------
    OSError : it cannot have the name; what stood there before is still there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True) as work:
        made = Path(work) / (folder.name or "new")
        made.mkdir()
        yield made
        put(made, folder)


def put(made: Path, folder: Path) -> None:
    """Give a finished folder on the same disk the name ``folder``; one that has the name already goes.

    Between the two there is a moment without either: whoever is killed in it leaves the old one beside ``made``, as *.old.

    Raises
    ------
    OSError : it cannot have it; what stood there before is still there.
    """
    old = made.with_name(f"{made.name}.old")
    shutil.rmtree(old, ignore_errors=True)  # of somebody who was ended in the middle
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(made, folder)
    except BaseException:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
