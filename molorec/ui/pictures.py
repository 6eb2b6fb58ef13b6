"""The five pictures of the tab How it works: each drawn from the model, the adapters and the person on screen."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from molorec import plots, precision, tuning
from molorec.catalog import Item, RankingExample
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.mixture import change
from molorec.mixture.lam import in_words
from molorec.mixture.rule import DEFAULT_RULE
from molorec.ranking.result import Ranking
from molorec.ui.session import View

Drawn = tuple[str, go.Figure | None]  # text as HTML, and the figure beside it; None: the one that is there stays
PROMPTS = 8  # people behind the pictures of entropy and of Auto-tune: enough to see it, few enough to wait for
LAMS = (0.0, 0.5, 1.0)
FIRST_AT_EACH = 2
LIKELIEST = 5


@dataclass(frozen=True)
class Picture:
    """One part of the story.

    Attributes
    ----------
    intro : Markdown that stands there before anything is drawn.
    draw : yields the picture, more than once if it grows. Raises MolorecError if it cannot be drawn.
    """

    heading: str
    intro: str
    draw: Callable[[Engine, View, RankingExample], Iterator[Drawn]]


def prompt(engine: Engine, view: View, example: RankingExample) -> Iterator[Drawn]:
    """The text that the model reads for this person, and the likeliest ways to go on."""
    packed = engine.pack(engine.mixture(view.domain), example)
    text = engine.base.prompter.decode(packed.tokens[: packed.prompt_length])
    ranking = engine.rank(example, view.lam, view.rule)
    likeliest = "".join(f"<li>{escape(ranked.item.title)} <span class='ml-dim'>{ranked.probability:.1%}</span></li>"
                        for ranked in ranking.items[:LIKELIEST])
    rest = len(ranking.items) - LIKELIEST
    more = f"<p class='ml-dim'>and {rest} more, less and less likely</p>" if rest > 0 else ""
    # tabindex: what scrolls must be reachable by keyboard
    yield (f"<div class='ml-story-two'><div><p><b>What the model reads</b> <span class='ml-dim'>{packed.prompt_length} tokens, "
           f"pieces of words</span></p><pre class='ml-prompt' tabindex='0' aria-label='The prompt'>{escape(text)}</pre></div>"
           f"<div><p><b>How it may go on</b> <span class='ml-dim'>with one of {len(ranking.items)} titles, and nothing "
           f"else</span></p><ol class='ml-next'>{likeliest}</ol>{more}</div></div>"), None


def adapters(engine: Engine, view: View, example: RankingExample) -> Iterator[Drawn]:
    """How large base and adapters are, and how far each adapter moves the weights of one layer."""
    mixture = engine.mixture(view.domain)
    path = mixture.stack.paths[len(mixture.stack.paths) // 2]
    base = precision.count(engine.base.model)
    # another program holds the weights of an outline
    weights = None if engine.base.is_outline else precision.unpacked(engine.base.model.get_submodule(path).base.weight)
    sizes, moves, maps = [], [], []
    for adapter in mixture.adapters:
        role, count = adapter.card.role if adapter.card else adapter.name, change.parameters(adapter)
        delta = change.delta(adapter, path)
        sizes.append(f"the {role} adapter has {count:,}, {count / base:.1%} of that")
        if weights is not None:
            moves.append(f"the {role} adapter by {float(delta.norm() / weights.norm().cpu()):.1%}")
        maps.append((f"{role} adapter", change.block_means(delta).numpy()))
    rows, columns = delta.shape
    measured = f" Measured against all weights of the layer, {escape(' and '.join(moves))}." if moves else ""
    yield (f"<p>{escape(engine.base.name)} has {base:,} weights, and none of them is changed; {escape('; '.join(sizes))}.</p>"
           f"<p>On the picture is one of {len(mixture.stack.paths)} layers, <code>{escape(path)}</code>, {rows:,} × "
           f"{columns:,} weights. The stronger the colour, the further they are moved."
           f"{measured}</p>", plots.weight_changes(maps))


def mixing(engine: Engine, view: View, example: RankingExample) -> Iterator[Drawn]:
    """The top titles' probabilities at both ends and in the middle."""
    _check_pair(engine, view)
    rankings = engine.rank_each(example, LAMS, view.rule)
    shown = _top_titles(rankings)
    probabilities = {ranking.lam: [_probability(ranking, item) for item in shown] for ranking in rankings}
    firsts = "".join(f"<li>λ = {ranking.lam:g}: <b>{escape(ranking.items[0].item.title)}</b>, "
                     f"{ranking.items[0].probability:.1%}</li>" for ranking in rankings)
    same = len({ranking.items[0].item for ranking in rankings}) == 1
    said = "The first title is the same at all three." if same else "Which title comes first depends on λ."
    yield (f"<p>The first title</p><ul class='ml-said'>{firsts}</ul><p>{said}</p>",
           plots.mixing([item.title for item in shown], probabilities))


def certainty(engine: Engine, view: View, example: RankingExample) -> Iterator[Drawn]:
    """The surest and the least sure of a few prompts, and what entropy says of them."""
    examples = engine.catalog.examples(view.domain, "tune", limit=PROMPTS)
    if len(examples) < 2:
        raise BadInput(f"'{view.domain}' has fewer than two people set aside for tuning, so there is nothing to compare")
    rankings = []
    for each in examples:
        rankings.append(engine.rank(each, view.lam, view.rule))
        yield f"<p>Measuring: {len(rankings)} of {len(examples)} people so far.</p>", None  # so that Stop waits for one alone
    rankings.sort(key=lambda ranking: ranking.entropy)
    surest, least = rankings[0], rankings[-1]
    own = engine.rank(example, view.lam, view.rule)
    where = "" if own.lam is None else f" at λ = {own.lam:.2f}"
    yield (f"<p>Of the first {len(rankings)} people kept for tuning, the model is surest{where} about one whose entropy is "
           f"<b>{surest.entropy:.2f}</b> (in nat): {_like(surest)} It is least sure about one with <b>{least.entropy:.2f}</b>: "
           f"{_like(least)}</p><p>The person on screen has {own.entropy:.2f}: {_like(own)}</p>",
           plots.certainty([(f"surest: {surest.entropy:.2f} nat", surest.probabilities()),
                            (f"least sure: {least.entropy:.2f} nat", least.probabilities())]))


def auto_tune(engine: Engine, view: View, example: RankingExample) -> Iterator[Drawn]:
    """The entropy curve over a few unlabelled prompts, as it grows."""
    _check_pair(engine, view)
    drawn = 0
    for step in tuning.tune(engine, view.domain, PROMPTS, view.rule):
        state = f"entropy is least at <b>λ = {step.lam:.2f}</b>"
        people = f"{step.prompts} of {step.total} people"
        if not step.settled:
            if step.prompts > drawn:
                drawn = step.prompts
                yield f"<p>Measuring: over {people} {state} so far.</p>", plots.entropy_curve(step)
            else:
                yield f"<p>Measuring finer: over {people} {state} so far.</p>", None
            continue
        kept = engine.mixture(view.domain).tuned_lam if view.rule == DEFAULT_RULE else None
        tuned = "" if kept is None else f" Kept with the adapter, from a full run: {in_words(kept)}."
        yield (f"<p>Over {people} {state}: {escape(step.verdict)}. Entropy there is {step.entropy:.3f}, against "
               f"{step.entropy_start:.3f} at λ = ½.{tuned}</p>"
               "<p class='ml-dim'>This is a short look; the button Auto-tune takes more people. Sure is not the same as right: "
               "whether this λ is a good one, only a measurement with known answers says (tab Results).</p>",
               plots.entropy_curve(step))


PICTURES = (
    Picture("1 · A history becomes a text",
            "A language model can only read text and say what comes next. So a person's latest choices are written down as "
            "a short text, and each title on the list gets the probability that the model writes it next.", prompt),
    Picture("2 · An adapter is a thin addition",
            "The language model stays as it is. An adapter adds a pair of thin tables of numbers to each layer; multiplied "
            "with each other, they say how far every weight of the layer is moved.", adapters),
    Picture("3 · λ mixes two adapters",
            "λ says how much of each adapter is added: at 0 the one trained on this domain alone, at 1 the general one alone, "
            "in between some of both. Nothing is trained again, so the answer comes at once.", mixing),
    Picture("4 · Entropy says how sure the model is",
            "If one title gets nearly all of the probability, the model is sure; if all titles get the same, it knows nothing. "
            "Entropy puts that into one number, and nobody needs to know which title was right.", certainty),
    Picture("5 · Auto-tune looks for the surest λ",
            "Auto-tune takes people whose next choice stays hidden, measures the entropy at several λ, and goes where the "
            "curve is lowest.", auto_tune),
)


# -- inside ------------------------------------------------------------------------------------------------------


def _check_pair(engine: Engine, view: View) -> None:
    if not engine.mixture(view.domain).is_pair:
        raise BadInput("this domain has one adapter only, so there is nothing to mix and no λ to choose")


def _like(ranking: Ranking) -> str:
    """e to the entropy: so many equally likely titles would be as hard to tell apart."""
    return f"as if it had to guess among {math.exp(ranking.entropy):.1f} equally likely titles, of {len(ranking.items)}."


def _probability(ranking: Ranking, item: Item) -> float:
    return next(ranked.probability for ranked in ranking.items if ranked.item == item)


def _top_titles(rankings: Sequence[Ranking]) -> list[Item]:
    """The first titles of each ranking, those of the first ranking first."""
    return list(dict.fromkeys(ranked.item for ranking in rankings for ranked in ranking.items[:FIRST_AT_EACH]))
