"""Text files that are there whole or not at all, whatever interrupts whoever writes them."""

import os
import tempfile
from pathlib import Path


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
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = None
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n", dir=path.parent, prefix=".", suffix=".part",
                                         delete=False) as stream:
            partial = Path(stream.name)
            stream.write(text)
        os.chmod(partial, 0o644)  # a temporary file is its owner's alone
        os.replace(partial, path)
    finally:
        if partial:
            partial.unlink(missing_ok=True)
    return path
