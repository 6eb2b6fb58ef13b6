"""What is kept of every system for every user: the rank of the true title and its probability, one JSON file a system.

A table, a figure or a comparison is made of these rows and of nothing else, whoever measured them: a system here, or a
baseline in another environment. They hold places in the domain's order of users, never a user's or an item's id or title.
"""

import importlib.metadata
import json
import math
import platform
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from molorec import __version__, config, whole_file
from molorec.catalog.lists import NEGATIVES, SETTINGS
from molorec.catalog.splits import split_of
from molorec.errors import BadFile, BadInput, MolorecError
from molorec.evaluation import kept
from molorec.evaluation.metrics import METRICS, Interval
from molorec.mixture.lam import from_saved

SCHEMA = 1
SHIPPED = config.PACKAGE.parent / "assets" / "results" / "rows"
SPLITS = ("quick", "full")  # whoever λ is tuned on is never evaluated
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 32 * 2**20
_MOST_FACTS = 2**20  # characters of ``made_with`` and of ``lam`` as JSON
_ARRAYS = ("users", "ranks", "probabilities", "positions", "firsts")


@dataclass(frozen=True)
class SystemRows:
    """One system on one test set, user by user. The arrays, tuples or of numpy, are of one length and in one order.

    Attributes
    ----------
    system : its name, as a table shows it: letters, digits, and - _ . + behind the first of them.
    split : "quick" or "full". setting : one of :data:`molorec.catalog.lists.SETTINGS`.
    lists_sha256 : hash of the whole split's exported lists; rows of other lists are not comparable.
    limit : the most users that were asked for, from the split's first on; None for all of them.
    lam : a saved λ (``{"granularity": …, "weights": {group: [general, specific]}}``); None where nothing is mixed, or not
        at one λ.
    made_with : what made the rows, for whoever makes them again; see :func:`facts`. "command" and "date" (ISO 8601 with a
        time zone) are always there; "share" where it is below 1.
    users : places in the domain's order of users, ascending.
    ranks : of the true item, from 1; ties count against it.
    probabilities : of the true item among the candidates; for a baseline, the softmax of its scores over the list.
    positions : the true item's place in the list, from 0.
    firsts : the place in the list of what the system puts first (of equals the earliest); empty where that was not kept.

    Raises
    ------
    ValueError : a value is not as above.
    """

    system: str
    domain: str
    split: str
    setting: str
    lists_sha256: str
    limit: int | None
    lam: dict | None
    made_with: dict
    users: tuple[int, ...]
    ranks: tuple[int, ...]
    probabilities: tuple[float, ...]
    positions: tuple[int, ...]
    firsts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            values = getattr(self, name)
            object.__setattr__(self, name, tuple(values.tolist() if isinstance(values, np.ndarray) else values))
        _check(self)

    @property
    def share(self) -> float:
        """Which share of its domain's people the adapter of the test has learned from; below 1 it is a few-shot test."""
        return self.made_with.get("share", 1.0)

    @property
    def test(self) -> str:
        """What the test set is called: "warm-quick", or of the first 500 people, few-shot, "warm-quick-few-10-first-500"."""
        few = "" if self.share == 1 else f"-few-{100 * self.share:g}"
        some = "" if self.limit is None else f"-first-{self.limit}"  # must not cost the rows of all
        return f"{self.setting}-{self.split}{few}{some}"

    @property
    def n(self) -> int:
        """How many users there are."""
        return len(self.users)

    def of(self, users: Collection[int]) -> "SystemRows":
        """The rows of some of the users."""
        places = [place for place, user in enumerate(self.users) if user in users]
        arrays = {name: tuple(getattr(self, name)[place] for place in places) for name in _ARRAYS if getattr(self, name)}
        return self if len(places) == self.n else replace(self, **arrays)


def is_name(text: object) -> bool:
    """Whether a system can be called so.

    >>> is_name("mixed-layer"), is_name("../mixed")
    (True, False)
    """
    return isinstance(text, str) and bool(_NAME.fullmatch(text))


def folder() -> Path:
    """Where the rows of this machine are kept."""
    return config.home() / "evaluations" / "rows"


def facts(command: str, packages: Sequence[str] = (), **others: object) -> dict:
    """``made_with`` of rows that are made now: the command line that makes them again, the time, versions, and ``others``
    (such as base, base_sha256, precision, adapters, rule, seed), as JSON holds them."""
    versions = {"python": platform.python_version(), "molorec": __version__}
    versions |= {name: importlib.metadata.version(name) for name in packages}
    return {"command": command, "date": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions, **others}


def path(rows: SystemRows, to: Path) -> Path:
    """The file of rows that are kept below ``to``."""
    return to / rows.domain / rows.test / f"{rows.system}.json"


def save(rows: SystemRows, to: Path | None = None) -> Path:
    """Write rows below ``to`` (by default :func:`folder`), all of them or nothing, in place of the same system's on the
    same test set. Probabilities keep six digits. Rows of a limited number of users have a place of their own.

    Raises
    ------
    MolorecError : they cannot be written.
    """
    content = {"schema": SCHEMA, **vars(rows), "probabilities": [float(f"{p:.6g}") for p in rows.probabilities]}
    # an array a line: small, and what changed is seen all the same
    lines = ",\n".join(f"{json.dumps(name)}:{_compact(value)}" for name, value in content.items())
    file = path(rows, to or folder())
    try:
        return whole_file.write(file, "{\n" + lines + "\n}\n")
    except OSError as error:
        raise MolorecError(f"the rows could not be kept in {file.parent} ({error}); make room there, or set MOLOREC_HOME to a "
                           "folder that can be written") from error


def load(place: Path | None = None) -> tuple[list[SystemRows], list[str]]:
    """All rows below a folder (by default :func:`folder`) that can be read, by path.

    Returns
    -------
    rows, problems : a file that cannot be used is left out, and ``problems`` says which and why.
    """
    return kept.readable(place or folder(), "*/*/*.json", read)


def read(file: Path) -> SystemRows:
    """One system's file. Raises BadFile, with the reason, if it cannot be used."""
    name = "/".join(file.parts[-3:])
    rows = kept.read(file, lambda content: SystemRows(**content), schema=SCHEMA, most=_MOST_BYTES, name=name,
                     mend="delete it and run the evaluation again")
    if path(rows, file.parents[2]) != file:
        raise BadFile(name, f"it holds the rows of {'/'.join(path(rows, Path()).parts)}; give it that name")
    return rows


def check_comparable(one: SystemRows, other: SystemRows) -> None:
    """Raises BadInput if two systems' rows are of different lists."""
    for name in ("domain", "setting", "split", "lists_sha256"):
        if getattr(one, name) != getattr(other, name):
            raise BadInput(f"'{one.system}' and '{other.system}' cannot be compared: {name} is {getattr(one, name)} and "
                           f"{getattr(other, name)}; measure both on the same lists")


def difference(one: SystemRows, other: SystemRows, metric: str = "ndcg@1") -> np.ndarray:
    """By how much ``one`` is above ``other``, for each user that both have (n,), in the order of users.

    Raises
    ------
    BadInput : they are of different lists, they share no user, or there is no such metric (:data:`METRICS`).
    """
    if metric not in METRICS:
        raise BadInput(f"there is no metric '{metric}'; choose one of: {', '.join(METRICS)}")
    check_comparable(one, other)
    common, mine, theirs = np.intersect1d(one.users, other.users, assume_unique=True, return_indices=True)
    if not len(common):
        raise BadInput(f"'{one.system}' and '{other.system}' have no user in common; measure both for the same users")
    gains = METRICS[metric]
    return gains(one.ranks)[mine] - gains(other.ranks)[theirs]


def compare(one: SystemRows, other: SystemRows, metric: str = "ndcg@1") -> tuple[Interval, int]:
    """The mean of :func:`difference` with its 95% paired bootstrap interval, and over how many users. Raises BadInput."""
    differences = difference(one, other, metric)
    return Interval.of(differences), len(differences)


# -- inside ------------------------------------------------------------------------------------------------------


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _check(rows: SystemRows) -> None:
    for name in ("system", "domain"):
        if not is_name(getattr(rows, name)):
            raise ValueError(f"{name} is {getattr(rows, name)!r}: use letters, digits, '-', '_', '.' and '+', 64 characters at "
                             "most")
    for name, known in (("split", SPLITS), ("setting", SETTINGS)):
        if getattr(rows, name) not in known:
            raise ValueError(f"{name} is {getattr(rows, name)!r}, not one of {', '.join(known)}")
    if not isinstance(rows.lists_sha256, str) or not _SHA256.fullmatch(rows.lists_sha256):
        raise ValueError(f"lists_sha256 is {rows.lists_sha256!r}, no SHA-256 in hex")
    if rows.limit is not None and not _is_count(rows.limit, 1, math.inf):
        raise ValueError(f"limit is {rows.limit!r}")
    _check_facts(rows.made_with)
    _check_lam(rows.lam)
    if not rows.users or (rows.limit is not None and rows.n > rows.limit):
        raise ValueError(f"there are {rows.n} users, with limit {rows.limit}")
    for name in _ARRAYS:
        if len(getattr(rows, name)) != rows.n and (name, len(getattr(rows, name))) != ("firsts", 0):
            raise ValueError(f"there are {len(getattr(rows, name))} {name} of {rows.n} users")
    previous = -1
    for user in rows.users:
        if not _is_count(user, previous + 1, math.inf) or split_of(user) != rows.split:
            raise ValueError(f"user {user!r} is no place in split '{rows.split}' behind {previous}")
        previous = user
    for name, least, most in (("ranks", 1, NEGATIVES + 1), ("positions", 0, NEGATIVES), ("firsts", 0, NEGATIVES)):
        for value in getattr(rows, name):
            if not _is_count(value, least, most):
                raise ValueError(f"{value!r} stands in {name}, where numbers from {least} to {most} stand")
    for value in rows.probabilities:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"probability {value!r} is no number from 0 to 1")


def _is_count(value: object, least: float, most: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _check_facts(made_with: object) -> None:
    if not isinstance(made_with, dict) or not all(isinstance(made_with.get(name), str) for name in ("command", "date")):
        raise ValueError("made_with does not say by which command and at what date")
    if datetime.fromisoformat(made_with["date"]).tzinfo is None:
        raise ValueError(f"date {made_with['date']} has no time zone")
    for name, kind in (("base", str), ("base_sha256", str), ("precision", str), ("rule", str), ("adapters", dict),
                       ("reproduced", dict | None)):
        if name in made_with and not isinstance(made_with[name], kind):
            raise ValueError(f"{name} is {made_with[name]!r}")
    if not all(isinstance(value, str) for value in made_with.get("adapters", {}).values()):
        raise ValueError(f"adapters is {made_with['adapters']!r}")
    share = made_with.get("share", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"share is {share!r}, no number above 0 and up to 1")
    if len(_compact(made_with)) > _MOST_FACTS:
        raise ValueError(f"made_with has more than {_MOST_FACTS:,} characters")


def _check_lam(lam: object) -> None:
    if lam is None:
        return
    if len(_compact(lam)) > _MOST_FACTS:
        raise ValueError(f"λ has more than {_MOST_FACTS:,} characters")
    try:
        from_saved(lam)
    except BadInput as error:
        raise ValueError(str(error)) from error
