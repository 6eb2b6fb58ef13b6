"""A domain as two CSV files: items (item_id, title) and interactions (user_id, item_id, time)."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

from molorec.catalog.records import SourceData
from molorec.config import LIMITS
from molorec.errors import BadFile

ITEM_COLUMNS = ("item_id", "title")
EVENT_COLUMNS = ("user_id", "item_id")
TIME_COLUMNS = ("timestamp_or_order", "timestamp", "order", "time")


def read(items: Path | str, interactions: Path | str) -> SourceData:
    """Read the two files, plain or gzipped, UTF-8, with a header line; further columns are ignored.

    A time is any number that grows; without a time column, the order of the lines counts.

    Raises
    ------
    BadFile : the first problem found, with file, line and column.
    """
    titles: dict[str, str] = {}
    for line, row in _rows(Path(items), ITEM_COLUMNS):
        item = _identifier(items, line, row, "item_id")
        title = row["title"]
        if len(title) > LIMITS.title_characters:
            raise BadFile(items, f"the title has {len(title)} characters; at most {LIMITS.title_characters} fit",
                          line, "title")
        if item in titles:
            raise BadFile(items, f"item '{_short(item)}' stands here a second time; ids must be unique", line, "item_id")
        titles[item] = title
    if not titles:
        raise BadFile(items, "there are no items below the header")

    events: list[tuple[str, str, float]] = []
    for line, row in _rows(Path(interactions), EVENT_COLUMNS):
        user = _identifier(interactions, line, row, "user_id")
        item = _identifier(interactions, line, row, "item_id")
        if item not in titles:
            raise BadFile(interactions, f"item '{_short(item)}' is not in {Path(items).name}; add it there or leave out "
                          "this line", line, "item_id")
        column = next((name for name in TIME_COLUMNS if name in row), None)
        events.append((user, item, _time(interactions, line, row, column) if column else float(line)))
    if not events:
        raise BadFile(interactions, "there are no interactions below the header")
    return SourceData(titles, events)


def _identifier(file: Path | str, line: int, row: dict[str, str], column: str) -> str:
    value = row[column].strip()
    if not value:
        raise BadFile(file, "the id is empty", line, column)
    if len(value) > LIMITS.title_characters:
        raise BadFile(file, f"the id has {len(value)} characters; at most {LIMITS.title_characters} fit", line, column)
    return value


def _time(file: Path | str, line: int, row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadFile(file, f"'{_short(row[column])}' is not a number; give a Unix time or a running number",
                      line, column)
    return value


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row by column name), checking shape, size and encoding on the way."""
    line = 1
    try:
        with _open(path) as stream:
            reader = csv.reader(_lines(path, stream), strict=True)
            header = [name.strip() for name in next(reader, [])]
            if not header:
                raise BadFile(path, f"the file is empty; it needs a header line with {', '.join(required)}")
            for name in required:
                if header.count(name) != 1:
                    found = ", ".join(f"'{_short(column)}'" for column in header[:12])
                    problem = "is missing" if name not in header else "stands there twice"
                    raise BadFile(path, f"the column {problem}; the header has {found}", 1, name)
            for count, row in enumerate(reader, start=1):
                line = reader.line_num
                if count > LIMITS.csv_rows:
                    raise BadFile(path, f"more than {LIMITS.csv_rows:,} rows; give a part of the data", line)
                if not row:
                    continue
                if len(row) != len(header):
                    raise BadFile(path, f"{len(row)} values where the header has {len(header)}; a value that holds a "
                                  "comma or a quote needs double quotes around it", line)
                yield line, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise BadFile(path, f"this is not well-formed CSV ({error})", line + 1) from error
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(path, f"it cannot be read ({error})") from error


def _open(path: Path):
    if not path.is_file():
        raise BadFile(path, "there is no such file")
    if path.stat().st_size > LIMITS.csv_bytes:
        raise BadFile(path, f"the file is larger than {LIMITS.csv_bytes // 2**20} MiB")
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rb")


def _lines(path: Path, stream) -> Iterator[str]:
    """Decode line by line, so that a bad byte is blamed on the line that holds it."""
    read = 0
    for line, raw in enumerate(iter(lambda: stream.readline(LIMITS.csv_bytes), b""), start=1):
        read += len(raw)
        if read > LIMITS.csv_bytes:  # a small gzip file can hold any amount of text
            raise BadFile(path, f"the file is larger than {LIMITS.csv_bytes // 2**20} MiB once unpacked", line)
        try:
            text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadFile(path, f"this is not UTF-8 text (byte {raw[error.start]:#04x}); save it as UTF-8", line) from error
        if "\0" in text:
            raise BadFile(path, "the line holds a NUL character; this is not a text file", line)
        yield text
