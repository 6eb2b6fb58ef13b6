"""What the screen's events do: checked inputs in, plain values out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from molorec import explaining
from molorec.catalog import RankingExample
from molorec.engine import Engine, Ranking
from molorec.errors import BadInput
from molorec.explaining import Evidence, Explanation
from molorec.mixture.rule import DEFAULT_RULE, as_weights

SAMPLE_USERS = 12


@dataclass(frozen=True)
class View:
    """What one visitor's screen asks for."""

    domain: str
    user: str
    lam: float = 0.5
    rule: str = DEFAULT_RULE


@dataclass(frozen=True)
class Shown:
    """What a browser tab has on screen.

    Attributes
    ----------
    ranks : item id → rank now; before : the same before the last change of λ or rule.
    """

    view: View | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)


class Job:
    """A long run that a browser tab has going, and the word to stop it.

    The run itself looks whether it is still wanted and ends with its own last word, so nothing that it has
    already sent can arrive on screen after the news that it was stopped.
    """

    def __init__(self) -> None:
        self._run, self.why = 0, ""

    def start(self) -> int:
        """A new run's number; one that is still going is no longer wanted."""
        self._run += 1
        return self._run

    def stop(self, why: str) -> None:
        """Ask the run to end, with the reason in words."""
        self._run, self.why = self._run + 1, why

    def wants(self, run: int) -> bool:
        """Whether that run is still wanted."""
        return run == self._run


def sample_users(engine: Engine, domain: str) -> list[tuple[str, str]]:
    """(label, id) of a few users, described by their latest choice."""
    found = []
    for user in engine.catalog.users(domain, "quick", limit=SAMPLE_USERS) or engine.catalog.users(
            domain, None, limit=SAMPLE_USERS):
        latest = engine.catalog.example(domain, user).history[-1].title
        found.append((f"{user} · {latest}", user))
    return found


def example_of(engine: Engine, view: View) -> RankingExample:
    """The example on screen. Raises BadInput if its user is not there."""
    user = (view.user or "").strip()
    if not user:
        raise BadInput("choose a user, or type the id of one")
    return engine.catalog.example(view.domain, user)


def valid_lam(lam: object) -> float:
    """λ from a slider, a box or a link. Raises BadInput, with the value, if it is no number from 0 to 1."""
    if isinstance(lam, bool) or lam is None:
        raise BadInput(f"λ is {lam!r}; give a number from 0 to 1")
    try:
        as_weights(float(lam))
        return float(lam)  # as typed: the weights are float32
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"λ is {lam!r}; give a number from 0 to 1") from None


def rank(engine: Engine, view: View, shown: Shown) -> tuple[Ranking, Shown]:
    """Rank the view's candidates; what was ``shown`` says how they moved, if it was the same list."""
    ranking = engine.rank(example_of(engine, view), view.lam, view.rule)
    ranks = {ranked.item.item_id: ranked.rank for ranked in ranking.items}
    if ranks.keys() != shown.ranks.keys():
        before = {}
    elif ranks != shown.ranks:
        before = shown.ranks
    else:
        before = shown.before
    return ranking, Shown(view, ranks, before)


def auto_lam(engine: Engine, domain: str, rule: str, tuned: Mapping[tuple[str, str], float]) -> float:
    """The λ that this visitor tuned for the domain and rule, else the one kept with its adapter.

    Raises
    ------
    BadInput : neither is there. What is kept was tuned under the default rule, so it says nothing about another.
    """
    kept = engine.mixture(domain).tuned_lam if rule == DEFAULT_RULE else None
    found = tuned.get((domain, rule), kept)
    if found is None:
        raise BadInput(f"no λ has been tuned for {domain} under the rule '{rule}' yet: press Auto-tune first")
    return found


def explain(engine: Engine, view: View) -> Iterator[tuple[list[Evidence], Explanation | None]]:
    """Evidence for the first title piece by piece, then the text as it is written."""
    example = example_of(engine, view)
    first = engine.rank(example, view.lam, view.rule).items[0].item
    pieces: list[Evidence] = []
    for piece in explaining.evidence(engine, example, first, view.lam, view.rule):
        pieces.append(piece)
        yield pieces, None
    for text in explaining.explain(engine, example, first, view.lam, view.rule):
        yield pieces, text
