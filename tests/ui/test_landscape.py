"""The landscape panel: whose sweep it is, its file, and a click on the plot that sets λ."""

import csv
import io
import re
import threading

import pytest

from molorec.journal import Journal
from molorec.landscape import sweep
from molorec.ui import landscape
from molorec.ui.session import View
from tests.ui.conftest import PAYLOAD


@pytest.fixture
def view(engine):
    return View("toybox", engine.catalog.users("toybox", "quick")[0])


@pytest.fixture
def found(engine, view):
    *_, last = sweep(engine, engine.catalog.example("toybox", view.user), points=3)
    return last


def test_a_row_for_each_lam_and_candidate(view, found):
    head, rows = landscape.rows(view, found, truth=False)
    count = len(found.example.candidates)
    assert len(rows) == 3 * count and all(len(row) == len(head) for row in rows)
    assert [row[:4] for row in rows[::count]] == [["toybox", view.user, "sum", lam] for lam in (0.0, 0.5, 1.0)]
    assert rows[count + 2][5:7] == [found.example.candidates[2].item_id, found.example.candidates[2].title]
    assert rows[count + 2][7] == found.probabilities[1, 2]
    assert sum(row[7] for row in rows[:count]) == pytest.approx(1)


def test_what_was_really_chosen_is_in_the_file_only_when_asked_for(view, found):
    assert "chosen_next" not in landscape.rows(view, found, truth=False)[0]
    head, rows = landscape.rows(view, found, truth=True)
    assert head[-1] == "chosen_next"
    assert {row[6] for row in rows if row[-1]} == {found.example.target.title}


def panel(engine, screen):
    landscape.panel(engine, screen, Journal())


def points(tab):
    """The markers of the first title's line."""
    return tab.locator(".ml-landscape .js-plotly-plot .scatterlayer .trace").first.locator("path.point")


def click(tab, place: int) -> None:
    box = points(tab).nth(place).bounding_box()
    where = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(*where)
    tab.wait_for_selector(".hoverlayer .hovertext")
    tab.mouse.click(*where)


def sweep_all(tab) -> None:
    """Sweep for the user on screen, to the end."""
    user = tab.get_by_label("User id").input_value()
    tab.get_by_role("button", name="Sweep λ").click()
    tab.wait_for_selector(f"text=/Sweep of user {user} in toybox.* 21 of 21 points/")
    tab.wait_for_function("() => document.querySelectorAll('.ml-landscape .trace:first-child path.point').length >= 21")


def wait_for_lam(tab, lam: str) -> None:
    """The slider stands there, and so does its line in the plot."""
    tab.wait_for_function("lam => document.querySelector('input[type=range]').value == lam", arg=lam)
    tab.wait_for_function("lam => document.querySelector('.js-plotly-plot').layout.shapes[0].x0 == lam", arg=float(lam))


def marked(tab) -> str:
    return tab.evaluate("document.querySelector('.ml-landscape .js-plotly-plot').layout.annotations[0].text")


@pytest.mark.browser
def test_a_click_on_the_plot_sets_lam_also_after_it_was_drawn_anew(panel_tab, engine):
    with panel_tab(panel, engine, landscape.CSS) as tab:
        user, other = engine.catalog.users("toybox", "quick")[:2]
        sweep_all(tab)
        assert f"Sweep of user {user} in toybox, rule “sum”" in tab.locator(".ml-sweep").inner_text()
        click(tab, 16)
        wait_for_lam(tab, "0.8")
        assert marked(tab) == "λ now 0.80" and tab.locator(".ml-landscape .y3title").count() == 0
        tab.get_by_label("Show where the title they really chose stands").check()
        tab.wait_for_selector(".ml-landscape .y3title")  # a new plot, which knows the λ that was clicked
        wait_for_lam(tab, "0.8")
        click(tab, 4)
        wait_for_lam(tab, "0.2")
        tab.get_by_label("User id").fill(other)
        sweep_all(tab)
        click(tab, 1)
        wait_for_lam(tab, "0.05")


@pytest.mark.browser
def test_the_keyboard_moves_the_mark(panel_tab, engine):
    with panel_tab(panel, engine, landscape.CSS) as tab:
        sweep_all(tab)
        tab.get_by_role("slider").focus()
        tab.keyboard.press("End")
        wait_for_lam(tab, "1")
        assert marked(tab) == "λ now 1.00"


@pytest.mark.browser
def test_another_view_is_not_mixed_up_with_the_swept_one(panel_tab, engine):
    with panel_tab(panel, engine, landscape.CSS) as tab:
        sweep_all(tab)
        swept = tab.locator(".ml-sweep").inner_text()
        box = tab.get_by_label("User id")
        old = box.input_value()
        box.fill(engine.catalog.users("toybox", "quick")[1])
        tab.wait_for_selector("text=have changed since this sweep")
        assert tab.locator(".ml-sweep").inner_text() == swept
        box.fill(old)
        tab.wait_for_selector("text=have changed since this sweep", state="detached")
        box.fill("nobody")
        tab.get_by_role("button", name="Sweep λ").click()
        tab.wait_for_selector("text=/has no user/")
        assert tab.get_by_role("button", name="Sweep λ").is_enabled()
        assert tab.locator(".ml-landscape .js-plotly-plot").count() == 0


@pytest.mark.browser
def test_a_sweep_can_be_stopped_and_says_how_far_it_came(panel_tab, engine, monkeypatch):
    go_on, rank_each = threading.Semaphore(1), engine.rank_each

    def held(*arguments):
        go_on.acquire(timeout=30)
        return rank_each(*arguments)

    monkeypatch.setattr(engine, "rank_each", held)
    with panel_tab(panel, engine, landscape.CSS) as tab:
        tab.get_by_role("button", name="Sweep λ").click()
        tab.wait_for_selector("text=/5 of 21 points/")
        tab.wait_for_function("() => document.querySelectorAll('.ml-landscape .trace:first-child path.point').length >= 5")
        assert points(tab).count() == 5
        tab.get_by_role("button", name="Stop sweep").click()
        tab.wait_for_timeout(300)
        go_on.release(100)
        tab.wait_for_selector("text=/Stopped\\. Sweep of .* 10 of 21 points/")
        assert tab.get_by_role("button", name="Sweep λ").is_enabled()


@pytest.mark.browser
def test_hostile_titles_stay_text_on_screen_and_in_the_file(panel_tab, hostile_engine):
    with panel_tab(panel, hostile_engine, landscape.CSS, width=390) as tab:
        tab.get_by_label("Show where the title they really chose stands").check()
        sweep_all(tab)
        click(tab, 10)
        legend = tab.locator(".ml-landscape .legendtext").all_text_contents()
        assert any(text.startswith(("<img src=x", "=1+1", "${window", "{{value}}")) for text in legend)
        hover = tab.locator(".hoverlayer .hovertext").first.text_content()
        assert re.match(r"<img|=1\+1|\$\{window|\{\{value\}\}", hover) and "&" not in hover
        with tab.expect_download() as download:
            tab.get_by_role("link", name="Download the sweep").or_(tab.get_by_role("button", name="Download the sweep")).click()
        text = open(download.value.path(), encoding="utf-8-sig", newline="").read()
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == 1 + 21 * len({row[5] for row in rows[1:]})
        assert not any(cell.startswith("=") for row in rows for cell in row)
        assert any(row[6].startswith("'=1+1") for row in rows) and any(row[6].startswith(PAYLOAD) for row in rows)
        assert tab.evaluate("window.__xss") is None
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_one_adapter_has_nothing_to_sweep(panel_tab, engine, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    with panel_tab(panel, engine, landscape.CSS) as tab:
        tab.get_by_role("button", name="Sweep λ").click()
        tab.wait_for_selector("text=one adapter only")
