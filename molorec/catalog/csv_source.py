"""A domain as two CSV files: items (item_id, title) and interactions (user_id, item_id, time)."""

import ast
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from molorec.catalog import files
from molorec.catalog.files import File
from molorec.catalog.records import Events, SourceData
from molorec.config import LIMITS
from molorec.errors import BadFile

# What is read of each file, and what of it need not be there.
ITEM_COLUMNS = ("item_id", "title", "categories")
EVENT_COLUMNS = ("user_id", "item_id", "time")
OPTIONAL = ("categories", "time")
TIME_COLUMNS = ("timestamp_or_order", "timestamp", "order", "time")
# How others call these columns, without case, spaces and signs; the likeliest first: a bare "id" may number the lines.
_USUAL_NAMES = {
    "item_id": ("itemid", "item", "movieid", "filmid", "productid", "parentasin", "asin", "isbn", "isbn13", "sku", "bookid",
                "songid", "trackid", "artistid", "gameid", "appid", "articleid", "newsid", "businessid", "recipeid", "movie",
                "film", "product", "book", "song", "track", "article", "what", "id"),
    "title": ("title", "name", "itemtitle", "itemname", "productname", "producttitle", "movietitle", "filmtitle", "booktitle",
              "songtitle", "trackname", "artistname", "gametitle", "appname", "articletitle", "headline"),
    "categories": ("categories", "category", "genres", "genre", "kinds", "kind", "maincategory"),
    "user_id": ("userid", "user", "username", "reviewerid", "customerid", "customer", "visitorid", "personid", "person",
                "memberid", "member", "buyerid", "buyer", "readerid", "reader", "clientid", "uid", "who"),
    "time": ("timestampororder", "timestamp", "order", "time", "ratingtimestamp", "unixreviewtime", "unixtime", "unixtimestamp",
             "eventtime", "position", "when"),
}


class Bounds(NamedTuple):
    """How large a file may be: bytes once unpacked, and rows below the header."""

    bytes: int
    rows: int


def read(items: File | str, interactions: File | str, *, item_columns: Mapping[str, str] | None = None,
         event_columns: Mapping[str, str] | None = None, bounds: Bounds | None = None) -> SourceData:
    """Read the two files, plain or gzipped, UTF-8, with a header line; further columns are ignored.

    A time is any number that grows; without a time column, the order of the lines counts. An items' column
    ``categories`` may say what kind of thing each is: ``Comedy|Drama``, or a list in brackets.

    Parameters
    ----------
    item_columns : what the items' header calls ``item_id``, ``title`` and ``categories``, where it says otherwise.
    event_columns : the same for ``user_id``, ``item_id`` and ``time``. An empty name leaves out ``categories`` or ``time``.
    bounds : by default those of :data:`molorec.config.LIMITS`.

    Raises
    ------
    BadFile : the first problem found, with file, line and column.
    """
    items, interactions = (Path(file) if isinstance(file, str) else file for file in (items, interactions))
    of = {"item_id": "item_id", "title": "title", **(item_columns or {})}
    kind = of.get("categories", "categories")
    titles: dict[str, str] = {}
    categories: dict[str, tuple[str, ...]] = {}
    for line, row in _rows(items, _needed(of), bounds):
        item = files.identifier(row[of["item_id"]], items, line, of["item_id"])
        title = row[of["title"]]
        if len(title) > LIMITS.title_characters:
            raise BadFile(items, f"the title has {len(title)} characters; at most {LIMITS.title_characters} fit",
                          line, of["title"])
        if item in titles:
            raise BadFile(items, f"item '{files.short(item)}' stands here a second time; ids must be unique", line, of["item_id"])
        titles[item] = title
        # a nameless column is not that of the kinds: pandas writes row numbers into one
        categories[item] = _categories(row.get(kind, "")) if kind else ()
    if not titles:
        raise BadFile(items, "there are no items below the header")

    of = {"user_id": "user_id", "item_id": "item_id", **(event_columns or {})}
    times = (of["time"],) if "time" in of else TIME_COLUMNS
    events = Events()
    for line, row in _rows(interactions, _needed(of), bounds):
        user = files.identifier(row[of["user_id"]], interactions, line, of["user_id"])
        item = files.identifier(row[of["item_id"]], interactions, line, of["item_id"])
        if item not in titles:
            raise BadFile(interactions, f"item '{files.short(item)}' is not in {items.name}; add it there or leave out "
                          "this line", line, of["item_id"])
        column = next((name for name in times if name in row), None)
        events.append(user, item, files.time(row[column], interactions, line, column) if column else float(line))
    if not events:
        raise BadFile(interactions, "there are no interactions below the header")
    return SourceData(titles, events, categories=categories)


def preview(path: Path | str, rows: int = 5, bounds: Bounds | None = None) -> tuple[list[str], list[list[str]]]:
    """The header and the first rows as they stand in the file.

    Raises
    ------
    BadFile : they cannot be read. What stands below them is not looked at.
    """
    found, first = _table(Path(path), bounds), []
    _, header = next(found, (1, []))
    if not header:
        raise BadFile(path, "the file is empty; it needs a header line")
    if len(header) == 1 and (mark := next((mark for mark in ";\t|" if mark in header[0]), "")):
        raise BadFile(path, f"its columns seem to be separated by {mark!r}; separate them by commas", line=1)
    for _, row in found:
        first.append(row)
        if len(first) >= rows:
            break
    return header, first


def guess(header: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Which column of ``header`` is likely to hold each of ``wanted`` ("item_id", "title", "time" ...); "" for none.

    A column that is called just so comes before one that is called alike.

    >>> guess(["movieId", "Name", "year"], ["item_id", "title", "categories"])
    {'item_id': 'movieId', 'title': 'Name', 'categories': ''}
    """
    by_plain_name: dict[str, str] = {}
    for column in header:
        by_plain_name.setdefault("".join(c for c in column.casefold() if c.isalnum()), column)
    return {name: name if name in header else next(
        (by_plain_name[usual] for usual in _USUAL_NAMES[name] if usual in by_plain_name), "") for name in wanted}


def mapping(path: Path | str, wanted: Sequence[str], given: Mapping[str, str], how: str) -> dict[str, str]:
    """``wanted`` → the file's column: the one that is ``given``, else the one that :func:`guess` finds.

    Parameters
    ----------
    given : "" leaves out what is in :data:`OPTIONAL`, which need not be there.
    how : how a column can be given, for the message of an error.

    Raises
    ------
    BadFile : the header cannot be read, lacks a given column, or has none that is clearly what is needed.
    """
    header, _ = preview(path, rows=1)
    found = {**guess(header, wanted), **given}
    for name, column in found.items():
        if column and column not in header:
            raise BadFile(path, f"the column is missing; {_names_of(header)}", 1, column)
        if not column and name not in OPTIONAL:
            raise BadFile(path, f"it is not clear which column is the {name}; {_names_of(header)}; {how}", 1)
    return found


def _names_of(header: Sequence[str]) -> str:
    return "the header has " + ", ".join(f"'{files.short(column)}'" for column in header[:12])


def _needed(columns: Mapping[str, str]) -> list[str]:
    """The header's names that must be there: all that somebody named, and those without which there is no data."""
    return list(dict.fromkeys(name for key, name in columns.items() if name or key not in OPTIONAL))


def _categories(text: str) -> tuple[str, ...]:
    """What a person wrote there is never a reason to refuse a file: at worst it is one odd category."""
    text = text.strip()[: LIMITS.title_characters]
    if text.startswith("["):
        try:
            names = ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            names = []
    else:
        names = text.split("|")
    return tuple(name.strip() for name in names if isinstance(name, str) and name.strip())


def _rows(path: File, required: Sequence[str], bounds: Bounds | None) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row by column name) below a header that has each of ``required`` once."""
    table = _table(path, bounds)
    _, header = next(table, (1, []))
    if not header:
        raise BadFile(path, f"the file is empty; it needs a header line with {', '.join(required)}")
    for name in required:
        if header.count(name) != 1:
            problem = "is missing" if name not in header else "stands there twice"
            raise BadFile(path, f"the column {problem}; {_names_of(header)}", 1, name)
    for line, row in table:
        yield line, dict(zip(header, row, strict=True))


def _table(path: File, bounds: Bounds | None) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, values), the header first, checking shape, size and encoding on the way."""
    bounds = bounds or Bounds(LIMITS.csv_bytes, LIMITS.csv_rows)
    line = 0
    try:
        reader = csv.reader(files.lines(path, bounds.bytes, LIMITS.line_bytes), strict=True)
        header = [name.strip() for name in next(reader, [])]
        line = reader.line_num
        if len(header) > LIMITS.csv_columns:
            raise BadFile(path, f"the header has {len(header):,} columns; at most {LIMITS.csv_columns:,} are read", line)
        yield line, header
        for count, row in enumerate(reader, start=1):
            line = reader.line_num
            if count > bounds.rows:
                raise BadFile(path, f"more than {bounds.rows:,} rows; give a part of the data", line)
            if not row:
                continue
            if len(row) != len(header):
                raise BadFile(path, f"{len(row)} values where the header has {len(header)}; a value that holds a "
                              "comma or a quote needs double quotes around it", line)
            yield line, row
    except csv.Error as error:
        raise BadFile(path, f"this is not well-formed CSV ({error})", line + 1) from error
