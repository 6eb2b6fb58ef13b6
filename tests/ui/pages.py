"""Parts of a page for the tests of one panel."""

import gradio as gr

from molorec.engine import Engine
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.ui.screen import Screen


def plain_screen(engine: Engine, domain: str = "toybox") -> Screen:
    """What a panel reads, with no wiring: the first user of split "quick" at λ = ½. Call it inside ``gr.Blocks``."""
    user = engine.catalog.users(domain, "quick", limit=1)[0]
    return Screen(
        visitor=gr.BrowserState("visitor-1"), domain=gr.Dropdown([domain], value=domain, label="Domain"),
        scenario=gr.Radio(["warm", "new-item", "built"], value="warm", label="Scenario"), user=gr.Textbox(user, label="User id"),
        history=gr.JSON([], visible=False), candidates=gr.JSON([], visible=False),
        lam=gr.Slider(0, 1, 0.5, label="λ"), number=gr.Number(0.5, label="λ as a number"),
        rule=gr.Dropdown(list(RULES), value=DEFAULT_RULE, label="Mixing rule"),
        tuned=gr.State({}), rank={"fn": lambda: None}, refresh={"fn": lambda: None})
