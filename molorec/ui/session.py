"""What the screen's events do: checked inputs in, plain values out."""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from molorec import explaining, owned
from molorec.catalog import Item, RankingExample
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import BadInput, JournalError
from molorec.explaining import Evidence, Explanation
from molorec.journal import Journal
from molorec.mixture.lam import Lam, in_words
from molorec.mixture.rule import DEFAULT_RULE, as_weights
from molorec.ranking.result import Ranking

BUILT = "built"
SCENARIOS = (("A person", "warm"), ("New titles", "new-item"), ("Build your own", BUILT))


@dataclass(frozen=True)
class View:
    """What one visitor's screen asks for.

    Attributes
    ----------
    scenario : "warm" and "new-item" are a user's stored lists; "built" is the visitor's own history and candidates.
    history, candidates : item ids, for "built" only.
    """

    domain: str
    user: str = ""
    lam: float = 0.5
    rule: str = DEFAULT_RULE
    scenario: str = "warm"
    history: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


GESTURE = 1_500.0  # milliseconds


@dataclass(frozen=True)
class Shown:
    """What a browser tab has on screen.

    Attributes
    ----------
    ranks : item id → rank now; before : the same before the last change of λ or rule. A slider that is dragged changes λ many
        times: what comes within :data:`GESTURE` of the change before it belongs to that one.
    at : when the browser asked for it, in milliseconds.
    """

    view: View | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)
    at: float = 0.0

    def then(self, view: View, ranking: Ranking, at: float = 0.0) -> "Shown":
        """What is on screen after this ranking; its titles moved only if it is of the same list."""
        ranks = {ranked.item.item_id: ranked.rank for ranked in ranking.items}
        if ranks.keys() != self.ranks.keys():
            before = {}
        elif ranks != self.ranks and not (self.before and 0 < at - self.at < GESTURE):
            before = self.ranks
        else:
            before = self.before
        return Shown(view, ranks, before, at)


class Job:
    """A long run that a browser tab has going, and the word to stop it.

    The run itself looks whether it is still wanted and ends with its own last word, so nothing that it has
    already sent can arrive on screen after the news that it was stopped.
    """

    def __init__(self) -> None:
        self._run, self.why = 0, ""

    def start(self) -> int:
        """A new run's number; one that is still going is no longer wanted."""
        self._run, self.why = self._run + 1, ""
        return self._run

    def stop(self, why: str) -> None:
        """Ask the run to end, with the reason in words; without one it ends in silence."""
        self._run, self.why = self._run + 1, why

    def wants(self, run: int) -> bool:
        """Whether that run is still wanted."""
        return run == self._run


def leave(*jobs: Job) -> None:
    """The view changed: what runs for the one before is no longer wanted."""
    for job in jobs:
        job.stop("")


class Latest:
    """Which of the events that change the same part of a tab the browser sent last.

    Events begin and end on the server in any order, so each brings the browser's own time, in milliseconds.
    """

    def __init__(self) -> None:
        self._time = 0.0

    def is_latest(self, time: object) -> bool:
        """Whether no event of a later time has asked yet. What is no time (a program that talks to the page) is 0."""
        time = float(time) if isinstance(time, int | float) and math.isfinite(time) else 0.0
        self._time = max(self._time, time)
        return time == self._time


def view_of(domain: str, scenario: str, user: str | None, history: object, candidates: object, lam: object,
            rule: str) -> View:
    """The view that the components of :attr:`molorec.ui.screen.Screen.asked` hold. Raises BadInput if one makes no sense."""
    if scenario != BUILT:
        return View(domain, (user or "").strip(), valid_lam(lam), rule, scenario)
    return View(domain, "", valid_lam(lam), rule, scenario, item_ids(history), item_ids(candidates))


# What a screen asks for, each by its place among the components of :attr:`molorec.ui.screen.Screen.asked`.
PLACE = {name: place for place, name in enumerate(inspect.signature(view_of).parameters)}


def counted(engine: Engine, view: View) -> View:
    """The view at the λ that counts: with one adapter that is 1, wherever the slider was left."""
    return view if engine.mixture(view.domain).is_pair else replace(view, lam=1.0)


def item_ids(value: object) -> tuple[str, ...]:
    """The ids in a list of titles as the browser sends it. Raises BadInput if it is none."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in value):
        raise BadInput("that is not a list of titles; reload the page")
    if len(value) > LIMITS.candidates:
        raise BadInput(f"{len(value)} titles are too many; a list holds at most {LIMITS.candidates}")
    return tuple(entry["id"] for entry in value)


def as_value(items: Iterable[Item]) -> list[dict[str, str]]:
    """Items as a list of titles on the screen holds them."""
    return [{"id": item.item_id, "title": item.title} for item in items]


def example_of(engine: Engine, view: View) -> RankingExample:
    """The example on screen. Raises BadInput if its domain, its user or one of its titles is not there."""
    engine.catalog.domain(view.domain)  # before all else: without the domain there is nobody to choose
    if view.scenario != BUILT:
        if not view.user:
            raise BadInput("choose a user, or type the id of one")
        return engine.catalog.example(view.domain, view.user, view.scenario)
    if not view.history:
        raise BadInput("the history is empty: search for a title and add it")
    if len(view.candidates) < 2:
        raise BadInput("there are fewer than two candidates to rank: draw some, or search for titles and add them")
    history, candidates = (tuple(engine.catalog.item(view.domain, item_id) for item_id in ids)
                           for ids in (view.history, view.candidates))
    return RankingExample(view.domain, history, candidates)


def valid_lam(lam: object) -> float:
    """λ from a slider, a box or a link. Raises BadInput, with the value, if it is no number from 0 to 1."""
    if isinstance(lam, bool) or lam is None:
        raise BadInput(f"λ is {lam!r}; give a number from 0 to 1")
    try:
        as_weights(float(lam))
        return float(lam)  # as typed: the weights are float32
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"λ is {lam!r}; give a number from 0 to 1") from None


def auto_lam(engine: Engine, journal: Journal, domain: str, rule: str, tuned: Mapping[tuple[str, str], float]) -> float:
    """The λ that this visitor tuned for the domain and rule, else the one kept on this machine, else the adapter's own.

    Raises
    ------
    BadInput : none is there, or one that differs by layer, which no slider can show. The adapter's was tuned under the default
        rule, so it says nothing about another.
    """
    mixture = engine.mixture(domain)
    found = tuned.get((domain, rule))
    if found is None:
        with suppress(JournalError):  # a journal that cannot be read is as good as an empty one
            found = journal.kept_lam(domain, rule, mixture.key)
    if found is None and rule == DEFAULT_RULE:
        found = mixture.tuned_lam
    if isinstance(found, Lam):
        raise BadInput(f"what was tuned for {owned.chosen_name(domain)} is {in_words(found)}, and the slider sets one for all "
                       "layers: press Auto-tune for that one")
    if found is None:
        raise BadInput(f"no λ has been tuned for {owned.chosen_name(domain)} under the rule '{rule}' yet: press Auto-tune first")
    return found


def explain(engine: Engine, view: View, style: str = "short") -> Iterator[tuple[list[Evidence], Explanation | None]]:
    """Evidence for the first title piece by piece, then the text as it is written."""
    example = example_of(engine, view)
    first = engine.rank(example, view.lam, view.rule).items[0].item
    pieces: list[Evidence] = []
    for piece in explaining.evidence(engine, example, first, view.lam, view.rule):
        pieces.append(piece)
        yield pieces, None
    for text in explaining.explain(engine, example, first, pieces, view.lam, view.rule, style=style):
        yield pieces, text
