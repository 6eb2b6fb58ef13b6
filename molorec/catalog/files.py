"""Text files that others made, plain, gzipped or in a zip archive: line by line, within bounds, each problem with its line."""

import gzip
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from molorec.config import LIMITS
from molorec.errors import BadFile

File = Path | zipfile.Path
_UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError)


def no_file(file: File, wanted: str = "file") -> BadFile:
    """What to raise where the ``wanted`` is expected and neither a file nor, perhaps, a folder is found."""
    if file.is_dir():
        return BadFile(file, "this is a folder; give the file in it")
    if file.exists():
        return BadFile(file, "this is no regular file but a pipe or a device, which cannot be read twice; write it to a file "
                             "first")
    return BadFile(file, f"there is no such {wanted}")


def archive(path: Path) -> zipfile.Path:
    """The root of a zip archive, to be walked like a folder. Raises BadFile if it is none, or encrypted."""
    try:
        opened = zipfile.ZipFile(path)
    except (*_UNREADABLE, ValueError) as error:
        raise BadFile(path, f"this is neither a folder nor a zip archive ({error})") from error
    if any(member.flag_bits & 1 for member in opened.infolist()):
        raise BadFile(path, "the archive is encrypted; unpack it and give the folder")
    return zipfile.Path(opened)


def lines(file: File, most: int, longest: int | None = None) -> Iterator[str]:
    """The lines of a UTF-8 file, with their ends.

    Parameters
    ----------
    most : bytes of the whole file, once unpacked.
    longest : bytes of one line; by default, as many as the file may have.

    Raises
    ------
    BadFile : it is not there, no regular file, too large, damaged, or not text; with the line where one is to blame.
    """
    for line, raw in _raw(file, most, longest):
        try:
            text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadFile(file, f"this is not UTF-8 text (byte {raw[error.start]:#04x}); save it as UTF-8", line) from error
        yield _as_text(file, line, text)


def records(file: File) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, the line without its end) for each line of a published file that is not blank.

    Raises
    ------
    BadFile : as :func:`lines`; also where it goes beyond ``LIMITS.source_bytes``, ``source_rows`` or ``line_bytes``.
    """
    for line, text in enumerate(lines(file, LIMITS.source_bytes, LIMITS.line_bytes), start=1):
        if line > LIMITS.source_rows:
            raise BadFile(file, f"more than {LIMITS.source_rows:,} lines; give a part of the data", line)
        if text := text.strip():
            yield line, text


def lines_of_either(file: File, most: int) -> list[str]:
    """The lines of a file that is UTF-8 as a whole, or else Latin-1 as a whole; without their ends.

    Raises
    ------
    BadFile : as :func:`lines`; also where a byte is no character of Latin-1 either.
    """
    raw = list(_raw(file, most))
    try:
        texts = [each.decode("utf-8-sig" if line == 1 else "utf-8") for line, each in raw]
    except UnicodeDecodeError:
        texts = [each.decode("latin-1") for _, each in raw]
        for line, text in enumerate(texts, start=1):
            if control := next((c for c in text if "\x80" <= c <= "\x9f"), ""):
                raise BadFile(file, f"this is neither UTF-8 nor Latin-1 text (byte {ord(control):#04x})", line) from None
    return [_as_text(file, line, text).rstrip("\r\n") for line, text in enumerate(texts, start=1)]


def identifier(value: str, file: File | str, line: int, column: str) -> str:
    """An id without spaces around it. Raises BadFile if nothing is left, or too much."""
    value = value.strip()
    if not value:
        raise BadFile(file, "the id is empty", line, column)
    if len(value) > LIMITS.title_characters:
        raise BadFile(file, f"the id has {len(value)} characters; at most {LIMITS.title_characters} fit", line, column)
    return value


def time(value: object, file: File | str, line: int, column: str | None = None) -> float:
    """A time as a number. Raises BadFile for what is none, or not finite."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    except OverflowError:  # a whole number of hundreds of digits, in JSON
        number = math.inf
    if not math.isfinite(number):
        problem = "is not a number" if math.isnan(number) else "is too large"
        raise BadFile(file, f"'{short(str(value))}' {problem}; give a Unix time or a running number", line, column)
    return number


def short(text: str) -> str:
    """A text of others for a message of ours: 60 characters at most, of which each can be printed.

    >>> short("a\\nb")
    'a?b'
    """
    text = text if len(text) <= 60 else text[:57] + "..."
    return "".join(c if c.isprintable() else "?" for c in text)


def _raw(file: File, most: int, longest: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield (line number from 1, its bytes), never more than ``longest`` of them in memory."""
    longest = min(most, longest or most)
    read = 0
    try:
        if not file.is_file():
            raise no_file(file)
        if isinstance(file, Path) and file.stat().st_size > most:
            raise BadFile(file, f"the file is larger than {_size(most)}")
        with ExitStack() as stack:
            stream = stack.enter_context(file.open("rb"))
            if file.name.endswith(".gz"):
                stream = stack.enter_context(gzip.open(stream))
            for line, raw in enumerate(iter(lambda: stream.readline(longest + 1), b""), start=1):
                read += len(raw)
                if read > most:  # a small archive can hold any amount of text
                    raise BadFile(file, f"the file is larger than {_size(most)} once unpacked", line)
                if len(raw) > longest:
                    raise BadFile(file, f"the line is longer than {_size(longest)}", line)
                yield line, raw
    except _UNREADABLE as error:
        raise BadFile(file, f"it cannot be read ({error})") from error


def _as_text(file: File, line: int, text: str) -> str:
    if "\0" in text:
        raise BadFile(file, "the line holds a NUL character; this is not a text file", line)
    return text


def _size(size: int) -> str:
    return f"{size // 2**20} MiB" if size >= 2**20 else f"{size} bytes"
