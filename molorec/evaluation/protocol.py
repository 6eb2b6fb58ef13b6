"""Every system on the same stored lists: who ranks the held-out item how high."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from molorec.catalog import RankingExample
from molorec.engine import Engine
from molorec.errors import BadAdapter, BadInput
from molorec.evaluation.metrics import bootstrap_interval, hit_rate, ndcg, rank_of
from molorec.mixture import adapters
from molorec.mixture.adapters import Adapter
from molorec.mixture.lam import AnyLam, general, to_saved
from molorec.mixture.rule import DEFAULT_RULE
from molorec.tuning import INSIDE, tune

SYSTEMS = ("popularity", "base", "general", "specific", "half", "mixed")
CHOSEN = "chosen"  # what stands in place of "mixed" where λ was given: "mixed" always means tuned
MOVES_AT_LEAST = 0.25
_FIXED_LAM = {"base": None, "general": 1.0, "specific": 0.0, "half": 0.5}


@dataclass(frozen=True)
class Row:
    """One system's answer for one user: all that is kept of it. ``user`` is the place in the domain's order of users."""

    domain: str
    user: int
    system: str
    rank: int
    probability: float


@dataclass
class SystemResult:
    """One system over all users.

    Attributes
    ----------
    low, high : 95% bootstrap interval of NDCG@1.
    against : other system → (mean difference of NDCG@1, low, high), paired by user.
    """

    name: str
    lam: AnyLam | None
    rows: list[Row]
    low: float = 0.0
    high: float = 0.0
    against: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def ranks(self) -> list[int]:
        return [row.rank for row in self.rows]

    def ndcg(self, k: int) -> float:
        """Mean NDCG@k."""
        return float(ndcg(self.ranks, k).mean())

    def hit_rate(self, k: int) -> float:
        """Mean HR@k."""
        return float(hit_rate(self.ranks, k).mean())


@dataclass
class Evaluation:
    """A table of systems on one split of one domain.

    Attributes
    ----------
    moves : share of users whose first title differs between λ = 0, ½ and 1 (None with one adapter).
    """

    domain: str
    split: str
    setting: str
    lists_sha256: str
    systems: list[SystemResult]
    moves: float | None

    def system(self, name: str) -> SystemResult | None:
        """The result called ``name``, if it was run."""
        return next((result for result in self.systems if result.name == name), None)

    @property
    def verdict(self) -> str:
        """Whether mixing helps, in words: only at a real mixture whose paired intervals are above both adapters alone."""
        if self.system(CHOSEN):
            return "λ was given, so this says nothing about tuning"
        mixed = self.system("mixed")
        if mixed is None:
            return "one adapter: there is nothing to mix"
        if not is_mixture(mixed.lam):
            return f"entropy prefers the {'general' if general(mixed.lam) > 0.5 else 'specific'} adapter alone"
        if all(mixed.against[name][1] > 0 for name in ("general", "specific") if name in mixed.against):
            return "mixing helps: it is above both adapters alone"
        return "mixing is not shown to help: it is not surely above both adapters alone"

    @property
    def shortcomings(self) -> list[str]:
        """In words, what a pair of adapters falls short of before it can be called good; empty if of nothing."""
        found = []
        for name in ("specific", "mixed"):
            result = self.system(name)
            if result is None:
                found.append(f"{name} was not measured")
            elif result.against.get("popularity", (0, 0, 0))[1] <= 0:
                found.append(f"{name} is not surely above popularity")
        general = self.system("general")
        if general is None:
            found.append("general was not measured")
        elif general.against.get("base", (0, 0, 0))[0] <= 0:
            found.append("the general adapter is not above the bare base model")
        if self.moves is None or self.moves < MOVES_AT_LEAST:
            found.append("λ hardly changes the first title")
        return found


def tuned_lam(engine: Engine, domain: str, rule: str = DEFAULT_RULE) -> float:
    """The λ that tuning finds on the domain's ``tune`` prompts."""
    last = None
    for last in tune(engine, domain, rule=rule):
        pass
    return last.lam


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and with what: two measurements of one plan can be put together.

    Attributes
    ----------
    n : people; systems : their names, in order; lams : system → λ, for those that a model ranks.
    base, adapters, precision : what ranks, by hash.
    """

    domain: str
    split: str
    setting: str
    n: int
    rule: str
    systems: tuple[str, ...]
    lams: dict[str, AnyLam | None]
    lists_sha256: str
    base: str
    precision: str
    adapters: str


@dataclass(frozen=True)
class Answer:
    """One person's part of an evaluation.

    Attributes
    ----------
    user : the place in the domain's order of users.
    ranks : system → (rank of the true item, its probability).
    moves : whether the first title differs between λ = 0, ½ and 1; None with one adapter.
    """

    user: int
    ranks: dict[str, tuple[int, float]]
    moves: bool | None


def plan(engine: Engine, domain: str, split: str = "quick", setting: str = "warm", limit: int | None = None,
         systems: Sequence[str] = SYSTEMS, rule: str = DEFAULT_RULE, lam: AnyLam | None = None) -> Plan:
    """What :func:`evaluate` with these arguments measures; λ is tuned here, unless one is given.

    Raises
    ------
    BadInput : the split is ``tune`` (its users are never evaluated), a system is unknown, or there are no lists.
    """
    if split not in ("quick", "full"):
        raise BadInput(f"split '{split}' is not evaluated; choose quick or full (tune is for choosing λ)")
    unknown = [name for name in systems if name not in SYSTEMS]
    if unknown:
        raise BadInput(f"there is no system '{unknown[0]}'; choose from: {', '.join(SYSTEMS)}")
    n = len(engine.catalog.users(domain, split, setting, limit))
    if not n:
        raise BadInput(f"domain '{domain}' has no lists in split '{split}', setting '{setting}'")
    mixture = engine.mixture(domain)
    alone = mixture.adapters[0].card.role if not mixture.is_pair and mixture.adapters[0].card else "general"
    names = [name for name in systems if mixture.is_pair or name in ("popularity", "base", alone)]
    lams = {name: _FIXED_LAM[name] for name in names if name in _FIXED_LAM}
    if "mixed" in names and lam is not None:
        names[names.index("mixed")] = CHOSEN
        lams[CHOSEN] = lam
    elif "mixed" in names:
        lams["mixed"] = tuned_lam(engine, domain, rule)
    return Plan(domain, split, setting, n, rule, tuple(names), lams, engine.catalog.lists_sha256(domain, setting, split),
                engine.base.sha256, engine.base.precision, mixture.key)


def measure(engine: Engine, plan: Plan, users: Sequence[str], at_once: int = 1) -> Iterator[Answer]:
    """Rank the stored lists of some of the plan's users with every system, in their order.

    Parameters
    ----------
    at_once : users whose lists are ranked at the same time; more than one pays where a backend answers many together.
    """
    popularity = engine.catalog.popularity(plan.domain)

    def answer(user: str) -> Answer:
        example = engine.catalog.example(plan.domain, user, plan.setting)
        target = example.candidates.index(example.target)
        rankings = dict(zip(plan.lams, engine.rank_each(example, list(plan.lams.values()), plan.rule), strict=True))
        ranks = {}
        for name in plan.systems:
            scores = rankings[name].probabilities() if name in rankings else _popularity_scores(popularity, example)
            ranks[name] = rank_of(scores, target), scores[target]
        firsts = {rankings[name].items[0].item for name in ("general", "specific", "half") if name in rankings}
        pair = {"general", "specific", "half"} <= set(rankings)
        return Answer(engine.catalog.position(plan.domain, user), ranks, len(firsts) > 1 if pair else None)

    if at_once == 1:
        yield from map(answer, users)
        return
    with ThreadPoolExecutor(at_once, "molorec-evaluate") as pool:
        for first in range(0, len(users), 4 * at_once):  # not all are asked for at once: whoever stops early stops the rest
            yield from pool.map(answer, users[first : first + 4 * at_once])


def summary(plan: Plan, answers: Sequence[Answer]) -> Evaluation:
    """The table of a whole plan's answers."""
    results = [SystemResult(name, plan.lams.get(name), [Row(plan.domain, answer.user, name, *answer.ranks[name])
                                                        for answer in answers]) for name in plan.systems]
    _compare(results)
    moved = [answer.moves for answer in answers if answer.moves is not None]
    return Evaluation(plan.domain, plan.split, plan.setting, plan.lists_sha256, results,
                      float(np.mean(moved)) if moved else None)


def evaluate(engine: Engine, domain: str, split: str = "quick", setting: str = "warm", limit: int | None = None,
             systems: Sequence[str] = SYSTEMS, rule: str = DEFAULT_RULE, lam: AnyLam | None = None,
             on_user: Callable[[int, int], None] = lambda done, total: None, at_once: int = 1) -> Evaluation:
    """Rank every stored list of a split with every system.

    Parameters
    ----------
    limit : at most so many users, from the first on.
    lam : a λ to measure as the system `chosen`, in place of `mixed`, whose λ is tuned on the ``tune`` prompts without
        labels.
    on_user : called with (users done, users in all).
    at_once : see :func:`measure`.

    Raises
    ------
    BadInput : as :func:`plan`.
    """
    planned = plan(engine, domain, split, setting, limit, systems, rule, lam)
    answers = []
    for answer in measure(engine, planned, engine.catalog.users(domain, split, setting, limit), at_once):
        answers.append(answer)
        on_user(len(answers), planned.n)
    return summary(planned, answers)


def sweep(engine: Engine, examples: Sequence[RankingExample], lams: Sequence[float],
          rule: str = DEFAULT_RULE) -> Iterator[tuple[float, float, float]]:
    """(λ, mean entropy, NDCG@1) on labelled examples: to look at after a training, never to choose λ by."""
    for lam in lams:
        rankings = [engine.rank(example, lam, rule) for example in examples]
        ranks = [rank_of(ranking.probabilities(), ranking.example.candidates.index(ranking.example.target))
                 for ranking in rankings]
        yield lam, float(np.mean([ranking.entropy for ranking in rankings])), float(ndcg(ranks, 1).mean())


def write_scores(evaluation: Evaluation, used: Sequence[Adapter]) -> None:
    """Keep an evaluation on the cards of the adapters that took part; a weak pair is marked so, for the screen.

    Raises
    ------
    BadAdapter : an adapter has no card.
    """
    popularity = evaluation.system("popularity")
    without = next((adapter for adapter in used if adapter.card is None or adapter.folder is None), None)
    if without:
        raise BadAdapter(f"adapter '{without.name}' has no card to write scores to")
    for adapter in used:
        own = evaluation.system(adapter.card.role)
        if own is None:
            raise BadAdapter(f"adapter '{adapter.name}' ({adapter.card.role}) took no part in this evaluation")
        scores = {"domain": evaluation.domain, "split": evaluation.split, "setting": evaluation.setting, "n": len(own.rows),
                  "ndcg@1": round(own.ndcg(1), 4), "ndcg@3": round(own.ndcg(3), 4),
                  "popularity ndcg@1": round(popularity.ndcg(1), 4), "lists_sha256": evaluation.lists_sha256,
                  "weak": evaluation.shortcomings}
        mixed = evaluation.system("mixed")
        changes = {"tuned_lam": to_saved(mixed.lam)} if mixed and adapter.card.role == "specific" else {}
        adapters.update_card(adapter.folder, scores=scores, **changes)


def is_mixture(lam: AnyLam | None) -> bool:
    """Whether λ, on average over the layers, is far enough from both ends to be called a mixture.

    >>> is_mixture(0.5), is_mixture(0.99), is_mixture(None)
    (True, False, False)
    """
    return lam is not None and INSIDE[0] <= general(lam) <= INSIDE[1]


def _popularity_scores(popularity: dict[str, int], example: RankingExample) -> list[float]:
    counts = [popularity[item.item_id] for item in example.candidates]
    total = sum(counts)
    return [count / total if total else 1 / len(counts) for count in counts]


def _compare(results: list[SystemResult]) -> None:
    """Fill in the intervals; the same resampled users for every pair."""
    gains = {result.name: ndcg(result.ranks, 1) for result in results}
    for result in results:
        result.low, result.high = bootstrap_interval(gains[result.name])
        for other in results:
            if other is not result:
                difference = gains[result.name] - gains[other.name]
                result.against[other.name] = (float(difference.mean()), *bootstrap_interval(difference))
