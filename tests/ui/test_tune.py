"""Auto-tune on the screen: what is left of a run that is stopped, or that the screen has left."""

import gradio as gr
import pytest

from molorec.evaluation import rows
from molorec.evaluation.protocol import evaluate
from molorec.journal import Journal
from molorec.ui import tune
from molorec.ui.session import Job
from tests.ui.conftest import plain_screen


@pytest.fixture
def events(engine, tmp_path):
    """The panel's functions by name."""
    with gr.Blocks() as built:
        tune.wire(engine, Journal(tmp_path / "journal.db"), tune.panel(), plain_screen(engine))
    return {event.name: event.fn for event in built.fns.values() if event.fn}


def test_what_a_whole_run_found_can_be_kept(events, monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Info", said.append)
    *_, (found, text, _, *twice, keep, _, _) = events["tune"](Job(), "toybox", "sum", {}, 10, "warm", "candidates", "visitor-1")
    lam = found["toybox", "sum"]
    assert keep.visible and twice == [lam, lam] and f"λ = {lam:.2f}" in text
    events["keep"]("toybox", "sum", found)
    assert len(said) == 1 and f"λ = {lam:.2f} for toybox" in said[0] and "for everyone on this machine" in said[0]


def test_at_its_end_a_run_says_what_labels_said(events, engine):
    for result in evaluate(engine, "toybox", limit=4, systems=("general", "specific", "half")).systems:
        rows.save(result.rows)
    *_, (_, text, *_) = events["tune"](Job(), "toybox", "sum", {}, 10, "warm", "candidates", "visitor-1")
    assert "Measured with labels. Known titles (4 people): " in text


def test_a_run_that_was_stopped_is_no_lam_to_go_by(events):
    job, before = Job(), {("toybox", "sum"): 0.25}
    run = events["tune"](job, "toybox", "sum", before, 20, "warm", "candidates", "visitor-1")
    next(run)
    job.stop("Stopped.")
    (found, text, _, *twice, keep, _, _), = run
    assert found == before and not keep.visible and twice == [gr.skip()] * 2
    assert "Stopped. After" in text and "“Auto” stays as it was" in text


def test_a_run_that_the_screen_has_left_says_nothing_there(events):
    job = Job()
    run = events["tune"](job, "toybox", "sum", {}, 20, "warm", "candidates", "visitor-1")
    next(run)
    text, curve, keep = events["leave"](job)
    assert text == "" and not curve.visible and not keep.visible
    (_, *left, start, stop), = run
    assert left == [gr.skip()] * 5 and start.interactive and not stop.interactive


def test_contrast_is_called_so_in_text_curve_and_record(events, tmp_path):
    *_, (found, text, curve, *_) = events["tune"](Job(), "toybox", "sum", {}, 10, "warm", "contrast", "visitor-1")
    assert "Contrast: " in text and "entropy" not in text.lower()
    assert "less stranger" in str(curve.value)
    assert Journal(tmp_path / "journal.db").entries("visitor-1")[0].objective == "contrast"
