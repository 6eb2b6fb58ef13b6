"""Files made for visitors to download: in Gradio's own cache, where nobody can guess their path, and never too many."""

import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gradio.utils import get_upload_folder

from molorec.errors import MolorecError


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

    def put(self, name: str, write: Callable[[Path], object]) -> str:
        """Have ``write(path)`` make a file called ``name``, and give its path; the oldest files make room.

        Raises
        ------
        MolorecError : the file cannot be written; nothing of it stays.
        """
        place = self.folder / secrets.token_urlsafe(16)
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
