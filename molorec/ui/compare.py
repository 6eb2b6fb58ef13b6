"""Side by side: one list as the base model, each adapter and their mixture rank it, and rankings that were pinned."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

import gradio as gr

from molorec import owned
from molorec.catalog import Item
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.mixture.lam import in_words
from molorec.ranking.result import Ranking
from molorec.spreadsheet import csv_text
from molorec.ui import render, session, shelf, stale
from molorec.ui.screen import QUICK, Screen
from molorec.ui.session import BUILT, View

TITLES = 10
PINS = 4
INTRO = (
    "### Side by side\nRanks this list by the base model as it was before any training on recommendations, by each adapter "
    "alone, and by the mixture at the λ on screen. **Pin** a ranking to keep it as a further column while you change λ, the "
    f"rule or the person. The first {TITLES} titles are shown; ▲ and ▼, on a shaded line, say how many places higher or lower a "
    "title stands than in the mixture. A model that is sure of its first title, with a low entropy, need not be right: the base "
    "model often is surest of all. Where there are more columns than fit, they scroll sideways.")

CHANGED = "The choices on screen have changed since; press “Compare” to see them side by side."

CSS = """
.ml-compare { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(12.5rem, 1fr); gap: .8rem; overflow-x: auto;
  padding-bottom: .6rem; scroll-snap-type: x proximity; }
.ml-compare:focus-visible { outline: 2px solid #14b8a6; outline-offset: 2px; }
.ml-column { scroll-snap-align: start; display: flex; flex-direction: column; min-width: 0; }
.ml-column h4 { margin: 0; overflow-wrap: anywhere; }
.ml-column-about { margin: 0 0 .4rem; font-size: .85em; line-height: 1.3; color: var(--body-text-color-subdued);
  min-height: 2.6em; overflow-wrap: anywhere; }
.ml-column ol { list-style: none; margin: 0; padding: 0; border-top: 1px solid var(--border-color-primary); }
.ml-column li { margin: 0; }
.ml-place { display: grid; grid-template-columns: 1.5em 2.3em minmax(0, 1fr) 3.7em; gap: .3em; align-items: center;
  min-height: 3.1em; padding: .15em .2em; border-bottom: 1px solid var(--border-color-primary); font-size: .92em;
  line-height: 1.3; }
.ml-moved { background: color-mix(in srgb, #14b8a6 12%, transparent); }
.ml-column-foot { margin: .5rem 0 0; font-size: .88em; line-height: 1.4; font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True)
class Column:
    """One ranking of the table.

    Attributes
    ----------
    name : what ranked it, in a few words.
    view : what the screen asked for; its λ is the screen's, ``ranking.lam`` the one that ranked.
    is_now : the ranking at the λ on screen, which the others are held against.
    """

    name: str
    view: View
    ranking: Ranking
    is_now: bool = False

    @property
    def about(self) -> str:
        """Whose list it is and how it was mixed, in words."""
        who = "your own list" if self.view.scenario == BUILT else f"user {self.view.user}"
        parts = [f"{who} in {owned.chosen_name(self.view.domain)}"]
        if self.ranking.lam is not None:
            parts.append(f"{in_words(self.ranking.lam)}, rule “{self.view.rule}”")
        return " · ".join(parts)

    @property
    def top(self) -> tuple[Item, ...]:
        """The first titles."""
        return tuple(ranked.item for ranked in self.ranking.items[:TITLES])


def columns(engine: Engine, view: View) -> tuple[Column, ...]:
    """The view's list as the base model, each adapter alone and the mixture rank it; with one adapter, base and adapter.

    Raises
    ------
    BadInput : the view asks for something that is not there.
    """
    example = session.example_of(engine, view)
    mixture = engine.mixture(view.domain)
    if mixture.is_pair:
        asked = [("Base model", None), ("General adapter", 1.0), ("Specific adapter", 0.0), ("Mixture", view.lam)]
    else:
        role = "General" if mixture.adapters[0].name == "general" else "Specific"
        asked = [("Base model", None), (f"{role} adapter alone", 1.0)]
    rankings = engine.rank_each(example, [lam for _, lam in asked], view.rule)
    made = [Column(name, view, ranking) for (name, _), ranking in zip(asked, rankings, strict=True)]
    return *made[:-1], replace(made[-1], is_now=True)


def with_pin(engine: Engine, view: View, pins: Sequence[Column]) -> tuple[Column, ...]:
    """``pins`` and the ranking of the view at its λ.

    Raises
    ------
    BadInput : there are four already, this one is pinned already, or the view asks for something that is not there.
    """
    if len(pins) >= PINS:
        raise BadInput(f"{PINS} rankings are pinned already; remove one first")
    ranking = engine.rank(session.example_of(engine, view), view.lam, view.rule)
    for number, pin in enumerate(pins, start=1):
        if (pin.ranking.example, pin.ranking.lam, pin.view.rule) == (ranking.example, ranking.lam, view.rule):
            raise BadInput(f"this ranking is pinned already, as pin {number}; change λ, the rule or the person first")
    return *pins, Column("Pinned", view, ranking)


def shared(column: Column, now: Column) -> tuple[int, int] | None:
    """How many of both columns' first titles are the same, and out of how many; None for lists of different domains."""
    if column.view.domain != now.view.domain:
        return None
    return len(set(column.top) & set(now.top)), min(len(column.top), len(now.top))


def table(shown: Sequence[Column]) -> str:
    """The columns as HTML, each held against the mixture if that is among them."""
    now = next((column for column in shown if column.is_now), None)
    made = "".join(_column(column, name, now) for column, name in zip(shown, names(shown), strict=True))
    return f"<div class='ml-compare' role='region' tabindex='0' aria-label='Rankings side by side'>{made}</div>"


def names(shown: Sequence[Column]) -> list[str]:
    """The columns' names, the pins numbered."""
    pins = 0
    found = []
    for column in shown:
        pins += column.name == "Pinned"
        found.append(f"Pin {pins}" if column.name == "Pinned" else column.name)
    return found


def csv_rows(shown: Sequence[Column]) -> tuple[list[str], list[list]]:
    """Head and rows: one row for each column and candidate, all of them, best first; the base model has no λ."""
    head = ["column", "domain", "user", "rule", "lambda", "entropy", "rank", "item_id", "title", "probability"]
    return head, [
        [name, column.view.domain, column.view.user, column.view.rule, column.ranking.lam, column.ranking.entropy, ranked.rank,
         ranked.item.item_id, ranked.item.title, ranked.probability]
        for column, name in zip(shown, names(shown), strict=True) for ranked in column.ranking.items]


def json_text(shown: Sequence[Column]) -> str:
    """The columns as JSON: what ranked, whose list, the whole ranking, and the first titles shared with the mixture."""
    now = next((column for column in shown if column.is_now), None)
    return json.dumps([{
        "column": name, "domain": column.view.domain, "user": column.view.user, "rule": column.view.rule,
        "lambda": column.ranking.lam, "entropy": column.ranking.entropy,
        "shared_with_mixture": shared(column, now)[0] if now and shared(column, now) else None,
        "items": [{"rank": ranked.rank, "item_id": ranked.item.item_id, "title": ranked.item.title,
                   "probability": ranked.probability} for ranked in column.ranking.items],
    } for column, name in zip(shown, names(shown), strict=True)], ensure_ascii=False, indent=1) + "\n"


def panel(engine: Engine, screen: Screen) -> None:
    """Lay out the comparison and wire it. Call it inside the tab that is to hold it."""
    gr.Markdown(INTRO)
    with gr.Row():
        press = gr.Button("Compare", variant="primary", min_width=120)
        pin = gr.Button("Pin this ranking", min_width=120)
    status, changed = gr.HTML(padding=False, visible=False), gr.HTML(padding=False, visible=False)
    shown = gr.HTML(padding=False, visible=False)
    with gr.Row():
        removals = [gr.Button(f"Remove pin {number}", size="sm", min_width=120, visible=False)
                    for number in range(1, PINS + 1)]
    with gr.Row():
        files = [gr.DownloadButton(f"Download the table ({kind})", size="sm", min_width=120, visible=False)
                 for kind in ("CSV", "JSON")]
    compared, pins = gr.State(()), gr.State(())
    everything = [compared, pins, status, shown, *removals, *files]

    def draw(compared: tuple[Column, ...], pins: tuple[Column, ...]) -> tuple:
        """Values for ``everything``."""
        found = (*compared, *pins)
        buttons = [gr.Button(visible=number < len(pins)) for number in range(PINS)]
        if not found:
            return (compared, pins, gr.HTML(visible=False), gr.HTML(visible=False), *buttons,
                    *[gr.DownloadButton(visible=False)] * 2)
        texts = {"csv": csv_text(*csv_rows(found)), "json": json_text(found)}
        name = f"side-by-side-{owned.chosen_name(found[0].view.domain)}"
        saved = [shelf.download(f"{name}.{ending}", text) for ending, text in texts.items()]
        return compared, pins, gr.HTML(visible=False), gr.HTML(table(found), visible=True), *buttons, *saved

    def said(error: MolorecError) -> list:
        """A problem in words; all else stays as it is."""
        return [gr.skip(), gr.skip(), gr.HTML(render.note(str(error)), visible=True), *[gr.skip()] * (len(everything) - 3)]

    def compare(pins: tuple[Column, ...], *asked):
        """Values for ``everything``, and for the word that the choices have changed."""
        try:
            return *draw(columns(engine, session.view_of(*asked)), pins), gr.HTML(visible=False)
        except MolorecError as error:
            return *said(error), gr.skip()

    def keep(compared: tuple[Column, ...], pins: tuple[Column, ...], *asked):
        try:
            return draw(compared, with_pin(engine, session.view_of(*asked), pins))
        except MolorecError as error:
            return said(error)

    def remove(number: int, compared: tuple[Column, ...], pins: tuple[Column, ...]):
        try:
            return draw(compared, pins[:number] + pins[number + 1 :])
        except MolorecError as error:
            return said(error)

    press.click(compare, [pins, *screen.asked], [*everything, changed], **QUICK)
    stale.say(screen, compared, changed, CHANGED, lambda columns: columns[0].view if columns else None)
    pin.click(keep, [compared, pins, *screen.asked], everything, **QUICK)
    for number, button in enumerate(removals):
        button.click(lambda *state, number=number: remove(number, *state), [compared, pins], everything, **QUICK)


def _column(column: Column, name: str, now: Column | None) -> str:
    places = None
    if now and column is not now and set(column.ranking.example.candidates) == set(now.ranking.example.candidates):
        places = {ranked.item: ranked.rank for ranked in now.ranking.items}
    rows = []
    for ranked in column.ranking.items[:TITLES]:
        then = places[ranked.item] if places else ranked.rank
        moved, mark = "", "<span></span>"
        if then != ranked.rank:
            moved, mark = " ml-moved", render.movement(then, ranked.rank, "than in the mixture")
        rows.append(f"<li class='ml-place{moved}'><span class='ml-rank'>{ranked.rank}</span>{mark}"
                    f"<span class='ml-title'>{escape(ranked.item.title)}</span>"
                    f"<span class='ml-share'>{render.percent(ranked.probability)}</span></li>")
    head = f"<h4>{escape(name)}</h4><p class='ml-column-about'>{escape(column.about)}</p>"
    foot = f"<p class='ml-column-foot'>entropy {column.ranking.entropy:.3f} nat{_common(column, now)}</p>"
    return f"<section class='ml-column' aria-label='{escape(name)}'>{head}<ol>{''.join(rows)}</ol>{foot}</section>"


def _common(column: Column, now: Column | None) -> str:
    if now is None or column is now:
        return ""
    found = shared(column, now)
    if found is None:
        return "<br>another domain: no titles in common"
    return f"<br>{found[0]} of the first {found[1]} titles are the mixture's too ({found[0] / found[1]:.0%})"
