"""Records as HTML. Every text that comes from data is escaped here."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape

from molorec import owned
from molorec.backbone import Backbone
from molorec.catalog import Item
from molorec.evaluation.half import Measured
from molorec.explaining import Evidence, Explanation
from molorec.mixture.mixture import Mixture
from molorec.position import PositionCheck
from molorec.prompts import HISTORY_TITLES
from molorec.ranking.result import Ranking
from molorec.tuning import TuningStep
from molorec.wording import score

RESAMPLED_FROM = 10  # prompts; of fewer, resampling says next to nothing

def history(items: Sequence[Item]) -> str:
    """The history, oldest first: what the prompt holds, and how much there is before it."""
    if not items:
        return news("No history.")
    shown = items[-HISTORY_TITLES:]
    before = len(items) - len(shown)
    head = f"<p class='ml-dim'>{before} earlier choice{'s' if before > 1 else ''}, then:</p>" if before else ""
    rows = "".join(f"<li>{escape(item.title)}</li>" for item in shown)
    return f"{head}<ol class='ml-list' tabindex='0' aria-label='History' start='{before + 1}'>{rows}</ol>"


def candidates(items: Sequence[Item]) -> str:
    """The candidates in the order of the stored list."""
    rows = "".join(f"<li>{escape(item.title)}</li>" for item in items)
    return f"<ol class='ml-list' tabindex='0' aria-label='Candidates'>{rows}</ol>"


def ranking(result: Ranking, before: Mapping[str, int], truth: bool) -> str:
    """Ranked titles with probability bars and the movement since ``before`` (item id → rank)."""
    top = result.items[0].probability or 1.0
    rows = []
    for ranked in result.items:
        is_truth = truth and ranked.item == result.example.target
        mark = "<span class='ml-truth'>chosen next</span>" if is_truth else ""
        rows.append(
            f"<li class='ml-row{' ml-is-truth' if is_truth else ''}'><span class='ml-rank'>{ranked.rank}</span>"
            f"{movement(before.get(ranked.item.item_id), ranked.rank, 'than before')}"
            f"<span class='ml-title'>{escape(ranked.item.title)}{mark}</span>"
            "<span class='ml-track' aria-hidden='true'>"
            f"<span class='ml-fill' style='width:{100 * ranked.probability / top:.1f}%'>"
            f"</span></span><span class='ml-percent'>{percent(ranked.probability)}</span></li>")
    return f"<ol class='ml-ranking' tabindex='0' aria-label='Ranked titles'>{''.join(rows)}</ol>"


def ranking_status(result: Ranking, mixture: Mixture, truth: bool = False) -> str:
    """One line above the ranking: what is mixed, how sure the model is, how long it took, and at which place stands what was
    really chosen, which may be out of sight in the list."""
    if mixture.is_pair:
        mixed = f"<b>λ = {result.lam:.2f}</b> · {result.lam:.0%} general + {1 - result.lam:.0%} specific"
    else:
        mixed = f"<b>{escape(mixture.adapters[0].name)} adapter alone</b>"
    # what is asked for again comes from memory
    time = f"{result.seconds:.2f} s" if result.seconds >= 0.005 else "from memory"
    chosen = next((ranked for ranked in result.items if truth and ranked.item == result.example.target), None)
    found = f" · chosen next: <b>{escape(chosen.item.title)}</b>, place {chosen.rank} of {len(result.items)}" if chosen else ""
    return (f"<p class='ml-status' role='status'>{mixed} · entropy {result.entropy:.3f} of at most "
            f"{math.log(len(result.items)):.2f} nat · {time}{found}</p>")


def facts(base: Backbone, mixture: Mixture, result: Ranking, sent: float | None = None) -> str:
    """What the ranking was made with, to tell it from any other, and when the browser asked for it."""
    made = [f"base {base.name} {base.revision} ({base.sha256[:8]})",
            *(f"{owned.chosen_name(adapter.name)} {adapter.sha256[:8]}" for adapter in mixture.adapters),
            f"rule {result.rule}", f"λ = {result.lam:.4g}" if result.lam is not None else "no adapter", f"{result.seconds:.2f} s"]
    return f"<p class='ml-dim ml-facts' data-sent='{sent or 0:.3f}'>{escape(' · '.join(made))}</p>"


def position(found: PositionCheck, listed: bool) -> str:
    """How much the order of the candidates mattered."""
    why = "" if listed else (" The model does not read the list before it answers here, so its order cannot matter; what "
                             "moved is rounding.")
    return (f"<p class='ml-status' role='status'>{found.shuffles} of {found.total} other orders of the list: the same first "
            f"title in {found.same_first}; no title's probability moved by more than {100 * found.largest:.2f} points.{why}</p>")


def tuning(step: TuningStep) -> str:
    """Where tuning stands, with a progress bar: the λ and what it says large, how it was found below."""
    if step.settled:
        says, share = f"{escape(step.verdict)}.", 100.0
        enough = ", which were enough" if step.prompts < step.total else ""
        at = f"Done: {step.prompts} of {step.total} prompts{enough}"
        then = ("<p class='ml-dim ml-quiet'>“Side by side” holds it against either adapter alone; “Use it elsewhere” makes one "
                "adapter of it to download.</p>")
    else:
        says, share = "so far", 100 * step.prompts / step.total
        at, then = f"Tuning: {step.prompts} of {step.total} prompts", ""
    sure = (f"95% of resamples: {step.lam_low:.2f} to {step.lam_high:.2f}." if step.prompts >= RESAMPLED_FROM or step.settled
            else "Too few prompts yet to say how sure that is.")
    return (f"<div role='status'><div class='ml-progress'><span style='width:{share:.0f}%'></span></div>"
            f"<p class='ml-answer'><b>λ = {step.lam:.2f}</b> {says}</p>"
            f"<p class='ml-dim'>{at}, {step.seconds:.1f} s. {sure} "
            f"{step.by.capitalize()}: {step.entropy:.4f} nat, {step.entropy_start:.4f} at λ = ½.</p>{then}</div>")


def on_mixing(found: Sequence[Measured]) -> str:
    """What was measured of half and half, as a sentence for whoever has just seen where λ went; empty if nothing was."""
    said = []
    for each in found:
        if each.helps:
            above = " and ".join(f"the {name} adapter alone (+{score(interval.mean)})" for name, interval in each.over.items())
            what = f"mixing helps, λ = ½ is surely above {above}"
        elif each.surely_below:
            what = "λ = ½ is surely below " + " and ".join(f"the {name} adapter alone" for name in each.surely_below)
        else:
            what = "λ = ½ is not shown to be above both adapters"
        said.append(f"{'Known' if each.setting == 'warm' else 'New'} titles ({each.n:,} people): {what}.")
    return f"<p class='ml-dim'>Measured with labels. {' '.join(said)} More in “Results”.</p>" if said else ""


def stopped(why: str, step: TuningStep) -> str:
    """What is left of a tuning that was stopped."""
    return news(f"{why} After {step.prompts} of {step.total} prompts the best λ was {step.lam:.2f}; “Auto” stays as it was.")


def reason(explanation: Explanation, detailed: bool = False) -> str:
    """The streamed text; one that failed its check is replaced by the reason why. ``detailed``: with what was measured."""
    if explanation.done and explanation.problem:
        return note(f"The model wrote a text that did not pass the check ({explanation.problem}), so it is not shown. "
                    "The evidence below stands on its own.")
    measured = _measured(explanation.because) if detailed and explanation.done else ""
    tail = ("<p class='ml-dim'>The titles are those that speak for it most, as the bars below show. How the sentence goes "
            "on is the model's own; checked is only that it names no other title of two words or more, and compares with none "
            "of one.</p>" if explanation.done else "")
    return f"<p class='ml-reason'>{escape(explanation.text)}{'' if explanation.done else ' …'}</p>{measured}{tail}"


def note(text: str) -> str:
    """A notice in words; what stands in backticks is code."""
    return _notice(text, "ml-note")


def news(text: str) -> str:
    """As :func:`note`, of what is no problem: what goes on, or what can be done."""
    return _notice(text, "ml-note ml-news")


def _notice(text: str, classes: str) -> str:
    marked = re.sub("`([^`]+)`", lambda found: _code(found[1]), escape(text))
    return f"<p class='{classes}' role='status'>{marked}</p>"


def code(text: str) -> str:
    """A command to copy, which breaks into lines between its words only."""
    return _code(escape(text))


def movement(before: int | None, now: int, than: str) -> str:
    """How many places higher or lower a title stands; ``than`` says than where, for those who hear it read."""
    if before is None or before == now:
        return "<span class='ml-move' role='img' aria-label='unchanged'>·</span>"
    places, mark, way, word = abs(before - now), *(("▲", "up", "higher") if now < before else ("▼", "down", "lower"))
    return f"<span class='ml-move ml-{way}' role='img' aria-label='{places} {word} {than}'>{mark}{places}</span>"


def percent(probability: float) -> str:
    """A probability as HTML, with one decimal."""
    return "&lt;0.1%" if probability < 0.001 else f"{100 * probability:.1f}%"


def _measured(because: Sequence[Evidence]) -> str:
    if not because:
        return "<p class='ml-measured'>No single title of the history matters much to its probability.</p>"
    parts = [f"{percent(piece.without)} without {escape(piece.item.title)}" for piece in because]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return (f"<p class='ml-measured'>Measured: its probability is {percent(because[0].probability)} with the whole history, "
            f"{listed}.</p>")


def _code(escaped: str) -> str:
    return f"<code class='ml-code'>{' '.join(f'<span>{word}</span>' for word in escaped.split())}</code>"
