"""MovieLens as GroupLens publishes it: 100K, 1M, 10M, and the newer editions in CSV. Ids are the source's numbers."""

from collections.abc import Callable
from dataclasses import dataclass

from molorec.catalog import csv_source, files
from molorec.catalog.csv_source import Bounds
from molorec.catalog.files import File
from molorec.catalog.records import Events, SourceData
from molorec.config import LIMITS
from molorec.errors import BadFile

NOUN = "films"
TERMS = "research use, no redistribution (GroupLens)"

_FILMS_BYTES = 4 * 2**20  # a file of films is read as a whole; that of 10M has half a MB
_FLAGS = ("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
          "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western")
_NO_GENRE = {"unknown", "(no genres listed)"}

_Film = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True)
class Layout:
    """The files of an edition, and how its lines are read.

    Attributes
    ----------
    label : the edition, for people.
    films, ratings : the two files' names.
    film : a line of films → (id, title, genres).
    mark : what stands between a rating's user, film, stars and time.
    """

    label: str
    films: str
    ratings: str
    film: Callable[[str], _Film] | None = None
    mark: str = ""


def _flagged(line: str) -> _Film:
    fields = line.split("|")
    flags = fields[5:]
    if len(flags) != len(_FLAGS) or not {*flags} <= {"0", "1"}:
        raise ValueError(f"id|title|two dates|address|{len(_FLAGS)} flags of 0 or 1")
    number, title = fields[:2]
    # one film has lost its name: 267 is "unknown", without any date
    return number, "" if title == "unknown" else title, tuple(
        name for name, flag in zip(_FLAGS, flags, strict=True) if flag == "1")


def _coloned(line: str) -> _Film:
    number, first, rest = line.partition("::")
    title, second, genres = rest.rpartition("::")
    if not (first and second):
        raise ValueError("id::title::genres")
    return number, title, tuple(genres.split("|"))


LAYOUTS = (
    Layout("MovieLens 100K", "u.item", "u.data", _flagged, "\t"),
    Layout("MovieLens 1M or 10M", "movies.dat", "ratings.dat", _coloned, "::"),
    Layout("MovieLens in CSV", "movies.csv", "ratings.csv"),
)


def layout(folder: File) -> Layout | None:
    """Which edition a folder holds; None if it holds none."""
    there = {file.name for file in folder.iterdir()}
    return next((each for each in LAYOUTS if {each.films, each.ratings} <= there), None)


def read(folder: File, edition: Layout) -> SourceData:
    """Read titles, genres and ratings; every rating counts as a choice, whatever its stars.

    The films of 1M and 100K are Latin-1 text, those of later editions UTF-8. Ratings are gone through line by line.

    Raises
    ------
    BadFile : the first problem found, with file and line.
    """
    films, ratings = folder / edition.films, folder / edition.ratings
    if edition.film is None:
        source = csv_source.read(
            films, ratings, item_columns={"item_id": "movieId", "title": "title", "categories": "genres"},
            event_columns={"user_id": "userId", "item_id": "movieId", "time": "timestamp"},
            bounds=Bounds(LIMITS.source_bytes, LIMITS.source_rows))
        titles, events, genres = source.titles, source.events, source.categories
    else:
        titles, genres = _films(films, edition.film)
        events = _ratings(ratings, edition.mark, titles, films.name)
    return SourceData(titles, events, categories={
        film: tuple(name for name in names if name and name not in _NO_GENRE) for film, names in genres.items()})


def _films(file: File, film: Callable[[str], _Film]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    titles: dict[str, str] = {}
    genres: dict[str, tuple[str, ...]] = {}
    for line, text in enumerate(files.lines_of_either(file, _FILMS_BYTES), start=1):
        if not text.strip():
            continue
        try:
            number, title, names = film(text)
        except ValueError as error:
            raise BadFile(file, f"'{files.short(text)}' is not of the form {error}", line) from error
        number = files.identifier(number, file, line, "id")
        if number in titles:
            raise BadFile(file, f"film '{files.short(number)}' stands here a second time; ids must be unique", line, "id")
        if len(title) > LIMITS.title_characters:
            raise BadFile(file, f"the title has {len(title)} characters; at most {LIMITS.title_characters} fit", line, "title")
        titles[number], genres[number] = title, names
    if not titles:
        raise BadFile(file, "there are no films in it")
    return titles, genres


def _ratings(file: File, mark: str, titles: dict[str, str], films: str) -> Events:
    events = Events()
    for line, text in files.records(file):
        parts = text.split(mark)
        if len(parts) != 4:
            raise BadFile(file, f"'{files.short(text)}' is not user, film, stars and time with {mark!r} between them", line)
        user, film = files.identifier(parts[0], file, line, "user"), parts[1].strip()
        if film not in titles:
            raise BadFile(file, f"film '{files.short(film)}' is not in {films}", line, "film")
        events.append(user, film, files.time(parts[3], file, line, "time"))
    if not len(events):
        raise BadFile(file, "there are no ratings in it")
    return events
