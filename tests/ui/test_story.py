"""The tab How it works: every number on the pictures is the engine's, and one that fails keeps none of the others."""

import math
import re
from dataclasses import replace

import gradio as gr
import pytest

from molorec.errors import MolorecError
from molorec.mixture import change
from molorec.ui import pictures, story
from molorec.ui.pictures import LAMS, PICTURES, PROMPTS
from molorec.ui.session import View, example_of
from tests.ui.conftest import PAYLOAD, plain_screen


@pytest.fixture
def view(engine):
    return View("toybox", engine.catalog.users("toybox", "quick")[0], lam=0.25)


def drawn(engine, view, picture):
    """(text, figure) as they stand at the end."""
    *_, (text, figure) = picture(engine, view, example_of(engine, view))
    return text, figure


def test_the_prompt_is_what_the_model_reads(engine, view):
    example = example_of(engine, view)
    text, figure = drawn(engine, view, pictures.prompt)
    assert figure is None
    shown = re.search(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL).group(1)
    assert [line.strip() for line in shown.splitlines()] == ["Items one person chose, oldest first:",
                                                             *(item.title for item in example.history[-10:])]
    first = engine.rank(example, 0.25).items[0]
    assert f"{first.item.title} <span class='ml-dim'>{first.probability:.1%}</span>" in text


def test_the_adapters_are_counted_and_drawn(engine, view):
    text, figure = drawn(engine, view, pictures.adapters)
    base = sum(weights.numel() for weights in engine.base.model.parameters())
    general, specific = engine.mixture("toybox").adapters
    count = change.parameters(general)
    assert f"{base:,} weights" in text and f"the general adapter has {count:,}, {count / base:.1%} of that" in text
    path = re.search(r"<code>(.*?)</code>", text).group(1)
    for adapter, trace in zip((general, specific), figure.data, strict=True):
        assert trace.z == pytest.approx(change.block_means(change.delta(adapter, path)).numpy())
    weights = engine.base.model.get_submodule(path).base.weight
    assert f"the specific adapter by {float(change.delta(specific, path).norm() / weights.norm()):.1%}" in text


def test_a_base_whose_weights_are_elsewhere_is_counted_and_not_measured(engine, view, monkeypatch):
    whole = drawn(engine, view, pictures.adapters)[0]
    monkeypatch.setattr(type(engine.base), "is_outline", property(lambda _: True))
    outline = drawn(engine, view, pictures.adapters)[0]
    assert "Measured against" in whole and "Measured against" not in outline and "weights, and none of them" in outline


def test_mixing_shows_the_engines_probabilities(engine, view):
    text, figure = drawn(engine, view, pictures.mixing)
    example = example_of(engine, view)
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    for lam, trace in zip(LAMS, marks, strict=True):
        ranking = engine.rank(example, lam)
        probabilities = {ranked.item.title: 100 * ranked.probability for ranked in ranking.items}
        assert list(trace.x) == pytest.approx([probabilities[title] for title in trace.customdata])
        assert ranking.items[0].item.title in trace.customdata
        assert f"λ = {lam:g}: <b>{ranking.items[0].item.title}</b>" in text


def test_certainty_is_the_surest_and_the_least_sure(engine, view):
    text, figure = drawn(engine, view, pictures.certainty)
    entropies = [engine.rank(example, 0.25).entropy for example in engine.catalog.examples("toybox", "tune", limit=PROMPTS)]
    for entropy, bars in zip((min(entropies), max(entropies)), figure.data, strict=True):
        assert -sum(p / 100 * math.log(p / 100) for p in bars.y) == pytest.approx(entropy)
        assert f"<b>{entropy:.2f}</b>" in text and f"among {math.exp(entropy):.1f} equally likely" in text
        assert list(bars.y) == sorted(bars.y, reverse=True)


def test_auto_tune_grows_and_ends_at_the_least_entropy(engine, view):
    steps = list(pictures.auto_tune(engine, view, example_of(engine, view)))
    assert sum(figure is not None for _, figure in steps) > 2
    text, figure = steps[-1]
    least = next(trace for trace in figure.data if trace.name == "λ so far")
    assert f"<b>λ = {least.x[0]:.2f}</b>" in text and f"Over {PROMPTS} of {PROMPTS} people" in text


def test_one_adapter_has_nothing_to_mix_and_the_rest_is_drawn(engine, view, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    engine.forget("toybox")
    for picture in (pictures.mixing, pictures.auto_tune):
        with pytest.raises(MolorecError, match="one adapter only"):
            drawn(engine, view, picture)
    assert len(drawn(engine, view, pictures.adapters)[1].data) == 1
    assert "λ = 1.00" in drawn(engine, view, pictures.certainty)[0]


def test_with_one_adapter_the_pictures_are_said_to_be_at_lam_one(engine, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    engine.forget("toybox")
    draw, asked = steps_of(engine)
    *_, last = draw(story.Job(), *asked)
    assert "at λ = 1.00" in last[0]


def test_no_title_is_markup(hostile_engine):
    view = View("toybox", hostile_engine.catalog.users("toybox", "quick")[0])
    for picture in PICTURES:
        text, figure = drawn(hostile_engine, view, picture.draw)
        assert "<img" not in text and (figure is None or "<img" not in figure.to_json())
    assert "&lt;img" in drawn(hostile_engine, view, pictures.prompt)[0]


def steps_of(engine):
    """The panel's draw function, and what its inputs are without the job."""
    with gr.Blocks() as page:
        screen = plain_screen(engine)
        story.panel(engine, screen)
    event = next(event for event in page.fns.values() if event.name == "draw")
    assert event.concurrency_id == "long"
    user = engine.catalog.users("toybox", "quick")[0]
    return event.fn, ["toybox", "warm", user, [], [], 0.5, "sum"]


def test_a_picture_that_fails_gets_a_note_and_the_others_come(engine, monkeypatch):
    def fails(*_):
        raise MolorecError(f"there is not enough memory {PAYLOAD}")
        yield

    changed = (PICTURES[0], replace(PICTURES[1], draw=fails), *PICTURES[2:])
    monkeypatch.setattr(story, "PICTURES", changed)
    draw, asked = steps_of(engine)
    texts = {}
    for step in draw(story.Job(), *asked):
        for i in range(len(PICTURES)):
            if isinstance(step[3 + 3 * i], str):
                texts[i] = step[3 + 3 * i]
    assert "not enough memory &lt;img" in texts[1]
    assert all(texts[i] and "ml-note" not in texts[i] for i in (0, 2, 3, 4))
    assert "Drawn for user" in step[0]


def test_bad_input_is_one_notice(engine):
    draw, asked = steps_of(engine)
    asked[2] = PAYLOAD
    step, = draw(story.Job(), *asked)
    assert "has no user" in step[0] and "<img" not in step[0]


def test_stop_ends_between_two_pictures(engine):
    draw, asked = steps_of(engine)
    job, seen = story.Job(), []
    for step in draw(job, *asked):
        seen.append(step[0])
        if len(seen) == 2:
            job.stop("Stopped.")
    assert len(seen) == 3 and "Stopped. What is drawn already stays." in seen[-1]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 390])
def test_draw_by_keyboard_and_nothing_runs(panel_tab, hostile_engine, width):
    with panel_tab(story.panel, hostile_engine, story.CSS, width) as tab:
        tab.wait_for_selector("text=Nothing is drawn yet")
        assert tab.locator(".js-plotly-plot").count() == 0
        tab.get_by_role("button", name="Draw the pictures for this person").focus()
        tab.keyboard.press("Enter")
        tab.wait_for_selector("text=/Drawn for user/")
        tab.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length == 4")
        assert "window.__xss" in tab.locator(".ml-prompt").inner_text() + tab.locator(".ml-next").inner_text()
        assert tab.evaluate("window.__xss") is None
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.get_by_role("button", name="Stop drawing").is_disabled()
        tab.get_by_label("User id").fill("nobody")
        tab.get_by_role("button", name="Draw the pictures for this person").click()
        tab.wait_for_selector("text=/has no user/")
