"""λ by hand: the slider, the box, the presets and the rule."""

from dataclasses import dataclass

import gradio as gr

from molorec.engine import Engine
from molorec.errors import MolorecError
from molorec.journal import Journal
from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.ui import render, session
from molorec.ui.screen import QUICK, Screen, tell

PRESETS = (("Specific", 0.0), ("½", 0.5), ("General", 1.0))
ALONE = ("Mixing takes two adapters, and this domain has one here, so there is no λ to choose: its lists are ranked by that one. "
         "A domain of your own gets a second one under “Your own domain”, with the button “Train”.")
# Slider and box follow each other in the browser: another event that is sent meanwhile finds both at the new λ.
# λ where the style wants it: above the list, on a phone
_SHOW = ("lam => { if (typeof lam === 'number') "
         "document.documentElement.style.setProperty('--ml-lam', `'${lam.toFixed(2)}'`); }")
_FOLLOW = "(typed, lam) => typeof typed === 'number' && typed >= 0 && typed <= 1 ? typed : lam"


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


def panel(adapters: int) -> Mix:
    """Lay the panel out for a domain of so many adapters; of one alone it says that there is nothing to mix."""
    gr.Markdown("### Mix")
    found = {"alone": gr.HTML(render.news(ALONE), padding=False, visible=adapters == 1)}
    with gr.Column(visible=adapters == 2) as found["controls"]:
        found["lam"] = gr.Slider(0, 1, 0.5, step=0.01, label="λ: weight of the general adapter", buttons=[],
                                 elem_classes="ml-lam")
        gr.HTML("<div class='ml-ends'><span>0 specific alone</span><span>general alone 1</span></div>", padding=False)
        with gr.Row():
            found["presets"] = [(gr.Button(name, size="sm", min_width=40), lam) for name, lam in PRESETS]
            found["auto"] = gr.Button("Auto", size="sm", min_width=40)
        with gr.Column(elem_classes="ml-quiet"):
            found["number"] = gr.Number(0.5, label="λ as a number", minimum=None, maximum=None, step=0.01)
            found["rule"] = gr.Dropdown(list(RULES), value=DEFAULT_RULE, label="Mixing rule", info=rule_note(DEFAULT_RULE))
    return Mix(**found)


def wire(engine: Engine, journal: Journal, mixing: Mix, screen: Screen) -> None:
    """Everything that sets λ or the rule, but for the slider and the box, which rank themselves."""

    def note_rule(rule: str):
        return gr.Dropdown(info=rule_note(rule))

    def press_auto(domain: str, rule: str, found: dict, lam: float):
        try:
            lam = session.auto_lam(engine, journal, domain, rule, found)
        except MolorecError as error:
            tell(error)
        return lam, lam

    mixing.lam.input(None, mixing.lam, mixing.number, js="lam => lam")
    mixing.lam.change(None, mixing.lam, None, js=_SHOW)
    mixing.number.input(None, [mixing.number, mixing.lam], mixing.lam, js=_FOLLOW)
    # what is no λ, or an empty box, gives way to the λ that is ranked at
    mixing.number.blur(None, [mixing.number, mixing.lam], mixing.number, js=_FOLLOW)
    for button, lam in mixing.presets:
        button.click(None, None, screen.lam_twice, js=f"() => [{lam}, {lam}]").then(**screen.rank)
    mixing.auto.click(press_auto, [screen.domain, screen.rule, screen.tuned, screen.lam], screen.lam_twice,
                      **QUICK).then(**screen.rank)
    mixing.rule.input(note_rule, mixing.rule, mixing.rule, **QUICK).then(**screen.rank)


def rule_note(rule: str) -> str:
    """What a mixing rule does, as a sentence."""
    note = RULES[rule].note
    return note[:1].upper() + note[1:] + "."
