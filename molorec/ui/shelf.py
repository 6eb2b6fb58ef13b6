"""Files made for visitors to download: in Gradio's own cache, where nobody can guess their path, and never too many."""

import re
import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from molorec.errors import MolorecError
from molorec.ui.screen import warn


class Shelf:
    """A folder that keeps the newest files; may be shared by threads.

    Parameters
    ----------
    name : of the folder in Gradio's cache; what an earlier run of the app left there counts too.
    files, size : at most so many files and so many bytes stay, but the newest file does, whatever its size.
    """

    def __init__(self, name: str, files: int, size: int):
        self.folder, self.files, self.size = Path(get_upload_folder()) / name, files, size
        self._pruning = threading.Lock()

    def put_text(self, name: str, text: str) -> str:
        """:meth:`put` a text, as UTF-8."""
        return self.put(name, lambda path: path.write_text(text, encoding="utf-8", newline=""))

    def put(self, name: str, write: Callable[[Path], object]) -> str:
        """Have ``write(path)`` make a file called :func:`plain` ``name``, and give its path; the oldest files make room.

        Raises
        ------
        MolorecError : the file cannot be written; nothing of it stays.
        """
        name, place = plain(name), self.folder / secrets.token_urlsafe(16)
        try:
            place.mkdir(parents=True)
            write(place / name)
        except BaseException as error:
            shutil.rmtree(place, ignore_errors=True)
            if isinstance(error, OSError):
                raise MolorecError(f"the file {name} could not be written ({error}); check that the disk has room") from error
            raise
        self._prune(place)
        return str(place / name)

    def _prune(self, newest: Path) -> None:
        with self._pruning:
            known = []
            for place in self.folder.iterdir():
                with suppress(OSError):  # another process may prune as well
                    known.append((place.stat().st_mtime_ns, sum(file.stat().st_size for file in place.iterdir()), place))
            known.sort(key=lambda entry: entry[0])
            count, size = len(known), sum(entry[1] for entry in known)
            for _, freed, place in known:
                if count <= self.files and size <= self.size:
                    break
                if place != newest:
                    shutil.rmtree(place, ignore_errors=True)
                    count, size = count - 1, size - freed


def plain(name: str) -> str:
    """A name that any system takes for a file's: ASCII letters, digits and ``._-``, 120 at most, with its ending.

    >>> plain("landscape-toybox-Zoë/../7.csv")
    'landscape-toybox-Zo-..-7.csv'
    """
    name = re.sub(r"[^a-zA-Z0-9._]+", "-", name).lstrip(".-") or "file"
    ending = Path(name).suffix[-10:]
    return name.removesuffix(ending)[: 120 - len(ending)] + ending


# A mixed adapter of the embedded model has 38 MB, a table some KB, the table of a sweep of a long list 1 MB.
ADAPTERS, TABLES = Shelf("molorec-adapters", 12, 1 << 29), Shelf("molorec-tables", 1_000, 1 << 27)


def download(name: str, text: str) -> gr.DownloadButton:
    """A button with a table to take along; none, and a notice, if the table cannot be written."""
    try:
        return gr.DownloadButton(value=TABLES.put_text(name, text), visible=True)
    except MolorecError as error:
        warn(error)
        return gr.DownloadButton(visible=False)
