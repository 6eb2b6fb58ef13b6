"""What visitors ranked and tuned, and the λ kept for a domain: one SQLite file of its own.

The journal is a convenience. Whatever goes wrong with its file is a :class:`JournalError`, which a caller turns into a
note; nothing that is on screen waits for it for longer than :data:`PATIENCE`.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from molorec import config, database
from molorec.errors import JournalError
from molorec.mixture.rule import as_weights
from molorec.ranking.result import Ranking
from molorec.tuning import TuningStep

SCHEMA_VERSION = 1
ROWS, OF_ONE = 10_000, 1_000
LIST_CHARACTERS = 64 * 1_024  # of the ids of a list that somebody built; a longer one is kept without them
TITLES = 5  # of each ranking
PAUSE = 3  # seconds; a λ that was left sooner was passed on the way to the next one, and is not kept
PATIENCE = 2.0  # seconds
RANKING, TUNING = "ranking", "tuning"
_VISITOR = re.compile(r"[\w-]{6,128}", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One ranking or tuning of one visitor.

    Attributes
    ----------
    kind : "ranking" or "tuning".
    time : UTC, ISO 8601, to the second.
    scenario, user, history, candidates, top : of a ranking; the lists of ids for a built one only, and ``top`` holds
        (title, probability) of the first five.
    adapters, base : which weights: :attr:`molorec.mixture.mixture.Mixture.key`, and the base model's SHA-256.
    entropy : in nats; of a tuning, the mean at ``lam``.
    objective, lam_low, lam_high, prompts, curve : of a tuning, as in :class:`molorec.tuning.TuningStep`; "", None and ()
        otherwise. Of the objective "contrast", ``entropy`` and the curve are differences.
    """

    number: int
    kind: str
    time: str
    domain: str
    scenario: str
    user: str
    lam: float | None
    rule: str
    adapters: str
    base: str
    entropy: float
    seconds: float
    top: tuple[tuple[str, float], ...] = ()
    history: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    objective: str = ""
    lam_low: float | None = None
    lam_high: float | None = None
    prompts: int | None = None
    curve: tuple[tuple[float, float], ...] = ()


def is_visitor(text: object) -> bool:
    """Whether this can be the id that a page gives its browser.

    >>> is_visitor("aB3_-zz9"), is_visitor(""), is_visitor("x" * 1_000)
    (True, False, False)
    """
    return isinstance(text, str) and _VISITOR.fullmatch(text) is not None


class Journal:
    """Read and write access to one journal file; may be shared by threads (each has its own connection).

    The file is opened, and made, at the first use, so that a page can be built whatever state the file is in.
    Every method raises JournalError if the file cannot be used: the disk is full, another program holds it, it is
    damaged, or a newer MoLoRec wrote it.

    Parameters
    ----------
    path : the file; ``journal.db`` in :func:`molorec.config.home` by default.
    rows : at most so many entries are kept, of all visitors together; the oldest go.
    of_one : at most so many are kept of one visitor.
    """

    def __init__(self, path: Path | str | None = None, rows: int = ROWS, of_one: int = OF_ONE):
        self.path, self.rows, self.of_one = Path(path or config.home() / "journal.db"), rows, of_one
        self._local = threading.local()
        self._creating = threading.Lock()

    # -- a visitor's record --------------------------------------------------------------------------------------

    def keep_ranking(self, visitor: str, ranking: Ranking, adapters: str, base: str) -> None:
        """Add a ranking to a visitor's record; one of nobody (``visitor`` is none, :func:`is_visitor`) is not kept.

        It takes the place of the entry before it if that is less than :data:`PAUSE` seconds old and of the same list
        under the same rule: a slider on the move leaves one entry, where it comes to rest.
        """
        example = ranking.example
        lists = {} if example.user else {"history": [item.item_id for item in example.history],
                                         "candidates": [item.item_id for item in example.candidates]}
        if sum(len(item_id) for ids in lists.values() for item_id in ids) > LIST_CHARACTERS:
            lists = {}
        self._keep(visitor, {
            "kind": RANKING, "domain": example.domain, "scenario": example.setting, "user": example.user, "lam": ranking.lam,
            "rule": ranking.rule, "adapters": adapters, "base": base, "entropy": ranking.entropy, "seconds": ranking.seconds,
            "details": {"top": [(ranked.item.title, ranked.probability) for ranked in ranking.items[:TITLES]], **lists}})

    def keep_tuning(self, visitor: str, domain: str, rule: str, step: TuningStep, adapters: str, base: str) -> None:
        """Add a tuning, as far as it went, to a visitor's record."""
        self._keep(visitor, {
            "kind": TUNING, "domain": domain, "scenario": "", "user": "", "lam": step.lam, "rule": rule, "adapters": adapters,
            "base": base, "entropy": step.entropy, "seconds": step.seconds,
            "details": {"objective": step.objective, "lam_low": step.lam_low, "lam_high": step.lam_high,
                        "prompts": step.prompts, "curve": step.curve}})

    def entries(self, visitor: str, limit: int = 100) -> list[Entry]:
        """A visitor's own entries, newest first."""
        return self._entries("visitor = ? order by number desc limit ?", visitor, limit)

    def entry(self, visitor: str, number: int) -> Entry | None:
        """One of a visitor's own entries; None if the visitor has none of that number."""
        return next(iter(self._entries("visitor = ? and number = ?", visitor, number)), None)

    def forget(self, visitor: str) -> int:
        """Delete a visitor's record; gives the number of entries that are gone."""
        with self._changing() as db:
            return db.execute("delete from entries where visitor = ?", [visitor]).rowcount

    def forget_domain(self, domain: str) -> None:
        """Delete every visitor's entries of a domain, and the λ kept for it."""
        with self._changing() as db:
            for table in ("entries", "kept"):
                db.execute(f"delete from {table} where domain = ?", [domain])

    def rename_domain(self, old: str, new: str) -> None:
        """Every visitor's entries of a domain, and the λ kept for it, are the renamed one's."""
        with self._changing() as db:
            for table in ("entries", "kept"):
                db.execute(f"update or replace {table} set domain = ? where domain = ?", [new, old])

    # -- the λ kept for a domain ---------------------------------------------------------------------------------

    def keep_lam(self, domain: str, rule: str, adapters: str, lam: float) -> None:
        """Keep λ as what this machine recommends for a domain under a rule, for these weights alone.

        Raises
        ------
        BadInput : λ is no number from 0 to 1.
        """
        as_weights(lam)
        with self._changing() as db:
            db["kept"].upsert({"domain": domain, "rule": rule, "adapters": adapters, "lam": float(lam), "time": _now()},
                              pk=("domain", "rule", "adapters"))

    def kept_lam(self, domain: str, rule: str, adapters: str) -> float | None:
        """The λ kept for a domain, a rule and these weights; None if there is none."""
        with self._file() as db:
            for row in db.query("select lam from kept where domain = ? and rule = ? and adapters = ?",
                                [domain, rule, adapters]):
                return row["lam"]
        return None

    # -- inside --------------------------------------------------------------------------------------------------

    def _keep(self, visitor: str, row: dict) -> None:
        if not is_visitor(visitor):
            return
        row = {**row, "details": json.dumps(row["details"], ensure_ascii=False), "visitor": visitor, "time": _now()}
        with self._changing() as db:
            if row["kind"] == RANKING:
                _drop_passed(db, row)
            db["entries"].insert(row)
            for whose, most, given in (("1", self.rows, []), ("visitor = ?", self.of_one, [visitor])):
                db.execute(f"delete from entries where {whose} and number <= (select number from entries where {whose} "
                           "order by number desc limit 1 offset ?)", [*given, *given, most])

    def _entries(self, where: str, *arguments: object) -> list[Entry]:
        with self._file() as db:
            return [_entry(row) for row in db.query(f"select * from entries where {where}", arguments)]

    @contextmanager
    def _changing(self) -> Iterator[Database]:
        """One change, all of it or nothing."""
        with self._file() as db, database.change(db):
            yield db

    @contextmanager
    def _file(self) -> Iterator[Database]:
        """This thread's connection, opened if need be; every problem with the file as a JournalError."""
        try:
            if not hasattr(self._local, "db"):
                self._local.db = self._open()
            yield self._local.db
        except (sqlite3.Error, OSError, UnicodeError) as error:
            raise JournalError(f"the record {self.path} cannot be used ({error}); {database.mend(self.path)}") from error

    def _open(self) -> Database:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = Database(sqlite3.connect(self.path, timeout=PATIENCE))
        try:
            with self._creating:
                self._create_tables(db)
        except BaseException:
            db.conn.close()
            raise
        return db

    def _create_tables(self, db: Database) -> None:
        with database.upgrade(db, self.path, SCHEMA_VERSION, JournalError) as version:
            if version is None:
                return
            db["entries"].create(
                {"number": int, "visitor": str, "kind": str, "time": str, "domain": str, "scenario": str, "user": str,
                 "lam": float, "rule": str, "adapters": str, "base": str, "entropy": float, "seconds": float, "details": str},
                pk="number", if_not_exists=True)
            db["entries"].create_index(["visitor"], if_not_exists=True)
            db["kept"].create({"domain": str, "rule": str, "adapters": str, "lam": float, "time": str},
                              pk=("domain", "rule", "adapters"), if_not_exists=True)


def _drop_passed(db: Database, row: dict) -> None:
    """Delete the visitor's last entry if the new row is the same list at the next λ of one movement."""
    for last in db.query("select * from entries where visitor = ? order by number desc limit 1", [row["visitor"]]):
        same = all(last[name] == row[name] for name in ("kind", "domain", "scenario", "user", "rule", "adapters", "base"))
        then, now = _entry(last), datetime.fromisoformat(row["time"])
        lists = json.loads(row["details"])
        same = same and [[*then.history], [*then.candidates]] == [lists.get("history", []), lists.get("candidates", [])]
        if same and (now - datetime.fromisoformat(then.time)).total_seconds() < PAUSE:
            db["entries"].delete(then.number)


def _entry(row: dict) -> Entry:
    details = json.loads(row.pop("details"))
    del row["visitor"]
    pairs = {name: tuple(tuple(pair) for pair in details.pop(name, ())) for name in ("top", "curve")}
    lists = {name: tuple(details.pop(name, ())) for name in ("history", "candidates")}
    return Entry(**row, **details, **pairs, **lists)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
