"""Whether a domain's own adapter is worth having: on held-out choices, against the general adapter and popularity."""

from collections.abc import Iterator
from dataclasses import dataclass

from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.evaluation import protocol, table
from molorec.evaluation.plan import make_plan
from molorec.evaluation.table import Evaluation
from molorec.mixture.adapters import Adapter
from molorec.mixture.card import update_card

OWN, OTHERS = "specific", ("general", "popularity")
PEOPLE = 200  # most people that are asked: some two minutes on two cores


@dataclass(frozen=True)
class Gain:
    """What was measured, as it is kept on the adapter's card.

    Attributes
    ----------
    n : people whose held-out choice was ranked.
    scores : system ("specific", "general", "popularity") → mean NDCG@1, in [0, 1].
    over : system → (mean difference of NDCG@1 of "specific" from it, and its 95% interval's ends), paired by person.
    """

    n: int
    scores: dict[str, float]
    over: dict[str, tuple[float, float, float]]


def measure(engine: Engine, domain: str, people: int = PEOPLE) -> Iterator[tuple[int, int]]:
    """Rank the held-out lists of the domain's first people, and keep the outcome on the card of its own adapter.

    The people are of split ``quick``, so neither training nor tuning has looked at their last choice.

    Yields
    ------
    (people done, people in all), after each; with the last one :func:`of` knows the outcome.

    Raises
    ------
    BadInput : the domain has no adapter of its own, or nobody to measure on.
    MolorecError : the outcome cannot be kept.
    """
    own = _own(engine, domain)
    if own is None:
        raise BadInput("there is no adapter of its own to measure yet: train one first")
    users = engine.catalog.users(domain, "quick", limit=people)
    if not users:
        raise BadInput("nobody is left to measure on: the first 100 people are kept for tuning, so bring more")
    plan = make_plan(engine, domain, limit=people, systems=(*OTHERS, OWN))
    made_with, answers = protocol.facts(engine, plan), []
    for answer in protocol.measure(engine, plan, users):
        answers.append(answer)
        if len(answers) == len(users):
            _keep(own, table.of(protocol.rows_of(plan, answers, made_with)))
            engine.forget(domain)
        yield len(answers), len(users)


def of(engine: Engine, domain: str) -> Gain | None:
    """What was measured of the domain's own adapter, if it was. Raises MolorecError as :meth:`Engine.mixture`."""
    own = _own(engine, domain)
    found = own.card.scores if own and own.card else {}
    try:
        scores = {name: float(found[_key(name)]) for name in (OWN, *OTHERS)}
        over = {name: tuple(map(float, found[f"minus {name}"])) for name in OTHERS}
        return Gain(int(found["n"]), scores, over)
    except (KeyError, TypeError, ValueError):  # not measured, or on the command line, which compares other systems
        return None


def _own(engine: Engine, domain: str) -> Adapter | None:
    mixture = engine.mixture(domain)
    return mixture.adapters[-1] if mixture.is_pair else None


def _key(name: str) -> str:
    return "ndcg@1" if name == OWN else f"{name} ndcg@1"


def _keep(own: Adapter, found: Evaluation) -> None:
    measured = found.system(OWN)
    weak = [f"{OWN} is not surely above {name}" for name in OTHERS if measured.against[name][1] <= 0]
    scores = {**found.for_card(OWN, weak),
              **{_key(name): round(found.system(name).ndcg(1), 4) for name in OTHERS},
              **{f"minus {name}": [round(value, 4) for value in measured.against[name]] for name in OTHERS}}
    try:
        update_card(own.folder, scores=scores)
    except OSError as error:
        raise MolorecError(f"what was measured could not be kept ({error}); check that the disk has room") from error
