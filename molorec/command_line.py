"""The command line that is kept with a result, so that whoever reads it can make the result again."""

import shlex
from collections.abc import Sequence

_WITH_A_VALUE = ("--rows", "--part", "--parts")
_PLACES = ("--json", "--update-cards", *_WITH_A_VALUE)


def command_line(program: str, words: Sequence[str]) -> str:
    """A command without what only says where its results go.

    >>> command_line("molorec", ["evaluate", "--rows", "here", "--split", "full", "--parts=there", "--json"])
    'molorec evaluate --split full'
    """
    kept, skip = [], False
    for word in words:
        if not skip and word.partition("=")[0] not in _PLACES:
            kept.append(word)
        skip = not skip and word in _WITH_A_VALUE
    return f"{program} {shlex.join(kept)}"
