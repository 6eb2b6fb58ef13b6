"""How much the order of the candidates matters: rank the same list in other orders and compare."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from molorec.catalog import RankingExample
from molorec.engine import Engine
from molorec.mixture.lam import AnyLam
from molorec.mixture.rule import DEFAULT_RULE

SHUFFLES = 6


@dataclass(frozen=True)
class PositionCheck:
    """What came of the shuffles so far.

    Attributes
    ----------
    shuffles, total : orders tried, and to be tried.
    mean : each candidate's probability averaged over the orders, in the order of the example (n,).
    largest : the largest change of one candidate's probability against the order on screen, from 0 to 1.
    same_first : how many of the orders have the same first title.
    """

    shuffles: int
    total: int
    mean: tuple[float, ...]
    largest: float
    same_first: int


def check(engine: Engine, example: RankingExample, lam: AnyLam | None = 0.5, rule: str = DEFAULT_RULE,
          shuffles: int = SHUFFLES, seed: int = 0) -> Iterator[PositionCheck]:
    """Rank ``shuffles`` other orders of the candidates, or as many as there are, yielding after each. Raises BadInput as
    ``engine.rank``."""
    rng, n = random.Random(seed), len(example.candidates)
    tried = {tuple(range(n))}
    shuffles = min(shuffles, math.factorial(n) - 1)
    first = engine.rank(example, lam, rule)
    usual = first.probabilities()
    seen, largest, same = [], 0.0, 0
    for count in range(1, shuffles + 1):
        order = list(range(n))
        while tuple(order) in tried:
            rng.shuffle(order)
        tried.add(tuple(order))
        ranking = engine.rank(replace(example, candidates=tuple(example.candidates[i] for i in order)), lam, rule)
        shuffled = ranking.probabilities()
        back = [shuffled[order.index(i)] for i in range(len(order))]
        seen.append(back)
        largest = max([largest, *(abs(a - b) for a, b in zip(usual, back, strict=True))])
        same += ranking.items[0].item == first.items[0].item
        yield PositionCheck(count, shuffles, tuple(sum(column) / count for column in zip(*seen, strict=True)), largest, same)
