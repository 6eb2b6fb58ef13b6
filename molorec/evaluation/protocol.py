"""Every system on the same stored lists: who ranks the held-out item how high."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from molorec.catalog import RankingExample
from molorec.catalog.lists import SEED
from molorec.catalog.splits import digest
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.evaluation import rows as stored
from molorec.evaluation import table
from molorec.evaluation.choosing import POINTS, best_point
from molorec.evaluation.metrics import ndcg, rank_of
from molorec.evaluation.plan import Plan, make_plan
from molorec.evaluation.rows import SystemRows
from molorec.evaluation.table import OF_MIXTURE, OF_MODEL, SYSTEMS, Evaluation
from molorec.mixture.card import ALONE
from molorec.mixture.lam import AnyLam, to_saved
from molorec.mixture.mixture import Mixture
from molorec.mixture.rule import DEFAULT_RULE

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


class Placed(NamedTuple):
    """How a system ranked a list: the true item's rank (from 1) and probability, and the place in the list (from 0) of what
    it put first."""

    rank: int
    probability: float
    first: int


@dataclass(frozen=True)
class Answer:
    """One person's part of an evaluation.

    Attributes
    ----------
    user : the place in the domain's order of users. position : the true item's place in the list, from 0.
    systems : how each system ranked the list. points : the same at each of the plan's points.
    """

    user: int
    position: int
    systems: dict[str, Placed]
    points: tuple[Placed, ...] = ()


def measure(engine: Engine, plan: Plan, users: Sequence[str], at_once: int | None = None) -> Iterator[Answer]:
    """Rank the stored lists of some of the plan's users with every system, in their order and with the same adapters throughout.

    Parameters
    ----------
    at_once : users whose lists are ranked together; by default as many as fill the backend's passes.

    Raises
    ------
    BadInput : the domain's adapters are no longer those of the plan.
    """
    mixture = _planned(engine, plan)
    popularity = engine.catalog.popularity(plan.domain)
    lams = [*plan.lams.values(), *plan.points]

    def answers(some: Sequence[str]) -> list[Answer]:
        examples = [engine.catalog.example(plan.domain, user, plan.setting) for user in some]
        orders = [_orders(example, plan.shuffles) for example in examples]
        shuffled = [replace(example, candidates=tuple(example.candidates[i] for i in order))
                    for example, mine in zip(examples, orders, strict=True) for order in mine]
        ranked = iter(engine.rank_all(shuffled, lams, plan.rule, mixture) if lams else [[]] * len(shuffled))
        found = []
        for example, mine in zip(examples, orders, strict=True):
            target = example.candidates.index(example.target)
            # (shuffles, λ, candidates), the candidates in the stored order
            scores = [[_in_order(ranking.probabilities(), order) for ranking in next(ranked)] for order in mine]
            at = [_placed(np.mean(each, axis=0).tolist(), target) for each in zip(*scores, strict=True)]
            systems = dict(zip(plan.lams, at, strict=False))
            if "popularity" in plan.systems:
                systems["popularity"] = _placed(_popularity_scores(popularity, example), target)
            found.append(Answer(engine.catalog.position(plan.domain, example.user), target, systems, tuple(at[len(plan.lams):])))
        return found

    size = at_once or engine.rows
    waiting: deque[Future[list[Answer]]] = deque()
    # two groups at a time: one is packed while the other's passes run; no more, so that whoever stops early stops the rest
    with ThreadPoolExecutor(2, "molorec-evaluate") as pool:
        for first in range(0, len(users), size):
            waiting.append(pool.submit(answers, users[first : first + size]))
            if len(waiting) == 2:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def facts(engine: Engine, plan: Plan) -> dict:
    """What a plan's rows are made with. Raises BadInput if the domain's adapters are no longer those of the plan."""
    mixture = _planned(engine, plan)
    share = min((adapter.card.share for adapter in mixture.adapters if adapter.card), default=1.0)
    few = {"share": share} if share < 1 else {}
    return stored.facts(
        plan.command, PACKAGES, base=engine.base.name, base_revision=engine.base.revision, base_sha256=plan.base,
        precision=plan.precision, adapters={adapter.name: adapter.sha256 for adapter in mixture.adapters},
        template=mixture.template.name, rule=plan.rule, seed=SEED, shuffles=plan.shuffles, backend=plan.backend, **few)


def rows_of(plan: Plan, answers: Sequence[Answer], made_with: dict) -> list[SystemRows]:
    """A whole plan's answers as they are kept, a system each, with those :func:`facts` that decide it; answers in the order
    of users."""
    made = []
    for name in plan.systems:
        without = {"popularity": (*OF_MODEL, *OF_MIXTURE), "base": OF_MIXTURE}.get(name, ())
        own = {fact: value for fact, value in made_with.items() if fact not in without}
        lam = None if name in ALONE else plan.lams.get(name)
        placed = [answer.systems.get(name) for answer in answers]
        if name == "oracle":
            places = _best_of_the_others(answers)
            own["lam of each half"] = [POINTS[place] for place in places]
            placed = [answer.points[places[number % 2]] for number, answer in enumerate(answers)]
        made.append(SystemRows(
            name, plan.domain, plan.split, plan.setting, plan.lists_sha256, plan.limit, None if lam is None else to_saved(lam),
            own, tuple(answer.user for answer in answers), tuple(each.rank for each in placed),
            tuple(each.probability for each in placed), tuple(answer.position for answer in answers),
            tuple(each.first for each in placed)))
    return made


def evaluate(engine: Engine, domain: str, split: str = "quick", setting: str = "warm", limit: int | None = None,
             systems: Sequence[str] = SYSTEMS, rule: str = DEFAULT_RULE, lam: AnyLam | None = None,
             lams: Mapping[str, AnyLam] | None = None, shuffles: int = 1, command: str = "molorec evaluate",
             on_user: Callable[[int, int], None] = lambda done, total: None, at_once: int | None = None,
             on_lam: Callable[[str, int, int], None] = lambda system, done, total: None) -> Evaluation:
    """Rank every stored list of a split with every system.

    Parameters
    ----------
    limit : at most so many users, from the first on.
    systems : of :data:`SYSTEMS` and :data:`OPTIONAL`.
    lam : a λ to measure as the system `chosen`, in place of `mixed`, whose λ is tuned on the ``tune`` prompts without
        labels.
    lams : name → λ of further systems; one called `grid` takes the place of looking for the best λ on validation lists, one
        called `contrast` of tuning.
    shuffles : average the probabilities over so many orders of each list (adapters for the template `listed`).
    command : the command line, to be kept with the rows.
    on_user : called with (users done, users in all).
    at_once : see :func:`measure`. on_lam : see :func:`make_plan`.

    Raises
    ------
    BadInput : as :func:`make_plan`.
    """
    planned = make_plan(engine, domain, split, setting, limit, systems, rule, lam, lams, shuffles, command, on_lam=on_lam)
    made_with, answers = facts(engine, planned), []
    for answer in measure(engine, planned, engine.catalog.users(domain, split, setting, limit), at_once):
        answers.append(answer)
        on_user(len(answers), planned.n)
    return table.of(rows_of(planned, answers, made_with))


def _planned(engine: Engine, plan: Plan) -> Mixture:
    mixture = engine.mixture(plan.domain)
    if mixture.key != plan.adapters:
        raise BadInput(f"the adapters of '{plan.domain}' are others than a moment ago ({mixture.key}, planned were "
                       f"{plan.adapters}); start again once nothing changes them")
    return mixture


def _best_of_the_others(answers: Sequence[Answer]) -> list[int]:
    """For every second user and for the rest, the point with the best NDCG@1 among the users who are not of them."""
    gains = ndcg([[placed.rank for placed in answer.points] for answer in answers], 1)
    return [best_point(gains[1 - half :: 2].mean(axis=0).tolist()) for half in (0, 1)]


def _orders(example: RankingExample, shuffles: int) -> list[list[int]]:
    """Orders of a list as places in the stored one, which is the first of them."""
    orders = [list(range(len(example.candidates)))]
    for number in range(1, shuffles):
        orders.append(orders[0].copy())
        random.Random(digest(f"{SEED}|{example.domain}|{example.setting}|{example.user}|{number}")).shuffle(orders[-1])
    return orders


def _in_order(scores: Sequence[float], order: Sequence[int]) -> np.ndarray:
    """Scores of a shuffled list, back in the stored order.

    >>> _in_order([0.5, 0.2, 0.3], [2, 0, 1]).tolist()
    [0.2, 0.3, 0.5]
    """
    found = np.empty(len(order))
    found[list(order)] = scores
    return found


def _placed(scores: Sequence[float], target: int) -> Placed:
    return Placed(rank_of(scores, target), scores[target], scores.index(max(scores)))


def _popularity_scores(popularity: dict[str, int], example: RankingExample) -> list[float]:
    counts = [popularity[item.item_id] for item in example.candidates]
    total = sum(counts)
    return [count / total if total else 1 / len(counts) for count in counts]


