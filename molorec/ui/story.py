"""The tab How it works: the idea in five pictures, drawn for the person on screen."""

import gradio as gr

from molorec import owned
from molorec.engine import Engine
from molorec.errors import MolorecError, memory_in_words
from molorec.ui import render, session
from molorec.ui.pictures import PICTURES
from molorec.ui.screen import Screen, idle, running, wire_run
from molorec.ui.session import BUILT, Job, View

EMPTY = "Nothing is drawn yet. The pictures are made from the model itself, for the person on screen; that takes some seconds."

CSS = """
.ml-story { border-top: 1px solid var(--border-color-primary); padding-top: .6rem; }
.ml-story-two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 0 2rem; }
.ml-prompt { margin: .3rem 0; padding: .7em .9em; max-height: 22rem; overflow: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .9em; line-height: 1.45; background: var(--background-fill-secondary);
  border-left: 3px solid #14b8a6; }
.ml-next { margin: .3rem 0; padding-left: 1.6em; line-height: 1.6; overflow-wrap: anywhere; }
.ml-story code { overflow-wrap: anywhere; }
"""


def panel(engine: Engine, screen: Screen) -> None:
    """Five headings with a short text each, one button that draws them all, and Stop."""
    gr.Markdown("### How it works\nThe whole idea in five pictures. Nothing in them is made up: every number comes from the "
                "model, the adapters and the lists that this app uses.")
    with gr.Row():
        start = gr.Button("Draw the pictures for this person", variant="primary", min_width=160)
        end = gr.Button("Stop drawing", interactive=False, min_width=100)
    status = gr.HTML(render.news(EMPTY), padding=False)
    parts = []
    for picture in PICTURES:
        with gr.Row(equal_height=False, elem_classes="ml-story"):
            with gr.Column(scale=2, min_width=300):
                gr.Markdown(f"#### {picture.heading}\n{picture.intro}")
                facts = gr.HTML(padding=False)
            with gr.Column(scale=3, min_width=320, visible=False) as side:
                figure = gr.Plot(label=picture.heading, show_label=False)
            parts.append((facts, side, figure))
    job = gr.State(Job())

    def draw(job: Job, *asked):
        """Yields (status, Draw button, Stop button, then text, column and figure of each picture), a picture at a time."""
        run, count = job.start(), 3 * len(PICTURES)
        drawn = ["", gr.Column(visible=False), None] * len(PICTURES)
        try:
            view = session.view_of(*asked)
            example = session.example_of(engine, view)
            view = session.counted(engine, view)
        except MolorecError as error:
            yield render.note(str(error)), *idle(), *drawn
            return
        yield render.news("Drawing …"), *running(), *drawn
        for i, picture in enumerate(PICTURES):
            state, mine = render.news(f"Drawing picture {i + 1} of {len(PICTURES)} …"), slice(3 * i, 3 * i + 3)
            try:
                with memory_in_words():
                    for facts, figure in picture.draw(engine, view, example):
                        if not job.wants(run):
                            yield render.news(f"{job.why} What is drawn already stays."), *idle(), *drawn
                            return
                        changes = [gr.skip()] * count
                        changes[mine] = facts, gr.skip(), gr.skip()
                        drawn[3 * i] = facts
                        if figure is not None:
                            drawn[mine] = changes[mine] = facts, gr.Column(visible=True), figure
                        yield state, *running(), *changes
            except MolorecError as error:
                drawn[3 * i] = render.note(str(error))
        # all of it once more: of two messages that come within one frame, the browser may show the later one only
        yield f"<p class='ml-status' role='status'>{render.escape(_drawn_for(view))}</p>", *idle(), *drawn

    outputs = [status, start, end, *(component for part in parts for component in part)]
    wire_run(draw, job, start, end, status, [job, *screen.asked], outputs)


def _drawn_for(view: View) -> str:
    """Whom the pictures are of: the screen may move on while they stay."""
    who = "the history that you built" if view.scenario == BUILT else f"user {view.user}"
    return (f"Drawn for {who} of {owned.chosen_name(view.domain)} at λ = {view.lam:.2f}. For somebody else, or another λ, press "
            "again.")
