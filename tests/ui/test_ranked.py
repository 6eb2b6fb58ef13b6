"""Reasons and the check of the list's order: of the ranking on screen, never of one that was there before."""

import gradio as gr
import pytest

from molorec.ui import page, ranked
from molorec.ui.screen import stop
from molorec.ui.session import Job, Latest, Shown


@pytest.mark.parametrize("lam", [0.7, 9.0])
def test_another_view_ends_what_runs_for_the_one_before(engine, lam):
    """Whether or not the new one can be ranked."""
    does = {event.name: event.fn for event in page.build(engine).fns.values()
            if event.fn and event.fn.__module__ in (page.__name__, ranked.__name__)}
    view = ["toybox", "warm", engine.catalog.users("toybox", "quick")[0], [], []]
    explaining, checking = Job(), Job()
    explained = does["explain"](explaining, "short", *view, 0.5, "sum")
    checked = does["check_position"](checking, *view, 0.5, "sum")
    assert "1 of 6 other orders" in next(checked) and "Dropping" in next(explained)[0]
    does["show"](*view, lam, "sum", False, Shown(), explaining, checking, Latest(), "", 0)
    assert list(checked) == []
    (reason, figure, *_), = explained
    assert reason == figure == gr.skip()


def test_what_was_stopped_leaves_no_half_of_a_text(engine):
    explain = next(event.fn for event in page.build(engine).fns.values() if event.fn and event.fn.__name__ == "explain"
                   and event.fn.__module__ == ranked.__name__)
    job = Job()
    said = explain(job, "short", "toybox", "warm", engine.catalog.users("toybox", "quick")[0], [], [], 0.5, "sum")
    while "…" not in str(next(said)[0]):
        pass
    stop(job)
    (reason, *_), = said
    assert "Stopped." in reason
