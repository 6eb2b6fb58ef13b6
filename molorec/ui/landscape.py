"""The λ landscape: one ranking at every λ, drawn while it is measured; a point of it can be chosen."""

from html import escape

import gradio as gr

from molorec import landscape, owned, plots
from molorec.engine import Engine
from molorec.errors import MolorecError
from molorec.journal import Journal
from molorec.landscape import Landscape
from molorec.spreadsheet import csv_text
from molorec.ui import render, session, shelf, stale
from molorec.ui.screen import QUICK, Screen, idle, running, warn, wire_run
from molorec.ui.session import BUILT, Job, View

INTRO = (
    "### λ landscape\nRanks this list at every λ from 0 (the specific adapter alone) to 1 (the general one alone) and draws "
    "how the probability of the top titles and the model's uncertainty (entropy) change. Click a point to set λ to it, or "
    "use the λ slider, which the arrow keys move too.")

CHANGED = "The choices on screen have changed since this sweep; press “Sweep λ” to sweep again."

CSS = """
.ml-sweep { margin: .3rem 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.ml-landscape.has_children { gap: 0; }
"""

# Gradio draws every new figure into a new element and has no click event of its own for plots, so this watches the
# elements that come and listens to Plotly's. It also moves the line at "λ now" where it is: a figure drawn anew at each
# step of the slider would flicker, and one that was drawn by a run under way knows only the λ at which the run began.
_IN_BROWSER = """
let now = null;
const plots = () => element.querySelectorAll('.js-plotly-plot');
const mark = plot => {
  const find = list => (list || []).findIndex(part => part.name === 'lam');
  const line = find(plot.layout?.shapes), label = find(plot.layout?.annotations);
  if (now === null || line < 0 || label < 0 || plot.layout.shapes[line].x0 === now) return;
  window.Plotly.relayout(plot, {
    [`shapes[${line}].x0`]: now, [`shapes[${line}].x1`]: now, [`annotations[${label}].x`]: now,
    [`annotations[${label}].text`]: `λ now ${now.toFixed(2)}`,
    [`annotations[${label}].xanchor`]: now < 0.15 ? 'left' : now > 0.85 ? 'right' : 'center'});
};
const welcome = () => plots().forEach(plot => {
  if (plot.mlListens || !plot.on) return;
  plot.mlListens = true;
  plot.on('plotly_click', event => trigger('click', {lam: event.points[0].x}));
  mark(plot);
});
new MutationObserver(welcome).observe(element, {childList: true, subtree: true, attributes: true, attributeFilter: ['class']});
window.addEventListener('ml-lam', event => { now = event.detail; plots().forEach(mark); });
welcome();
"""
_TELL = "lam => { if (typeof lam === 'number') window.dispatchEvent(new CustomEvent('ml-lam', {detail: lam})); }"


def panel(engine: Engine, screen: Screen, journal: Journal) -> None:
    """Lay out the landscape and wire it. Call it inside the tab that is to hold it."""
    gr.Markdown(INTRO)
    with gr.Row():
        start = gr.Button("Sweep λ", variant="primary", min_width=100)
        end = gr.Button("Stop sweep", interactive=False, min_width=100)
    truth = gr.Checkbox(False, label="Show where the title they really chose stands")
    status = gr.HTML(padding=False)
    changed = gr.HTML(padding=False, visible=False)
    with gr.HTML(html_template="@children", js_on_load=_IN_BROWSER, elem_classes="ml-landscape", padding=False) as clicks:
        plot = gr.Plot(show_label=False, visible=False)
    download = gr.DownloadButton("Download the sweep (CSV)", size="sm", visible=False)
    job, swept = gr.State(Job()), gr.State(None)  # swept: the (view, landscape, tuned λ or None) on screen

    def sweep(job: Job, truth: bool, lams: dict, *asked):
        """Yields (swept, status, note of changes, plot, download, checkbox, Sweep button, Stop button) as λ are ranked."""
        run = job.start()
        hidden = gr.HTML(visible=False), gr.Plot(visible=False), gr.DownloadButton(visible=False)
        # the checkbox rests meanwhile: a step under way would undo what it asks for
        yield None, render.news("Ranking at the first λ …"), *hidden, gr.Checkbox(interactive=False), *running()
        try:
            view = session.view_of(*asked)
            tuned = _tuned(engine, journal, view, lams)
            for found in landscape.sweep(engine, session.example_of(engine, view), view.rule):
                ends = found.done or not job.wants(run)
                shown = (view, found, tuned), _status(view, found, "" if job.wants(run) else job.why), gr.skip()
                plot = _plot(view, found, tuned, truth)
                if ends:
                    yield *shown, plot, _file(view, found, truth), gr.Checkbox(interactive=True), *idle()
                    return
                yield *shown, plot, gr.skip(), gr.skip(), *running()
        except MolorecError as error:
            yield gr.skip(), render.note(str(error)), *[gr.skip()] * 3, gr.Checkbox(interactive=True), *idle()

    def show_truth(swept: tuple[View, Landscape, float | None] | None, truth: bool):
        """The same sweep with or without what was really chosen; the file follows what is on screen."""
        if swept is None:
            return gr.skip(), gr.skip()
        view, found, tuned = swept
        return _plot(view, found, tuned, truth), _file(view, found, truth)

    def choose(event: gr.EventData):
        try:
            lam = session.valid_lam(getattr(event, "lam", None))
        except MolorecError as error:
            warn(error)
            return gr.skip(), gr.skip()
        return lam, lam

    wire_run(sweep, job, start, end, status, [job, truth, screen.tuned, *screen.asked],
             [swept, status, changed, plot, download, truth, start, end])
    truth.input(show_truth, [swept, truth], [plot, download], **QUICK)
    clicks.click(choose, None, screen.lam_twice, **QUICK).then(**screen.rank)
    screen.lam.change(None, screen.lam, None, js=_TELL)
    stale.say(screen, swept, changed, CHANGED, lambda swept: swept and swept[0], any_lam=True)


def rows(view: View, found: Landscape, truth: bool) -> tuple[list[str], list[list]]:
    """A sweep as a table, head and rows: one row for each λ and candidate, by λ, in the order of the list.

    ``truth`` adds the column ``chosen_next``, 1 for the held-out item and 0 for the others; None where it is not known.
    """
    head = ["domain", "user", "rule", "lambda", "entropy", "item_id", "title", "probability"] + ["chosen_next"] * truth
    target = found.example.target
    table = []
    for lam, entropy, row in zip(found.lams.tolist(), found.entropies.tolist(), found.probabilities.tolist(), strict=True):
        for item, probability in zip(found.example.candidates, row, strict=True):
            chosen = [None if target is None else int(item == target)] * truth
            table.append([owned.chosen_name(view.domain), view.user, view.rule, lam, entropy, item.item_id, item.title,
                          probability, *chosen])
    return head, table


def _tuned(engine: Engine, journal: Journal, view: View, found: dict) -> float | None:
    """What “Auto” would set, or None where nothing has been tuned."""
    try:
        return session.auto_lam(engine, journal, view.domain, view.rule, found)
    except MolorecError:
        return None


def _plot(view: View, found: Landscape, tuned: float | None, truth: bool) -> gr.Plot:
    return gr.Plot(plots.landscape(found, view.lam, tuned, truth), visible=True)


def _status(view: View, found: Landscape, why: str = "") -> str:
    """Whose sweep it is, and how far it has come."""
    who = "a list of your own" if view.scenario == BUILT else f"user {view.user}"
    share = 100 * len(found.lams) / found.total
    whose = f"{who} in {owned.chosen_name(view.domain)}"
    line = (f"{why} Sweep of {whose}, rule “{view.rule}” · {len(found.lams)} of {found.total} points · "
            f"{found.seconds:.1f} s")
    bar = f"<div class='ml-progress'><span style='width:{share:.0f}%'></span></div>" if not (found.done or why) else ""
    return f"<div role='status'>{bar}<p class='ml-sweep'>{escape(line.strip())}</p></div>"


def _file(view: View, found: Landscape, truth: bool) -> gr.DownloadButton:
    name = f"landscape-{owned.chosen_name(view.domain)}-{view.user or 'own-list'}.csv"
    return shelf.download(name, csv_text(*rows(view, found, truth)))
