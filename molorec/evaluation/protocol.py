"""Every system on the same stored lists: who ranks the held-out item how high."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from molorec.catalog import RankingExample
from molorec.catalog.lists import HARD, SEED
from molorec.catalog.splits import digest
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.evaluation import rows as stored
from molorec.evaluation import table
from molorec.evaluation.metrics import ndcg, rank_of
from molorec.evaluation.rows import SystemRows
from molorec.evaluation.table import CHOSEN, OF_MIXTURE, OF_MODEL, OPTIONAL, SYSTEMS, Evaluation
from molorec.mixture import adapters
from molorec.mixture.lam import AnyLam, to_saved
from molorec.mixture.rule import DEFAULT_RULE
from molorec.tuning import PROMPTS, tune

POINTS = tuple(i / 10 for i in range(11))  # the λ that "grid" and "oracle" choose from
PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
_FIXED_LAM = {"base": None, "general": 1.0, "specific": 0.0, "half": 0.5, **dict.fromkeys(adapters.ALONE, 1.0)}


def tuned_lam(engine: Engine, domain: str, rule: str = DEFAULT_RULE, setting: str = "warm",
              objective: str = "candidates") -> float:
    """The λ that tuning finds on the prompts of the domain's ``tune`` users: of new items where those are asked for. By contrast
    on twice as many, for each says less."""
    last = None
    for last in tune(engine, domain, PROMPTS if objective != "contrast" else 2 * PROMPTS, rule,
                     "new-item" if setting == "new-item" else "warm", objective=objective):
        pass
    return last.lam


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and with what: two measurements of one plan can be put together.

    Attributes
    ----------
    n : people; limit : the most that were asked for. systems : their names, in order; lams : system → λ, for those that a
    model ranks at one λ.
    shuffles : how many orders of each list the probabilities are averaged over; 1: the stored order alone.
    base, adapters, precision, backend : what ranks; the first two by hash.
    command : the command line that measures it; it may differ where two machines keep files in different places.
    """

    domain: str
    split: str
    setting: str
    n: int
    limit: int | None
    rule: str
    systems: tuple[str, ...]
    lams: dict[str, AnyLam | None]
    shuffles: int
    lists_sha256: str
    base: str
    precision: str
    backend: str
    adapters: str
    command: str

    @property
    def points(self) -> tuple[float, ...]:
        """The λ that everybody's list is ranked at beside those of ``lams``."""
        return POINTS if "oracle" in self.systems else ()


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


def plan(engine: Engine, domain: str, split: str = "quick", setting: str = "warm", limit: int | None = None,
         systems: Sequence[str] = SYSTEMS, rule: str = DEFAULT_RULE, lam: AnyLam | None = None,
         lams: Mapping[str, AnyLam] | None = None, shuffles: int = 1, command: str = "molorec evaluate",
         tuned: Mapping[str, AnyLam] | None = None) -> Plan:
    """What :func:`evaluate` with these arguments measures; λ is tuned here, unless one is given.

    Parameters
    ----------
    tuned : λ of `mixed`, `contrast` and `grid` that were found before, by what would find them here (:func:`parts.tuned`).

    Raises
    ------
    BadInput : the split is ``tune`` (its users are never evaluated), a system is unknown, there are no lists, a λ is given
        for a system that has one, or lists are to be shuffled that no prompt holds.
    """
    lams, tuned = dict(lams or {}), tuned or {}
    if split not in ("quick", "full"):
        raise BadInput(f"split '{split}' is not evaluated; choose quick or full (tune is for choosing λ)")
    if setting == "validation":
        raise BadInput("validation lists are those that checkpoints were chosen on; choose a setting to test in: warm, new-item, "
                       f"{', '.join(HARD)}")
    known = (*SYSTEMS, *OPTIONAL, *lams)
    unknown = [name for name in systems if name not in known]
    if unknown:
        raise BadInput(f"there is no system '{unknown[0]}'; choose from: {', '.join(known)}")
    taken = [name for name in lams if name in (*SYSTEMS, CHOSEN, "oracle") or not stored.is_name(name)]
    if taken:
        raise BadInput(f"no λ can be given as '{taken[0]}'; give yours another name, such as mixed-layer")
    limit = engine.catalog.cutting(domain, split, setting, limit)
    n = len(engine.catalog.users(domain, split, setting, limit))
    if not n:
        raise BadInput(f"domain '{domain}' has no lists in split '{split}', setting '{setting}'")
    mixture = engine.mixture(domain)
    if shuffles < 1:
        raise BadInput(f"lists in {shuffles} orders are none; give 1 or more")
    if shuffles > 1 and not mixture.template.listed:
        raise BadInput(f"template '{mixture.template.name}' has no list in its prompt, so its order cannot matter; leave out "
                       "--shuffles, or use adapters that were trained on 'listed'")
    alone = "general" if mixture.is_pair or not mixture.adapters[0].card else mixture.adapters[0].card.role
    if mixture.is_pair:
        names = list(dict.fromkeys((*systems, *lams)))
    else:  # of one adapter, it alone; of three and more, mixtures that were given: one number is no λ of them
        own = (alone,) if len(mixture.adapters) == 1 else lams
        names = [name for name in dict.fromkeys((*systems, *lams)) if name in ("popularity", "base", *own)]
    if alone in adapters.ALONE:  # which is there only if somebody asked for it
        names.append(alone)
    if not names:
        here = ", ".join(f"'{adapter.name}'" for adapter in mixture.adapters)
        raise BadInput(f"nothing of {', '.join(systems)} can be measured with the adapters that '{domain}' has here: {here}")
    if "oracle" in names and n < 2:
        raise BadInput("the oracle chooses λ on half of the users and is measured on the other half; ask for 2 users or more")
    at = {name: _FIXED_LAM[name] for name in names if name in _FIXED_LAM}
    if lam is not None and "mixed" not in systems:
        raise BadInput("a λ was given, and systems without 'mixed', whose place it takes; leave out one of the two")
    if lam is not None and len(mixture.adapters) == 1:
        raise BadInput(f"domain '{domain}' has one adapter here, '{alone}', so λ mixes nothing; leave it out")
    if lam is not None:
        names = [CHOSEN if name == "mixed" else name for name in names]
        names += [CHOSEN] if CHOSEN not in names else []  # of three adapters and more, `mixed` itself is nothing
        at[CHOSEN] = lam
    elif "mixed" in names:
        at["mixed"] = tuned["mixed"] if "mixed" in tuned else tuned_lam(engine, domain, rule, setting)
    if "contrast" in names and "contrast" not in lams:
        at["contrast"] = tuned["contrast"] if "contrast" in tuned else tuned_lam(engine, domain, rule, setting, "contrast")
    if "grid" in names and "grid" not in lams:
        at["grid"] = tuned["grid"] if "grid" in tuned else grid_lam(engine, domain, rule)
    at |= {name: lams[name] for name in names if name in lams}
    return Plan(domain, split, setting, n, limit, rule, tuple(names), at, shuffles,
                engine.catalog.lists_sha256(domain, setting, split), engine.base.sha256, engine.base.precision,
                type(engine.backend).__name__, mixture.key, command)


def measure(engine: Engine, plan: Plan, users: Sequence[str], at_once: int | None = None) -> Iterator[Answer]:
    """Rank the stored lists of some of the plan's users with every system, in their order.

    Parameters
    ----------
    at_once : users whose lists are ranked together; by default as many as fill the backend's passes.
    """
    popularity = engine.catalog.popularity(plan.domain)
    lams = [*plan.lams.values(), *plan.points]

    def answers(some: Sequence[str]) -> list[Answer]:
        examples = [engine.catalog.example(plan.domain, user, plan.setting) for user in some]
        orders = [_orders(example, plan.shuffles) for example in examples]
        shuffled = [replace(example, candidates=tuple(example.candidates[i] for i in order))
                    for example, mine in zip(examples, orders, strict=True) for order in mine]
        ranked = iter(engine.rank_all(shuffled, lams, plan.rule) if lams else [[]] * len(shuffled))
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
    """What a plan's rows were made with."""
    mixture = engine.mixture(plan.domain)
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
        lam = None if name in adapters.ALONE else plan.lams.get(name)
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
             on_user: Callable[[int, int], None] = lambda done, total: None, at_once: int | None = None) -> Evaluation:
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
    at_once : see :func:`measure`.

    Raises
    ------
    BadInput : as :func:`plan`.
    """
    planned = plan(engine, domain, split, setting, limit, systems, rule, lam, lams, shuffles, command)
    answers = []
    for answer in measure(engine, planned, engine.catalog.users(domain, split, setting, limit), at_once):
        answers.append(answer)
        on_user(len(answers), planned.n)
    return table.of(rows_of(planned, answers, facts(engine, planned)))


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


def grid_lam(engine: Engine, domain: str, rule: str = DEFAULT_RULE) -> float:
    """The λ of :data:`POINTS` of best NDCG@1 on the validation lists of the split ``quick``: no test list is looked at.

    Raises
    ------
    BadInput : the domain has no validation lists.
    """
    examples = engine.catalog.examples(domain, "quick", "validation")
    if not examples:
        raise BadInput(f"domain '{domain}' has no validation lists, so there is nothing to choose the λ of 'grid' on")
    return POINTS[_best([gain for _, _, gain in sweep(engine, examples, POINTS, rule)])]


def _best(gains: Sequence[float]) -> int:
    """Which of :data:`POINTS` gains most; of equals the one nearest to ½, and of two as near the lower λ.

    >>> POINTS[_best([0.2] * 11)], POINTS[_best([0.3, *[0.2] * 9, 0.3])]
    (0.5, 0.0)
    """
    return max(range(len(POINTS)), key=lambda place: (gains[place], -abs(place - len(POINTS) // 2), -place))


def _best_of_the_others(answers: Sequence[Answer]) -> list[int]:
    """For every second user and for the rest, the point with the best NDCG@1 among the users who are not of them."""
    gains = ndcg([[placed.rank for placed in answer.points] for answer in answers], 1)
    return [_best(gains[1 - half :: 2].mean(axis=0).tolist()) for half in (0, 1)]


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


