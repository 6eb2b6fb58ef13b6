"""Amazon reviews as the McAuley lab publishes them: a file of reviews and one of product metadata, one record a line.

The reviews, and all of the 2018 edition, are JSON; the metadata of 2014 are Python's way to write a dict, which is read as data
and never run. Of each record a few fields are taken, so files of any size are read with the memory of what is kept.
"""

import ast
import json
import re
import warnings
from collections.abc import Collection, Iterator

from molorec.catalog import files
from molorec.catalog.files import File
from molorec.catalog.records import Events, SourceData
from molorec.config import LIMITS
from molorec.errors import BadFile
from molorec.titles import clean

NOUN = "products"
TERMS = "research use (Amazon review data of the McAuley lab)"

_NAME = re.compile(r"meta_(.+)\.json(?:\.gz)?")
_REVIEWS = ("reviews_{}_5", "{}_5", "reviews_{}", "{}")  # a 5-core comes before all reviews; 2014 and 2018 by turns
_ASIN = re.compile(r"""["']asin["']\s*:\s*["']([^"']*)["']""")
_PAGE_SCRIPT = "getTime"  # some titles of the 2018 edition are a piece of the page's script
_MOST_CATEGORIES = 30
_UNREADABLE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


def pairs(folder: File) -> dict[str, tuple[File, File]]:
    """Category ("Beauty") → its files of reviews and metadata in a folder, by the names under which they are published."""
    there = {file.name: file for file in folder.iterdir()}
    found: dict[str, tuple[File, File]] = {}
    for name in sorted(there):
        named = _NAME.fullmatch(name)
        if named:
            reviews = next((there[candidate] for form in _REVIEWS for end in (".json.gz", ".json")
                            if (candidate := form.format(named[1]) + end) in there), None)
            if reviews is not None:
                found.setdefault(named[1], (reviews, there[name]))
    return found


def read(reviews: File, metadata: File) -> SourceData:
    """Read who reviewed what and when, and the titles and categories of what was reviewed.

    Of the metadata only the records of reviewed products are looked at. Of a product that stands there twice, the first record
    with a title counts; one without a title, or whose "title" is a piece of a page's script or longer than
    ``LIMITS.title_characters``, counts as untitled.

    Raises
    ------
    BadFile : the first problem found, with file and line.
    """
    events = Events()
    for line, record in _records(reviews):
        events.append(_id(reviews, line, record, "reviewerID"), _id(reviews, line, record, "asin"),
                      files.time(_field(reviews, line, record, "unixReviewTime"), reviews, line, "unixReviewTime"))
    if not len(events):
        raise BadFile(reviews, "there are no reviews in it")

    reviewed = set(events.items)
    titles: dict[str, str] = {}
    categories: dict[str, tuple[str, ...]] = {}
    again = 0
    for line, record in _records(metadata, reviewed):
        item = _id(metadata, line, record, "asin")
        if item not in reviewed:
            continue
        again += item in titles
        if not titles.get(item):
            titles[item] = _title(record)
            categories[item] = _categories(record)
    if not titles:
        raise BadFile(metadata, f"it holds none of the products of {reviews.name}; do the two files belong together?")
    notes = [f"{count:,} {what}" for count, what in (
        (len(reviewed - titles.keys()), "reviewed products without metadata left out"),
        (again, "further metadata records of the same product left out")) if count]
    return SourceData(titles, events, notes, categories)


def _records(file: File, wanted: Collection[str] | None = None) -> Iterator[tuple[int, dict]]:
    """Yield (line, record); with ``wanted``, without taking apart lines that plainly are of another product."""
    for line, text in files.records(file):
        asins = _ASIN.findall(text) if wanted is not None else ()
        if not asins or any(asin.strip() in wanted for asin in asins):
            yield line, _parsed(file, line, text)


def _parsed(file: File, line: int, text: str) -> dict:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings(action="ignore"):  # Python has views on backslashes
                record = ast.literal_eval(text)
        except _UNREADABLE as error:
            raise BadFile(file, f"the line is neither JSON nor a Python dict ({files.short(str(error))})", line) from error
    if not isinstance(record, dict):
        raise BadFile(file, f"the line holds no record in braces but {files.short(str(type(record).__name__))}", line)
    return record


def _field(file: File, line: int, record: dict, name: str) -> object:
    if name not in record:
        there = ", ".join(f"'{files.short(str(key))}'" for key in list(record)[:8]) or "none"
        raise BadFile(file, f"the record lacks this field; it has {there}", line, name)
    return record[name]


def _id(file: File, line: int, record: dict, name: str) -> str:
    value = _field(file, line, record, name)
    if not isinstance(value, str) or not value.isprintable():
        raise BadFile(file, f"the id is no plain text but {files.short(repr(value))}", line, name)
    return files.identifier(value, file, line, name)


def _title(record: dict) -> str:
    title = record.get("title")
    if not isinstance(title, str) or _PAGE_SCRIPT in title or len(title) > LIMITS.title_characters:
        return ""
    return _whole(title)


def _categories(record: dict) -> tuple[str, ...]:
    """The names on all paths to the product (2014: a list of paths; 2018: one path), each once, the widest first."""
    paths = record.get("categories", record.get("category"))
    names = [name for path in (paths if isinstance(paths, list) else []) for name in (path if isinstance(path, list) else [path])
             if isinstance(name, str) and len(name) <= LIMITS.title_characters and "</" not in name]
    return tuple(dict.fromkeys(filter(None, (clean(_whole(name)) for name in names))))[:_MOST_CATEGORIES]


def _whole(text: str) -> str:
    """The text with "?" for halves of characters, which an escape can name and no file can hold."""
    return text.encode("utf-8", "replace").decode()
