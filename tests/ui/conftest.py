"""A screen and a browser for the tests of single panels."""

import os
import shutil
from contextlib import contextmanager

import gradio as gr
import pytest

from molorec.catalog import prepare
from molorec.engine import Engine
from molorec.errors import MolorecError
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.ui import link, session, stale, style
from molorec.ui.screen import Screen
from tests.conftest import source_data
from tests.ui import pages

PAYLOAD = "<img src=x onerror=__xss=1>"
PATIENCE = 60_000  # ms; a shared machine can be slow


def plain_screen(engine: Engine, domain: str = "toybox") -> Screen:
    """What a panel reads, with no wiring: the first user of split "quick" at λ = ½. Call it inside ``gr.Blocks``."""
    user = engine.catalog.users(domain, "quick", limit=1)[0]
    screen = Screen(
        visitor=gr.BrowserState("visitor-1"), domain=gr.Dropdown([domain], value=domain, label="Domain"),
        scenario=gr.Radio(["warm", "new-item", "built"], value="warm", label="Scenario"), user=gr.Textbox(user, label="User id"),
        history=gr.JSON([], visible=False), candidates=gr.JSON([], visible=False),
        lam=gr.Slider(0, 1, 0.5, label="λ"), number=gr.Number(0.5, label="λ as a number"),
        rule=gr.Dropdown(list(RULES), value=DEFAULT_RULE, label="Mixing rule"),
        tuned=gr.State({}), drawn=gr.State({}), drawn_list=gr.State({}), rank={"fn": lambda: None}, refresh={"fn": lambda: None})

    def ranked(*asked):
        """As if what is asked for had been ranked."""
        try:
            fields = link.fields_of(session.view_of(*asked))
        except MolorecError:
            fields = {"domain": asked[0]}
        return fields, {**fields, "lam": ""}

    gr.on(None, ranked, screen.asked, [screen.drawn, screen.drawn_list], show_progress="hidden")
    return screen


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium")
    if not executable:
        message = "chromium is not installed"
        pytest.fail(message) if os.environ.get("MOLOREC_REQUIRE_BROWSER") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable,
                                          args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield chromium
        chromium.close()


@pytest.fixture
def panel_tab(browser):
    """A function that opens one panel on a plain screen in a browser tab; no script may fail there."""
    errors = []

    @contextmanager
    def opened(panel, engine, css="", width=1400):
        with gr.Blocks(analytics_enabled=False) as page:
            screen = plain_screen(engine)
            panel(engine, screen)
            stale.wire(screen)
        with pages.served(page, css=style.CSS + css) as url:
            tab = browser.new_page(viewport={"width": width, "height": 1600})
            tab.set_default_timeout(PATIENCE)
            tab.on("pageerror", lambda error: errors.append(str(error)))
            tab.goto(url)
            yield tab
            tab.close()

    yield opened
    assert not errors


@pytest.fixture
def hostile_engine(engine):
    """An engine whose titles would run as markup, as a formula, or as a template, wherever they are not kept from it."""
    data = source_data()
    for i, (item_id, title) in enumerate(data.titles.items()):
        data.titles[item_id] = f"{(PAYLOAD, '=1+1', '${window.__xss=1}', '{{value}}')[i % 4]} {title}"
    engine.catalog.remove_domain("toybox")
    engine.catalog.add_domain(prepare("toybox", data), noun="items", source="made up")
    engine.forget("toybox")
    return engine
