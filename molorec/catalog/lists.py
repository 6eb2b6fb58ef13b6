"""Drawing the stored candidate lists: one true next item and 29 that the person never chose."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from molorec.catalog.prepare import PreparedDomain
from molorec.catalog.splits import digest
from molorec.errors import BadInput

NEGATIVES = 29
DRAWN = ("warm", "validation", "new-item")  # with the domain
HARD = ("warm-popular", "warm-category")  # once somebody asks for them: the same people and targets as warm, harder negatives
SETTINGS = (*DRAWN, *HARD)
SEED = "2025"
# "warm-popular" cuts the items by their training events at the powers of this number, so that a bin's most popular item has at
# most so many times the events of its least popular one. A bin around each target would not do: the true title would always
# be the middle one of its list.
BIN = 1.5
COMMON = 0.5  # a category that a larger share of the items has says nothing: all of a shop's are in the shop's own

# A title is cut after 40 tokens and a token holds at least one byte, so titles that differ within their first
# 40 bytes differ as token sequences under every tokenizer.
DISTINCT_BYTES = 40
TRIES = 100  # draws for each negative: where titles repeat over and over, not every person's list is worth a walk over all


@dataclass(frozen=True)
class StoredList:
    """One user's list in one setting, as item numbers. ``history`` is what comes before the target."""

    user: str
    setting: str
    history: list[int]
    target: int
    candidates: list[int]


def marks(title: str, normal_form: str) -> tuple[str, bytes]:
    """What no two titles of one list may share: a model, or a person, could not tell them apart."""
    return normal_form, title.encode()[:DISTINCT_BYTES]


def draw(rng: random.Random, pool: list[int], seen: set[int], target: int, titles: list[str],
         normal_forms: list[str], negatives: int = NEGATIVES) -> list[int]:
    """Draw ``negatives`` items of ``pool`` and return them with the target, shuffled.

    No drawn item is in ``seen``; no two of the list share a normalised title or their first 40 bytes.

    Raises
    ------
    BadInput : the pool holds too few items that fit, or so few that :data:`TRIES` for each do not find them.
    """
    chosen = [target]
    used_forms, used_starts = ({mark} for mark in marks(titles[target], normal_forms[target]))
    for item in islice(_in_random_order(rng, pool), TRIES * negatives + len(seen)):
        if len(chosen) > negatives:
            break
        form, start = marks(titles[item], normal_forms[item])
        if item in seen or item == target or form in used_forms or start in used_starts:
            continue
        chosen.append(item)
        used_forms.add(form)
        used_starts.add(start)
    if len(chosen) <= negatives:
        raise BadInput(f"only {len(chosen) - 1} of {negatives} other items could be drawn; the domain is too small")
    rng.shuffle(chosen)
    return chosen


def _in_random_order(rng: random.Random, pool: list[int]):
    """Yield each element once, in random order, without shuffling the whole pool for the first few."""
    moved: dict[int, int] = {}
    for i in range(len(pool)):
        j = rng.randrange(i, len(pool))
        yield pool[moved.get(j, j)]
        moved[j] = moved.get(i, i)


def lists_for(domain: PreparedDomain, setting: str) -> list[StoredList]:
    """All lists of one setting, in user order. Users whose sequence does not fit the setting have none.

    warm: the last event, if it is not on a held-out item; negatives that are not held out.
    warm-popular: as warm, but all negatives are about as popular as the target, in the same bin (:data:`BIN`).
    warm-category: as warm, but all negatives share the narrowest category of the target that holds enough of them.
    validation: the second-last event; held-out items appear nowhere.
    new-item: the last event on a held-out item; the history before it without held-out items; held-out negatives.
    """
    held_out = domain.held_out
    pool = [i for i in range(len(domain.item_ids)) if held_out[i] == (setting == "new-item")]
    if len({domain.normal_forms[i] for i in pool}) <= NEGATIVES:
        return []
    pools = _POOLS.get(setting, lambda domain, pool: lambda target: iter([pool]))(domain, pool)
    lists = []
    for user, sequence in zip(domain.users, domain.sequences, strict=True):
        place = _target_place(sequence, held_out, setting)
        if place is None:
            continue
        target, history = sequence[place], sequence[:place]
        if not _is_warm(setting):
            history = [item for item in history if not held_out[item]]
        if not history:
            continue
        for fitting in pools(target):
            rng = random.Random(digest(f"{SEED}|{domain.name}|{setting}|{user}"))
            try:
                candidates = draw(rng, fitting, set(sequence), target, domain.titles, domain.normal_forms)
            except BadInput:
                continue  # a person who has chosen nearly everything there is, or a target that has few like it
            lists.append(StoredList(user, setting, history, target, candidates))
            break
    return lists


def popularity(domain: PreparedDomain) -> list[int]:
    """How many training events each item has, by number; 0 for held-out ones."""
    counts = Counter(item for sequence in domain.sequences for item in sequence[:-2])
    return [0 if held_out else counts[item] for item, held_out in enumerate(domain.held_out)]


# a target's pools of negatives, from the one to be drawn from if it holds enough to the last resort
_Pools = Callable[[int], Iterator[list[int]]]


def _about_as_popular(domain: PreparedDomain, pool: list[int]) -> _Pools:
    bins: dict[int, list[int]] = {}
    of = [popularity_bin(count) for count in popularity(domain)]
    for item in pool:
        bins.setdefault(of[item], []).append(item)

    def pools(target: int) -> Iterator[list[int]]:
        yield bins[of[target]]

    return pools


def popularity_bin(count: int) -> int:
    """Which of the bins of :data:`BIN` an item with ``count`` training events is in.

    >>> [popularity_bin(count) for count in (0, 1, 2, 3, 4, 5, 100)]
    [0, 1, 2, 3, 3, 4, 11]
    """
    return int(math.log(count + 1) / math.log(BIN) + 1e-9)


def _of_one_category(domain: PreparedDomain, pool: list[int]) -> _Pools:
    members: dict[str, list[int]] = {}
    for item in pool:
        for category in dict.fromkeys(domain.categories[item]):
            members.setdefault(category, []).append(item)
    telling = {category: items for category, items in members.items() if len(items) <= COMMON * len(pool)}

    def pools(target: int) -> Iterator[list[int]]:
        own = [category for category in dict.fromkeys(domain.categories[target]) if category in telling]
        for category in sorted(own, key=lambda category: (len(telling[category]), category)):
            yield telling[category]

    return pools


_POOLS: dict[str, Callable[[PreparedDomain, list[int]], _Pools]] = {
    "warm-popular": _about_as_popular, "warm-category": _of_one_category}


def _is_warm(setting: str) -> bool:
    return setting == "warm" or setting in HARD


def _target_place(sequence: list[int], held_out: list[bool], setting: str) -> int | None:
    if setting == "new-item":
        places = [i for i, item in enumerate(sequence) if held_out[item]]
        return places[-1] if places else None
    place = len(sequence) - (1 if _is_warm(setting) else 2)
    return None if place < 1 or held_out[sequence[place]] else place
