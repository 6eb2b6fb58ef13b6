"""What all panels share: news that are shown for some seconds."""

import gradio as gr

from molorec.config import PACKAGE
from molorec.errors import MolorecError
from molorec.ui import screen
from tests.ui.conftest import PAYLOAD


def test_no_text_of_a_warning_or_of_news_is_markup(monkeypatch):
    said = []
    for name in ("Warning", "Info"):
        monkeypatch.setattr(gr, name, said.append)
    screen.warn(MolorecError(f"there is no title {PAYLOAD}"))
    screen.tell(f"“{PAYLOAD}” is there already.")
    assert len(said) == 2 and all("&lt;img" in text and "<" not in text for text in said)


def test_every_panel_warns_through_it():
    panels = [path for path in (PACKAGE / "ui").glob("*.py") if path.name != "screen.py"]
    around = [path.name for path in panels if any(f"gr.{name}(" in path.read_text("utf-8") for name in ("Warning", "Info"))]
    assert len(panels) > 10 and not around
