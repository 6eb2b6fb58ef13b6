"""The page: its panels, and what happens when they are touched."""

import os
import random
import secrets
from contextlib import suppress
from dataclasses import replace

import gradio as gr

from molorec import owned, plots, position, tuning
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import JournalError, MolorecError
from molorec.journal import Journal
from molorec.ui import api, compare, landscape, link, mix, own, ranked, render, results, session, share, story, style, who
from molorec.ui.screen import LONG, QUICK, Screen, idle, running
from molorec.ui.session import BUILT, PLACE, Job, Shown, View

MODEL = {key: value for key, value in QUICK.items() if key != "show_progress"}
# Fixed, so that what a browser keeps still opens after a restart; nothing in it is a secret.
BROWSER_KEY = "molorec"
CSS = "".join(panel.CSS for panel in (style, landscape, compare, results, own, story, share))
# How the page is served, wherever it is.
LAUNCH = {"theme": style.THEME, "css": CSS, "show_error": False, "footer_links": ["api", "settings"], "enable_monitoring": False,
          "max_file_size": LIMITS.upload_bytes, "state_session_capacity": LIMITS.sessions}
# Gradio goes through its record of events after every one; nobody reads that record here.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
CACHE_SECONDS = (3_600, 86_400)  # how often, and how old, downloads and uploads that were never added are deleted
_PRESENT = "() => { document.body.classList.toggle('ml-presenter') }"
_OPEN_PRESENTER = ("() => { if (new URLSearchParams(location.search).get('presenter') === '1') "
                   "document.body.classList.add('ml-presenter') }")
_DARK = "() => { document.body.classList.toggle('dark') }"


def build(engine: Engine, journal: Journal | None = None) -> gr.Blocks:
    """The whole app over one engine."""
    journal = journal or Journal()
    domains = [info.name for info in engine.catalog.domains()]
    domain = MOVIELENS if MOVIELENS in domains else domains[0]
    with gr.Blocks(title="MoLoRec", analytics_enabled=False, delete_cache=CACHE_SECONDS) as page:
        api.endpoints(engine)  # before the page's own events, which would take the plain names
        endpoints = set(page.fns)
        visitor = gr.BrowserState("", storage_key="molorec-visitor", secret=BROWSER_KEY)
        saved = gr.BrowserState({}, storage_key="molorec-view", secret=BROWSER_KEY)
        with gr.Row(elem_classes="ml-head"):
            gr.Markdown(
                "# MoLoRec\nTwo adapters of one small language model: the **general** one has learned from many domains, the "
                "**specific** one from this domain alone. λ mixes them. Move it, and see what the model would recommend next.")
            with gr.Column(scale=0, min_width=190):
                gr.Button("Presenter mode", size="sm").click(None, js=_PRESENT)
                gr.Button("Light or dark", size="sm").click(None, js=_DARK)
        badge = gr.HTML(_badge(engine, domain), padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=290, elem_classes="ml-who"):
                people = who.panel(engine, domains, domain)
            with gr.Column(scale=3, min_width=300, elem_classes="ml-mix"):
                mixing = mix.panel(_is_pair(engine, domain))
            with gr.Column(scale=5, min_width=330):
                result = ranked.panel()
        screen = Screen(visitor, people.domain, people.scenario, people.user, people.history, people.candidates, mixing.lam,
                        mixing.number, mixing.rule)
        _wire(engine, journal, page, badge, saved, screen, people, mixing, result)
        _tabs(engine, journal, screen)
    for number, event in page.fns.items():
        if number not in endpoints:
            event.api_visibility = "private"  # the screen's events are no API
    page.queue(max_size=LIMITS.queue, default_concurrency_limit=4)
    return page


def _tabs(engine: Engine, journal: Journal, screen: Screen) -> None:
    """What stands below: each tab a panel of its own."""
    with gr.Tabs(elem_classes="ml-tabs"):
        with gr.Tab("λ landscape"):
            landscape.panel(engine, screen)
        with gr.Tab("Side by side"):
            compare.panel(engine, screen)
        with gr.Tab("Results"):
            results.panel(engine, screen)
        with gr.Tab("Your own domain"):
            own.panel(engine, screen)
        with gr.Tab("How it works"):
            story.panel(engine, screen)
        with gr.Tab("Use it elsewhere"):
            share.panel(engine, screen, journal)


def _is_pair(engine: Engine, domain: str) -> bool:
    try:
        return engine.mixture(domain).is_pair
    except MolorecError:
        return False


def _of_domain(engine: Engine, domain: str):
    """The badge, the word that there is nothing to mix, and the controls to mix with."""
    pair = _is_pair(engine, domain)
    return _badge(engine, domain), gr.HTML(visible=not pair), gr.Column(visible=pair)


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


def _wire(engine: Engine, journal: Journal, page: gr.Blocks, badge: gr.HTML, saved: gr.BrowserState, screen: Screen,
          people: who.Who, mixing: mix.Mix, result: ranked.Ranked) -> None:
    shown, tuned = gr.State(Shown()), gr.State({})  # tuned: (domain, rule) → λ
    tuning_job, explaining_job = gr.State(Job()), gr.State(Job())
    # What to rank is read from the screen at every event, never from a memory that two events could both change.
    asked = [*screen.asked, result.truth, shown, explaining_job, screen.visitor]
    outputs = [shown, saved, people.shown_history, people.shown_candidates, result.ranking, result.status, result.facts,
               result.reason, result.evidence, result.position_found]
    person = [people.person, people.own, people.sample, people.user]
    built = [people.history, people.candidates]

    def show(*values):
        """The history, the candidates and their ranking; a problem becomes a notice."""
        *asked, truth, shown, explaining, visitor = values
        nothing_to_explain = ("", gr.Plot(visible=False), "")
        try:
            view = session.view_of(*asked)
            if view != shown.view:
                explaining.stop("the view changed")
            ranking, now = session.rank(engine, view, shown)
            mixture = engine.mixture(view.domain)
        except MolorecError as error:
            explaining.stop("the view changed")
            return Shown(), gr.skip(), "", "", render.note(str(error)), "", "", *nothing_to_explain
        if view != shown.view:
            with suppress(JournalError):  # no reason to keep a ranking from the screen; the record's panel says what is wrong
                journal.keep_ranking(visitor, ranking, mixture.key, engine.base.sha256)
        return (now, _kept(view), render.history(ranking.example.history), render.candidates(ranking.example.candidates),
                render.ranking(ranking, now.before, truth), render.ranking_status(ranking, mixture),
                render.facts(engine.base, mixture, ranking),
                *(nothing_to_explain if view != shown.view else (gr.skip(),) * 3))

    def show_anew(*values):
        """:func:`show`, and what depends on the domain, its adapters and the scenario alone."""
        domain, scenario, user = values[:3]
        *groups, sample, _ = people_of(domain, scenario, user)[1]
        return (*_of_domain(engine, domain), *groups, sample, *show(*values))

    def show_as(values, **changes):
        """:func:`show` with some of the asked values changed."""
        values = list(values)
        for name, value in changes.items():
            values[PLACE[name]] = value
        return show(*values)

    def choose_sample(sample: str, *values):
        return sample, *show_as(values, user=sample)

    def choose_random(*values):
        domain, scenario, user = values[:3]
        try:
            user = engine.catalog.random_user(domain, scenario)
        except MolorecError as error:
            gr.Warning(str(error))
        return user, *show_as(values, user=user)

    def people_of(domain: str, scenario: str, user: str = ""):
        """(the two groups' visibility, sample users, user) for a scenario of a domain."""
        samples, known = [], []
        if scenario != BUILT:
            try:
                samples = who.sample_users(engine.catalog, domain, scenario)
            except MolorecError:
                pass  # said where the ranking would be
            known = [found for _, found in samples]
            user = user if user and scenario in _lists_of(engine, domain, user) else next(iter(known), "")
        sample = gr.skip() if scenario == BUILT else gr.Dropdown(samples, value=user if user in known else None)
        return user, (gr.Column(visible=scenario != BUILT), gr.Column(visible=scenario == BUILT), sample, user)

    def choose_domain(tuning_job: Job, *values):
        tuning_job.stop("The domain changed, so tuning was stopped.")
        domain = values[0]
        user, parts = people_of(domain, "warm")
        return (*parts, "warm", [], [], *show_as(values, user=user, scenario="warm", history=[], candidates=[]),
                *_of_domain(engine, domain), "", gr.Plot(visible=False), gr.Button(visible=False))

    def choose_scenario(*values):
        domain, scenario, user, history, candidates = values[:5]
        found, parts = people_of(domain, scenario, user)
        if scenario == BUILT and not history:
            history, candidates = _start_from(engine, domain, user)
        elif scenario != BUILT and not found:
            gr.Warning(f"Nobody in {domain} has a list of new titles: too few of its titles are held out.")
        return (gr.Radio(info=who.HINTS[scenario]), *parts, history, candidates,
                *show_as(values, user=found, history=history, candidates=candidates))

    def change_history(*values):
        """From a person of the data to a list of one's own that starts with theirs."""
        history, candidates = _start_from(engine, values[0], values[2], values[1])
        parts = people_of(values[0], BUILT, values[2])[1]
        return (gr.Radio(value=BUILT, info=who.HINTS[BUILT]), *parts, history, candidates,
                *show_as(values, scenario=BUILT, history=history, candidates=candidates))

    def search(domain: str, text: str):
        try:
            return session.as_value(engine.catalog.search(domain, text[:200], limit=who.FOUND))
        except MolorecError as error:
            gr.Warning(str(error))
            return []

    def add(event: gr.EventData, *values):
        """Add a found title to the list that was pressed."""
        history, candidates = (list(values[PLACE[name]] or []) for name in ("history", "candidates"))
        try:
            found = engine.catalog.item(values[0], str((event.title or {}).get("id")))
            target = {"history": history, "candidates": candidates}[event.to]
            if found.item_id in session.item_ids(target):
                gr.Info(f"“{found.title}” is there already.")
            else:
                target += session.as_value([found])
        except (MolorecError, KeyError, AttributeError) as error:
            gr.Warning(str(error))
        return history, candidates, *show_as(values, history=history, candidates=candidates)

    def draw(count: float, *values):
        try:
            history = session.item_ids(values[3])
            candidates = session.as_value(
                who.draw_candidates(engine.catalog, values[0], int(count or 0), history, random.Random()))
        except MolorecError as error:
            gr.Warning(str(error))
            candidates = values[4]
        return candidates, *show_as(values, candidates=candidates)

    def shuffle(*values):
        candidates = list(values[4] or [])
        random.shuffle(candidates)
        return candidates, *show_as(values, candidates=candidates)

    def paste(text: str, name: str, *values):
        try:
            items, missing = who.resolve(engine.catalog, values[0], text or "")
        except MolorecError as error:
            gr.Warning(str(error))
            return gr.skip(), *show(*values)
        if missing:
            gr.Warning(f"{len(missing)} of the lines name no title of {values[0]}: {', '.join(missing)[:200]}")
        found = session.as_value(items) if items else values[PLACE[name]]
        return found, *show_as(values, **{name: found})

    def paste_history(text: str, *values):
        return paste(text, "history", *values)

    def paste_candidates(text: str, *values):
        return paste(text, "candidates", *values)

    def move_lam(*values):
        return values[PLACE["lam"]], *show(*values)

    def type_lam(number: float | None, *values):
        try:  # None: the box was emptied, to type anew
            typed = values[PLACE["lam"]] if number is None else session.valid_lam(number)
        except MolorecError as error:
            gr.Warning(str(error))
            return gr.skip()
        return typed, *show_as(values, lam=typed)

    def choose_rule(tuning_job: Job, *values):
        tuning_job.stop("The rule changed, so tuning was stopped.")
        return gr.Dropdown(info=mix.rule_note(values[PLACE["rule"]])), *show(*values)

    def press_auto(domain: str, rule: str, found: dict, lam: float):
        try:
            lam = session.auto_lam(engine, journal, domain, rule, found)
        except MolorecError as error:
            gr.Info(str(error))
        return lam, lam

    def show_truth(*values):
        return show(*values)[outputs.index(result.ranking)]

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
            gr.Info(f"“Auto” is λ = {lam:.2f} for {domain} under the rule '{rule}' from now on.")
        except KeyError:
            gr.Warning("tune first: there is no λ to keep for this domain and rule")
        except MolorecError as error:
            gr.Warning(str(error))

    def explain(job: Job, style: str, *asked):
        """Yields (text, evidence figure, Explain button, Stop button)."""
        run = job.start()
        yield render.note("Dropping one title of the history at a time …"), gr.Plot(visible=False), *running()
        try:
            drawn = 0
            for pieces, text in session.explain(engine, session.view_of(*asked), style):
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

    def check_position(*asked):
        try:
            view = session.view_of(*asked)
            for found in position.check(engine, session.example_of(engine, view), view.lam, view.rule):
                yield render.position(found, engine.mixture(view.domain).template.listed)
        except MolorecError as error:
            yield render.note(str(error))

    def stop(job: Job):
        job.stop("Stopped.")
        return gr.Button(interactive=False)

    def open_page(visitor: str, saved: dict, truth: bool, shown: Shown, explaining: Job, request: gr.Request):
        """What a link asks for, else what this browser showed last, else the default."""
        visitor = visitor or secrets.token_urlsafe(9)
        try:
            return visitor, *opened_view(visitor, saved, truth, shown, explaining, request)
        except MolorecError as error:  # the catalogue cannot be read
            stay = [gr.skip()] * len(opened)
            stay[opened.index(result.ranking)] = render.note(str(error))
            return visitor, *stay

    def opened_view(visitor: str, saved: dict, truth: bool, shown: Shown, explaining: Job, request: gr.Request):
        """Values for ``opened``. Raises CatalogError if the catalogue cannot be read."""
        given = dict(request.query_params) if request else {}
        known = given if given.keys() & PLACE.keys() else saved if isinstance(saved, dict) else {}
        view, notices = link.view_of_query(engine, known, visitor)
        if known is given:
            for notice in notices:
                gr.Warning(render.escape(notice))
        choices = [(owned.label(info), info.name) for info in engine.catalog.domains(visitor)]
        user, parts = people_of(view.domain, view.scenario, view.user)
        view = replace(view, user=user) if view.scenario != BUILT else view
        lists = [session.as_value(engine.catalog.item(view.domain, found) for found in ids)
                 for ids in (view.history, view.candidates)]
        values = (view.domain, view.scenario, view.user, *lists, view.lam, view.rule, truth, shown, explaining, visitor)
        return (gr.Dropdown(choices, value=view.domain), gr.Radio(value=view.scenario, info=who.HINTS[view.scenario]),
                *parts, *lists, view.lam, view.lam, gr.Dropdown(value=view.rule, info=mix.rule_note(view.rule)),
                *_of_domain(engine, view.domain), *show(*values))

    of_domain = [badge, mixing.alone, mixing.controls]
    again = {"fn": show, "inputs": asked, "outputs": outputs, **QUICK}
    screen.refresh = {"fn": show_anew, "inputs": asked, "outputs": [*of_domain, *person[:3], *outputs], **QUICK}
    lists_and_screen = [*built, *outputs]
    people.domain.input(choose_domain, [tuning_job, *asked],
                        [*person, people.scenario, *lists_and_screen, *of_domain, mixing.tuning, mixing.curve,
                         mixing.keep], **MODEL)
    people.scenario.input(choose_scenario, asked, [people.scenario, *person, *lists_and_screen], **QUICK)
    people.edit.click(change_history, asked, [people.scenario, *person, *lists_and_screen], **QUICK)
    people.sample.input(choose_sample, [people.sample, *asked], [people.user, *outputs], **QUICK)
    people.user.submit(show, asked, outputs, **QUICK)
    people.random.click(choose_random, asked, [people.user, *outputs], **QUICK)
    people.search.input(search, [people.domain, people.search], people.found, show_progress="hidden",
                        trigger_mode="always_last", concurrency_limit=8)
    people.found.select(add, asked, lists_and_screen, **QUICK)
    for edited in built:
        edited.input(show, asked, outputs, trigger_mode="always_last", **QUICK)
    people.draw.click(draw, [people.count, *asked], [people.candidates, *outputs], **QUICK)
    people.shuffle.click(shuffle, asked, [people.candidates, *outputs], **QUICK)
    people.paste_history.click(paste_history, [people.pasted, *asked], [people.history, *outputs], **QUICK)
    people.paste_candidates.click(paste_candidates, [people.pasted, *asked], [people.candidates, *outputs], **QUICK)

    mixing.lam.input(move_lam, asked, [mixing.number, *outputs], trigger_mode="always_last", **QUICK)
    mixing.number.input(type_lam, [mixing.number, *asked], [mixing.lam, *outputs], trigger_mode="always_last", **QUICK)
    mixing.rule.input(choose_rule, [tuning_job, *asked], [mixing.rule, *outputs], **QUICK)
    for button, lam in mixing.presets:
        button.click(lambda lam=lam: (lam, lam), None, screen.lam_twice, show_progress="hidden").then(**again)
    mixing.auto.click(press_auto, [people.domain, mixing.rule, tuned, mixing.lam], screen.lam_twice, **QUICK).then(**again)
    result.truth.input(show_truth, asked, result.ranking, **QUICK)

    mixing.tune.click(tune, [tuning_job, people.domain, mixing.rule, tuned, mixing.prompts, mixing.setting, screen.visitor],
                      [tuned, mixing.tuning, mixing.curve, *screen.lam_twice, mixing.keep, mixing.tune, mixing.stop],
                      **LONG).then(**again)
    mixing.stop.click(stop, tuning_job, mixing.stop, queue=False)
    mixing.keep.click(keep, [people.domain, mixing.rule, tuned], None, **QUICK)
    result.explain.click(explain, [explaining_job, result.style, *screen.asked],
                         [result.reason, result.evidence, result.explain, result.stop], **LONG)
    result.stop.click(stop, explaining_job, result.stop, queue=False)
    result.position.click(check_position, screen.asked, result.position_found, **LONG)

    opened = [people.domain, people.scenario, *person, *built, *screen.lam_twice, mixing.rule, *of_domain, *outputs]
    page.load(open_page, [screen.visitor, saved, result.truth, shown, explaining_job], [screen.visitor, *opened], **QUICK)
    page.load(None, js=_OPEN_PRESENTER)


def _lists_of(engine: Engine, domain: str, user: str) -> list[str]:
    """The scenarios in which a user has a list."""
    found = []
    for _, scenario in session.SCENARIOS:
        if scenario != BUILT:
            try:
                engine.catalog.example(domain, user, scenario)
                found.append(scenario)
            except MolorecError:
                pass
    return found


def _start_from(engine: Engine, domain: str, user: str, scenario: str = "warm") -> tuple[list[dict], list[dict]]:
    """A person's latest choices and candidates, as lists to change; empty ones if there is no such person."""
    try:
        example = engine.catalog.example(domain, (user or "").strip(), scenario if scenario != BUILT else "warm")
    except MolorecError:
        return [], []
    return session.as_value(example.history[-render.HISTORY_TITLES:]), session.as_value(example.candidates)


def _kept(view: View):
    """What the browser keeps of a view, to open it again: the fields of a link."""
    if view.scenario == BUILT:
        return gr.skip()
    return {"domain": view.domain, "user": view.user, "lam": str(view.lam), "rule": view.rule, "scenario": view.scenario}
