"""File hashes, by which wheels, bases and adapters are known."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path]) -> str:
    """One SHA-256 for several files (a sharded model): of a single file, that file's own."""
    hashes = [file_sha256(path) for path in sorted(paths)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
