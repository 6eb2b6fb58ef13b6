"""λ by hand and by tuning: the middle of the screen."""

from contextlib import suppress
from dataclasses import dataclass

import gradio as gr

from molorec import owned, plots, tuning
from molorec.engine import Engine
from molorec.errors import JournalError, MolorecError
from molorec.journal import Journal
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.tuning import PROMPTS
from molorec.ui import render, session
from molorec.ui.screen import LONG, QUICK, Screen, idle, running, stop
from molorec.ui.session import Job

PRESETS = (("Specific", 0.0), ("½", 0.5), ("General", 1.0))
ALONE = "Mixing takes two adapters. This domain does not have both here, so there is nothing to mix and no λ to choose."


@dataclass
class Mix:
    """The panel's components."""

    alone: gr.HTML
    controls: gr.Column
    lam: gr.Slider
    presets: list[tuple[gr.Button, float]]
    auto: gr.Button
    number: gr.Number
    rule: gr.Dropdown
    prompts: gr.Slider
    setting: gr.Radio
    tune: gr.Button
    stop: gr.Button
    tuning: gr.HTML
    curve: gr.Plot
    keep: gr.Button


def panel(pair: bool) -> Mix:
    """Lay the panel out; without a pair of adapters it says that there is nothing to mix."""
    gr.Markdown("### Mix")
    found = {"alone": gr.HTML(render.note(ALONE), padding=False, visible=not pair)}
    with gr.Column(visible=pair) as found["controls"]:
        found["lam"] = gr.Slider(0, 1, 0.5, step=0.01, label="λ: weight of the general adapter", buttons=[],
                                 elem_classes="ml-lam")
        gr.HTML("<div class='ml-ends'><span>0 specific alone</span><span>general alone 1</span></div>", padding=False)
        with gr.Row():
            found["presets"] = [(gr.Button(name, size="sm", min_width=60), lam) for name, lam in PRESETS]
            found["auto"] = gr.Button("Auto", size="sm", min_width=60)
        found["number"] = gr.Number(0.5, label="λ as a number", minimum=None, maximum=None, step=0.01)
        found["rule"] = gr.Dropdown(list(RULES), value=DEFAULT_RULE, label="Mixing rule", info=rule_note(DEFAULT_RULE))
        gr.Markdown("### Auto-tune\nFinds the λ at which the model is least uncertain, on people whose next choice nobody "
                    "looks at.")
        found["prompts"] = gr.Slider(10, 100, PROMPTS, step=10, label="Prompts", buttons=[])
        found["setting"] = gr.Radio([("What people chose", "warm"), ("New titles", "new-item")], value="warm",
                                    label="Prompts from")
        with gr.Row():
            found["tune"] = gr.Button("Auto-tune", variant="primary", min_width=80)
            found["stop"] = gr.Button("Stop tuning", interactive=False, min_width=80)
        found["tuning"] = gr.HTML(padding=False)
        found["curve"] = gr.Plot(show_label=False, visible=False)
        found["keep"] = gr.Button("Keep this λ for “Auto”", size="sm", visible=False)
    return Mix(**found)


def wire(engine: Engine, journal: Journal, mixing: Mix, screen: Screen) -> None:
    """Everything that sets λ or the rule, but for the slider and the box, which rank themselves."""
    tuning_job = gr.State(Job())

    def note_rule(job: Job, rule: str):
        job.stop("The rule changed, so tuning was stopped.")
        return gr.Dropdown(info=rule_note(rule))

    def leave_domain(job: Job):
        """What was tuned on another domain goes from the screen."""
        job.stop("The domain changed, so tuning was stopped.")
        return "", gr.Plot(visible=False), gr.Button(visible=False)

    def press_auto(domain: str, rule: str, found: dict, lam: float):
        try:
            lam = session.auto_lam(engine, journal, domain, rule, found)
        except MolorecError as error:
            gr.Info(str(error))
        return lam, lam

    def tune(job: Job, domain: str, rule: str, found: dict, prompts: int, setting: str, visitor: str):
        """Yields (tuned λs, text, curve, λ twice, Keep button, Auto-tune button, Stop button) as prompts arrive."""
        run, stay = job.start(), (gr.skip(), gr.skip())
        yield (found, render.note("Measuring the first prompts …"), gr.Plot(visible=False), *stay, gr.Button(visible=False),
               *running())
        step = None
        try:
            for step in tuning.tune(engine, domain, int(prompts), rule, setting):
                if not job.wants(run):
                    yield found, render.stopped(job.why, step), gr.skip(), *stay, gr.Button(visible=True), *idle()
                    return
                found = {**found, (domain, rule): step.lam}
                there = (step.lam, step.lam) if step.settled else stay
                buttons = idle() if step.settled else running()
                yield (found, render.tuning(step), gr.Plot(plots.entropy_curve(step), visible=True), *there,
                       gr.Button(visible=step.settled), *buttons)
            with suppress(JournalError):
                journal.keep_tuning(visitor, domain, rule, step, engine.mixture(domain).key, engine.base.sha256)
        except MolorecError as error:
            yield found, render.note(str(error)), gr.skip(), *stay, gr.skip(), *idle()

    def keep(domain: str, rule: str, found: dict):
        try:
            lam = found[domain, rule]
            journal.keep_lam(domain, rule, engine.mixture(domain).key, lam)
            gr.Info(f"“Auto” is λ = {lam:.2f} for {owned.chosen_name(domain)} under the rule '{rule}' from now on.")
        except KeyError:
            gr.Warning("tune first: there is no λ to keep for this domain and rule")
        except MolorecError as error:
            gr.Warning(str(error))

    # slider and box follow each other in the browser: another event that is sent meanwhile finds both at the new λ
    mixing.lam.input(None, mixing.lam, mixing.number, js="lam => lam")
    mixing.number.input(None, [mixing.number, mixing.lam], mixing.lam,
                        js="(typed, lam) => typeof typed === 'number' && typed >= 0 && typed <= 1 ? typed : lam")
    for button, lam in mixing.presets:
        button.click(None, None, screen.lam_twice, js=f"() => [{lam}, {lam}]").then(**screen.rank)
    mixing.auto.click(press_auto, [screen.domain, screen.rule, screen.tuned, screen.lam], screen.lam_twice,
                      **QUICK).then(**screen.rank)
    mixing.rule.input(note_rule, [tuning_job, mixing.rule], mixing.rule, **QUICK).then(**screen.rank)
    mixing.tune.click(
        tune, [tuning_job, screen.domain, screen.rule, screen.tuned, mixing.prompts, mixing.setting, screen.visitor],
        [screen.tuned, mixing.tuning, mixing.curve, *screen.lam_twice, mixing.keep, mixing.tune, mixing.stop],
        **LONG).then(**screen.rank)
    mixing.stop.click(stop, tuning_job, mixing.stop, queue=False)
    mixing.keep.click(keep, [screen.domain, screen.rule, screen.tuned], None, **QUICK)
    screen.domain.input(leave_domain, tuning_job, [mixing.tuning, mixing.curve, mixing.keep], **QUICK)


def rule_note(rule: str) -> str:
    """What a mixing rule does, as a sentence."""
    note = RULES[rule].note
    return note[:1].upper() + note[1:] + "."
