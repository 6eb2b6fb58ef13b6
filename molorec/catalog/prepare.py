"""From a source's raw events to the sequences that the catalogue stores."""

import unicodedata
from array import array
from collections import defaultdict
from dataclasses import dataclass

from molorec import titles
from molorec.catalog.records import SourceData
from molorec.catalog.splits import is_held_out, user_order
from molorec.config import LIMITS
from molorec.errors import BadInput

CORE = 5


@dataclass
class PreparedDomain:
    """A cleaned domain. Items are numbered from 0 in id order; sequences hold those numbers, oldest first.

    ``users`` is in split order, so a user's place in it decides the split. ``notes`` say in words what was left out and what
    looks wrong, for the person who adds the domain.
    """

    name: str
    item_ids: list[str]
    titles: list[str]
    normal_forms: list[str]
    held_out: list[bool]
    users: list[str]
    sequences: list[list[int]]
    categories: list[tuple[str, ...]]
    notes: list[str]


def clean_noun(noun: str) -> str:
    """What the items are called, as it stands in every prompt.

    Raises
    ------
    BadInput : it is blank, longer than ``LIMITS.noun_characters``, or holds a line break or another control character.

    >>> clean_noun(" board  games")
    'board games'
    """
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in noun):
        raise BadInput(f"{ascii(noun[:40])} holds a line break or another control character, and what the things are called "
                       "stands in every prompt; give a word or two on one line, such as films")
    cleaned = titles.clean(noun)
    if not cleaned:
        raise BadInput("what the things are called is blank; give a word, such as films")
    if len(cleaned) > LIMITS.noun_characters:
        raise BadInput(f"'{cleaned[:40]}…' is too long for what the things are called; use {LIMITS.noun_characters} characters "
                       "at most")
    return cleaned


def core(sequences: dict[str, list[str]], k: int) -> dict[str, list[str]]:
    """Drop users and items with fewer than ``k`` events until none is left.

    >>> core({"u": ["a", "b"], "v": ["a", "b"], "w": ["a", "c"]}, 2)
    {'u': ['a', 'b'], 'v': ['a', 'b']}
    """
    chosen_by: dict[str, list[str]] = defaultdict(list)
    for user, sequence in sequences.items():
        for item in sequence:
            chosen_by[item].append(user)
    sides = sequences, chosen_by  # of an event at one side's name, what stands on the other
    left = [{name: len(others) for name, others in side.items()} for side in sides]
    falling = [(side, name) for side in (0, 1) for name, events in left[side].items() if events < k]
    gone = [{name for its, name in falling if its == side} for side in (0, 1)]
    while falling:  # each event is looked at twice at most, however long the chain of those that fall is
        side, name = falling.pop()
        other_side = 1 - side
        for other in sides[side][name]:
            left[other_side][other] -= 1
            if left[other_side][other] == k - 1:  # just now
                falling.append((other_side, other))
                gone[other_side].add(other)
    return {user: [item for item in sequence if item not in gone[1]]
            for user, sequence in sequences.items() if user not in gone[0]}


def prepare(name: str, source: SourceData, k: int = CORE) -> PreparedDomain:
    """Clean titles, order events, drop repeats and untitled items, and take the k-core.

    Raises
    ------
    BadInput : nothing is left.
    """
    notes = list(source.notes)
    cleaned = {item: titles.clean(title) for item, title in source.titles.items()}
    untitled = {item for item, title in cleaned.items() if titles.is_untitled(title)}
    if untitled:
        notes.append(f"{len(untitled)} items without a title left out")

    by_user: dict[str, tuple[array, list[str]]] = defaultdict(lambda: (array("d"), []))
    for user, item, time in source.events:
        times, items = by_user[user]  # there even if none of the choices counts: it is a person who is left out
        if item in cleaned and item not in untitled:
            times.append(time)
            items.append(item)
    sequences, repeats = {}, 0
    for user, (times, items) in by_user.items():
        in_time = sorted(range(len(items)), key=times.__getitem__)  # stable: ties keep the source's order
        sequence = list(dict.fromkeys(items[place] for place in in_time))
        repeats += len(items) - len(sequence)
        sequences[user] = sequence
    people = len(by_user)
    del by_user
    if repeats:
        notes.append(f"{repeats} repeated choices of the same item by the same person left out")

    sequences = core(sequences, k)
    if not sequences:
        raise BadInput(
            f"domain '{name}': no user with at least {k} events on items that have at least {k} events is left; "
            "give more events, or a smaller --core"
        )
    item_ids = sorted({item for sequence in sequences.values() for item in sequence})
    number = {item: i for i, item in enumerate(item_ids)}
    users = user_order(list(sequences))
    kept_titles = [cleaned[item] for item in item_ids]
    normal_forms = [titles.normalise(title) for title in kept_titles]
    different = len(set(normal_forms))
    if 2 * different < len(item_ids):
        notes.append(f"{len(item_ids):,} items have only {different:,} different titles; is that column the right one?")
    if len(users) < people or len(item_ids) < len(cleaned):
        notes.append(f"left out in all: {people - len(users):,} of {people:,} people, {len(cleaned) - len(item_ids):,} of "
                     f"{len(cleaned):,} items; those that stay have at least {k:,} choices each")
    return PreparedDomain(
        name=name,
        item_ids=item_ids,
        titles=kept_titles,
        normal_forms=normal_forms,
        held_out=[is_held_out(name, item) for item in item_ids],
        users=users,
        sequences=[[number[item] for item in sequences[user]] for user in users],
        categories=[source.categories.get(item, ()) for item in item_ids],
        notes=notes,
    )
