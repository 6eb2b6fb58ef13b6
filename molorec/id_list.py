"""Ids as one text, for links and command lines.

They are joined by ``|``; an id's own ``|`` and backslash get a backslash before them.
"""

from collections.abc import Sequence

_EMPTY = r"\e"  # an id without characters: nothing at all would read as no ids


def join(ids: Sequence[str]) -> str:
    """Ids as one text, which :func:`split` takes apart again; "" for none.

    >>> print(join(["7", "a|b"]))
    7|a\\|b
    """
    return "|".join(item_id.replace("\\", "\\\\").replace("|", "\\|") or _EMPTY for item_id in ids)


def split(text: str) -> tuple[str, ...]:
    """The ids in a text that :func:`join` made. Any text is read: a stray ``\\`` stands for itself.

    >>> split(join(["7", "a|b"]))
    ('7', 'a|b')
    """
    if not text:
        return ()
    ids, letters, i = [], [], 0
    while i < len(text):
        pair = text[i : i + 2]
        if pair in ("\\\\", "\\|"):
            letters.append(pair[1])
            i += 2
        elif pair == _EMPTY:
            i += 2
        elif text[i] == "|":
            ids.append("".join(letters))
            letters = []
            i += 1
        else:
            letters.append(text[i])
            i += 1
    return (*ids, "".join(letters))
