"""How one ranking changes from the specific adapter alone to the general one alone.

The candidates are ranked at equally spaced λ, the ends and the middle first, so that the curves have their shape early
and only grow finer.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from molorec.catalog import Item, RankingExample
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.evaluation.metrics import rank_of
from molorec.mixture.rule import DEFAULT_RULE

POINTS = 21
MOST_POINTS = 201


@dataclass(frozen=True, eq=False)
class Landscape:
    """What a sweep knows so far; its arrays cannot be written to.

    Attributes
    ----------
    lams : the λ ranked so far, rising, of shape (λs,).
    probabilities : of the candidates in the order of the example's list, of shape (λs, candidates); rows sum to 1.
    entropies : in nats, of shape (λs,).
    total : how many λ there will be.
    seconds : since the sweep began.
    """

    example: RankingExample
    rule: str
    lams: np.ndarray
    probabilities: np.ndarray
    entropies: np.ndarray
    total: int
    seconds: float

    @property
    def done(self) -> bool:
        """Whether every λ has been ranked."""
        return len(self.lams) == self.total

    @property
    def target_ranks(self) -> np.ndarray | None:
        """The rank (from 1) of the held-out item at each λ, of shape (λs,), ties against it; None without a target."""
        if self.example.target is None:
            return None
        at = self.example.candidates.index(self.example.target)
        return np.array([rank_of(row, at) for row in self.probabilities.tolist()])

    def top(self, k: int) -> tuple[Item, ...]:
        """The ``k`` candidates that are most probable at any one λ, most probable first; ties in the order of the list."""
        order = np.argsort(-self.probabilities.max(axis=0), kind="stable")
        return tuple(self.example.candidates[i] for i in order[:k])

    def of(self, item: Item) -> np.ndarray:
        """One candidate's probability at each λ, of shape (λs,)."""
        return self.probabilities[:, self.example.candidates.index(item)]


def sweep(engine: Engine, example: RankingExample, rule: str = DEFAULT_RULE, points: int = POINTS) -> Iterator[Landscape]:
    """Rank one example at ``points`` equally spaced λ in [0, 1], yielding after every few; close the iterator to stop.

    Raises
    ------
    BadInput : the domain has not two adapters, ``points`` is below 2 or above 201, or the example cannot be ranked.
    """
    mixture = engine.mixture(example.domain)
    if not mixture.is_pair:
        here = "one adapter only" if len(mixture.adapters) == 1 else f"{len(mixture.adapters)} adapters"
        raise BadInput(f"this domain has {here}, and λ is swept between two")
    if not 2 <= points <= MOST_POINTS:
        raise BadInput(f"{points} points are too {'few' if points < 2 else 'many'}; give 2 to {MOST_POINTS}")
    return _swept(engine, example, rule, points)


def coarse_to_fine(points: int) -> list[int]:
    """The numbers 0 to ``points - 1``: both ends, the middle, then the middle of every gap, level by level.

    >>> coarse_to_fine(9)
    [0, 8, 4, 2, 6, 1, 3, 5, 7]
    """
    order, gaps = [0, points - 1], [(0, points - 1)]
    for low, high in gaps:  # grows while it is read
        middle = (low + high) // 2
        if middle > low:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def _swept(engine: Engine, example: RankingExample, rule: str, points: int) -> Iterator[Landscape]:
    started = time.perf_counter()
    # rounded, so that 0.15 is the slider's 0.15 and is found in the engine's cache
    grid = np.linspace(0, 1, points).round(12).tolist()
    order = coarse_to_fine(points)
    known: dict[float, tuple[list[float], float]] = {}
    together = engine.rows  # it may shrink meanwhile
    for first in range(0, points, together):
        lams = [grid[i] for i in order[first : first + together]]
        for lam, ranking in zip(lams, engine.rank_each(example, lams, rule), strict=True):
            known[lam] = ranking.probabilities(), ranking.entropy
        at = sorted(known)
        yield Landscape(
            example, rule, _fixed(at), _fixed([known[lam][0] for lam in at]), _fixed([known[lam][1] for lam in at]), points,
            time.perf_counter() - started)


def _fixed(values: list) -> np.ndarray:
    made = np.array(values, float)
    made.flags.writeable = False
    return made
