"""What ranking a list of candidates gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from molorec.catalog import Item, RankingExample
from molorec.mixture.lam import AnyLam


@dataclass(frozen=True)
class RankedItem:
    """One line of a ranking; ``rank`` counts from 1."""

    rank: int
    item: Item
    probability: float


@dataclass(frozen=True)
class Ranking:
    """Candidates, best first.

    Attributes
    ----------
    items : equal probabilities stand in the order of the candidates.
    entropy : of the candidates' probabilities, in nats; log n for a model that knows nothing.
    lam : the weight of the general adapter, a λ of another kind, or None for the base model alone.
    """

    example: RankingExample
    items: tuple[RankedItem, ...]
    entropy: float
    lam: AnyLam | None
    rule: str
    seconds: float

    @classmethod
    def of(cls, example: RankingExample, probabilities: Sequence[float], lam: AnyLam | None, rule: str,
           seconds: float) -> "Ranking":
        """From probabilities in the order of the candidates."""
        order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])  # stable: ties keep the list's order
        entropy = -sum(p * math.log(p) for p in probabilities if p > 0)
        items = tuple(RankedItem(rank, example.candidates[i], probabilities[i]) for rank, i in enumerate(order, start=1))
        return cls(example, items, entropy, lam, rule, seconds)

    def probabilities(self) -> list[float]:
        """Probabilities in the order of the candidates."""
        by_item = {ranked.item: ranked.probability for ranked in self.items}
        return [by_item[candidate] for candidate in self.example.candidates]
