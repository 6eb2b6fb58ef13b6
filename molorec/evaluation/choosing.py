"""Choosing one λ: without labels, by tuning, or with them, the best of a few points."""

from collections.abc import Callable, Sequence

import numpy as np

from molorec.catalog import RankingExample
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.evaluation.metrics import ndcg, rank_of
from molorec.mixture.rule import DEFAULT_RULE
from molorec.tuning import PROMPTS, tune

POINTS = tuple(i / 10 for i in range(11))  # the λ that "grid" and "oracle" choose from


def tuned_lam(engine: Engine, domain: str, rule: str = DEFAULT_RULE, setting: str = "warm",
              objective: str = "candidates", on_prompt: Callable[[int, int], None] = lambda done, total: None) -> float:
    """The λ that tuning finds on the prompts of the domain's ``tune`` users: of new items where those are asked for. By contrast
    on twice as many, for each says less."""
    last = None
    for last in tune(engine, domain, PROMPTS if objective != "contrast" else 2 * PROMPTS, rule,
                     "new-item" if setting == "new-item" else "warm", objective=objective):
        on_prompt(last.prompts, last.total)
    return last.lam


def sweep(engine: Engine, examples: Sequence[RankingExample], lams: Sequence[float], rule: str = DEFAULT_RULE,
          on_user: Callable[[int, int], None] = lambda done, total: None) -> list[tuple[float, float, float]]:
    """(λ, mean entropy in nats, NDCG@1) on labelled examples, for each λ."""
    entropies, ranks = [], []  # (examples, λ)
    for first in range(0, len(examples), engine.rows):
        for rankings in engine.rank_all(examples[first : first + engine.rows], lams, rule):
            example = rankings[0].example
            target = example.candidates.index(example.target)
            entropies.append([ranking.entropy for ranking in rankings])
            ranks.append([rank_of(ranking.probabilities(), target) for ranking in rankings])
            on_user(len(ranks), len(examples))
    return list(zip(lams, np.mean(entropies, axis=0).tolist(), ndcg(ranks, 1).mean(axis=0).tolist(), strict=True))


def grid_lam(engine: Engine, domain: str, rule: str = DEFAULT_RULE,
             on_user: Callable[[int, int], None] = lambda done, total: None) -> float:
    """The λ of :data:`POINTS` of best NDCG@1 on the validation lists of the split ``quick``: no test list is looked at.

    Raises
    ------
    BadInput : the domain has no validation lists.
    """
    examples = engine.catalog.examples(domain, "quick", "validation")
    if not examples:
        raise BadInput(f"domain '{domain}' has no validation lists, so there is nothing to choose the λ of 'grid' on")
    return POINTS[best_point([gain for _, _, gain in sweep(engine, examples, POINTS, rule, on_user)])]


def best_point(gains: Sequence[float]) -> int:
    """Which of :data:`POINTS` gains most; of equals the one nearest to ½, and of two as near the lower λ.

    >>> POINTS[best_point([0.2] * 11)], POINTS[best_point([0.3, *[0.2] * 9, 0.3])]
    (0.5, 0.0)
    """
    return max(range(len(POINTS)), key=lambda place: (gains[place], -abs(place - len(POINTS) // 2), -place))
