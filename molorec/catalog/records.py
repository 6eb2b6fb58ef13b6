"""The plain records that pass between the catalogue and everything else."""

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


@dataclass
class SourceData:
    """A domain as its source has it, before cleaning.

    Attributes
    ----------
    titles : item id → title, uncleaned.
    events : (user id, item id, time) in the source's order; ties in time keep that order.
    notes : what a reader left out, in words, for the person who adds the domain.
    categories : item id → names of what kind of thing it is ("Comedy"), where the source says so.
    """

    titles: dict[str, str]
    events: list[tuple[str, str, float]]
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
