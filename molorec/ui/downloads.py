"""The files that a visitor can take along."""

import re

from molorec.ui.shelf import Shelf

# A mixed adapter of the embedded model has 38 MB, a table some KB.
ADAPTERS, TABLES = Shelf("molorec-adapters", 12, 1 << 29), Shelf("molorec-tables", 1_000, 1 << 26)


def saved(name: str, text: str) -> str:
    """Write a text as a download, in UTF-8, and return its path.

    Parameters
    ----------
    name : of the file, with its ending; whatever is no plain letter, digit, dot or underscore becomes a dash.

    Raises
    ------
    MolorecError : the file cannot be written.
    """
    # newline="": a CSV file's own line ends stay
    return TABLES.put(re.sub(r"[^\w.]+", "-", name, flags=re.ASCII)[-120:],
                      lambda path: path.write_text(text, encoding="utf-8", newline=""))
