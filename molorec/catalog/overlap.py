"""Titles that domains have in common, in their normal form: what a general adapter must not have seen of its targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from molorec.catalog.store import Catalog
from molorec.errors import BadInput
from molorec.titles import normalise


@dataclass(frozen=True)
class Shared:
    """The titles that two domains share, once each, as the first of the two writes them, in alphabetical order."""

    domains: tuple[str, str]
    titles: tuple[str, ...]


@dataclass(frozen=True)
class Removal:
    """What a training of the general adapter leaves out of one of its domains, because a target domain has the title too.

    Attributes
    ----------
    titles : of the items left out, as the domain writes them, in alphabetical order.
    items : how many items the domain has.
    events, events_left : of all people that may be trained on, without and with the removal.
    users, users_left : people with at least two such events.
    """

    domain: str
    titles: tuple[str, ...]
    items: int
    events: int
    events_left: int
    users: int
    users_left: int


def shared(catalog: Catalog, names: Sequence[str]) -> list[Shared]:
    """The shared titles of every two of the domains.

    Raises
    ------
    BadInput : there are fewer than two domains, one is named twice, or there is none of that name.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise BadInput(f"two domains or more are needed, each once; given: {', '.join(names) or 'none'}")
    written = {name: catalog.titles_by_form(name) for name in names}
    return [Shared((one, other), tuple(sorted(written[one][form] for form in written[one].keys() & written[other].keys())))
            for one, other in combinations(names, 2)]


def removals(catalog: Catalog, general: Sequence[str], targets: Sequence[str]) -> list[Removal]:
    """What is left out of each domain of ``general`` in a training for ``targets``; nothing is changed.

    Raises
    ------
    BadInput : there is no domain of that name.
    """
    forms: set[str] = set().union(*(catalog.normal_forms(target) for target in targets))
    found = []
    for name in general:
        items = catalog.items(name)
        every, left = catalog.training_sequences(name), catalog.training_sequences(name, without_forms=forms)
        found.append(Removal(
            name, tuple(sorted(item.title for item in items if normalise(item.title) in forms)), len(items),
            sum(map(len, every)), sum(map(len, left)), len(every), len(left)))
    return found
