"""The page: panels, and what happens when they are touched."""

from dataclasses import replace

import gradio as gr

from molorec import plots, tuning
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import MolorecError
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.ui import render, session
from molorec.ui.session import View

# Every event that uses the model shares one queue of a few workers; the engine takes them one forward at a time.
MODEL = {"concurrency_id": "model", "concurrency_limit": 4}
PRESETS = (("Specific", 0.0), ("½", 0.5), ("General", 1.0))


def build(engine: Engine) -> gr.Blocks:
    """The whole app over one engine."""
    domains = [info.name for info in engine.catalog.domains()]
    domain = MOVIELENS if MOVIELENS in domains else domains[0]
    with gr.Blocks(title="MoLoRec", analytics_enabled=False) as page:
        view = gr.State(View(domain=domain))
        tuned = gr.State({})  # domain → λ; apart from the view, which changes while a tuning runs
        gr.Markdown(
            "# MoLoRec\nTwo adapters of one small language model: the **general** one has learned from many domains, the "
            "**specific** one from this domain alone. λ mixes them. Move it, and see what the model would recommend next.")
        badge = gr.HTML(_badge(engine, domain))
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                who = _who(engine, domains, domain)
            with gr.Column(scale=3, min_width=300):
                mix = _mix()
            with gr.Column(scale=5, min_width=330):
                result = _result()
        _wire(engine, page, view, tuned, badge, who, mix, result)
    page.queue(max_size=LIMITS.queue, default_concurrency_limit=4)
    return page


# -- panels ------------------------------------------------------------------------------------------------------


def _who(engine: Engine, domains: list[str], domain: str) -> dict:
    gr.Markdown("### Who")
    samples = session.sample_users(engine, domain)
    return {
        "domain": gr.Dropdown(domains, value=domain, label="Domain"),
        "sample": gr.Dropdown(samples, value=samples[0][1] if samples else None, label="Sample users"),
        "user": gr.Textbox(samples[0][1] if samples else "", label="User id", info="Type one and press Enter", max_lines=1),
        "random": gr.Button("Random user", size="sm"),
        "history": _labelled("History", gr.HTML),
        "candidates": _folded("The candidates, in the order of the list"),
    }


def _mix() -> dict:
    gr.Markdown("### Mix")
    parts = {
        "lam": gr.Slider(0, 1, 0.5, step=0.01, label="λ: weight of the general adapter", buttons=[]),
        "ends": gr.HTML("<div class='ml-ends'><span>0 specific alone</span><span>general alone 1</span></div>"),
    }
    with gr.Row():
        parts["presets"] = [(gr.Button(name, size="sm", min_width=60), lam) for name, lam in PRESETS]
        parts["auto"] = gr.Button("Auto", size="sm", min_width=60)
    parts["number"] = gr.Number(0.5, label="λ as a number", minimum=None, maximum=None, step=0.01)
    parts["rule"] = gr.Dropdown(list(RULES), value=DEFAULT_RULE, label="Mixing rule", info=_sentence(RULES[DEFAULT_RULE].note))
    gr.Markdown("### Auto-tune\nFinds the λ at which the model is least uncertain, on people whose next choice nobody looks at.")
    parts["prompts"] = gr.Slider(10, 100, 50, step=10, label="Prompts", buttons=[])
    with gr.Row():
        parts["tune"] = gr.Button("Auto-tune", variant="primary", min_width=80)
        parts["stop"] = gr.Button("Stop tuning", interactive=False, min_width=80)
    parts["tuning"] = gr.HTML()
    parts["curve"] = gr.Plot(show_label=False, visible=False)
    return parts


def _result() -> dict:
    gr.Markdown("### Ranked titles")
    parts = {"status": gr.HTML(), "truth": gr.Checkbox(False, label="Show what they really chose next"), "ranking": gr.HTML()}
    gr.Markdown("### Why this title first?")
    with gr.Row():
        parts["explain"] = gr.Button("Explain the first title", min_width=120)
        parts["stop_explain"] = gr.Button("Stop explaining", interactive=False, min_width=80)
    parts["reason"] = gr.HTML()
    parts["evidence"] = gr.Plot(show_label=False, visible=False)
    return parts


def _labelled(label: str, component) -> gr.HTML:
    gr.Markdown(f"**{label}**")
    return component()


def _folded(label: str) -> gr.HTML:
    with gr.Accordion(label, open=False):
        return gr.HTML()


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:] + "."


def _badge(engine: Engine, domain: str) -> str:
    try:
        mixture = engine.mixture(domain)
    except MolorecError as error:
        return render.note(str(error))
    names = " + ".join(adapter.name for adapter in mixture.adapters)
    dtype = str(engine.base.dtype).removeprefix("torch.")
    line = f"Model {engine.base.name} · {engine.base.device.type.upper()}, {dtype} · adapters {names}"
    notes = list(mixture.problems)
    if mixture.weak:
        notes.append(f"These adapters are weak. On held-out choices, {'; '.join(mixture.weak)}.")
    return f"<p class='ml-dim'>{render.escape(line)}</p>" + "".join(render.note(text) for text in notes)


# -- events ------------------------------------------------------------------------------------------------------


def _wire(engine: Engine, page: gr.Blocks, view: gr.State, tuned: gr.State, badge: gr.HTML,
          who: dict, mix: dict, result: dict) -> None:
    screen = [view, who["history"], who["candidates"], result["ranking"], result["status"]]
    cleared = [result["reason"], result["evidence"]]

    def show(state: View, truth: bool):
        """The history, the candidates and their ranking; a problem becomes a notice."""
        try:
            ranking = session.rank(engine, state)
        except MolorecError as error:
            return state, "", "", render.note(str(error)), ""
        return (state, render.history(ranking.example.history), render.candidates(ranking.example.candidates),
                render.ranking(ranking, state.before, truth),
                render.ranking_status(ranking, engine.mixture(state.domain).is_pair))

    def choose_user(state: View, user: str, truth: bool):
        state = replace(state, user=str(user or ""), ranks={}, before={})
        return (*show(state, truth), state.user, "", gr.Plot(visible=False))

    def choose_random(state: View, truth: bool):
        return choose_user(state, engine.catalog.random_user(state.domain, state.setting), truth)

    def choose_domain(state: View, domain: str, truth: bool):
        samples = session.sample_users(engine, domain)
        first = samples[0][1] if samples else ""
        shown = choose_user(replace(state, domain=domain), first, truth)
        return (*shown, gr.Dropdown(samples, value=first or None), _badge(engine, domain))

    def choose_lam(state: View, lam: float, rule: str, truth: bool):
        try:
            state = replace(state, lam=session.valid_lam(lam), rule=rule)
        except MolorecError as error:
            gr.Warning(str(error))
            return (gr.skip(),) * 6
        return (*show(state, truth), state.lam)

    def describe_rule(rule: str):
        return gr.Dropdown(info=_sentence(RULES[rule].note))

    def type_lam(lam: float | None):
        if lam is None:
            return gr.skip()
        try:
            return session.valid_lam(lam)
        except MolorecError as error:
            gr.Warning(str(error))
            return gr.skip()

    def press_auto(state: View, found: dict[str, float]):
        try:
            return session.auto_lam(engine, state.domain, found)
        except MolorecError as error:
            gr.Info(str(error))
            return gr.skip()

    def show_truth(state: View, truth: bool):
        return show(state, truth)[3]

    def tune(state: View, found: dict[str, float], prompts: int):
        """Yields (tuned λs, text, curve, Auto-tune button, Stop button) as prompts arrive."""
        running = (gr.Button(interactive=False), gr.Button(interactive=True))
        yield found, render.note("Measuring the first prompts …"), gr.Plot(visible=False), *running
        try:
            for step in tuning.tune(engine, state.domain, int(prompts), state.rule):
                found = {**found, state.domain: step.lam}
                yield found, render.tuning(step), gr.Plot(plots.entropy_curve(step), visible=True), *running
        except MolorecError as error:
            yield found, render.note(str(error)), gr.skip(), *running

    def after_tuning(state: View, found: dict[str, float]):
        """The slider goes to the tuned λ; the buttons come back."""
        return found.get(state.domain, state.lam), *idle()

    def after_stop(state: View, found: dict[str, float]):
        lam = found.get(state.domain)
        text = "Stopped before the first result." if lam is None else f"Stopped. The best λ so far is {lam:.2f}; Auto goes there."
        return render.note(text), *idle()

    def explain(state: View):
        """Yields (text, evidence figure, Explain button, Stop button)."""
        running = (gr.Button(interactive=False), gr.Button(interactive=True))
        yield render.note("Dropping one title of the history at a time …"), gr.Plot(visible=False), *running
        try:
            drawn = 0
            for pieces, text in session.explain(engine, state):
                figure = gr.skip()
                if len(pieces) > drawn:
                    drawn, figure = len(pieces), gr.Plot(plots.evidence_bars(pieces), visible=True)
                yield (gr.skip() if text is None else render.reason(text)), figure, *running
        except MolorecError as error:
            yield render.note(str(error)), gr.skip(), *running

    def idle():
        """A start button that can be pressed and a Stop that cannot."""
        return gr.Button(interactive=True), gr.Button(interactive=False)

    quick = {"show_progress": "hidden", **MODEL}
    who["domain"].input(choose_domain, [view, who["domain"], result["truth"]],
                        [*screen, who["user"], *cleared, who["sample"], badge], **MODEL)
    who["sample"].input(choose_user, [view, who["sample"], result["truth"]], [*screen, who["user"], *cleared], **quick)
    who["user"].submit(choose_user, [view, who["user"], result["truth"]], [*screen, who["user"], *cleared], **quick)
    who["random"].click(choose_random, [view, result["truth"]], [*screen, who["user"], *cleared], **quick)
    gr.on([mix["lam"].change, mix["rule"].input], choose_lam, [view, mix["lam"], mix["rule"], result["truth"]],
          [*screen, mix["number"]], trigger_mode="always_last", **quick)
    mix["rule"].input(describe_rule, mix["rule"], mix["rule"], show_progress="hidden")
    mix["number"].input(type_lam, mix["number"], mix["lam"], show_progress="hidden")
    for button, lam in mix["presets"]:
        button.click(lambda lam=lam: lam, None, mix["lam"], show_progress="hidden")
    mix["auto"].click(press_auto, [view, tuned], mix["lam"], show_progress="hidden")
    result["truth"].input(show_truth, [view, result["truth"]], result["ranking"], **quick)

    tuning_run = mix["tune"].click(tune, [view, tuned, mix["prompts"]],
                                   [tuned, mix["tuning"], mix["curve"], mix["tune"], mix["stop"]], **quick)
    tuning_run.then(after_tuning, [view, tuned], [mix["lam"], mix["tune"], mix["stop"]], show_progress="hidden")
    mix["stop"].click(after_stop, [view, tuned], [mix["tuning"], mix["tune"], mix["stop"]], cancels=[tuning_run],
                      show_progress="hidden")

    explaining_run = result["explain"].click(explain, view, [*cleared, result["explain"], result["stop_explain"]], **quick)
    explaining_run.then(idle, None, [result["explain"], result["stop_explain"]], show_progress="hidden")
    result["stop_explain"].click(idle, None, [result["explain"], result["stop_explain"]], cancels=[explaining_run],
                                 show_progress="hidden")

    page.load(choose_user, [view, who["user"], result["truth"]], [*screen, who["user"], *cleared], **quick)
