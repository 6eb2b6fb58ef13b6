"""Files that are there whole or not at all, whatever interrupts whoever writes them."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def write(path: Path, text: str) -> Path:
    """Write ``text`` as UTF-8 beside ``path``, then give it that name; two writers do not disturb each other. What is there
    and no file (a pipe, a terminal) is written to as it is.

    Raises
    ------
    OSError : it cannot be written; what stood there before is still there.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8", newline="\n")
        return path
    with replacing(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
    return path


@contextmanager
def replacing(path: Path, mode: str = "wb", **options: str) -> Iterator[IO]:
    """A file beside ``path`` to write to, which has that name once the block has ended well; if it has not, it is gone.

    Parameters
    ----------
    mode, options : as of :func:`open`; it begins with "w".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        # readable for whom the umask lets read it, which a file of tempfile's is not
        with open(partial, mode.replace("w", "x"), **options) as stream:
            yield stream
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
