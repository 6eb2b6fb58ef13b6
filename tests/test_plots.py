"""Figures: what they show, and no title that could run as markup."""

import dataclasses

import numpy as np
import pytest

from molorec import plots
from molorec.catalog import Item, RankingExample
from molorec.evaluation.entropies import Learned
from molorec.explaining import Evidence
from molorec.landscape import Landscape
from molorec.mixture.lam import Lam
from molorec.tuning import minimise

PAYLOAD = "<img src=x onerror=window.__xss=1>"
PIECES = [Evidence(Item("1", PAYLOAD), 0.5, 0.3), Evidence(Item("2", "Amber Song (1950)"), 0.5, 0.6),
          Evidence(Item("3", PAYLOAD), 0.5, 0.5)]


@pytest.fixture
def step():
    prompts = [RankingExample("toybox", (), (Item("1", "a"),), user=str(i)) for i in range(6)]
    *_, last = minimise(lambda example, lams: [1 + (lam - 0.6) ** 2 + 0.1 * lam * int(example.user) for lam in lams], prompts)
    return last


@pytest.fixture
def swept():
    """Ten candidates at five λ; the held-out one, whose title is hostile, rises from the last place to the first."""
    items = (Item("0", PAYLOAD), *(Item(str(i), f'The "{i}"') for i in range(1, 10)))
    lams = np.linspace(0, 1, 5)
    scores = np.tile(np.arange(10, 0, -1.0), (5, 1))
    scores[:, 0] = [0.5, 2.5, 4.5, 8.5, 20]
    chances = scores / scores.sum(axis=1, keepdims=True)
    entropies = -(chances * np.log(chances)).sum(axis=1)
    return Landscape(RankingExample("toybox", (), items, items[0]), "sum", lams, chances, entropies, 21, 1.5)


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


def test_learned_lams_are_a_line_a_setting_with_what_resampling_makes_of_them():
    figure = plots.learned({"warm": [Learned(10, 0.2, 0.0, 0.5), Learned(25, 0.1, 0.05, 0.2)],
                            "new-item": [Learned(10, 0.6, 0.5, 0.9)]})
    warm, new = figure.data
    assert list(warm.x) == [10, 25] and list(warm.y) == [0.2, 0.1] and new.name == "new-item"
    assert list(warm.error_y.array) == pytest.approx([0.3, 0.1]) and list(warm.error_y.arrayminus) == pytest.approx([0.2, 0.05])


@pytest.mark.parametrize("name", ["evidence", "landscape"])
def test_no_text_of_a_figure_holds_markup(swept, name):
    figure = (plots.evidence_bars(PIECES) if name == "evidence" else plots.landscape(swept, 0.5, 0.2, truth=True)).to_dict()
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
    assert (by_name["λ so far"].x[0], by_name["λ so far"].y[0]) == (step.lam, step.entropy)
    assert len(by_name["95% band"].x) == 2 * len(step.grid)


def test_the_curve_follows_the_step(step):
    moved = plots.entropy_curve(dataclasses.replace(step, lam=0.125))
    assert next(trace for trace in moved.data if trace.name == "λ so far").x[0] == 0.125
    assert len(plots.entropy_curve(None).data) == 0


def test_a_landscape_has_a_line_for_each_top_title_and_the_entropy(swept):
    figure = plots.landscape(swept, 0.5, titles=3)
    *lines, entropy = figure.data
    assert [line.name for line in lines] == ["&lt;img src=x onerror=window.__xss=1&gt;", 'The "1"', 'The "2"']
    assert list(lines[0].y) == swept.probabilities[:, 0].tolist() and list(entropy.y) == swept.entropies.tolist()
    assert all(list(line.x) == swept.lams.tolist() for line in figure.data)
    assert lines[0].yaxis != entropy.yaxis and figure.layout.xaxis.matches == "x2"
    assert len({(line.line.color, line.marker.symbol) for line in plots.landscape(swept, 0.5).data[:-1]}) == 8


def test_the_rank_of_what_was_chosen_is_drawn_only_when_asked_for(swept):
    assert "rank" not in [trace.name for trace in plots.landscape(swept, 0.5).data]
    rank = plots.landscape(swept, 0.5, truth=True).data[-1]
    assert (rank.name, list(rank.y)) == ("rank", [10, 8, 6, 2, 1])
    low, high = plots.landscape(swept, 0.5, truth=True).layout.yaxis3.range
    assert low > 10 and high < 1  # 1 on top
    unlabelled = dataclasses.replace(swept, example=swept.example.unlabelled())
    assert "rank" not in [trace.name for trace in plots.landscape(unlabelled, 0.5, truth=True).data]


def test_lines_mark_the_lam_on_screen_and_the_tuned_one(swept):
    figure = plots.landscape(swept, 0.25, tuned=0.75)
    assert [(shape.name, shape.x0, shape.x1) for shape in figure.layout.shapes] == [("lam", 0.25, 0.25), ("tuned", 0.75, 0.75)]
    assert [note.text for note in figure.layout.annotations] == ["λ now 0.25", "tuned 0.75"]
    assert len(plots.landscape(swept, 0.25).layout.shapes) == 1


PATHS = [f"model.layers.{layer}.mlp.{part}" for layer in (0, 1, 10) for part in ("up_proj", "<b>")]


def test_every_module_has_a_cell_in_the_models_own_order():
    lam = Lam("module", {path: [i / 10, 1 - i / 10] for i, path in enumerate(PATHS)})
    cells = plots.layer_weights(lam, PATHS).data[0]
    assert [list(row) for row in cells.z] == [[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]] and list(cells.y) == [1, 2, 3]
    assert list(cells.x) == ["up", "&lt;b&gt;"] and (cells.zmin, cells.zmax) == (0.0, 0.5)
    assert cells.customdata[2][0].startswith("layer 3 of 3, up<br>") and "<b>" not in cells.customdata[2][1]


def test_a_lam_for_each_layer_is_one_column():
    cells = plots.layer_weights(Lam("layer", {"0": [0.5, 0.5], "10": [0.505, 0.495], "1": [0.5, 0.5]}), PATHS).data[0]
    assert [list(row) for row in cells.z] == [[0.5], [0.5], [0.505]] and cells.customdata[1][0] == "layer 2 of 3"
    assert cells.zmax - cells.zmin >= 0.02  # or rounding errors would look like differences


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return float(np.dot([0.2126, 0.7152, 0.0722], [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]))


@pytest.mark.parametrize("background", ["#ffffff", "#0f172a", "#1e293b"])
def test_lines_stand_out_from_light_and_dark(background):
    there = luminance(background)
    for colour in plots.LINES:
        low, high = sorted((there, luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour
    assert len(set(plots.LINES)) == 8


def test_backgrounds_are_transparent_for_dark_mode(step, swept):
    for figure in (plots.entropy_curve(step), plots.evidence_bars(PIECES), plots.landscape(swept, 0.5)):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_a_loss_curve_holds_each_step_its_running_mean_and_the_held_out_lists():
    losses = [(step, 8.0 if step % 2 else 4.0) for step in range(1, 33)]
    figure = plots.loss_curve(losses, [(10, 4.5), (20, 4.0)], 50, chance=3.4)
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["each step"].y) == [loss for _, loss in losses]
    assert list(by_name["running mean"].y)[-1] == pytest.approx(6.0)
    assert list(by_name["running mean"].y)[0] == 8.0
    assert (list(by_name["held-out choices"].x), list(by_name["held-out choices"].y)) == ([10, 20], [4.5, 4.0])
    assert by_name["held-out choices"].yaxis != by_name["each step"].yaxis  # they count different things
    assert [(shape.y0, shape.yref) for shape in figure.layout.shapes] == [(3.4, by_name["held-out choices"].yaxis)]
    assert tuple(figure.layout.xaxis.range) == (0, 50)
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert len(plots.loss_curve([], [], 0, chance=3.4).data) == 0


def test_measured_and_published_results_share_no_axis():
    measured = [("popularity", 0.2, 0.15, 0.27), (PAYLOAD, 0.3, 0.25, 0.35)]
    figure = plots.results(measured, [("SASRec", 0.24), (PAYLOAD, 0.9)], "NDCG@1", chance=1 / 30)
    ours, theirs = figure.data
    assert ours.xaxis != theirs.xaxis and ours.yaxis != theirs.yaxis
    assert figure.layout[theirs.xaxis.replace("x", "xaxis")].matches is None
    assert (list(ours.x), list(theirs.x)) == ([0.2, 0.3], [0.24, 0.9])
    assert list(ours.error_x.array) == pytest.approx([0.07, 0.05])
    assert list(ours.error_x.arrayminus) == pytest.approx([0.05, 0.05])
    assert "open" in theirs.marker.symbol and ours.marker.symbol is None
    assert [shape.x0 for shape in figure.layout.shapes] == [1 / 30, 1 / 30]
    assert len(plots.results(measured, [], "NDCG@1").data) == len(plots.results([], [("SASRec", 0.2)], "NDCG@1").data) == 1
    assert len(plots.results([], [], "NDCG@1").data) == 0


def test_mixing_has_a_mark_a_lam_and_a_title_of_its_own():
    figure = plots.mixing([PAYLOAD, PAYLOAD], {0.0: [0.1, 0.2], 0.5: [0.3, 0.1], 1.0: [0.2, 0.6]})
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert [trace.name for trace in marks] == ["λ = 0", "λ = 0.5", "λ = 1"]
    assert list(marks[2].x) == pytest.approx([20, 60]) and len(set(marks[0].y)) == 2
    assert [(min(line.x), max(line.x)) for line in figure.data if line.mode == "lines"] == [
        pytest.approx((10, 30)), pytest.approx((10, 60))]
    assert len({trace.marker.symbol for trace in marks}) == 3  # told apart without colour too


def test_weight_changes_share_one_scale_and_certainty_one_axis():
    maps = plots.weight_changes([("general", np.ones((2, 3))), (PAYLOAD, np.zeros((2, 3)))])
    assert {trace.coloraxis for trace in maps.data} == {"coloraxis"} and maps.layout.coloraxis.cmin == 0
    bars = plots.certainty([("sure", [0.1, 0.9]), (PAYLOAD, [0.5, 0.5])])
    assert list(bars.data[0].y) == [90, 10] and bars.layout.yaxis2.matches == "y"
    assert len(plots.weight_changes([]).data) == len(plots.certainty([]).data) == 0


def test_the_figures_of_results_and_story_hold_no_markup_and_no_background():
    text = f"{PAYLOAD} The \"Burbs\", 'Til"
    figures = (plots.results([(text, 0.2, 0.1, 0.3)], [(text, 0.2)], text), plots.mixing([text], {0.5: [1.0]}),
               plots.weight_changes([(text, np.ones((1, 1)))]), plots.certainty([(text, [1.0])]))
    for figure in figures:
        document = figure.to_dict()
        document["layout"].pop("template", None)
        assert not any(wrong in text for text in strings(document) for wrong in ("<img", "&quot;", "&#x27;"))
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
