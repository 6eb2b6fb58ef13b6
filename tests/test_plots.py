"""Figures: what they show, and no title that could run as markup."""

import dataclasses

import numpy as np
import pytest

from molorec import plots
from molorec.catalog import Item, RankingExample
from molorec.explaining import Evidence
from molorec.tuning import minimise

PAYLOAD = "<img src=x onerror=window.__xss=1>"
PIECES = [Evidence(Item("1", PAYLOAD), 0.5, 0.3), Evidence(Item("2", "Amber Song (1950)"), 0.5, 0.6),
          Evidence(Item("3", PAYLOAD), 0.5, 0.5)]


@pytest.fixture
def step():
    prompts = [RankingExample("toybox", (), (Item("1", "a"),), user=str(i)) for i in range(6)]
    *_, last = minimise(lambda example, lams: [1 + (lam - 0.6) ** 2 + 0.1 * lam * int(example.user) for lam in lams], prompts)
    return last


def strings(value):
    """Every text anywhere inside a figure."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list | tuple | np.ndarray):
        for inner in value:
            yield from strings(inner)


def test_no_text_of_a_figure_holds_markup():
    figure = plots.evidence_bars(PIECES).to_dict()
    figure.get("layout", {}).pop("template", None)
    texts = list(strings(figure))
    assert any("&lt;img" in text for text in texts)
    assert not any("<img" in text for text in texts)


def test_every_history_title_has_a_bar_of_its_own():
    bars = plots.evidence_bars(PIECES).data[0]
    assert list(bars.x) == pytest.approx([20, -10, 0])
    assert len(set(bars.y)) == len(PIECES)  # also two items of one title
    assert bars.marker.color[0] != bars.marker.color[1]


def test_no_evidence_is_an_empty_figure():
    assert len(plots.evidence_bars([]).data[0].x) == 0


def test_the_curve_shows_nodes_band_and_the_least_entropy(step):
    by_name = {trace.name: trace for trace in plots.entropy_curve(step).data}
    assert list(by_name["measured"].x) == [lam for lam, _ in step.curve]
    assert list(by_name["entropy"].y) == list(step.mean)
    assert (by_name["least so far"].x[0], by_name["least so far"].y[0]) == (step.lam, step.entropy)
    assert len(by_name["95% band"].x) == 2 * len(step.grid)


def test_the_curve_follows_the_step(step):
    moved = plots.entropy_curve(dataclasses.replace(step, lam=0.125))
    assert next(trace for trace in moved.data if trace.name == "least so far").x[0] == 0.125
    assert len(plots.entropy_curve(None).data) == 0


def test_backgrounds_are_transparent_for_dark_mode(step):
    for figure in (plots.entropy_curve(step), plots.evidence_bars(PIECES)):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
