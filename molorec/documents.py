"""Results as plain documents: what the command line prints, the API answers and the screen saves, field by field the same."""

from collections.abc import Sequence
from typing import TypedDict

from molorec.catalog import Item
from molorec.descent import DescentStep
from molorec.explaining import Evidence, Explanation
from molorec.mixture.lam import AnyLam, to_json
from molorec.ranking.result import Ranking
from molorec.tuning import TuningStep

SCHEMA = 1


class RankedTitle(TypedDict):
    """One line of a ranking; ``rank`` counts from 1, ``probability`` is among the candidates."""

    rank: int
    item_id: str
    title: str
    probability: float


class RankingDocument(TypedDict):
    """``lam``: the weight of the general adapter, or a saved λ; ``entropy``: of the candidates' probabilities, in nats."""

    schema: int
    domain: str
    user: str
    lam: float | dict
    rule: str
    entropy: float
    ranking: list[RankedTitle]


class TuningDocument(TypedDict):
    """``lam``: a number for one λ for all layers, else a saved λ; ``curve``: (λ, mean entropy in nats) where one λ for all was
    measured; ``entropy_start``: where all adapters weigh the same."""

    schema: int
    domain: str
    objective: str
    rule: str
    granularity: str
    lam: float | dict
    entropy_start: float
    entropy_end: float
    curve: list[list[float]]
    prompts: int
    seconds: float


class EvidenceLine(TypedDict):
    """By how much the title's probability falls without this item of the history."""

    item_id: str
    title: str
    effect: float


class ExplanationDocument(TypedDict):
    """``text`` is None where it did not pass the check; ``problem`` then says why."""

    schema: int
    domain: str
    user: str
    lam: float | dict
    item_id: str
    title: str
    text: str | None
    grounded: bool
    problem: str
    evidence: list[EvidenceLine]


def ranking(result: Ranking) -> RankingDocument:
    """A ranking as ``molorec rank --json`` prints it."""
    return {
        "schema": SCHEMA, "domain": result.example.domain, "user": result.example.user, "lam": to_json(result.lam),
        "rule": result.rule, "entropy": result.entropy,
        "ranking": [{"rank": r.rank, "item_id": r.item.item_id, "title": r.item.title, "probability": r.probability}
                    for r in result.items]}


def tuned(domain: str, rule: str, step: TuningStep | DescentStep, granularity: str = "global") -> TuningDocument:
    """A tuning as ``molorec tune --json`` prints it: of one λ, ended or not, or of one by layer or module that has ended."""
    return {
        "schema": SCHEMA, "domain": domain, "objective": step.objective, "rule": rule, "granularity": granularity,
        "lam": to_json(step.lam), "entropy_start": step.entropy_start, "entropy_end": step.entropy,
        "curve": [list(point) for point in step.curve], "prompts": step.prompts, "seconds": step.seconds}


def explanation(domain: str, user: str, lam: AnyLam, item: Item, text: Explanation,
                evidence: Sequence[Evidence]) -> ExplanationDocument:
    """A finished explanation as ``molorec explain --json`` prints it."""
    return {
        "schema": SCHEMA, "domain": domain, "user": user, "lam": to_json(lam), "item_id": item.item_id, "title": item.title,
        "text": text.text if text.is_grounded else None, "grounded": text.is_grounded, "problem": text.problem,
        "evidence": [{"item_id": e.item.item_id, "title": e.item.title, "effect": e.effect} for e in evidence]}
