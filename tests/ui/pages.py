"""Pages for the tests: parts of one for a single panel, the whole of it served, and a browser tab on it."""

from contextlib import contextmanager

import gradio as gr

from molorec.engine import Engine
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.ui import page
from molorec.ui.screen import Screen

PATIENCE = 120_000  # ms; a shared machine can be slow


def plain_screen(engine: Engine, domain: str = "toybox") -> Screen:
    """What a panel reads, with no wiring: the first user of split "quick" at λ = ½. Call it inside ``gr.Blocks``."""
    user = engine.catalog.users(domain, "quick", limit=1)[0]
    return Screen(
        visitor=gr.BrowserState("visitor-1"), domain=gr.Dropdown([domain], value=domain, label="Domain"),
        scenario=gr.Radio(["warm", "new-item", "built"], value="warm", label="Scenario"), user=gr.Textbox(user, label="User id"),
        history=gr.JSON([], visible=False), candidates=gr.JSON([], visible=False),
        lam=gr.Slider(0, 1, 0.5, label="λ"), number=gr.Number(0.5, label="λ as a number"),
        rule=gr.Dropdown(list(RULES), value=DEFAULT_RULE, label="Mixing rule"), refresh={"fn": lambda: None})


@contextmanager
def served(app, **options):
    """The address of a page that was built, served as the app serves it but for the options."""
    _, url, _ = app.launch(prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, **{**page.LAUNCH, **options})
    try:
        yield url
    finally:
        app.close()


@contextmanager
def opened(browser, url, width=1400, dark=False):
    """A browser tab on the page, once a ranking or a note is there; no script may fail in it."""
    tab = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme="dark" if dark else "light")
    tab.set_default_timeout(PATIENCE)
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(url)
    tab.wait_for_selector(".ml-row")
    yield tab
    tab.close()
    assert not errors
