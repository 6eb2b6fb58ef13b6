"""Every error that a user can cause or can mend. Anything else that escapes is a defect of MoLoRec."""

from collections.abc import Iterator
from contextlib import contextmanager


class MolorecError(Exception):
    """Base class: the message says what was wrong, with the values, and how to mend it."""

    exit_code = 1


class BadInput(MolorecError):
    """What the user gave cannot be used: an unknown domain, a λ outside [0, 1], an empty list."""

    exit_code = 2


class NoData(BadInput):
    """A known domain whose data is not in the catalogue; the message says how to get it."""


class BadFile(BadInput):
    """A data file that cannot be read.

    Parameters
    ----------
    file : the file's path or name.
    reason : what is wrong and how to mend it.
    line : 1-based line number, counting the header, if one line is to blame.
    column : column name, if one column is to blame.
    """

    def __init__(self, file: object, reason: str, line: int | None = None, column: str | None = None):
        self.file, self.reason, self.line, self.column = str(file), reason, line, column
        place = str(file)
        if line is not None:
            place += f", line {line}"
        if column is not None:
            place += f", column '{column}'"
        super().__init__(f"{place}: {reason}")


class BadAdapter(BadInput):
    """An adapter folder that is damaged, incomplete or made for another base model."""


class FetchError(MolorecError):
    """Something that has to be downloaded once could not be."""


class CatalogError(MolorecError):
    """The catalogue could not be read or written (disk full, locked, damaged)."""


class JournalError(MolorecError):
    """The record of rankings and tunings could not be read or written (disk full, locked, damaged)."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python or torch says that memory is full."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in ("out of memory", "allocate memory")))


def check_least(least: int, **options: int | None) -> None:
    """Raises BadInput, naming it as a command does, for the first option that is below ``least``; None was not given.

    >>> check_least(1, rows=2, micro_rows=None)
    """
    for name, value in options.items():
        if value is not None and value < least:
            raise BadInput(f"--{name.replace('_', '-')} is {value}; give {least} or more")


@contextmanager
def memory_in_words(mend: str = "close other programs, or rank fewer candidates") -> Iterator[None]:
    """What Python and torch say about a full memory, as a MolorecError with what would mend it; every other error as it is."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise MolorecError(f"there is not enough memory for this; {mend}") from error
        raise
