"""Side by side: the columns say what the engine says, and pins stay until they are removed."""

import csv
import io
import json
from dataclasses import replace

import pytest

from molorec.catalog import prepare
from molorec.errors import BadInput
from molorec.spreadsheet import csv_text
from molorec.ui import compare
from molorec.ui.compare import PINS, TITLES
from molorec.ui.session import View
from tests.conftest import source_data
from tests.ui.conftest import PAYLOAD


@pytest.fixture
def view(engine):
    return View("toybox", engine.catalog.users("toybox", "quick")[0], lam=0.25)


@pytest.fixture
def alone(engine, adapter_folder):
    """The engine without the specific adapter."""
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    engine.forget("toybox")
    return engine


def test_four_columns_as_the_engine_ranks(engine, view):
    found = compare.columns(engine, view)
    assert [(column.name, column.ranking.lam, column.is_now) for column in found] == [
        ("Base model", None, False), ("General adapter", 1.0, False), ("Specific adapter", 0.0, False), ("Mixture", 0.25, True)]
    example = engine.catalog.example("toybox", view.user)
    for column in found:
        assert column.ranking.items == engine.rank(example, column.ranking.lam).items
    assert len({column.ranking.items for column in found}) == 4


def test_one_adapter_is_held_against_the_base_model(alone, view):
    base, adapter = compare.columns(alone, view)
    assert (base.ranking.lam, adapter.name, adapter.is_now) == (None, "General adapter alone", True)
    assert base.ranking.items != adapter.ranking.items


def test_a_pin_is_the_ranking_on_screen(engine, view):
    pin, = compare.with_pin(engine, replace(view, rule="product"), ())
    assert pin.ranking.items == engine.rank(engine.catalog.example("toybox", view.user), 0.25, "product").items
    assert pin.about == f"user {view.user} in toybox · λ = 0.25, rule “product”"


def test_a_pin_too_many_or_twice_is_refused(engine, view):
    pins = ()
    for number in range(PINS):
        pins = compare.with_pin(engine, replace(view, lam=number / 10), pins)
        if number == 0:
            with pytest.raises(BadInput, match="pinned already, as pin 1"):
                compare.with_pin(engine, replace(view, lam=0.0), pins)
    with pytest.raises(BadInput, match="remove one first"):
        compare.with_pin(engine, replace(view, lam=0.9), pins)
    assert compare.names(pins) == ["Pin 1", "Pin 2", "Pin 3", "Pin 4"]


def test_shared_titles_are_counted_among_the_first(engine, view):
    *others, now = compare.columns(engine, view)
    assert compare.shared(now, now) == (TITLES, TITLES)
    for column in others:
        ids = {ranked.item.item_id for ranked in column.ranking.items[:TITLES]}
        assert compare.shared(column, now)[0] == sum(ranked.item.item_id in ids for ranked in now.ranking.items[:TITLES])


def test_another_domains_titles_are_never_the_same(engine, view):
    engine.catalog.add_domain(prepare("zoo", source_data(seed=1)), noun="animals")  # the same ids
    now = compare.columns(engine, view)[-1]
    other, = compare.with_pin(engine, View("zoo", engine.catalog.users("zoo", "quick")[0]), ())
    assert compare.shared(other, now) is None
    assert "another domain" in compare.table([now, other])


def test_places_are_marked_where_they_differ_from_the_mixtures(engine, view):
    *others, now = compare.columns(engine, view)
    places = {ranked.item: ranked.rank for ranked in now.ranking.items}
    for column in others:
        moved = sum(places[ranked.item] != ranked.rank for ranked in column.ranking.items[:TITLES])
        assert moved and compare.table([column, now]).count("ml-moved") == moved
    assert "ml-moved" not in compare.table([now]) and "ml-moved" not in compare.table([others[0]])
    first = others[0].ranking.items[0]
    assert places[first.item] == 1 or f"{places[first.item] - 1} higher than in the mixture" in compare.table([others[0], now])


def test_a_list_of_another_person_is_not_marked(engine, view):
    now = compare.columns(engine, view)[-1]
    pin, = compare.with_pin(engine, replace(view, user=engine.catalog.users("toybox", "quick")[1]), ())
    made = compare.table([now, pin])
    assert "ml-moved" not in made and "titles are the mixture's too" in made


def test_no_title_is_markup_and_files_hold_all_of_the_columns(hostile_engine):
    view = View("toybox", hostile_engine.catalog.users("toybox", "quick")[0])
    found = (*compare.columns(hostile_engine, view), *compare.with_pin(hostile_engine, replace(view, lam=0.1), ()))
    assert "<img" not in compare.table(found) and "&lt;img" in compare.table(found)
    count = len(found[0].ranking.items)
    text = csv_text(*compare.csv_rows(found)).removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 5 * count and rows[-1]["column"] == "Pin 1" and rows[0]["lambda"] == ""
    assert not any(cell.startswith("=") for row in rows for cell in row.values())
    told = json.loads(compare.json_text(found))
    assert [(column["column"], column["lambda"]) for column in told] == [
        ("Base model", None), ("General adapter", 1.0), ("Specific adapter", 0.0), ("Mixture", 0.5), ("Pin 1", 0.1)]
    assert all(len(column["items"]) == count for column in told)
    assert told[3]["items"][0]["title"] == found[3].ranking.items[0].item.title
    assert told[3]["shared_with_mixture"] == TITLES
    assert json.loads(compare.json_text(found[-1:]))[0]["shared_with_mixture"] is None


def columns_shown(tab) -> list[str]:
    return tab.locator(".ml-column h4").all_inner_texts()


def press(tab, name: str, then: list[str]) -> None:
    tab.get_by_role("button", name=name, exact=True).click()
    tab.wait_for_function("names => [...document.querySelectorAll('.ml-column h4')].map(e => e.innerText).join() == names",
                          arg=",".join(then))


FOUR = ["Base model", "General adapter", "Specific adapter", "Mixture"]


@pytest.mark.browser
def test_compare_pin_and_remove(panel_tab, engine):
    with panel_tab(compare.panel, engine, compare.CSS) as tab:
        press(tab, "Pin this ranking", ["Pin 1"])
        pinned = tab.locator(".ml-column").last.locator("li").all_inner_texts()
        tab.get_by_role("button", name="Pin this ranking").click()
        tab.wait_for_selector("text=pinned already, as pin 1")
        tab.get_by_role("slider").focus()
        tab.keyboard.press("End")
        press(tab, "Compare", [*FOUR, "Pin 1"])
        assert tab.locator(".ml-note").count() == 0
        assert [row.split() for row in tab.locator(".ml-column").last.locator("li .ml-title").all_inner_texts()] == [
            row.split("\n")[-2].split() for row in pinned]
        assert "λ = 1," in tab.locator(".ml-column").nth(3).inner_text()
        assert tab.locator(".ml-column").nth(1).locator("li").count() == TITLES
        press(tab, "Pin this ranking", [*FOUR, "Pin 1", "Pin 2"])
        assert "10 of the first 10 titles are the mixture's too (100%)" in tab.locator(".ml-column").last.inner_text()
        press(tab, "Remove pin 1", [*FOUR, "Pin 1"])
        assert "λ = 1," in tab.locator(".ml-column").last.inner_text()
        tab.get_by_role("button", name="Remove pin 2").wait_for(state="hidden")
        with tab.expect_download() as download:
            tab.get_by_role("link", name="(JSON)").or_(tab.get_by_role("button", name="(JSON)")).click()
        told = json.loads(open(download.value.path(), encoding="utf-8").read())
        assert [column["column"] for column in told] == [*FOUR, "Pin 1"]
        press(tab, "Remove pin 1", FOUR)
        assert tab.locator(".ml-note").count() == 0
        tab.get_by_role("slider").focus()
        tab.keyboard.press("Home")
        tab.wait_for_selector("text=have changed since")
        press(tab, "Compare", FOUR)
        tab.wait_for_selector("text=have changed since", state="hidden")


@pytest.mark.browser
def test_one_adapter_and_a_problem_in_words(panel_tab, alone):
    with panel_tab(compare.panel, alone, compare.CSS) as tab:
        press(tab, "Compare", ["Base model", "General adapter alone"])
        tab.get_by_label("User id").fill("nobody")
        tab.get_by_role("button", name="Compare").click()
        tab.wait_for_selector("text=/has no user/")
        assert columns_shown(tab) == ["Base model", "General adapter alone"]


@pytest.mark.browser
def test_hostile_titles_stay_text_and_a_phone_scrolls_the_columns_only(panel_tab, hostile_engine):
    with panel_tab(compare.panel, hostile_engine, compare.CSS, width=390) as tab:
        press(tab, "Pin this ranking", ["Pin 1"])
        press(tab, "Compare", [*FOUR, "Pin 1"])
        titles = tab.locator(".ml-column .ml-title").all_inner_texts()
        assert any(title.startswith(PAYLOAD) for title in titles)
        assert any(title.startswith("${window") for title in titles) and any(title.startswith("{{value}}") for title in titles)
        assert tab.evaluate("window.__xss") is None
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        tab.locator(".ml-compare").focus()
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function("() => document.querySelector('.ml-compare').scrollLeft > 0")
