"""Files that their publishers offer on the web: fetched once, whole, and checked."""

import gzip
import hashlib
import http.client
import os
import shutil
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from molorec import __version__, config
from molorec.errors import FetchError

_BLOCK = 2**20
_SECONDS = 30  # without a byte
_MOST = 8 * 2**30


@dataclass(frozen=True)
class WebFile:
    """A published file.

    Attributes
    ----------
    addresses : where it is to be had, tried in this order.
    md5 : that its publisher gives; "" for none. The files' own check sums are looked at in any case.
    """

    name: str
    addresses: tuple[str, ...]
    md5: str = ""


def fetch(file: WebFile, quiet: bool = False) -> Path:
    """The file in the cache; downloaded on first use. An interrupted download leaves nothing behind.

    The size and the progress are said on stderr, unless ``quiet``.

    Raises
    ------
    FetchError : no address gives it, or what comes is not the whole file; with each address and its reason.
    """
    target = config.home() / "downloads" / file.name
    if target.is_file():  # it was checked before it got this name
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    for address in file.addresses:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            part = Path(folder) / file.name
            try:
                digest = _download(address, part, quiet)
                if file.md5 and digest != file.md5:
                    raise FetchError(f"its MD5 is {digest}, but {file.md5} was published")
                _check_whole(part)
                os.replace(part, target)
                return target
            except (FetchError, OSError, http.client.HTTPException, ValueError) as error:
                problems.append(f"{address}: {error}")
    raise FetchError(f"{file.name} could not be fetched ({'; '.join(problems)})")


def _download(address: str, part: Path, quiet: bool) -> str:
    """Write what the address gives to ``part``; its MD5."""
    request = urllib.request.Request(address, headers={"User-Agent": f"molorec/{__version__}"})
    digest, done = hashlib.md5(usedforsecurity=False), 0
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer, open(part, "wb") as stream:
        size = int(answer.headers.get("Content-Length") or 0)
        free = shutil.disk_usage(part.parent).free
        if size > min(free, _MOST):
            raise FetchError(f"it has {_megabytes(size)}, and {_megabytes(min(free, _MOST))} fit")
        said = 0
        if not quiet:
            print(f"fetching {address} ({_megabytes(size) if size else 'size unknown'}) into {part.parent.parent}",
                  file=sys.stderr, flush=True)
        while block := answer.read(_BLOCK):
            stream.write(block)
            digest.update(block)
            done += len(block)
            if done > _MOST:
                raise FetchError(f"it goes on beyond {_megabytes(_MOST)}")
            if not quiet and size and 4 * done // size > said:
                said = 4 * done // size
                print(f"{_megabytes(done)} of {_megabytes(size)}", file=sys.stderr, flush=True)
    if size and done != size:
        raise FetchError(f"only {done:,} of {size:,} bytes came")
    return digest.hexdigest()


def _check_whole(part: Path) -> None:
    """Compare an archive's check sums with what is in it: some networks answer with a page of their own, or with half a file."""
    try:
        if part.suffix == ".zip":
            with zipfile.ZipFile(part) as archive:
                bad = archive.testzip()
            if bad:
                raise FetchError(f"'{bad}' in it is damaged")
        elif part.suffix == ".gz":
            with gzip.open(part) as stream:
                while stream.read(_BLOCK):
                    pass
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FetchError(f"what came is no whole {part.suffix} file ({error})") from error


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
