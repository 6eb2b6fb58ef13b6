"""The plain records that pass between the catalogue and everything else."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One thing that can be recommended. ``item_id`` is the source's id, ``title`` what people and models read."""

    item_id: str
    title: str


@dataclass(frozen=True)
class RankingExample:
    """What a ranking is made from.

    Attributes
    ----------
    history : what the person chose, oldest first.
    candidates : what is to be ranked, in the order in which a prompt lists it.
    target : the held-out item, one of ``candidates``; None where it is not known.
    user : the user's id in the domain; empty for a history that somebody built.
    setting : "warm", "validation", "new-item", or "built".
    """

    domain: str
    history: tuple[Item, ...]
    candidates: tuple[Item, ...]
    target: Item | None = None
    user: str = ""
    setting: str = "built"

    def unlabelled(self) -> "RankingExample":
        """The same example without its target: what tuning is allowed to see."""
        return RankingExample(self.domain, self.history, self.candidates, None, self.user, self.setting)


class Events:
    """(user id, item id, time) triples in the order in which they came, held as columns: a list of tuples takes ten times the
    memory, 2 GB for the ten million of MovieLens-10M.

    >>> events = Events([("u", "heat", 4.0), ("v", "heat", 5.0)])
    >>> len(events), list(events)
    (2, [('u', 'heat', 4.0), ('v', 'heat', 5.0)])
    """

    def __init__(self, triples: Iterable[tuple[str, str, float]] = ()):
        self._ids: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._users, self._items, self._times = array("I"), array("I"), array("d")
        for triple in triples:
            self.append(*triple)

    def append(self, user: str, item: str, time: float) -> None:
        """Add one event."""
        users, items = self._ids
        self._users.append(users.setdefault(user, len(users)))
        self._items.append(items.setdefault(item, len(items)))
        self._times.append(time)

    @property
    def items(self) -> Iterable[str]:
        """The ids of the items, each once."""
        return self._ids[1].keys()

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        users, items = map(list, self._ids)
        for user, item, time in zip(self._users, self._items, self._times, strict=True):
            yield users[user], items[item], time


@dataclass
class SourceData:
    """A domain as its source has it, before cleaning.

    Attributes
    ----------
    titles : item id → title, uncleaned.
    events : (user id, item id, time) in the source's order; ties in time keep that order. A list, or :class:`Events`.
    notes : what a reader left out, in words, for the person who adds the domain.
    categories : item id → names of what kind of thing it is ("Comedy"), where the source says so.
    """

    titles: dict[str, str]
    events: list[tuple[str, str, float]] | Events
    notes: list[str] = field(default_factory=list)
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class DomainInfo:
    """One row of the catalogue's list of domains.

    ``owner`` is the visitor who brought a domain that nobody else is to see; "" for a domain that is everyone's.
    ``added`` is the Unix time at which it was stored, in seconds; 0 where an older version did so.
    """

    name: str
    noun: str
    source: str
    terms: str
    users: int
    items: int
    events: int
    held_out_items: int
    notes: tuple[str, ...] = ()
    owner: str = ""
    added: float = 0.0
