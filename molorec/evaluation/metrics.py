"""Ranking metrics with one relevant item, and paired bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000
# of the ranks of the true items, user by user
METRICS = {"ndcg@1": lambda ranks: ndcg(ranks, 1), "ndcg@3": lambda ranks: ndcg(ranks, 3),
           "hr@3": lambda ranks: hit_rate(ranks, 3)}


@dataclass(frozen=True)
class Interval:
    """A mean over users with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Of values user by user; for a paired comparison, of the differences. Raises ValueError if there are none.

        >>> Interval.of([0.25, 0.25])
        Interval(mean=0.25, low=0.25, high=0.25)
        """
        low, high = bootstrap_interval(values)  # first: of no values there is no mean either
        return cls(float(np.mean(values)), low, high)

    @classmethod
    def of_means(cls, mean: float, resampled: np.ndarray) -> "Interval":
        """Of a mean and what :func:`resampled_means` gives for it, or of differences of both: paired, for all means are of the
        same resampled users."""
        return cls(float(mean), *_middle(resampled))


def rank_of(scores: Sequence[float], target: int) -> int:
    """Rank (from 1) of ``target`` by score, highest first; ties count against it, and so does what is no number.

    >>> rank_of([0.5, 0.2, 0.5], 0), rank_of([float("nan"), 0.2, 0.5], 0)
    (2, 3)
    """
    mine = scores[target]
    return 1 + sum(not score < mine for i, score in enumerate(scores) if i != target)


def ndcg(ranks: Sequence[int], k: int) -> np.ndarray:
    """NDCG@k of each ranking: 1 / log2(rank + 1) within the first k, else 0 (one relevant item, so IDCG is 1).

    >>> ndcg([1, 2, 3, 4], 3).round(4).tolist()
    [1.0, 0.6309, 0.5, 0.0]
    """
    ranks = np.asarray(ranks)
    return np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0)


def hit_rate(ranks: Sequence[int], k: int) -> np.ndarray:
    """HR@k of each ranking: whether the target is within the first k.

    >>> hit_rate([1, 3, 6], 5).tolist()
    [1.0, 1.0, 0.0]
    """
    return (np.asarray(ranks) <= k).astype(float)


def second_or_third(ranks: Sequence[int]) -> np.ndarray:
    """Of the rankings that do not put the target first, whether it comes second or third: (those,); by chance 2 of 29 do.

    >>> second_or_third([1, 2, 3, 4, 1]).tolist()
    [1.0, 1.0, 0.0]
    """
    missed = np.asarray(ranks)[np.asarray(ranks) > 1]
    return hit_rate(missed, 3)


def by_position(values: Sequence[float], positions: Sequence[int], length: int, parts: int = 5) -> list[np.ndarray]:
    """``values`` by where in its list the target stood: as many arrays as ``parts``, of the first places first.

    Parameters
    ----------
    positions : the target's place, from 0 to ``length`` - 1. parts : into how many stretches a list is cut.

    >>> [part.tolist() for part in by_position([1.0, 0.0, 0.5], [0, 5, 29], 30, parts=3)]
    [[1.0, 0.0], [], [0.5]]
    """
    values, part = np.asarray(values, float), np.asarray(positions) * parts // length
    return [values[part == number] for number in range(parts)]


def bootstrap_interval(values: Sequence[float], level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean. For a paired comparison, give the differences user by user.

    Raises
    ------
    ValueError : no values.

    >>> bootstrap_interval([1.0, 1.0, 1.0])
    (1.0, 1.0)
    """
    return _middle(resampled_means(values, seed), level)


def resampled_means(values: Sequence[float] | np.ndarray, seed: int = 0) -> np.ndarray:
    """The mean over users, or of each column (users, columns), of each of so many draws of users with replacement.

    Returns
    -------
    (RESAMPLES,) or (RESAMPLES, columns). The draws depend on the seed and the number of users alone.

    Raises
    ------
    ValueError : no values.

    >>> resampled_means([[1.0, 2.0], [1.0, 2.0]]).mean(axis=0).tolist()
    [1.0, 2.0]
    """
    values = np.asarray(values, float)
    if not len(values):
        raise ValueError("a mean of no values has no interval")
    rng = np.random.default_rng(seed)
    return np.array([values[rng.integers(0, len(values), len(values))].mean(axis=0) for _ in range(RESAMPLES)])


def _middle(resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
