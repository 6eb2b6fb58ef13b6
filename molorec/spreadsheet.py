"""Tables as files: CSV for people who open it in a spreadsheet, JSON for programs."""

import csv
import io
import json
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def cell(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets a leading '; numbers stay numbers.

    >>> cell("=1+1"), cell(-0.5)
    ("'=1+1", -0.5)
    """
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file's text, which begins with a byte-order mark, so that a spreadsheet takes it for UTF-8."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    return "\ufeff" + stream.getvalue()


def json_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The same table as JSON: an object a row, texts as they are.

    >>> print(json_text(["title", "p"], [["=1+1", 0.5]]).replace("\\n", ""))
    [ {  "title": "=1+1",  "p": 0.5 }]
    """
    return json.dumps([dict(zip(header, row, strict=True)) for row in rows], ensure_ascii=False, indent=1) + "\n"
