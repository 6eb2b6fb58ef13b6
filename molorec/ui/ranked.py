"""What the mixed model ranks, and why: the right of the screen."""

from dataclasses import dataclass

import gradio as gr

from molorec.explaining import STYLES


@dataclass
class Ranked:
    """The panel's components."""

    status: gr.HTML
    truth: gr.Checkbox
    ranking: gr.HTML
    explain: gr.Button
    stop: gr.Button
    style: gr.Radio
    reason: gr.HTML
    evidence: gr.Plot
    position: gr.Button
    position_found: gr.HTML
    facts: gr.HTML


def panel() -> Ranked:
    """Lay the panel out."""
    gr.Markdown("### Ranked titles")
    found = {"status": gr.HTML(padding=False), "truth": gr.Checkbox(False, label="Show what they really chose next"),
             "ranking": gr.HTML(padding=False)}
    gr.Markdown("### Why this title first?")
    with gr.Row():
        found["explain"] = gr.Button("Explain the first title", min_width=120)
        found["stop"] = gr.Button("Stop explaining", interactive=False, min_width=80)
    found["style"] = gr.Radio([(name.capitalize(), name) for name in STYLES], value="short", label="Reason")
    found["reason"] = gr.HTML(padding=False)
    found["evidence"] = gr.Plot(show_label=False, visible=False)
    found["position"] = gr.Button("Does the order of the list matter?", size="sm")
    found["position_found"] = gr.HTML(padding=False)
    found["facts"] = gr.HTML(padding=False)
    return Ranked(**found)
