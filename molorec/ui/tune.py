"""Auto-tune: the λ at which the model is least uncertain, found while one looks on."""

from contextlib import suppress
from dataclasses import dataclass

import gradio as gr

from molorec import owned, plots, tuning
from molorec.engine import Engine
from molorec.errors import JournalError, MolorecError
from molorec.evaluation import half
from molorec.journal import Journal
from molorec.tuning import PROMPTS
from molorec.ui import render
from molorec.ui.screen import QUICK, Screen, idle, running, tell, warn, wire_run
from molorec.ui.session import Job


@dataclass
class Tuner:
    """The panel's components."""

    prompts: gr.Slider
    setting: gr.Radio
    objective: gr.Radio
    start: gr.Button
    stop: gr.Button
    progress: gr.HTML
    curve: gr.Plot
    keep: gr.Button


def panel() -> Tuner:
    """Lay the panel out."""
    gr.Markdown("### Auto-tune\nFinds the λ at which the model is least uncertain, on people whose next choice stays hidden.")
    found = {}
    with gr.Accordion("On which prompts, and judged by what", open=False, elem_classes="ml-quiet"):
        found["prompts"] = gr.Slider(
            10, 100, PROMPTS, step=10, label="Prompts", buttons=[],
            info="How many people's lists to look at: more take longer and leave less to chance")
        found["setting"] = gr.Radio(
            [("What people chose", "warm"), ("New titles", "new-item")], value="warm", label="Prompts from",
            info="New titles: lists of titles kept from the domain's own adapter")
        found["objective"] = gr.Radio(
            [("How sure the model is", "candidates"), ("How much surer than after a stranger's history", "contrast")],
            value="candidates", label="Judge λ by",
            info="An adapter can be sure whoever asks; the second finds that out, in twice the time")
    with gr.Row():
        found["start"] = gr.Button("Auto-tune", variant="primary", min_width=80)
        found["stop"] = gr.Button("Stop tuning", interactive=False, min_width=80)
    found["progress"] = gr.HTML(padding=False)
    found["curve"] = gr.Plot(show_label=False, visible=False)
    found["keep"] = gr.Button("Keep this λ for “Auto”, for everyone on this machine", size="sm", visible=False)
    return Tuner(**found)


def _measured(engine: Engine, domain: str, rule: str) -> str:
    """What labels have said of mixing the adapters in use."""
    mixture = engine.mixture(domain)
    return render.on_mixing(half.measured(domain, rule, {adapter.name: adapter.sha256 for adapter in mixture.adapters}))


def wire(engine: Engine, journal: Journal, tuner: Tuner, screen: Screen) -> None:
    """A run sets λ when it is done, and ends when the domain or the rule changes."""
    job = gr.State(Job())

    def leave(job: Job):
        """What was tuned on another domain or under another rule goes from the screen."""
        job.stop("")
        return "", gr.Plot(visible=False), gr.Button(visible=False)

    def tune(job: Job, domain: str, rule: str, found: dict, prompts: int, setting: str, objective: str, visitor: str):
        """Yields (tuned λs, text, curve, λ twice, Keep button, Auto-tune button, Stop button) as prompts arrive."""
        run, stay = job.start(), (gr.skip(), gr.skip())
        yield (found, render.news("Measuring the first prompts …"), gr.Plot(visible=False), *stay, gr.Button(visible=False),
               *running())
        step = None
        try:
            for step in tuning.tune(engine, domain, int(prompts), rule, setting, objective=objective):
                if not job.wants(run):
                    stopped = render.stopped(job.why, step), gr.skip(), *stay, gr.Button(visible=False)
                    yield found, *(stopped if job.why else [gr.skip()] * 5), *idle()
                    return
                if step.settled:  # what a run that was stopped had found is no λ to go by
                    found = {**found, (domain, rule): step.lam}
                there = (step.lam, step.lam) if step.settled else stay
                buttons = idle() if step.settled else running()
                known = _measured(engine, domain, rule) if step.settled else ""
                yield (found, render.tuning(step) + known, gr.Plot(plots.entropy_curve(step), visible=True), *there,
                       gr.Button(visible=step.settled), *buttons)
            with suppress(JournalError):
                journal.keep_tuning(visitor, domain, rule, step, engine.mixture(domain).key, engine.base.sha256)
        except MolorecError as error:
            yield found, render.note(str(error)), gr.skip(), *stay, gr.skip(), *idle()

    def keep(domain: str, rule: str, found: dict):
        try:
            lam = found[domain, rule]
            journal.keep_lam(domain, rule, engine.mixture(domain).key, lam)
            tell(f"“Auto” is λ = {lam:.2f} for {owned.chosen_name(domain)} under the rule '{rule}' from now on, for everyone "
                 "on this machine.")
        except KeyError:
            warn("tune first: there is no λ to keep for this domain and rule")
        except MolorecError as error:
            warn(error)

    wire_run(
        tune, job, tuner.start, tuner.stop, tuner.progress,
        [job, screen.domain, screen.rule, screen.tuned, tuner.prompts, tuner.setting, tuner.objective, screen.visitor],
        [screen.tuned, tuner.progress, tuner.curve, *screen.lam_twice, tuner.keep, tuner.start, tuner.stop],
    ).then(**screen.rank)
    tuner.keep.click(keep, [screen.domain, screen.rule, screen.tuned], None, **QUICK)
    for left in (screen.domain, screen.rule):
        left.change(leave, job, [tuner.progress, tuner.curve, tuner.keep], **QUICK)
