"""The catalogue: domains, items, users and stored lists in one SQLite file.

One row a user: a sequence is always read whole, so it is stored whole, as a JSON list of item numbers. Item
numbers are private to a domain's tables; everything outside this module speaks of :class:`Item`.
"""

import hashlib
import json
import random
import re
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from molorec import config, database, titles
from molorec.catalog import alike, known, lists, splits
from molorec.catalog.lists import StoredList
from molorec.catalog.prepare import PreparedDomain, clean_noun
from molorec.catalog.records import DomainInfo, Item, RankingExample
from molorec.errors import BadInput, CatalogError, NoData

SCHEMA_VERSION = 4
_MOST = 2**62  # a number larger than any place, which SQLite still holds
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def default_path() -> Path:
    """Where the catalogue lives unless a path is given."""
    return config.home() / "catalog.db"


class Catalog:
    """Read and write access to one catalogue file; may be shared by threads (each has its own connection)."""

    def __init__(self, path: Path | str | None = None):
        self.path = Path(path or default_path())
        self._local = threading.local()
        with _as_catalog_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._create_tables()

    # -- writing -------------------------------------------------------------------------------------------------

    def add_domain(self, domain: PreparedDomain, *, noun: str = "items", source: str = "", terms: str = "",
                   replace: bool = False, owner: str = "") -> DomainInfo:
        """Store a prepared domain with its candidate lists, or nothing at all.

        Raises
        ------
        BadInput : the name is not usable, or taken and ``replace`` is False; or the noun is not (:func:`prepare.clean_noun`).
        CatalogError : the file cannot be written; the catalogue is as it was.
        """
        _check_name(domain.name)
        noun = clean_noun(noun)
        drawn = [stored for setting in lists.DRAWN for stored in lists.lists_for(domain, setting)]
        popularity = lists.popularity(domain)
        with self._changing() as db:
            if domain.name in self._names():
                if not replace:
                    raise BadInput(f"there is a domain '{domain.name}' already; take another name, or replace it with "
                                   "--replace")
                self._delete(domain.name)
            db["domains"].insert({
                "name": domain.name, "noun": noun, "source": source, "terms": terms, "users": len(domain.users),
                "items": len(domain.item_ids), "events": sum(map(len, domain.sequences)),
                "held_out_items": sum(domain.held_out), "notes": json.dumps(domain.notes), "owner": owner,
                "added": time.time(),
            })
            db["items"].insert_all(
                {"domain": domain.name, "number": i, "item_id": domain.item_ids[i], "title": domain.titles[i],
                 "normal_form": domain.normal_forms[i], "held_out": int(domain.held_out[i]),
                 "popularity": popularity[i], "categories": json.dumps(domain.categories[i], ensure_ascii=False)}
                for i in range(len(domain.item_ids)))
            db["users"].insert_all(
                {"domain": domain.name, "position": position, "user_id": user, "sequence": json.dumps(sequence)}
                for position, (user, sequence) in enumerate(zip(domain.users, domain.sequences, strict=True)))
            _insert_lists(db, domain.name, drawn)
        return self.domain(domain.name)

    def remove_domain(self, name: str) -> None:
        """Delete a domain and all that belongs to it. Raises BadInput if there is none of that name."""
        self.domain(name)
        with self._changing():
            self._delete(name)

    def share_domain(self, name: str, shared_name: str | None = None) -> DomainInfo:
        """Make a visitor's domain everyone's, under ``shared_name`` if one is given. Its users, lists and held-out items stay.

        Raises
        ------
        BadInput : there is no such domain, or the new name is not usable or taken.
        """
        self.domain(name)
        shared_name = shared_name or name
        _check_name(shared_name)
        with self._changing() as db:
            if shared_name != name:
                if shared_name in self._names():
                    raise BadInput(f"there is a domain '{shared_name}' already; take another name")
                for table in ("lists", "users", "items"):
                    db.execute(f"update {table} set domain = ? where domain = ?", [shared_name, name])
            db.execute("update domains set owner = '', name = ? where name = ?", [shared_name, name])
        return self.domain(shared_name)

    # -- reading -------------------------------------------------------------------------------------------------

    def domains(self, owner: str = "") -> list[DomainInfo]:
        """Everyone's domains and those of ``owner``, by name."""
        with _as_catalog_errors(self.path):
            return [_info(row) for row in self._db()["domains"].rows_where(
                "owner in ('', ?)", [owner], order_by="name")]

    def owned_domains(self) -> list[DomainInfo]:
        """The domains that belong to one visitor each."""
        with _as_catalog_errors(self.path):
            return [_info(row) for row in self._db()["domains"].rows_where("owner <> ''", order_by="name")]

    def domain(self, name: str) -> DomainInfo:
        """One domain. Raises NoData, saying how to get it, if it is known but not here, and BadInput, naming those there are,
        if it is unknown."""
        with _as_catalog_errors(self.path):
            for row in self._db()["domains"].rows_where("name = ?", [name]):
                return _info(row)
        domain = known.find(name)
        if domain:
            raise NoData(f"{domain.label} is not here yet. {domain.how}")
        raise self.no_domain(name)

    def no_domain(self, name: str) -> BadInput:
        """What to raise where there is no domain of that name, with those there are."""
        there = ", ".join(info.name for info in self.domains()) or "none yet; `molorec domains fetch` gets MovieLens-1M"
        return BadInput(f"there is no domain '{name}'; there are: {there}")

    def items(self, domain: str) -> tuple[Item, ...]:
        """All items of a domain, by number."""
        self.domain(domain)
        rows = self._rows("select item_id, title from items where domain = ? order by number", domain)
        return tuple(Item(row["item_id"], row["title"]) for row in rows)

    def item(self, domain: str, item_id: str) -> Item:
        """One item by id. Raises BadInput if the domain has none of that id."""
        rows = list(self._rows("select item_id, title from items where domain = ? and item_id = ?", domain, item_id))
        if not rows:
            self.domain(domain)
            raise BadInput(f"domain '{domain}' has no item '{item_id}'; `molorec domains search {domain} WORDS` finds ids by "
                           "titles")
        return Item(**rows[0])

    def popularity(self, domain: str) -> dict[str, int]:
        """How many training events each item has: item id → count (0 for held-out items). Raises BadInput if there is no such
        domain."""
        self.domain(domain)
        rows = self._rows("select item_id, popularity from items where domain = ?", domain)
        return {row["item_id"]: row["popularity"] for row in rows}

    def held_out(self, domain: str) -> set[str]:
        """The ids of the items that are kept from all training. Raises BadInput if there is no such domain."""
        self.domain(domain)
        return {row["item_id"] for row in self._rows("select item_id from items where domain = ? and held_out", domain)}

    def categories(self, domain: str) -> dict[str, tuple[str, ...]]:
        """Item id → what kind of thing it is, for the items of which the source says so. Raises BadInput if there is no such
        domain."""
        self.domain(domain)
        rows = self._rows("select item_id, categories from items where domain = ? and categories <> '[]'", domain)
        return {row["item_id"]: tuple(json.loads(row["categories"])) for row in rows}

    def search(self, domain: str, text: str, limit: int = 20) -> list[Item]:
        """Items whose title holds the words of ``text`` (the last one may be unfinished), best match first; where there
        is none, those whose title is written much like it, so that a typing error still finds something.

        Raises
        ------
        BadInput : there is no such domain, or the limit is below 0.
        """
        self.domain(domain)
        _check_limit(limit)
        return self._with_words(domain, text, limit) or self._written_like(domain, [text], limit)[0]

    def best_matches(self, domain: str, texts: Sequence[str]) -> list[tuple[Item | None, bool]]:
        """For each text the first that :meth:`search` finds, or None, and whether it holds the text's words; where it does not,
        it is only written much like it. The titles are read once for all texts."""
        found = [next(iter(self._with_words(domain, text, 1)), None) for text in texts]
        missing = [text for text, item in zip(texts, found, strict=True) if item is None]
        alike = iter(self._written_like(domain, missing, 1) if missing else ())
        return [(item, True) if item else (next(iter(next(alike)), None), False) for item in found]

    def _with_words(self, domain: str, text: str, limit: int) -> list[Item]:
        words = re.findall(r"\w+", unicodedata.normalize("NFC", text))
        if not words:
            return []
        query = " ".join(f'"{word}"' for word in words) + "*"
        with _as_catalog_errors(self.path):
            matches = self._db()["items"].search(query, columns=["item_id", "title"], limit=min(limit, _MOST),
                                                 where="domain = :domain", where_args={"domain": domain})
            found = [Item(row["item_id"], row["title"]) for row in matches]
        # "North" is found by the beginning of "North by Northwest" too, and that may be the better match of the two
        whole = self._rows("select item_id, title from items where domain = ? and normal_form = ?", domain,
                           titles.normalise(text))
        exact = [Item(row["item_id"], row["title"]) for row in whole]
        return [*exact, *(item for item in found if item not in exact)][:limit]

    def _written_like(self, domain: str, texts: Sequence[str], limit: int) -> list[list[Item]]:
        rows = list(self._rows("select item_id, title, normal_form from items where domain = ?", domain))
        forms = [row["normal_form"] for row in rows]
        close = [alike.closest(titles.normalise(text), forms, limit) for text in texts]
        return [[Item(rows[place]["item_id"], rows[place]["title"]) for place in places] for places in close]

    def users(self, domain: str, split: str | None = None, setting: str = "warm", limit: int | None = None) -> list[str]:
        """Ids of the users that have a list in ``setting``, in split order, of one split or of all; the first ``limit`` of them.

        Raises
        ------
        BadInput : there is no such domain, split or setting, or the limit is below 0.
        """
        return [row["user_id"] for row in self._lists("users.user_id", domain, split, setting, limit)]

    def cutting(self, domain: str, split: str, setting: str, limit: int | None) -> int | None:
        """A limit on a split's users; None if it leaves out nobody, for then it makes no test set of its own."""
        return limit if limit is not None and limit < len(self.users(domain, split, setting)) else None

    def first_users(self, domain: str, setting: str = "warm", limit: int | None = None) -> list[str]:
        """The first users with a list in ``setting``, of the split ``quick``; where that has none, of all."""
        return self.users(domain, "quick", setting, limit) or self.users(domain, None, setting, limit)

    def example(self, domain: str, user: str, setting: str = "warm") -> RankingExample:
        """A user's stored list. Raises BadInput if the domain, the user or the list is not there."""
        for is_drawn in (False, True):
            rows = list(self._rows("select * from lists where domain = ? and user_id = ? and setting = ?",
                                   domain, user, setting))
            if rows:
                return _example(rows[0], self._items_of(rows[0]))
            if not is_drawn:
                self._check_lists(domain, setting)
        self.position(domain, user)  # which says that there is none
        raise BadInput(f"user '{user}' of '{domain}' has no list in the setting '{setting}'")

    def examples(self, domain: str, split: str | None, setting: str = "warm", limit: int | None = None) -> list[RankingExample]:
        """The stored lists of one split or of all, in user order; the first ``limit`` of them. Those of ``tune`` come without
        their targets.

        Raises
        ------
        BadInput : there is no such domain, split or setting, or the limit is below 0.
        """
        rows = self._lists("lists.*", domain, split, setting, limit)
        items = dict(enumerate(self.items(domain)))
        found = [_example(row, items) for row in rows]
        return [example.unlabelled() for example in found] if split == "tune" else found

    def position(self, domain: str, user: str) -> int:
        """A user's place in the domain's split order, from 0. Raises BadInput if there is no such domain or user."""
        for row in self._rows("select position from users where domain = ? and user_id = ?", domain, user):
            return row["position"]
        self.domain(domain)
        raise BadInput(f"domain '{domain}' has no user '{user}'; `molorec domains users {domain}` shows some")

    def random_user(self, domain: str, setting: str = "warm", rng: random.Random | None = None) -> str:
        """A user with a list in ``setting``."""
        users = self.users(domain, None, setting)
        if not users:
            raise BadInput(f"domain '{domain}' has no user with a list in the setting '{setting}'")
        return (rng or random).choice(users)

    def sequences(self, domain: str, keep_last: int = 2, held_out: bool = False,
                  without_forms: Iterable[str] = ()) -> dict[str, list[Item]]:
        """User → what was chosen but the last ``keep_last``, oldest first, in split order; a sequence may be empty.

        Without held-out items, unless ``held_out`` asks for them (for others' protocols, which hold none back); ``without_forms``
        are normalised titles to leave out as well. Raises BadInput if there is no such domain.
        """
        self.domain(domain)
        without = set(without_forms)
        rows = list(self._rows("select number, item_id, title, normal_form, held_out from items where domain = ? "
                               "order by number", domain))
        allowed = [None if (row["held_out"] and not held_out) or row["normal_form"] in without
                   else Item(row["item_id"], row["title"]) for row in rows]
        sequences = {}
        for row in self._rows("select user_id, sequence from users where domain = ? order by position", domain):
            events = json.loads(row["sequence"])
            sequences[row["user_id"]] = [allowed[i] for i in events[: len(events) - keep_last] if allowed[i] is not None]
        return sequences

    def training_sequences(self, domain: str, keep_last: int = 2, without_forms: Iterable[str] = (),
                           share: float = 1.0) -> list[list[Item]]:
        """What may be trained on: each user's events but the last two, without held-out items.

        ``without_forms`` are normalised titles to leave out as well: for a general adapter, those of every target
        domain. Users with fewer than two events left are dropped. Of the rest, ``share`` in (0, 1] is taken, rounded, by a
        hash that has nothing to do with their split; a smaller share is part of every greater one. Raises BadInput if there is
        no such domain.
        """
        found = self.sequences(domain, keep_last, without_forms=without_forms)
        sequences = {user: sequence for user, sequence in found.items() if len(sequence) > 1}
        if share == 1:
            return list(sequences.values())
        drawn = sorted(sequences, key=lambda user: splits.digest(f"{lists.SEED}|{domain}|few-shot|{user}"))
        taken = set(drawn[: round(share * len(drawn))])
        return [sequence for user, sequence in sequences.items() if user in taken]

    def normal_forms(self, domain: str) -> set[str]:
        """The normalised titles of a domain."""
        return set(self.titles_by_form(domain))

    def titles_by_form(self, domain: str) -> dict[str, str]:
        """Normalised title → how the domain writes it; the first of those that count as the same."""
        self.domain(domain)
        rows = self._rows("select normal_form, title from items where domain = ? order by number desc", domain)
        return {row["normal_form"]: row["title"] for row in rows}

    def shared_titles(self, domain: str, other: str) -> int:
        """How many normalised titles two domains have in common."""
        return len(self.normal_forms(domain) & self.normal_forms(other))

    # -- stored lists --------------------------------------------------------------------------------------------

    def export_lists(self, domain: str, setting: str = "warm", split: str | None = None) -> Iterator[str]:
        """The lists as JSON lines ``{user, setting, target, candidates}`` in user order, ids in prompt order.

        Raises
        ------
        BadInput : there is no such domain, split or setting; said once the first line is asked for.
        """
        ids = [item.item_id for item in self.items(domain)]
        for row in self._lists("lists.*", domain, split, setting):
            yield json.dumps({"user": row["user_id"], "setting": setting, "target": ids[row["target"]],
                              "candidates": [ids[i] for i in json.loads(row["candidates"])]}, ensure_ascii=False)

    def lists_sha256(self, domain: str, setting: str = "warm", split: str | None = None) -> str:
        """SHA-256 of the file that :meth:`export_lists` makes."""
        digest = hashlib.sha256()
        for line in self.export_lists(domain, setting, split):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    # -- inside --------------------------------------------------------------------------------------------------

    def _db(self) -> Database:
        if not hasattr(self._local, "db"):
            self._local.db = Database(sqlite3.connect(self.path, timeout=30))
        return self._local.db

    @contextmanager
    def _changing(self) -> Iterator[Database]:
        """One change, all of it or nothing."""
        with _as_catalog_errors(self.path):
            db = self._db()
            with database.change(db):
                yield db

    def _rows(self, sql: str, *arguments: object) -> Iterator[dict]:
        with _as_catalog_errors(self.path):
            return iter(list(self._db().query(sql, arguments)))

    def _names(self) -> set[str]:
        return {row["name"] for row in self._db()["domains"].rows}

    def _delete(self, name: str) -> None:
        db = self._db()
        for table in ("lists", "users", "items"):
            db[table].delete_where("domain = ?", [name])
        db["domains"].delete(name)

    def _check_lists(self, domain: str, setting: str) -> None:
        """Raises BadInput if there is no such domain or setting; draws the lists of a setting that is drawn when asked for."""
        self.domain(domain)
        if setting not in lists.SETTINGS:
            raise BadInput(f"there is no setting '{setting}'; choose one of: {', '.join(lists.SETTINGS)}")
        if setting not in lists.HARD or self._has_lists(domain, setting):
            return
        drawn = lists.lists_for(self._prepared(domain), setting)
        with self._changing() as db:
            if not self._has_lists(domain, setting):  # another process may have been first; it drew the same
                _insert_lists(db, domain, drawn)

    def _lists(self, columns: str, domain: str, split: str | None, setting: str, limit: int | None = None) -> Iterator[dict]:
        """Of the lists of a split, or of all, in user order; raises BadInput as :meth:`users`."""
        _check_limit(limit)
        self._check_lists(domain, setting)
        first, end = splits.positions_of(split) if split else (0, None)
        return self._rows(
            f"select {columns} from users join lists using (domain, user_id) where domain = ? and setting = ? "
            "and position >= ? and position < ? order by position limit ?",
            domain, setting, first, _MOST if end is None else end, -1 if limit is None else min(limit, _MOST))

    def _items_of(self, row: dict) -> dict[int, Item]:
        """The items of one stored list, by number."""
        numbers = [*json.loads(row["history"]), *json.loads(row["candidates"])]
        rows = self._rows("select number, item_id, title from items where domain = ? and number in "
                          "(select value from json_each(?))", row["domain"], json.dumps(numbers))
        return {found["number"]: Item(found["item_id"], found["title"]) for found in rows}

    def _has_lists(self, domain: str, setting: str) -> bool:
        return bool(list(self._rows("select 1 from lists where domain = ? and setting = ? limit 1", domain, setting)))

    def _prepared(self, name: str) -> PreparedDomain:
        """A domain as it was when it was added."""
        items = list(self._rows("select * from items where domain = ? order by number", name))
        users = list(self._rows("select user_id, sequence from users where domain = ? order by position", name))
        return PreparedDomain(
            name, [row["item_id"] for row in items], [row["title"] for row in items], [row["normal_form"] for row in items],
            [bool(row["held_out"]) for row in items], [row["user_id"] for row in users],
            [json.loads(row["sequence"]) for row in users], [tuple(json.loads(row["categories"])) for row in items],
            list(self.domain(name).notes))

    def _create_tables(self) -> None:
        db = self._db()
        with database.upgrade(db, self.path, SCHEMA_VERSION, CatalogError) as version:
            if version is None:
                return
            db["domains"].create({"name": str, "noun": str, "source": str, "terms": str, "users": int, "items": int,
                                  "events": int, "held_out_items": int, "notes": str, "owner": str,
                                  "added": float}, pk="name", if_not_exists=True)
            db["items"].create({"domain": str, "number": int, "item_id": str, "title": str, "normal_form": str,
                                "held_out": int, "popularity": int, "categories": str}, pk=("domain", "number"),
                               if_not_exists=True)
            if version == 1:
                db["domains"].add_column("owner", str, not_null_default="")
                db["items"].add_column("categories", str, not_null_default="[]")
            if version in (1, 2):
                db["domains"].add_column("added", float, not_null_default=0.0)
            db["items"].create_index(["domain", "item_id"], unique=True, if_not_exists=True)
            db["users"].create({"domain": str, "position": int, "user_id": str, "sequence": str},
                               pk=("domain", "position"), if_not_exists=True)
            db["users"].create_index(["domain", "user_id"], unique=True, if_not_exists=True)
            db["lists"].create({"domain": str, "setting": str, "user_id": str, "history": str, "target": int,
                                "candidates": str}, pk=("domain", "setting", "user_id"), if_not_exists=True)
            db["items"].enable_fts(["title"], create_triggers=True, tokenize="unicode61 remove_diacritics 2",
                                   replace=True)
            # until version 3 there was a second index, over every three letters in a row
            for event in ("insert", "delete", "update"):
                db.execute(f"drop trigger if exists items_letters_{event}")
            db.execute("drop table if exists items_letters")


def _example(row: dict, items: dict[int, Item]) -> RankingExample:
    return RankingExample(
        domain=row["domain"], user=row["user_id"], setting=row["setting"], target=items[row["target"]],
        history=tuple(items[i] for i in json.loads(row["history"])),
        candidates=tuple(items[i] for i in json.loads(row["candidates"])))


def _insert_lists(db: Database, domain: str, drawn: Iterable[StoredList]) -> None:
    db["lists"].insert_all(
        {"domain": domain, "setting": stored.setting, "user_id": stored.user, "history": json.dumps(stored.history),
         "target": stored.target, "candidates": json.dumps(stored.candidates)}
        for stored in drawn)


def _check_name(name: str) -> None:
    if name == "general":
        raise BadInput("'general' is the name of the general adapter; take another name for the domain")
    if not _NAME.fullmatch(name):
        raise BadInput(f"'{name}' is no name for a domain: use small letters, digits, '-', '_' and '.', "
                       "64 characters at most")


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 0:
        raise BadInput(f"the limit is {limit}; give 0 or more, or None for all")


def _info(row: dict) -> DomainInfo:
    return DomainInfo(**{**row, "notes": tuple(json.loads(row["notes"]))})


@contextmanager
def _as_catalog_errors(path: Path):
    try:
        yield
    except UnicodeEncodeError as error:
        raise BadInput(f"{ascii(error.object)[:80]} holds what is no text in Unicode, so nothing can be called so") from error
    except (sqlite3.Error, OSError) as error:
        raise CatalogError(f"the catalogue {path} cannot be used ({error}); {database.mend(path)}") from error
