"""A person in a few words, taken from what they chose: the kinds of thing they choose more often than others do."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from molorec.catalog import Catalog, Item

KINDS = 2
# A kind has to make up this share of the history before it describes somebody, and be this much above everyone's share.
LEAST_SHARE, LEAST_LIFT = 0.15, 1.15
# A short history says little: it is read as if this many choices of the average person stood beside it.
PRIOR = 5
_YEAR = re.compile(r"\((18|19|20)(\d)\d\)\s*$")


class Taste:
    """Describes the people of one domain."""

    def __init__(self, catalog: Catalog, domain: str):
        self.categories = catalog.categories(domain)
        counts: Counter[str] = Counter()
        popularity = catalog.popularity(domain)
        for item_id, chosen in popularity.items():
            for kind in self.categories.get(item_id, ()):
                counts[kind] += chosen
        self.share = _shares(counts, sum(popularity.values()))

    def describe(self, history: Sequence[Item]) -> str:
        """Such as "Sci-Fi and Action, 1980s"; where nothing stands out, the latest choice."""
        said = [" and ".join(self.kinds(history)), decade(history)]
        return ", ".join(part for part in said if part) or f"latest {history[-1].title}" if history else "no history"

    def kinds(self, history: Sequence[Item]) -> list[str]:
        """The kinds that stand out most, at most two."""
        counts = Counter(kind for item in history for kind in self.categories.get(item.item_id, ()))
        lifts = {}
        for kind, count in counts.items():
            average = self.share.get(kind, 0)
            share = (count + PRIOR * average) / (len(history) + PRIOR)
            if average and count / len(history) >= LEAST_SHARE and share / average >= LEAST_LIFT:
                lifts[kind] = share / average
        return sorted(lifts, key=lambda kind: -lifts[kind])[:KINDS]


def decade(history: Sequence[Item]) -> str:
    """The decade of at least half of the titles, if they carry years and there is one.

    >>> decade([Item("1", "Alien (1979)"), Item("2", "Heat (1995)"), Item("3", "Se7en (1995)")])
    '1990s'
    >>> decade([Item("1", "Alien"), Item("2", "Heat (1995)"), Item("3", "Stalker")])
    ''
    """
    found = Counter(f"{match[1]}{match[2]}0s" for item in history if (match := _YEAR.search(item.title)))
    for name, count in found.most_common(1):
        return name if 2 * count >= len(history) else ""
    return ""


def _shares(counts: Mapping[str, int], total: int) -> dict[str, float]:
    return {kind: count / total for kind, count in counts.items()} if total else {}
