"""The API: what the screen can do, as typed endpoints next to it, with the documents of ``molorec … --json`` as answers."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypedDict

import gradio as gr

from molorec import documents, explaining, landscape, position, tuning
from molorec.catalog import DomainInfo, RankingExample
from molorec.config import LIMITS
from molorec.documents import SCHEMA, ExplanationDocument, RankedTitle, RankingDocument, TuningDocument
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.evaluation import published, runs
from molorec.evaluation.runs import Run
from molorec.explaining import Evidence, Explanation
from molorec.mixture.lam import to_json
from molorec.mixture.rule import DEFAULT_RULE
from molorec.position import PositionCheck
from molorec.ui import compare as side_by_side
from molorec.ui import session
from molorec.ui.screen import LONG, QUICK
from molorec.ui.session import BUILT, SCENARIOS, View

LONGEST_TEXT = 200
MOST = 200  # users or items in one answer


class Domain(TypedDict):
    """One domain: how many users, items and events it has, and what its items are called."""

    name: str
    noun: str
    source: str
    terms: str
    users: int
    items: int
    events: int
    held_out_items: int
    notes: list[str]


class Domains(TypedDict):
    schema: int
    domains: list[Domain]


class User(TypedDict):
    """``latest``: the title that the user chose last before the list was made."""

    user: str
    latest: str


class Users(TypedDict):
    schema: int
    domain: str
    scenario: str
    users: list[User]


class Title(TypedDict):
    item_id: str
    title: str


class Titles(TypedDict):
    schema: int
    domain: str
    items: list[Title]


class SweepPoint(TypedDict):
    """``probabilities``: of the candidates, in the order of the answer's ``candidates``; ``entropy``: in nats."""

    lam: float
    entropy: float
    probabilities: list[float]


class SweepDocument(TypedDict):
    """``points``: the λ ranked so far, rising; ``total``: how many there will be."""

    schema: int
    domain: str
    user: str
    rule: str
    candidates: list[Title]
    points: list[SweepPoint]
    total: int
    seconds: float


class ColumnDocument(TypedDict):
    """One ranking of several; ``lam``: the one that ranked, None for the base model alone."""

    name: str
    lam: float | None
    entropy: float
    ranking: list[RankedTitle]


class ComparisonDocument(TypedDict):
    """The same list as the base model, each adapter alone and the mixture at ``lam`` rank it."""

    schema: int
    domain: str
    user: str
    lam: float
    rule: str
    columns: list[ColumnDocument]


class PositionDocument(TypedDict):
    """``mean``: the candidates' probabilities averaged over the orders so far, in the order of ``candidates``; ``largest``: the
    largest change of one of them; ``same_first``: orders with the same first title."""

    schema: int
    domain: str
    user: str
    lam: float
    rule: str
    candidates: list[Title]
    mean: list[float]
    largest: float
    same_first: int
    shuffles: int
    total: int


class MeasuredSystem(TypedDict):
    """``scores``: metric → mean over people and its 95% interval's ends; ``against_popularity``: the same of the paired
    difference; ``lam``: a number or a saved λ, None where no adapter takes part."""

    name: str
    lam: float | dict | None
    scores: dict[str, list[float]]
    against_popularity: dict[str, list[float]]


class MeasuredRun(TypedDict):
    """``limit``: the most people that were asked for, None for a whole split; ``share``: of its domain's people, from which the
    domain's adapter has learned."""

    date: str
    split: str
    people: int
    limit: int | None
    share: float
    rule: str
    base: str
    lists_sha256: str
    verdict: str
    systems: list[MeasuredSystem]


class ResultsDocument(TypedDict):
    """``measured``: the evaluations kept here, the latest first; ``paper``: system → NDCG@1 in the paper, which cannot be set
    beside them."""

    schema: int
    domain: str
    setting: str
    measured: list[MeasuredRun]
    paper: dict[str, float]


def endpoints(engine: Engine) -> None:
    """Add the endpoints to the page that is being built; call it inside ``gr.Blocks``.

    They open everyone's domains only. What cannot be answered is a ``gr.Error`` in the words of the MolorecError.
    """

    def domains() -> Domains:
        """The domains that everyone may rank."""
        with _in_words():
            return {"schema": SCHEMA, "domains": [_domain(info) for info in engine.catalog.domains()]}

    def users(domain: str, scenario: str = "warm", limit: int = 20) -> Users:
        """Users of a domain that have a list in a scenario, "warm" or "new-item", at most 200."""
        with _in_words():
            _check_domain(engine, domain)
            scenario = _one_of("scenario", scenario, [name for _, name in SCENARIOS if name != BUILT])
            limit = _count("limit", limit, MOST)
            found = engine.catalog.first_users(domain, scenario, limit)
            latest = [engine.catalog.example(domain, user, scenario).history[-1:] for user in found]
            return {"schema": SCHEMA, "domain": domain, "scenario": scenario, "users": [
                {"user": user, "latest": items[0].title if items else ""} for user, items in zip(found, latest, strict=True)]}

    def search(domain: str, text: str, limit: int = 20) -> Titles:
        """Items of a domain whose title is written like a text, best match first."""
        with _in_words():
            _check_domain(engine, domain)
            text = _text("text", text)
            items = engine.catalog.search(domain, text, _count("limit", limit, MOST))
            return {"schema": SCHEMA, "domain": domain,
                    "items": [{"item_id": item.item_id, "title": item.title} for item in items]}

    def rank(domain: str, user: str = "", lam: float = 0.5, rule: str = DEFAULT_RULE, scenario: str = "warm",
             history: list[str] | None = None, candidates: list[str] | None = None) -> RankingDocument:
        """Rank at λ, the weight of the general adapter: a user's list, or, in the scenario "built", ids of your own."""
        with _in_words():
            view = _view(engine, domain, user, lam, rule, scenario, history, candidates)
            return documents.ranking(engine.rank(session.example_of(engine, view), view.lam, view.rule))

    def tune(domain: str, prompts: int = tuning.PROMPTS, rule: str = DEFAULT_RULE,
             scenario: str = "warm", objective: str = "candidates") -> Iterator[TuningDocument]:
        """Choose λ by entropy, or with the objective "contrast" by how much lower it is than after a stranger's history, without
        labels: an answer after every prompt, the last one is the result."""
        with _in_words():
            _check_domain(engine, domain)
            scenario = _one_of("scenario", scenario, [name for _, name in SCENARIOS if name != BUILT])
            objective = _one_of("objective", objective, ["candidates", "contrast"])
            rule = _text("rule", rule)
            for step in tuning.tune(engine, domain, _count("prompts", prompts, 100), rule, scenario, objective=objective):
                yield documents.tuned(domain, rule, step)

    def sweep(domain: str, user: str = "", rule: str = DEFAULT_RULE, points: int = landscape.POINTS, scenario: str = "warm",
              history: list[str] | None = None, candidates: list[str] | None = None) -> Iterator[SweepDocument]:
        """Rank one list at equally spaced λ: an answer after every few, each with all λ so far."""
        with _in_words():
            view = _view(engine, domain, user, 0.5, rule, scenario, history, candidates)
            points = _count("points", points, landscape.MOST_POINTS)
            for found in landscape.sweep(engine, session.example_of(engine, view), view.rule, points):
                yield _swept(found)

    def explain(domain: str, user: str = "", lam: float = 0.5, rule: str = DEFAULT_RULE, scenario: str = "warm",
                history: list[str] | None = None, candidates: list[str] | None = None,
                item_id: str = "", style: str = "short") -> Iterator[ExplanationDocument]:
        """Why a candidate (the first one, unless an id is given): evidence from the history, then a text (short or
        detailed), given once it is whole and checked; an answer after every step, the last one is the result."""
        with _in_words():
            view = _view(engine, domain, user, lam, rule, scenario, history, candidates)
            explaining.style_named(style := _text("style", style))
            example, item_id = session.example_of(engine, view), _text("item_id", item_id)
            item = (next((c for c in example.candidates if c.item_id == item_id), None) if item_id
                    else engine.rank(example, view.lam, view.rule).items[0].item)
            if item is None:
                raise BadInput(f"'{item_id}' is not among the candidates; /rank names them")
            evidence: list[Evidence] = []
            for piece in explaining.evidence(engine, example, item, view.lam, view.rule):
                evidence.append(piece)
                yield documents.explanation(domain, example.user, view.lam, item, Explanation("", ()), evidence)
            for text in explaining.explain(engine, example, item, evidence, view.lam, view.rule, style=style):
                yield documents.explanation(domain, example.user, view.lam, item, text, evidence)

    def compare(domain: str, user: str = "", lam: float = 0.5, rule: str = DEFAULT_RULE, scenario: str = "warm",
                history: list[str] | None = None, candidates: list[str] | None = None) -> ComparisonDocument:
        """One list side by side: as the base model, each adapter alone and the mixture at λ rank it."""
        with _in_words():
            view = _view(engine, domain, user, lam, rule, scenario, history, candidates)
            return {"schema": SCHEMA, "domain": view.domain, "user": view.user, "lam": view.lam, "rule": view.rule,
                    "columns": [_column(column) for column in side_by_side.columns(engine, view)]}

    def order(domain: str, user: str = "", lam: float = 0.5, rule: str = DEFAULT_RULE, scenario: str = "warm",
              history: list[str] | None = None, candidates: list[str] | None = None) -> Iterator[PositionDocument]:
        """How much the order of the candidates matters: other orders of the list are ranked, an answer after each."""
        with _in_words():
            view = _view(engine, domain, user, lam, rule, scenario, history, candidates)
            example = session.example_of(engine, view)
            for found in position.check(engine, example, view.lam, view.rule):
                yield _position(view, example, found)

    def results(domain: str, scenario: str = "warm") -> ResultsDocument:
        """What was measured here on a domain, and what the paper reports."""
        with _in_words():
            _check_domain(engine, domain)
            setting = _one_of("scenario", scenario, [name for _, name in SCENARIOS if name != BUILT])
            kept = [run for run in runs.load()[0] if (run.domain, run.setting) == (domain, setting)]
            return {"schema": SCHEMA, "domain": domain, "setting": setting, "measured": [_run(run) for run in kept],
                    "paper": published.TABLES[setting].of(domain, "ndcg@1")}

    for found in (domains, users, search, rank, compare, results):
        _add(found, QUICK)
    for found, answer in ((tune, TuningDocument), (sweep, SweepDocument), (explain, ExplanationDocument),
                          (order, PositionDocument)):
        _add(_streaming(found, answer), LONG)


class Page(gr.Blocks):
    """A page at which an endpoint's last values may be left out by whoever calls it, and are then its defaults: of Gradio's own
    clients only that in Python fills them in."""

    def validate_inputs(self, block_fn, inputs: list) -> None:
        if block_fn.api_visibility == "public":
            for parameter in list(inspect.signature(block_fn.fn).parameters.values())[len(inputs):]:
                if parameter.default is parameter.empty:
                    raise gr.Error(f"/{block_fn.api_name} needs a value for '{parameter.name}'")
                inputs.append(parameter.default)
        super().validate_inputs(block_fn, inputs)


def _add(function: Callable, queue: dict) -> None:
    gr.api(function, api_name=function.__name__, **{key: value for key, value in queue.items() if key != "show_progress"})


def _streaming(function: Callable, answer: type) -> Callable:
    """Declare a generator by what it yields: Gradio cannot read the type of an answer from ``Iterator[…]``."""
    function.__signature__ = inspect.signature(function).replace(return_annotation=answer)
    return function


# -- what came over the network, checked -------------------------------------------------------------------------


def _view(engine: Engine, domain: object, user: object, lam: object, rule: object, scenario: object, history: object,
          candidates: object) -> View:
    _check_domain(engine, domain)
    scenario = _one_of("scenario", scenario, [name for _, name in SCENARIOS])
    lam, rule = session.valid_lam(lam), _text("rule", rule)
    if scenario == BUILT:
        return session.counted(engine, View(domain, "", lam, rule, scenario, _ids("history", history),
                                            _ids("candidates", candidates)))
    if history or candidates:
        raise BadInput(f"the scenario '{scenario}' ranks a user's own list; give history and candidates with '{BUILT}'")
    return session.counted(engine, View(domain, _text("user", user).strip(), lam, rule, scenario))


def _check_domain(engine: Engine, domain: object) -> None:
    there = [info.name for info in engine.catalog.domains()]
    if domain not in there:
        raise BadInput(f"there is no domain '{_shown(domain)}'; there are: {', '.join(there) or 'none yet'}")


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{name} is {_shown(value)}; give a text")
    if len(value) > LONGEST_TEXT:
        raise BadInput(f"{name} has {len(value)} characters; give at most {LONGEST_TEXT}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadInput(f"{name} holds half a surrogate pair; give a text in Unicode")
    return value


def _one_of(name: str, value: object, known: list[str]) -> str:
    if value not in known:
        raise BadInput(f"there is no {name} '{_shown(value)}'; choose one of: {', '.join(known)}")
    return value


def _count(name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadInput(f"{name} is {_shown(value)}; give a whole number from 1 to {most}")
    return value


def _ids(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadInput(f"{name} is {_shown(value)}; give a list of ids")
    if len(value) > LIMITS.candidates:
        raise BadInput(f"{name} has {len(value)} ids; a list holds at most {LIMITS.candidates}")
    return tuple(_text(f"an id in {name}", item_id) for item_id in value)


def _shown(value: object) -> str:
    text = str(value).encode(errors="replace").decode()
    return text if len(text) <= 60 else text[:60] + "…"


@contextmanager
def _in_words():
    try:
        yield
    except MolorecError as error:
        raise gr.Error(str(error), print_exception=False) from error


# -- answers -----------------------------------------------------------------------------------------------------


def _domain(info: DomainInfo) -> Domain:
    return {"name": info.name, "noun": info.noun, "source": info.source, "terms": info.terms, "users": info.users,
            "items": info.items, "events": info.events, "held_out_items": info.held_out_items, "notes": list(info.notes)}


def _swept(found: landscape.Landscape) -> SweepDocument:
    rows = zip(found.lams.tolist(), found.entropies.tolist(), found.probabilities.tolist(), strict=True)
    return {
        "schema": SCHEMA, "domain": found.example.domain, "user": found.example.user, "rule": found.rule,
        "candidates": _titles(found.example),
        "points": [{"lam": lam, "entropy": entropy, "probabilities": row} for lam, entropy, row in rows],
        "total": found.total, "seconds": found.seconds}


def _column(column: side_by_side.Column) -> ColumnDocument:
    ranking = documents.ranking(column.ranking)
    return {"name": column.name, "lam": ranking["lam"], "entropy": ranking["entropy"], "ranking": ranking["ranking"]}


def _position(view: View, example: RankingExample, found: PositionCheck) -> PositionDocument:
    return {"schema": SCHEMA, "domain": view.domain, "user": view.user, "lam": view.lam, "rule": view.rule,
            "candidates": _titles(example), "mean": list(found.mean), "largest": found.largest, "same_first": found.same_first,
            "shuffles": found.shuffles, "total": found.total}


def _run(run: Run) -> MeasuredRun:
    def numbers(intervals: dict[str, runs.Interval]) -> dict[str, list[float]]:
        return {metric: [interval.mean, interval.low, interval.high] for metric, interval in intervals.items()}

    systems: list[MeasuredSystem] = [{"name": system.name, "lam": to_json(system.lam), "scores": numbers(system.scores),
                                      "against_popularity": numbers(system.against_popularity)} for system in run.systems]
    return {"date": run.date, "split": run.split, "people": run.n, "limit": run.limit, "share": run.share, "rule": run.rule,
            "base": run.base, "lists_sha256": run.lists_sha256, "verdict": run.verdict, "systems": systems}


def _titles(example: RankingExample) -> list[Title]:
    return [{"item_id": item.item_id, "title": item.title} for item in example.candidates]
