"""λ by hand and by tuning: the middle of the screen."""

from dataclasses import dataclass

import gradio as gr

from molorec.mixture.rule import DEFAULT_RULE, RULES
from molorec.tuning import PROMPTS
from molorec.ui import render

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


def rule_note(rule: str) -> str:
    """What a mixing rule does, as a sentence."""
    note = RULES[rule].note
    return note[:1].upper() + note[1:] + "."
