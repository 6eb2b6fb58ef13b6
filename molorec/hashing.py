"""File hashes, by which wheels, bases and adapters are known."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{64}")


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hex."""
    target = Path(path).resolve()
    if target.parent.name == "blobs" and _HASH.fullmatch(target.name):
        return target.name  # the hub's cache names large files by their hash; 15 GB of weights take long to read for it
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def json_sha256(content: object) -> str:
    """SHA-256 of what JSON can hold, in hex: the same content has the same.

    >>> json_sha256({"a": 1, "b": 2}) == json_sha256({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def files_sha256(paths: Iterable[Path]) -> str:
    """One SHA-256 for several files (a sharded model): of a single file, that file's own."""
    hashes = [file_sha256(path) for path in sorted(paths)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
