"""λ layer by layer: a mixture of its own for each layer of the model, found while one looks on, and what it changes."""

import json
from dataclasses import dataclass, replace
from html import escape

import gradio as gr

from molorec import descent, documents, owned, plots
from molorec.descent import DescentStep
from molorec.engine import Engine
from molorec.errors import BadInput, MolorecError
from molorec.mixture import lam as lams
from molorec.ui import compare, render, session, share, shelf, stale
from molorec.ui.compare import Column
from molorec.ui.screen import LONG, QUICK, Screen, idle, running, warn, wire_run
from molorec.ui.session import Job, View

INTRO = (
    "### λ layer by layer\nA language model is a stack of layers: each works on what the one before it has made of the text. The "
    "slider mixes the two adapters in the same way everywhere; here, every layer may have a mixture of its own. It is looked for "
    "on people whose next choice stays hidden, and what counts is how sure the model is. Sure is not the same as right: "
    "whether the titles are better ones, only a measurement with known answers says (tab Results).")
PROMPTS = 16
EACH = (("each layer", "layer"), ("each of the seven parts of a layer", "module"))
CHANGED = "The choices on screen have changed since this comparison; press “Rank with these λs” to rank again."
_SEARCH = 0.4  # of the progress bar, for the one λ at which the descent begins

CSS = """
.ml-layers-status { margin: .3rem 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Found:
    """What a run has found, and for what: λs are of one pair of adapters under one rule."""

    domain: str
    rule: str
    key: str
    granularity: str
    step: DescentStep


def panel(engine: Engine, screen: Screen) -> None:
    """Lay the section out and wire it. Call it inside the tab that is to hold it."""
    gr.Markdown(INTRO)
    with gr.Row():
        each = gr.Radio(EACH, value="layer", label="A mixture of its own for", min_width=220)
        prompts = gr.Slider(8, 48, PROMPTS, step=4, label="People's lists to look at", buttons=[], min_width=220,
                            info="A quarter of them is kept aside, to say when to stop")
    with gr.Row():
        start = gr.Button("Tune layer by layer", variant="primary", min_width=140)
        end = gr.Button("Stop this tuning", interactive=False, min_width=140)
    status = gr.HTML(padding=False)
    plot = gr.Plot(show_label=False, visible=False, elem_classes="ml-layers-map")
    with gr.Row(visible=False) as further:
        press = gr.Button("Rank with these λs", min_width=140)
        make = gr.Button("Make an adapter of these λs", min_width=140)
        adapter = gr.DownloadButton("Download that adapter", interactive=False, min_width=140)
        file = gr.DownloadButton("Download these λs (JSON)", min_width=140)
    said = gr.HTML(padding=False, visible=False)
    table = gr.HTML(padding=False, visible=False)
    job, found, ranked = gr.State(Job()), gr.State(None), gr.State(None)  # ranked: the view of the comparison on screen

    def tune(job: Job, domain: str, rule: str, granularity: str, prompts: float):
        """Yields (found, status, map, further buttons, file, adapter, note, comparison, Tune button, Stop button)."""
        run, last = job.start(), None
        nothing = gr.DownloadButton(value=None, interactive=False)
        hidden = gr.HTML(visible=False)
        yield (None, render.news("Looking at the first list …"), gr.Plot(visible=False), gr.Row(visible=False), nothing, nothing,
               hidden, hidden, *running())
        same = (gr.skip(),) * 3  # adapter, note, comparison
        try:
            mixture = engine.mixture(domain)
            for step in descent.descend(engine, domain, granularity, int(prompts), rule):
                stopped = not job.wants(run)
                ends = step.settled or stopped
                here = Found(domain, rule, mixture.key, granularity, step)
                drawn = step.held_out is not None and (last is None or step.lam != last)
                last = step.lam if drawn else last
                figure = gr.Plot(_figure(engine, here), visible=True) if drawn else gr.skip()
                line = status_of(here, job.why if stopped else "")
                if not ends:
                    yield here, line, figure, gr.skip(), gr.skip(), *same, *running()
                    continue
                usable = step.held_out is not None  # stopped before it began, there is nothing to use
                yield (here if usable else None, line, figure, gr.Row(visible=usable),
                       _file(here) if usable else gr.skip(), *same, *idle())
                return
        except MolorecError as error:
            yield gr.skip(), render.note(str(error)), *[gr.skip()] * 3, *same, *idle()

    def rank(found: Found | None, *asked):
        """(view, note, comparison): the list on screen at its λ and at these."""
        try:
            view = session.view_of(*asked)
            return view, gr.HTML(visible=False), gr.HTML(compare.table(columns(engine, view, found)), visible=True)
        except MolorecError as error:
            return gr.skip(), gr.HTML(render.note(str(error)), visible=True), gr.skip()

    def mix(found: Found | None):
        """Yields (note, download button)."""
        nothing = gr.DownloadButton(value=None, interactive=False)
        yield gr.HTML(render.news("Mixing …"), visible=True), nothing
        try:
            _check(engine, found)
            path, rank = share.adapter_zip(engine, View(found.domain, rule=found.rule), found.step.lam)
            yield (gr.HTML(render.news(share.adapter_words(path, rank, found.domain, found.step.lam, found.rule)), visible=True),
                   gr.DownloadButton(value=path, interactive=True))
        except MolorecError as error:
            yield gr.HTML(render.note(str(error)), visible=True), nothing

    wire_run(tune, job, start, end, status, [job, screen.domain, screen.rule, each, prompts],
             [found, status, plot, further, file, adapter, said, table, start, end])
    press.click(rank, [found, *screen.asked], [ranked, said, table], **QUICK)
    make.click(mix, found, [said, adapter], **LONG)
    stale.say(screen, ranked, said, CHANGED, lambda view: view)


def columns(engine: Engine, view: View, found: Found | None) -> list[Column]:
    """The view's list at the λ on screen and at the λs found.

    Raises
    ------
    BadInput : nothing was found yet, it is of other adapters or another rule, or the view asks for what is not there.
    """
    _check(engine, found)
    if (found.domain, found.rule) != (view.domain, view.rule):
        raise BadInput(f"these λs are for {owned.chosen_name(found.domain)} under the rule '{found.rule}', and the screen shows "
                       f"{owned.chosen_name(view.domain)} under '{view.rule}'; tune again for it")
    one, own = engine.rank_each(session.example_of(engine, view), [view.lam, found.step.lam], view.rule)
    return [Column("One λ for all layers", view, one, is_now=True), Column("λ layer by layer", view, own)]


def status_of(found: Found, why: str = "") -> str:
    """Where a run stands, in words, with a progress bar. ``why`` : the reason if it was stopped."""
    step = found.step
    domain = escape(owned.chosen_name(found.domain))
    if step.held_out is None:
        share = _SEARCH * step.looked / step.prompts
        line = (f"First the best λ for all layers of {domain}: {lams.in_words(step.first)} after {step.looked} of {step.prompts} "
                f"lists · {step.seconds:.0f} s")
    elif not step.settled:
        share = _SEARCH + (1 - _SEARCH) * step.steps / step.most
        line = (f"Step {step.steps} of at most {step.most} for {domain} · entropy of the lists kept aside {step.held_out:.4f} "
                f"nat, {step.held_out_start:.4f} where it began · {step.seconds:.0f} s")
    else:
        share = 1.0
        weights = [values[0] for _, values in step.lam.weights]
        one = lams.in_words(step.first)
        line = (f"<b>Done</b> for {domain}: the general adapter weighs {lams.general(step.lam):.2f} on average, from "
                f"{min(weights):.2f} to {max(weights):.2f}; {escape(step.verdict)}. Entropy of the lists kept aside: "
                f"{step.held_out:.4f} nat, {step.held_out_first:.4f} at {one} everywhere. Of all {step.prompts} lists, most of "
                f"which it was fitted to: {step.entropy:.4f}, {step.entropy_first:.4f} at {one}, {step.entropy_start:.4f} at "
                f"λ = ½ · {step.seconds:.0f} s")
    bar = "" if why else f"<div class='ml-progress'><span style='width:{100 * share:.0f}%'></span></div>"
    return f"<div role='status'>{bar}<p class='ml-layers-status'>{escape(why)} {line}</p></div>"


def _check(engine: Engine, found: Found | None) -> None:
    if found is None:
        raise BadInput("there are no λs yet: press “Tune layer by layer” first")
    if engine.mixture(found.domain).key != found.key:
        raise BadInput(f"the adapters of {owned.chosen_name(found.domain)} have changed since these λs were tuned; tune again")


def _figure(engine: Engine, found: Found):
    return plots.layer_weights(found.step.lam, engine.mixture(found.domain).stack.paths)


def _file(found: Found) -> gr.DownloadButton:
    """These λs as ``molorec tune --out`` writes them."""
    step = found.step
    if step.entropy is None:  # stopped: what is known is of the lists kept aside
        step = replace(step, entropy=step.held_out, entropy_start=None)
    text = json.dumps(documents.tuned(found.domain, found.rule, step, found.granularity), ensure_ascii=False, indent=1) + "\n"
    try:
        name = f"lam-{owned.chosen_name(found.domain)}-{found.rule}-{found.granularity}.json"
        return gr.DownloadButton(value=shelf.TABLES.put_text(name, text), interactive=True)
    except MolorecError as error:
        warn(error)
        return gr.DownloadButton(value=None, interactive=False)
