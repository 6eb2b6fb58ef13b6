"""What the language baselines learn from: windows of what people chose, and items that they did not choose."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from molorec.baselines.data import Interactions


class Window(NamedTuple):
    """Items (n,) that user number ``user`` chose one after the other, oldest first; at least two."""

    user: int
    items: np.ndarray


def batches(data: Interactions, length: int, count: int, size: int, rng: np.random.Generator) -> Iterator[list[Window]]:
    """``count`` windows of up to ``length`` items (0: one for each user), ``size`` a batch.

    A window ends anywhere in a sequence. Users are drawn by the root of what they chose: short histories are as common among
    those who are asked as long ones, but hold fewer windows.
    """
    lengths = np.array([len(sequence) for sequence in data.sequences])
    weights = np.where(lengths > 1, np.sqrt(lengths), 0)
    users = rng.choice(len(lengths), count or int((lengths > 1).sum()), p=weights / weights.sum())
    ends = rng.integers(2, lengths[users] + 1)
    found = [Window(int(user) + 1, data.sequences[user][max(0, end - length) : end])
             for user, end in zip(users, ends, strict=True)]
    for first in range(0, len(found), size):
        yield found[first : first + size]


def unchosen(data: Interactions, user: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` different known items, drawn evenly from those that the user never chose; fewer if there are no more."""
    pool = np.setdiff1d(data.pool.numpy(), data.sequences[user - 1])
    return rng.choice(pool, min(count, len(pool)), replace=False)
