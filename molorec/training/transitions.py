"""What tends to follow what: transition counts of a domain's training sequences, used as soft labels.

One next item out of thousands says little; what people in general choose after this says more. Mixing the two
labels gives the same optimum in the long run of data and a far steadier gradient in the short run.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

REACH = 10
RECENCY = 0.7
PRIOR_WEIGHT = 5.0


class Transitions:
    """Counts of item j at most ten places after item i, weighed 1/√distance, smoothed by popularity.

    Parameters
    ----------
    sequences : item numbers, oldest first.
    items : how many items there are.
    recent : how many of a history's last titles a prediction looks at, each counting .7 of the one after it. Fewer say
        more plainly which title leads to what.
    """

    def __init__(self, sequences: Sequence[Sequence[int]], items: int, recent: int = 6):
        self.recent = recent
        popularity = np.zeros(items)
        rows, columns, weights = [], [], []
        for sequence in sequences:
            events = np.asarray(sequence)
            np.add.at(popularity, events, 1)
            for distance in range(1, min(REACH, len(events) - 1) + 1):
                rows.append(events[:-distance])
                columns.append(events[distance:])
                weights.append(np.full(len(events) - distance, distance**-0.5, np.float32))
        self._popularity = popularity / popularity.sum()
        if rows:
            entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
            self._counts = sparse.csr_matrix(entries, shape=(items, items))
        else:
            self._counts = sparse.csr_matrix((items, items), dtype=np.float32)
        self._totals = np.asarray(self._counts.sum(axis=1)).ravel()

    def next_item(self, history: np.ndarray) -> np.ndarray:
        """p(next item) of shape (items,) after a history of item numbers, oldest first; 0 for items in it. After
        nothing, an item's popularity."""
        recent = history[::-1][: self.recent]
        if not len(recent):
            return self._popularity
        weights = RECENCY ** np.arange(len(recent))
        weights /= weights.sum()
        scaled = weights / (self._totals[recent] + PRIOR_WEIGHT)
        chances = scaled @ self._counts[recent] + (scaled * PRIOR_WEIGHT).sum() * self._popularity
        chances[history] = 0
        total = chances.sum()
        return chances / total if total > 0 else self._popularity
