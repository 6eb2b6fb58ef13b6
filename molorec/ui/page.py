"""The page: panels, and what happens when they are touched."""

import gradio as gr

from molorec import plots, tuning
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import MolorecError
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.ui import render, session
from molorec.ui.session import Job, Shown, View

# Rankings share one queue of a few workers, and runs of many rankings another, so that two visitors who tune keep
# nobody from moving λ; the engine takes all of them one forward at a time.
MODEL = {"concurrency_id": "model", "concurrency_limit": 4}
LONG = {"concurrency_id": "long", "concurrency_limit": 2}
PRESETS = (("Specific", 0.0), ("½", 0.5), ("General", 1.0))
ALONE = "This domain has one adapter only, so there is nothing to mix and no λ to choose."


def build(engine: Engine) -> gr.Blocks:
    """The whole app over one engine."""
    domains = [info.name for info in engine.catalog.domains()]
    domain = MOVIELENS if MOVIELENS in domains else domains[0]
    with gr.Blocks(title="MoLoRec", analytics_enabled=False) as page:
        gr.Markdown(
            "# MoLoRec\nTwo adapters of one small language model: the **general** one has learned from many domains, the "
            "**specific** one from this domain alone. λ mixes them. Move it, and see what the model would recommend next.")
        badge = gr.HTML(_badge(engine, domain), padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                who = _who(engine, domains, domain)
            with gr.Column(scale=3, min_width=300):
                mix = _mix(_is_pair(engine, domain))
            with gr.Column(scale=5, min_width=330):
                result = _result()
        _wire(engine, page, badge, who, mix, result)
    page.queue(max_size=LIMITS.queue, default_concurrency_limit=4)
    return page


# -- panels ------------------------------------------------------------------------------------------------------


def _who(engine: Engine, domains: list[str], domain: str) -> dict:
    gr.Markdown("### Who")
    samples = session.sample_users(engine, domain)
    return {
        "domain": gr.Dropdown(domains, value=domain, label="Domain"),
        "sample": gr.Dropdown(samples, value=samples[0][1] if samples else None, label="Sample users",
                              info="Each with their latest choice"),
        "user": gr.Textbox(samples[0][1] if samples else "", label="User id", info="Type one and press Enter", max_lines=1),
        "random": gr.Button("Random user", size="sm"),
        "history": _history(),
        "candidates": _folded("The candidates, in the order of the list"),
    }


def _mix(pair: bool) -> dict:
    gr.Markdown("### Mix")
    parts = {"alone": gr.HTML(render.note(ALONE), padding=False, visible=not pair), "controls": gr.Column(visible=pair)}
    with parts["controls"]:
        parts["lam"] = gr.Slider(0, 1, 0.5, step=0.01, label="λ: weight of the general adapter", buttons=[],
                                 elem_classes="ml-lam")
        gr.HTML("<div class='ml-ends'><span>0 specific alone</span><span>general alone 1</span></div>", padding=False)
        with gr.Row():
            parts["presets"] = [(gr.Button(name, size="sm", min_width=60), lam) for name, lam in PRESETS]
            parts["auto"] = gr.Button("Auto", size="sm", min_width=60)
        parts["number"] = gr.Number(0.5, label="λ as a number", minimum=None, maximum=None, step=0.01)
        parts["rule"] = gr.Dropdown(list(RULES), value=DEFAULT_RULE, label="Mixing rule",
                                    info=_sentence(RULES[DEFAULT_RULE].note))
        gr.Markdown("### Auto-tune\nFinds the λ at which the model is least uncertain, on people whose next choice nobody "
                    "looks at.")
        parts["prompts"] = gr.Slider(10, 100, 50, step=10, label="Prompts", buttons=[])
        with gr.Row():
            parts["tune"] = gr.Button("Auto-tune", variant="primary", min_width=80)
            parts["stop"] = gr.Button("Stop tuning", interactive=False, min_width=80)
        parts["tuning"] = gr.HTML(padding=False)
        parts["curve"] = gr.Plot(show_label=False, visible=False)
    return parts


def _result() -> dict:
    gr.Markdown("### Ranked titles")
    parts = {"status": gr.HTML(padding=False), "truth": gr.Checkbox(False, label="Show what they really chose next"),
             "ranking": gr.HTML(padding=False)}
    gr.Markdown("### Why this title first?")
    with gr.Row():
        parts["explain"] = gr.Button("Explain the first title", min_width=120)
        parts["stop_explain"] = gr.Button("Stop explaining", interactive=False, min_width=80)
    parts["reason"] = gr.HTML(padding=False)
    parts["evidence"] = gr.Plot(show_label=False, visible=False)
    return parts


def _history() -> gr.HTML:
    gr.Markdown("**History**")
    return gr.HTML(padding=False)


def _folded(label: str) -> gr.HTML:
    with gr.Accordion(label, open=False):
        return gr.HTML(padding=False)


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:] + "."


def _is_pair(engine: Engine, domain: str) -> bool:
    try:
        return engine.mixture(domain).is_pair
    except MolorecError:
        return False


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


def _wire(engine: Engine, page: gr.Blocks, badge: gr.HTML, who: dict, mix: dict, result: dict) -> None:
    shown, tuned = gr.State(Shown()), gr.State({})  # tuned: (domain, rule) → λ
    tuning_job, explaining_job = gr.State(Job()), gr.State(Job())
    # What to rank is read from the screen at every event, never from a memory that two events could both change.
    asked = [who["domain"], who["user"], mix["lam"], mix["rule"], result["truth"], shown, explaining_job]
    screen = [shown, who["history"], who["candidates"], result["ranking"], result["status"], result["reason"],
              result["evidence"]]

    def show(domain: str, user: str, lam: float, rule: str, truth: bool, shown: Shown, explaining: Job):
        """The history, the candidates and their ranking; a problem becomes a notice."""
        nothing_to_explain = ("", gr.Plot(visible=False))
        try:
            view = View(domain, str(user or ""), session.valid_lam(lam), rule)
            if view != shown.view:
                explaining.stop("the view changed")
            ranking, now = session.rank(engine, view, shown)
            status = render.ranking_status(ranking, engine.mixture(domain))
        except MolorecError as error:
            explaining.stop("the view changed")
            return Shown(), "", "", render.note(str(error)), "", *nothing_to_explain
        return (now, render.history(ranking.example.history), render.candidates(ranking.example.candidates),
                render.ranking(ranking, now.before, truth), status,
                *(nothing_to_explain if view != shown.view else (gr.skip(), gr.skip())))

    def choose_sample(domain: str, user: str, sample: str, *others):
        return sample, *show(domain, sample, *others)

    def choose_random(domain: str, user: str, *others):
        try:
            user = engine.catalog.random_user(domain, "warm")
        except MolorecError as error:
            gr.Warning(str(error))
        return user, *show(domain, user, *others)

    def choose_domain(tuning_job: Job, domain: str, user: str, *others):
        tuning_job.stop("The domain changed, so tuning was stopped.")
        try:
            samples = session.sample_users(engine, domain)
        except MolorecError:  # said where the ranking would be
            samples = []
        user = samples[0][1] if samples else ""
        pair = _is_pair(engine, domain)
        return (user, *show(domain, user, *others), gr.Dropdown(samples, value=user or None), _badge(engine, domain),
                gr.HTML(visible=not pair), gr.Column(visible=pair), "", gr.Plot(visible=False))

    def move_lam(domain: str, user: str, lam: float, *others):
        return lam, *show(domain, user, lam, *others)

    def type_lam(number: float | None, domain: str, user: str, lam: float, *others):
        try:
            typed = lam if number is None else session.valid_lam(number)  # None: the box was emptied, to type anew
        except MolorecError as error:
            gr.Warning(str(error))
            return gr.skip()
        return typed, *show(domain, user, typed, *others)

    def choose_rule(tuning_job: Job, domain: str, user: str, lam: float, rule: str, *others):
        tuning_job.stop("The rule changed, so tuning was stopped.")
        return gr.Dropdown(info=_sentence(RULES[rule].note)), *show(domain, user, lam, rule, *others)

    def press_auto(domain: str, rule: str, found: dict, lam: float):
        try:
            lam = session.auto_lam(engine, domain, rule, found)
        except MolorecError as error:
            gr.Info(str(error))
        return lam, lam

    def show_truth(*asked):
        return show(*asked)[3]

    def tune(job: Job, domain: str, rule: str, found: dict, prompts: int):
        """Yields (tuned λs, text, curve, λ twice, Auto-tune button, Stop button) as prompts arrive."""
        run, stay = job.start(), (gr.skip(), gr.skip())
        yield found, render.note("Measuring the first prompts …"), gr.Plot(visible=False), *stay, *running()
        step = None
        try:
            for step in tuning.tune(engine, domain, int(prompts), rule):
                if not job.wants(run):
                    yield found, render.stopped(job.why, step), gr.skip(), *stay, *idle()
                    return
                found = {**found, (domain, rule): step.lam}
                there = (step.lam, step.lam) if step.settled else stay
                buttons = idle() if step.settled else running()
                yield found, render.tuning(step), gr.Plot(plots.entropy_curve(step), visible=True), *there, *buttons
        except MolorecError as error:
            yield found, render.note(str(error)), gr.skip(), *stay, *idle()

    def explain(job: Job, domain: str, user: str, lam: float, rule: str):
        """Yields (text, evidence figure, Explain button, Stop button)."""
        run = job.start()
        yield render.note("Dropping one title of the history at a time …"), gr.Plot(visible=False), *running()
        try:
            drawn = 0
            for pieces, text in session.explain(engine, View(domain, str(user or ""), session.valid_lam(lam), rule)):
                if not job.wants(run):
                    yield gr.skip(), gr.skip(), *idle()
                    return
                figure = gr.skip()
                if len(pieces) > drawn:
                    drawn, figure = len(pieces), gr.Plot(plots.evidence_bars(pieces), visible=True)
                yield (gr.skip() if text is None else render.reason(text)), figure, *running()
            yield gr.skip(), gr.skip(), *idle()
        except MolorecError as error:
            yield render.note(str(error)), gr.skip(), *idle()

    def stop(job: Job):
        job.stop("Stopped.")
        return gr.Button(interactive=False)

    def running():
        """A start button that cannot be pressed and a Stop that can."""
        return gr.Button(interactive=False), gr.Button(interactive=True)

    def idle():
        """A start button that can be pressed and a Stop that cannot."""
        return gr.Button(interactive=True), gr.Button(interactive=False)

    quick = {"show_progress": "hidden", **MODEL}
    long = {"show_progress": "hidden", **LONG}
    lam_twice = [mix["lam"], mix["number"]]
    who["domain"].input(choose_domain, [tuning_job, *asked],
                        [who["user"], *screen, who["sample"], badge, mix["alone"], mix["controls"], mix["tuning"], mix["curve"]],
                        **MODEL)
    who["sample"].input(choose_sample, [*asked[:2], who["sample"], *asked[2:]], [who["user"], *screen], **quick)
    who["user"].submit(show, asked, screen, **quick)
    who["random"].click(choose_random, asked, [who["user"], *screen], **quick)
    mix["lam"].input(move_lam, asked, [mix["number"], *screen], trigger_mode="always_last", **quick)
    mix["number"].input(type_lam, [mix["number"], *asked], [mix["lam"], *screen], trigger_mode="always_last", **quick)
    mix["rule"].input(choose_rule, [tuning_job, *asked], [mix["rule"], *screen], **quick)
    for button, lam in mix["presets"]:
        button.click(lambda lam=lam: (lam, lam), None, lam_twice, show_progress="hidden").then(show, asked, screen, **quick)
    mix["auto"].click(press_auto, [who["domain"], mix["rule"], tuned, mix["lam"]], lam_twice, **quick).then(
        show, asked, screen, **quick)
    result["truth"].input(show_truth, asked, result["ranking"], **quick)

    mix["tune"].click(tune, [tuning_job, who["domain"], mix["rule"], tuned, mix["prompts"]],
                      [tuned, mix["tuning"], mix["curve"], *lam_twice, mix["tune"], mix["stop"]], **long).then(
        show, asked, screen, **quick)
    mix["stop"].click(stop, tuning_job, mix["stop"], queue=False)
    result["explain"].click(explain, [explaining_job, who["domain"], who["user"], mix["lam"], mix["rule"]],
                            [result["reason"], result["evidence"], result["explain"], result["stop_explain"]], **long)
    result["stop_explain"].click(stop, explaining_job, result["stop_explain"], queue=False)

    page.load(show, asked, screen, **quick)
