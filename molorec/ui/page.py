"""The page: its panels, and what happens when they are touched."""

import os
import secrets
from contextlib import suppress
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from molorec import __version__, owned, space
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.config import LIMITS
from molorec.engine import Engine
from molorec.errors import JournalError, MolorecError, NoData
from molorec.journal import Journal
from molorec.ui import (
    api,
    compare,
    landscape,
    layers,
    link,
    mix,
    own,
    ranked,
    render,
    results,
    session,
    share,
    stale,
    story,
    stream,
    style,
    tune,
    who,
)
from molorec.ui.rate import RateLimit
from molorec.ui.screen import QUICK, Screen, warn
from molorec.ui.session import BUILT, PLACE, Latest, Shown

# Fixed, so that what a browser keeps still opens after a restart; nothing in it is a secret.
BROWSER_KEY = "molorec"
CSS = "".join(panel.CSS for panel in (style, landscape, layers, compare, results, own, story, share))
# How the page is served, wherever it is.
# Gradio goes through its record of events after every one; nobody reads that record here.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
CACHE_SECONDS = (3_600, 86_400)  # how often, and how old, downloads and uploads are deleted; visitors may share one
# a link has been followed once its view is on screen: a reload then shows what is on screen, not the link's view again
_FORGET_LINK = ("() => { const url = new URL(location); " + "".join(f"url.searchParams.delete('{field}'); " for field in PLACE)
                + "history.replaceState(history.state, '', url); }")
_PRESENT = "() => document.body.classList.toggle('ml-presenter') ? 'Leave presenter mode' : 'Presenter mode'"
_OPEN_PRESENTER = ("() => document.body.classList.toggle('ml-presenter', new URLSearchParams(location.search).get('presenter') "
                   "=== '1') ? 'Leave presenter mode' : 'Presenter mode'")
# The time at which an event was sent takes the place of its last input: see :class:`molorec.ui.session.Latest`.
_SENT = "(...values) => [...values.slice(0, -1), performance.timeOrigin + performance.now()]"
# A list of choices that has the keyboard opens; the Tab that leaves it would open it again, for good.
_LEAVE_LISTS = """() => window.addEventListener('keydown', event => {
  if (event.key === 'Tab' && event.target.getAttribute?.('role') === 'combobox') event.stopImmediatePropagation();
}, true)"""
_DARK = "() => { document.body.classList.toggle('dark') }"


def launch_options() -> dict[str, Any]:
    """Keyword arguments for ``launch`` of a page: how it looks, and its limits."""
    return {"theme": style.THEME, "css": CSS, "head": style.HEAD + stream.HEAD, "show_error": False,
            "footer_links": ["api", "settings"], "enable_monitoring": False, "max_file_size": LIMITS.upload_bytes,
            "state_session_capacity": LIMITS.sessions,
            # Gradio has had an answer of the page before this look at it, which gives up after three seconds on a busy machine.
            "_frontend": False,
            "app_kwargs": {"middleware": [Middleware(RateLimit)], "routes": [Route("/health", _health)]}}


async def _health(_: Request) -> JSONResponse:
    """For whoever watches over the app: it answers, whatever the model is busy with."""
    return JSONResponse({"status": "ok", "version": __version__})


def build(engine: Engine, journal: Journal | None = None) -> gr.Blocks:
    """The whole app over one engine."""
    journal = journal or Journal()
    domains = [info.name for info in engine.catalog.domains()]
    domain = MOVIELENS if MOVIELENS in domains else domains[0]
    with api.Page(title="MoLoRec", analytics_enabled=False, delete_cache=CACHE_SECONDS) as page:
        api.endpoints(engine)  # before the page's own events, which would take the plain names
        endpoints = set(page.fns)
        visitor = gr.BrowserState("", storage_key="molorec-visitor", secret=BROWSER_KEY)
        saved = gr.BrowserState({}, storage_key="molorec-view", secret=BROWSER_KEY)
        with gr.Row(elem_classes="ml-head"):
            gr.Markdown(
                "# MoLoRec\nWhat will this person choose next? A language model ranks 30 titles, with two small add-ons: the "
                "**general** one has learned from many domains, the **specific** one from this domain alone. λ mixes them: "
                "move it, and watch the ranking change.")
            with gr.Column(scale=0, min_width=190):
                present = gr.Button("Presenter mode", size="sm")
                present.click(None, None, present, js=_PRESENT)
                gr.Button("Light or dark", size="sm").click(None, js=_DARK)
        badge = gr.HTML(_badge(engine, domain), padding=False, elem_classes="ml-badge")
        with gr.Row(elem_classes="ml-main"):  # where each of the four stands: see style
            with gr.Column(elem_classes="ml-who"):
                people = who.panel(engine, domain)
            with gr.Column(elem_classes="ml-mix"):
                mixing = mix.panel(_adapters(engine, domain))
            with gr.Column(elem_classes="ml-ranked"):
                result = ranked.panel()
            with gr.Column(visible=_adapters(engine, domain) == 2, elem_classes="ml-tune") as auto:
                tuner = tune.panel()
        screen = Screen(visitor, people.domain, people.scenario, people.user, people.history, people.candidates, mixing.lam,
                        mixing.number, mixing.rule, gr.State({}), gr.State({}), gr.State({}))
        _wire(engine, journal, page, badge, saved, screen, people, mixing, result, tuner, auto)
        page.load(None, None, present, js=_OPEN_PRESENTER)
        page.load(None, None, None, js=_LEAVE_LISTS)
        _tabs(engine, journal, screen)
        stale.wire(screen)
    for number, event in page.fns.items():
        if number not in endpoints:
            event.api_visibility = "private"  # the screen's events are no API
    page.queue(max_size=LIMITS.queue, default_concurrency_limit=4)
    return page


def _tabs(engine: Engine, journal: Journal, screen: Screen) -> None:
    """What stands below: each tab a panel of its own."""
    with gr.Tabs(elem_classes="ml-tabs"):
        with gr.Tab("λ landscape"):
            landscape.panel(engine, screen, journal)
            layers.panel(engine, screen)
        with gr.Tab("Side by side"):
            compare.panel(engine, screen)
        with gr.Tab("Results"):
            results.panel(engine, screen)
        with gr.Tab("Your own domain"):
            own.panel(engine, screen, journal)
        with gr.Tab("How it works"):
            story.panel(engine, screen)
        with gr.Tab("Use it elsewhere") as tab:
            share.panel(engine, screen, journal, tab)


def _adapters(engine: Engine, domain: str) -> int:
    """How many adapters a domain is ranked with; 0 where it cannot be, which is said where the ranking would be."""
    try:
        return len(engine.mixture(domain).adapters)
    except MolorecError:
        return 0


def _of_domain(engine: Engine, domain: str):
    """The badge, the word that there is nothing to mix, and the controls to mix and to tune with."""
    adapters = _adapters(engine, domain)
    pair = gr.Column(visible=adapters == 2)
    return _badge(engine, domain), gr.HTML(visible=adapters == 1), pair, pair


def _badge(engine: Engine, domain: str) -> str:
    model = f"Model {engine.base.name} · {engine.base.device.type.upper()}, {engine.base.precision}"
    try:
        mixture = engine.mixture(domain)
    except NoData:  # what to do is said where the ranking would be
        return f"<p class='ml-dim'>{render.escape(model)}</p>"
    except MolorecError as error:
        return render.note(str(error))
    names = " + ".join(owned.chosen_name(adapter.name) for adapter in mixture.adapters)
    line = f"{model} · adapters {names}"
    notes = list(mixture.problems)
    if space.forgets():
        notes.append("This Space has no disk of its own: what is saved here is gone when it restarts.")
    if mixture.weak:
        notes.append(f"These adapters are weak. On held-out choices, {'; '.join(mixture.weak)}. More in “Results”.")
    return f"<p class='ml-dim'>{render.escape(line)}</p>" + "".join(render.note(text) for text in notes)


# -- events ------------------------------------------------------------------------------------------------------


def _wire(engine: Engine, journal: Journal, page: gr.Blocks, badge: gr.HTML, saved: gr.BrowserState, screen: Screen,
          people: who.Who, mixing: mix.Mix, result: ranked.Ranked, tuner: tune.Tuner, auto: gr.Column) -> None:
    """The ranking on screen, which every panel changes by changing what is asked for and then ranking again."""
    shown, latest, sent = gr.State(Shown()), gr.State(Latest()), gr.Number(visible=False)
    # What to rank is read from the screen at every event, never from a memory that two events could both change.
    asked = [*screen.asked, result.truth, shown, result.explaining, result.checking, latest, screen.visitor, sent]
    outputs = [shown, saved, screen.drawn, screen.drawn_list, people.shown_history, people.shown_candidates, result.ranking,
               result.status, result.facts, result.reason, result.evidence, result.position_found]

    def show(*values):
        """The history, the candidates and their ranking; a problem becomes a notice."""
        *asked, truth, shown, explaining, checking, latest, visitor, sent = values
        nothing_to_explain, stay = ("", gr.Plot(visible=False), ""), (gr.skip(),) * len(outputs)
        if not latest.is_latest(sent):
            return stay
        try:
            view = session.view_of(*asked)
            if owned.is_anothers(engine.catalog, visitor, view.domain):
                raise engine.catalog.no_domain(view.domain)
            if view != shown.view:
                session.leave(explaining, checking)
            ranking = engine.rank(session.example_of(engine, view), view.lam, view.rule)
            mixture = engine.mixture(view.domain)
        except MolorecError as error:
            session.leave(explaining, checking)
            nothing = {"domain": asked[PLACE["domain"]]}
            said = (Shown(), gr.skip(), nothing, nothing, "", "", render.note(str(error)), "", "", *nothing_to_explain)
            return said if latest.is_latest(sent) else stay
        if not latest.is_latest(sent):  # rankings may end in another order than they were asked for
            return stay
        if view != shown.view:
            with suppress(JournalError):  # no reason to keep a ranking from the screen; the record's panel says what is wrong
                journal.keep_ranking(visitor, ranking, mixture.key, engine.base.sha256)
        now, fields = shown.then(view, ranking, sent or 0.0), link.fields_of(view)
        return (now, fields, fields, {**fields, "lam": ""}, render.history(ranking.example.history),
                render.candidates(ranking.example.candidates), render.ranking(ranking, now.before, truth),
                render.ranking_status(ranking, mixture, truth),
                render.facts(engine.base, mixture, ranking, sent),
                *(nothing_to_explain if view != shown.view else (gr.skip(),) * 3))

    def show_typed(number: float | None, *values):
        """:func:`show` at the λ in the box. In an empty one somebody is typing, and of what is no λ the slider has kept the
        last that was one, which may not have been ranked at yet: both are ranked at the slider's."""
        values = list(values)
        try:
            values[PLACE["lam"]] = values[PLACE["lam"]] if number is None else session.valid_lam(number)
        except MolorecError as error:
            warn(error)
        return show(*values)

    def show_anew(*values):
        """:func:`show`, and what depends on the domain, its adapters and the scenario alone."""
        domain, scenario, user = values[:3]
        truth = gr.Checkbox(visible=scenario != BUILT)  # nobody chose from a list that a visitor puts together
        return (*_of_domain(engine, domain), *who.groups(engine, domain, scenario, user), truth, *show(*values))

    def open_page(visitor: str, saved: dict, request: gr.Request):
        """What a link asks for, else what this browser showed last, else the default."""
        visitor = visitor or secrets.token_urlsafe(9)
        given = dict(request.query_params) if request else {}
        known = given if given.keys() & PLACE.keys() else saved if isinstance(saved, dict) else {}
        try:
            view, notices = link.view_of_query(engine, known, visitor)
            user = who.user_for(engine, view.domain, view.scenario, view.user)
            choices = who.domain_choices(engine.catalog, visitor)
            lists = [session.as_value(engine.catalog.item(view.domain, found) for found in ids)
                     for ids in (view.history, view.candidates)]
        except MolorecError:  # the catalogue cannot be read, which is said where the ranking would be
            return visitor, *[gr.skip()] * (len(opened) - 1)
        if known is given:
            for notice in notices:
                warn(notice)
        return (visitor, gr.Dropdown(choices, value=view.domain), view.scenario, user, *lists, view.lam, view.lam,
                gr.Dropdown(value=view.rule, info=mix.rule_note(view.rule)))

    # "minimal" marks the list as waiting; what that looks like is the style's
    again = {"inputs": asked, "outputs": outputs, "js": _SENT, **QUICK, "show_progress": "minimal",
             "show_progress_on": result.ranking}
    screen.rank = {"fn": show, **again}
    anew = [badge, mixing.alone, mixing.controls, auto, people.scenario, people.person, people.own, people.sample, result.truth]
    screen.refresh = {**again, "fn": show_anew, "outputs": [*anew, *outputs]}

    who.wire(engine, people, screen)
    mix.wire(engine, journal, mixing, screen)  # before the events below: slider and box follow each other first
    tune.wire(engine, journal, tuner, screen)
    ranked.wire(engine, result, screen)
    # Sliding and typing rank at once; everything else changes the screen first and ranks what is then on it.
    mixing.lam.input(**screen.rank, trigger_mode="always_last")
    mixing.number.input(**{**again, "fn": show_typed, "inputs": [mixing.number, *asked]}, trigger_mode="always_last")
    people.user.submit(**screen.rank)
    for edited in (people.history, people.candidates):
        edited.input(**screen.rank, trigger_mode="always_last")
    result.truth.input(**screen.rank)
    result.facts.click(**screen.rank)
    opened = [screen.visitor, people.domain, people.scenario, people.user, people.history, people.candidates, *screen.lam_twice,
              mixing.rule]
    page.load(open_page, [screen.visitor, saved], opened, **QUICK).then(**screen.refresh).then(
        None, None, None, js=_FORGET_LINK)
