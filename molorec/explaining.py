"""Why this title? Evidence by ablation, and a short text from the mixed model that is checked before it is trusted."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from molorec import titles
from molorec.backends import Writing
from molorec.catalog import Item, RankingExample
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.mixture.lam import AnyLam
from molorec.mixture.mixture import Mixture
from molorec.mixture.rule import DEFAULT_RULE
from molorec.prompts import HISTORY_TITLES, Prompter

LEAST_EFFECT = 0.02  # a title that moves the probability by a smaller part of it than this is no reason
LEAST_TOKENS = 3
REPETITION = 1.5  # small models repeat themselves
_YEAR_TITLE = re.compile(r"((?:[A-Z0-9][\w'’:.,&!-]*(?: |(?=\()))+)\((?:1[89]|20)\d\d\)")
_CAPITAL = re.compile(r"\b[A-Z]\w{2,}")
_BEGINNING = re.compile(r"(?<=\. )[a-z]")
_LIKE = re.compile(r"\b(?:like|such as|called|titled|named) ([^.;:!?]*)")
_AND, _WORD = re.compile(r",(?: and | or )?| and | or "), re.compile(r"[^\W_]+")
_NO_NAMES = {"all", "her", "him", "it", "me", "others", "that", "them", "these", "this", "those", "us", "you"}
_QUOTED = re.compile(r"[\"“]([^\"”]{2,80})[\"”]")


@dataclass(frozen=True)
class Style:
    """How long a reason is: titles of the history to name, tokens that the model writes freely, and of how many sentences."""

    titles: int
    tokens: int
    sentences: int


STYLES = {"short": Style(2, 16, 1), "detailed": Style(3, 44, 2)}


@dataclass(frozen=True)
class Evidence:
    """How much one history item matters: the title's probability with the whole history and without the item."""

    item: Item
    probability: float
    without: float

    @property
    def effect(self) -> float:
        """By how much the probability falls when the item is dropped; negative if it rises."""
        return self.probability - self.without


@dataclass(frozen=True)
class Explanation:
    """The text so far. ``problem`` is empty while nothing speaks against it; ``done`` on the last one.

    ``because`` is the evidence that the text begins with: the titles it names as the reasons.
    """

    text: str
    because: tuple[Evidence, ...]
    problem: str = ""
    done: bool = False

    @property
    def is_grounded(self) -> bool:
        return self.done and not self.problem


def evidence(engine: Engine, example: RankingExample, item: Item, lam: AnyLam = 0.5,
             rule: str = DEFAULT_RULE) -> Iterator[Evidence]:
    """Drop one of the history's titles at a time and rank again; yields in history order as results come.

    Only the titles that the prompt holds (the last ten) can matter, so only those are tried; as many at once as share a pass.

    Raises
    ------
    BadInput : the item is no candidate, or :meth:`Engine.rank`'s.
    """
    if item not in example.candidates:
        raise BadInput(f"'{item.title}' is not among the {len(example.candidates)} candidates; choose one of them")
    shown = replace(example, history=example.history[-HISTORY_TITLES:])
    place = example.candidates.index(item)
    whole = engine.rank(shown, lam, rule).probabilities()[place]
    without = [replace(shown, history=shown.history[:i] + shown.history[i + 1:]) for i in range(len(shown.history))]
    for first in range(0, len(without), engine.rows):
        ranked = engine.rank_all(without[first : first + engine.rows], [lam], rule)
        for dropped, (ranking,) in zip(shown.history[first:], ranked, strict=False):
            yield Evidence(dropped, whole, ranking.probabilities()[place])


def strongest(evidence: Sequence[Evidence], count: int) -> tuple[Evidence, ...]:
    """Up to ``count`` pieces without which the probability falls most, each title once; none that hardly matters.

    >>> films = [Item(str(i), f"Film {i}") for i in range(3)]
    >>> [piece.item.title for piece in strongest([Evidence(films[0], 0.2, 0.199), Evidence(films[1], 0.2, 0.1),
    ...                                           Evidence(films[2], 0.2, 0.3)], 2)]
    ['Film 1']
    """
    found: list[Evidence] = []
    for piece in sorted(evidence, key=lambda piece: -piece.effect):
        if piece.effect >= LEAST_EFFECT * piece.probability and piece.item not in [other.item for other in found]:
            found.append(piece)
    return tuple(found[:count])


def explain(engine: Engine, example: RankingExample, item: Item, evidence: Sequence[Evidence], lam: AnyLam = 0.5,
            rule: str = DEFAULT_RULE, style: str = "short") -> Iterator[Explanation]:
    """Stream a reason from the mixed model, then check it.

    It begins with the titles of the history that the evidence shows to matter most, so that it cannot contradict what was
    measured; from there the model writes on freely. The check: the free part is prose and names no title outside the history
    and the list.

    Parameters
    ----------
    evidence : of this item, from :func:`evidence`.
    style : one of STYLES.

    Raises
    ------
    BadInput : there is no such style.
    """
    wanted = style_named(style)
    mixture = engine.mixture(example.domain)
    shown = replace(example, history=example.history[-HISTORY_TITLES:])
    prompter = engine.base.prompter
    prompt = prompter.ranking(shown, mixture.template, mixture.noun) if shown.history else []
    because = strongest(evidence, wanted.titles)
    text, tokens = lead_in(prompter, item, [piece.item for piece in because], mixture.noun)
    yield Explanation(text, because)
    free = ""
    for piece in _continue(engine, mixture, [*prompt, *prompter.title(item.title), *tokens], lam, rule, wanted):
        free = piece
        yield Explanation(text + free, because)
    yield Explanation(text + _sentences(free), because, problem=check(free, [*example.history, *example.candidates],
                                                                      engine.catalog.items(example.domain)), done=True)


def style_named(name: str) -> Style:
    """The style called ``name``. Raises BadInput if there is none."""
    if name not in STYLES:
        raise BadInput(f"there is no style '{name}'; choose one of: {', '.join(STYLES)}")
    return STYLES[name]


def lead_in(prompter: Prompter, item: Item, named: Sequence[Item], noun: str = "items") -> tuple[str, list[int]]:
    """The part of a reason that is not free, as text and as tokens: what is recommended, because of which titles."""
    pieces: list[str | Item] = [f"\nThis person may like {item.title} because they" + (" chose" if named else "")]
    for i, title in enumerate(named):
        pieces += [" and", title] if i else [title]
    # about the person, not about the titles: a small model invents facts
    pieces.append(f". They seem to enjoy {noun} that are" if named else f" enjoy {noun} that are")
    text = "".join(piece if isinstance(piece, str) else " " + piece.title for piece in pieces).strip()
    tokens = [token for piece in pieces
              for token in (prompter.encode(piece) if isinstance(piece, str) else prompter.title(piece.title)[:-1])]
    return text, tokens


def check(text: str, allowed: Sequence[Item], catalogue: Sequence[Item] = ()) -> str:
    """What is wrong with a freely written text, in words; "" if nothing is.

    It must hold a few words of prose, not run in circles, and name no title but the allowed ones: neither one of the
    catalogue, nor anything that is written like one (followed by a year, or in quotes).

    >>> check(" films about a war in space.", [Item("1", "Alien (1979)")])
    ''
    >>> check(" fans of Heat (1995).", [Item("1", "Alien (1979)")])
    "it names 'Heat', which is not in the history or the list"
    >>> check(" films like heat and titanic.", [Item("1", "Heat (1995)")], [Item("2", "Titanic (1997)")])
    "it names 'Titanic (1997)', which is not in the history or the list"
    >>> check(" films like star wars.", [], [Item("2", "Star Wars (1977)")])
    "it names 'Star Wars (1977)', which is not in the history or the list"
    """
    words = re.findall(r"[^\W\d_]+", text)
    if len(words) < 2:
        return "it holds no sentence"
    lowered = [word.casefold() for word in words]
    if len(set(lowered)) < len(lowered) / 2 or any(lowered[i : i + 3] == lowered[i + 3 : i + 6] for i in range(len(words))[:-5]):
        return "it runs in circles"
    known = {titles.normalise(item.title) for item in allowed}
    for found in [*_YEAR_TITLE.findall(text), *_QUOTED.findall(text)]:
        if titles.normalise(found) not in known:
            return f"it names '{found.strip()}', which is not in the history or the list"
    normal = f" {titles.normalise(text)} "
    for form in sorted(known, key=len, reverse=True):  # "Toy Story 2" does not name "Toy Story"
        normal = normal.replace(f" {form} ", " | ")
    names = {word.casefold() for word in _CAPITAL.findall(text)} | _compared(text)
    for item in catalogue:
        form = titles.normalise(item.title)
        # one-word titles ("Fear", "Speed") are ordinary words as well, unless they are written like a name or compared with
        named = form in names or (" " in form and f" {form} " in normal)
        if named and form not in known:
            return f"it names '{item.title}', which is not in the history or the list"
    return ""


def _compared(text: str) -> set[str]:
    """Single words that stand where a title would: behind "like", "such as" or "called", and in the list that goes on there.

    >>> sorted(_compared(" films like titanic, heat and alien, with much action."))
    ['alien', 'heat', 'titanic']
    """
    found = set()
    for behind in _LIKE.findall(text.casefold()):
        found |= set(itertools.takewhile(_WORD.fullmatch, (piece.strip() for piece in _AND.split(behind))))
    return found - _NO_NAMES


def _sentences(text: str) -> str:
    """What was written, with a full stop at its end and capitals behind the others: the model writes small letters only."""
    return _BEGINNING.sub(lambda match: match[0].upper(), text.rstrip(" ,.") + ".")


def _continue(engine: Engine, mixture: Mixture, tokens: list[int], lam: AnyLam, rule: str, style: Style) -> Iterator[str]:
    """Write on greedily from ``tokens``, yielding the text so far, to the end of the last sentence or token of the style."""
    prompter = engine.base.prompter
    how = Writing(style.tokens, LEAST_TOKENS, frozenset(prompter.stops), prompter.not_prose, REPETITION)
    for written in engine.write(mixture, tokens, lam, rule, how):
        text = prompter.decode(written)
        yield text
        if text.count(".") >= style.sentences or (style.sentences == 1 and text.endswith(",") and len(written) > LEAST_TOKENS):
            break
