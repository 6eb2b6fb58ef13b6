"""What the mixed model ranks, and why: the right of the screen."""

from dataclasses import dataclass

import gradio as gr

from molorec import plots, position
from molorec.engine import Engine
from molorec.errors import MolorecError
from molorec.explaining import STYLES
from molorec.ui import render, session
from molorec.ui.screen import LONG, Screen, idle, running, wire_run
from molorec.ui.session import Job

# Answers can overtake each other on their way to the browser. One that was asked for earlier than what is on screen
# already, and comes later, is answered by asking once more.
_KEEP_UP = """
let newest = 0;
watch('value', () => {
  const sent = Number(/data-sent='([0-9.]+)'/.exec(props.value)?.[1] ?? newest);
  if (sent < newest) trigger('click');
  newest = Math.max(newest, sent);
});
"""


@dataclass
class Ranked:
    """The panel's components; ``explaining`` and ``checking`` are the runs that write the reason and try other orders of the
    list; both end when the ranking changes."""

    status: gr.HTML
    truth: gr.Checkbox
    ranking: gr.HTML
    explain: gr.Button
    stop: gr.Button
    style: gr.Radio
    reason: gr.HTML
    evidence: gr.Plot
    position: gr.Button
    position_found: gr.HTML
    facts: gr.HTML
    explaining: gr.State
    checking: gr.State


def panel() -> Ranked:
    """Lay the panel out."""
    gr.Markdown("### Ranked titles")
    found = {"status": gr.HTML(padding=False), "truth": gr.Checkbox(False, label="Show what they really chose next"),
             "ranking": gr.HTML("<p class='ml-dim'>The first list is being ranked …</p>", padding=False,
                        elem_classes="ml-follows")}
    gr.Markdown("### Why this title first?")
    with gr.Row():
        found["explain"] = gr.Button("Explain the first title", min_width=120)
        found["stop"] = gr.Button("Stop explaining", interactive=False, min_width=80)
    found["style"] = gr.Radio([(name.capitalize(), name) for name in STYLES], value="short", label="Reason")
    found["reason"] = gr.HTML(padding=False)
    found["evidence"] = gr.Plot(show_label=False, visible=False)
    found["position"] = gr.Button("Does the order of the list matter?", size="sm")
    found["position_found"] = gr.HTML(padding=False)
    found["facts"] = gr.HTML(padding=False, js_on_load=_KEEP_UP)
    return Ranked(**found, explaining=gr.State(Job()), checking=gr.State(Job()))


def wire(engine: Engine, result: Ranked, screen: Screen) -> None:
    """Reasons, evidence and the position check: of the first title, when somebody asks."""

    def explain(job: Job, style: str, *asked):
        """Yields (text, evidence figure, Explain button, Stop button)."""
        run = job.start()
        yield render.news("Dropping one title of the history at a time …"), gr.Plot(visible=False), *running()
        try:
            drawn, figure, said = 0, gr.skip(), gr.skip()
            for pieces, text in session.explain(engine, session.view_of(*asked), style):
                if not job.wants(run):  # what was written so far was not checked yet
                    yield render.news(job.why) if job.why else gr.skip(), gr.skip(), *idle()
                    return
                new = len(pieces) > drawn
                if new:
                    drawn, figure = len(pieces), gr.Plot(plots.evidence_bars(pieces), visible=True)
                if text is not None:
                    said = render.reason(text, style == "detailed")
                yield said, figure if new else gr.skip(), *running()
            # both once more: of two messages that come within one frame, the browser may show the later one only
            yield said, figure, *idle()
        except MolorecError as error:
            yield render.note(str(error)), gr.skip(), *idle()

    def check_position(job: Job, *asked):
        run = job.start()
        try:
            view = session.view_of(*asked)
            for found in position.check(engine, session.example_of(engine, view), view.lam, view.rule):
                if not job.wants(run):  # what is found belongs to another ranking than the one on screen
                    return
                yield render.position(found, engine.mixture(view.domain).template.listed)
        except MolorecError as error:
            yield render.note(str(error))

    wire_run(explain, result.explaining, result.explain, result.stop, result.reason,
             [result.explaining, result.style, *screen.asked], [result.reason, result.evidence, result.explain, result.stop])
    result.position.click(check_position, [result.checking, *screen.asked], result.position_found, **LONG)
