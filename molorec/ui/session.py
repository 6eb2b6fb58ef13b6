"""What the screen's events do: checked inputs in, plain values out."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from molorec import explaining
from molorec.catalog import RankingExample
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.engine import Engine, Ranking
from molorec.errors import BadInput
from molorec.explaining import Evidence, Explanation
from molorec.mixture.rule import DEFAULT_RULE, as_weights

SAMPLE_USERS = 12


@dataclass
class View:
    """What one visitor's browser tab shows; kept by Gradio for that tab alone.

    Attributes
    ----------
    ranks : item id → rank on screen now; before : the same before the last change of λ or rule.
    """

    domain: str = MOVIELENS
    user: str = ""
    setting: str = "warm"
    lam: float = 0.5
    rule: str = DEFAULT_RULE
    ranks: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)


def sample_users(engine: Engine, domain: str, setting: str = "warm") -> list[tuple[str, str]]:
    """(label, id) of a few users, described by their latest choice."""
    found = []
    for user in engine.catalog.users(domain, "quick", setting, limit=SAMPLE_USERS) or engine.catalog.users(
            domain, None, setting, limit=SAMPLE_USERS):
        latest = engine.catalog.example(domain, user, setting).history[-1].title
        found.append((f"User {user} · last chose {latest}", user))
    return found


def example_of(engine: Engine, view: View) -> RankingExample:
    """The example on screen. Raises BadInput if its user is not there."""
    user = (view.user or "").strip()
    if not user:
        raise BadInput("choose a user, or type the id of one")
    return engine.catalog.example(view.domain, user, view.setting)


def valid_lam(lam: object) -> float:
    """λ from a slider, a box or a link. Raises BadInput, with the value, if it is no number from 0 to 1."""
    if isinstance(lam, bool) or lam is None:
        raise BadInput(f"λ is {lam!r}; give a number from 0 to 1")
    try:
        return float(as_weights(float(lam))[0])
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"λ is {lam!r}; give a number from 0 to 1") from None


def rank(engine: Engine, view: View) -> Ranking:
    """Rank the view's candidates and remember the ranks, so that the next ranking can show what moved."""
    ranking = engine.rank(example_of(engine, view), view.lam, view.rule)
    ranks = {ranked.item.item_id: ranked.rank for ranked in ranking.items}
    if ranks.keys() != view.ranks.keys():
        view.before = {}
    elif ranks != view.ranks:
        view.before = view.ranks
    view.ranks = ranks
    return ranking


def auto_lam(engine: Engine, domain: str, tuned: dict[str, float]) -> float:
    """The λ that this visitor tuned for the domain, else the one kept with its adapter. Raises BadInput if neither."""
    kept = tuned.get(domain, engine.mixture(domain).tuned_lam)
    if kept is None:
        raise BadInput("no λ has been tuned for this domain yet: press Auto-tune first")
    return kept


def explain(engine: Engine, view: View, item_id: str | None = None) -> Iterator[tuple[list[Evidence], Explanation | None]]:
    """Evidence piece by piece, then the text as it is written, for one candidate (by default the first)."""
    example = example_of(engine, view)
    ranking = engine.rank(example, view.lam, view.rule)
    item = next((c for c in example.candidates if c.item_id == item_id), ranking.items[0].item)
    pieces: list[Evidence] = []
    for piece in explaining.evidence(engine, example, item, view.lam, view.rule):
        pieces.append(piece)
        yield pieces, None
    for text in explaining.explain(engine, example, item, view.lam, view.rule):
        yield pieces, text
