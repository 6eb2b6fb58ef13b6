"""Data sets as they are published, from a folder, an archive or two files: which one it is, and its reader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from molorec.catalog import amazon, files, grouplens
from molorec.catalog.files import File
from molorec.catalog.records import SourceData
from molorec.errors import BadFile, BadInput

EXPECTED = ("MovieLens' u.data and u.item, ratings.dat and movies.dat, or ratings.csv and movies.csv; or Amazon's "
            "reviews_X_5.json.gz and meta_X.json.gz")


@dataclass(frozen=True)
class Original:
    """A data set that was found. ``noun`` and ``terms`` are what the catalogue stores with it; ``files`` are for people."""

    source: SourceData
    noun: str
    terms: str
    files: tuple[str, ...]


def read(paths: Sequence[Path], category: str = "") -> Original:
    """Find the data set and read it.

    Parameters
    ----------
    paths : a folder or a zip archive with the files under the names that they are published with, there or one folder below;
        or two files, Amazon's reviews and metadata.
    category : of Amazon ("Beauty"), where a folder holds several.

    Raises
    ------
    BadInput : there is no data set that is known, or more than one.
    BadFile : the first problem found in the files, with file and line.
    """
    if len(paths) == 2:
        reviews, metadata = sorted(paths, key=lambda path: path.name.startswith("meta_"))
        return _amazon(reviews, metadata)
    if len(paths) != 1:
        raise BadInput(f"{len(paths)} paths are given; give one folder or zip archive, or Amazon's two files: reviews, metadata")
    found = _found(paths[0], category)
    if not found:
        raise BadInput(f"{paths[0]} holds no data set that can be read; expected are {EXPECTED}")
    if len(found) > 1:
        raise BadInput(f"{paths[0]} holds more than one data set: {', '.join(found)}; give a folder with one of them, or the two "
                       "files of one, reviews and metadata")
    return next(iter(found.values()))()


def _found(path: Path, category: str) -> dict[str, Callable[[], Original]]:
    """What it is → how to read it: what lies in the folder or archive itself, else what lies in the folders in it."""
    if path.is_dir():
        root: File = path
    elif path.is_file():
        root = files.archive(path)
    else:
        raise files.no_file(path, "file or folder")
    try:
        return _in(root, category) or {
            f"{label} in {inner.name}": how for inner in sorted(root.iterdir(), key=lambda inner: inner.name) if inner.is_dir()
            for label, how in _in(inner, category).items()}
    except OSError as error:
        raise BadFile(path, f"it cannot be read ({error})") from error


def _in(folder: File, category: str) -> dict[str, Callable[[], Original]]:
    pairs = amazon.pairs(folder)
    if category in pairs:
        return {category: partial(_amazon, *pairs[category])}
    edition = grouplens.layout(folder)
    return ({edition.label: partial(_movielens, folder, edition)} if edition else {}) | {
        f"Amazon {name}": partial(_amazon, *pair) for name, pair in pairs.items()}


def _movielens(folder: File, edition: grouplens.Layout) -> Original:
    return Original(grouplens.read(folder, edition), grouplens.NOUN, grouplens.TERMS, (edition.films, edition.ratings))


def _amazon(reviews: File, metadata: File) -> Original:
    return Original(amazon.read(reviews, metadata), amazon.NOUN, amazon.TERMS, (reviews.name, metadata.name))
