"""The panel "Use it elsewhere": what leaves the screen is what is on it, and a record is its visitor's own."""

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import gradio as gr
import pytest
import torch

from molorec import documents
from molorec.catalog import Item
from molorec.errors import BadInput, JournalError
from molorec.journal import Journal
from molorec.mixture import adapters
from molorec.ranking.result import RankedItem
from molorec.spreadsheet import csv_text
from molorec.ui import link, share, shelf
from molorec.ui.session import View
from tests.ui.conftest import PAYLOAD, plain_screen


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Downloads of each test in a folder of its own."""
    for each in (shelf.ADAPTERS, shelf.TABLES):
        monkeypatch.setattr(each, "folder", tmp_path / "cache" / each.folder.name)


@pytest.fixture
def view(engine):
    return View("toybox", engine.catalog.users("toybox", "quick")[0], 0.3)


@pytest.fixture
def ranking(engine, view):
    return engine.rank(engine.catalog.example("toybox", view.user), view.lam, view.rule)


@pytest.fixture
def journal(engine, tmp_path, ranking, monkeypatch):
    """Three rankings of the visitor of the plain screen: another user's, and two of the user on screen."""
    monkeypatch.setattr("molorec.journal.PAUSE", 0)  # they are made at once, and yet no movement of one slider
    made = Journal(tmp_path / "journal.db")
    other = engine.catalog.example("toybox", engine.catalog.users("toybox", "quick")[1])
    for kept in (engine.rank(other, 0.6), replace(ranking, lam=0.2), ranking):
        made.keep_ranking("visitor-1", kept, "key", "base")
    return made


def test_the_table_holds_the_ranking_and_no_formula(view, ranking):
    evil = replace(ranking, items=(RankedItem(1, Item("=1", "@SUM(1)"), 0.5), *ranking.items[1:]))
    head, *rows = csv.reader(io.StringIO(csv_text(*share.ranking_rows(view, evil))[1:]))
    assert head == ["domain", "scenario", "user", "lam", "rule", "rank", "item_id", "title", "probability"]
    assert rows[0][6:8] == ["'=1", "'@SUM(1)"] and rows[0][3] == "0.3"
    assert [row[6] for row in rows[1:]] == [ranked.item.item_id for ranked in ranking.items[1:]]


@pytest.mark.parametrize("rule", ["sum", "product"])
def test_the_adapter_in_the_zip_ranks_like_the_mixture(engine, view, tmp_path, rule):
    file, rank = share.adapter_zip(engine, replace(view, rule=rule))
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "out")
    folder, = (tmp_path / "out").iterdir()
    assert {path.name for path in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors", "molorec.json",
                                                       "README.md"}
    merged = adapters.read(folder, engine.base.shapes, engine.base.sha256, engine.base.prompter.fingerprint())
    assert merged.rank == rank == (8 if rule == "sum" else 4)
    tokens = torch.arange(5, 25)[None]
    with torch.no_grad():
        with engine.mixture("toybox").stack.at(0.3, rule):
            live = engine.base.model(input_ids=tokens).logits
        with adapters.stack([merged]).eval().at(1.0, "sum"):
            alone = engine.base.model(input_ids=tokens).logits
    assert ((alone - live).abs().max() / live.abs().max()).item() <= 1e-5
    assert [path.name for path in shelf.ADAPTERS.folder.glob("making-*")] == []


def test_an_unknown_rule_makes_no_adapter(engine, view):
    with pytest.raises(BadInput, match="mean"):
        share.adapter_zip(engine, replace(view, rule="mean"))
    assert list(shelf.ADAPTERS.folder.iterdir()) == []


def test_with_one_adapter_code_and_files_are_at_lam_one(engine, view, journal, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    engine.forget("toybox")
    with gr.Blocks() as built:
        screen = plain_screen(engine)
        with gr.Tab("Use it elsewhere") as tab:
            share.panel(engine, screen, journal, tab)
    does = {event.name: event.fn for event in built.fns.values()}
    asked = ["toybox", "warm", view.user, [], [], 0.3, "sum"]
    note, python, *_ = does["show_for"](*asked, "")
    assert "λ = 1," in note.value and "lam=1" in python
    *_, (note, download) = does["make_adapter"](*asked)
    assert "at λ = 1" in note.value and "lam1" in str(download.value)


def test_a_record_as_a_table_has_every_entry(journal):
    head, rows = share.record_rows(journal.entries("visitor-1"))
    assert [row[head.index("lam")] for row in rows] == [0.3, 0.2, 0.6]
    assert all(len(row) == len(head) for row in rows)


def test_a_record_as_json_is_the_table_with_its_texts_as_they_are(journal, ranking):
    evil = replace(ranking, items=(RankedItem(1, Item("=1", "=1+1"), 0.5), *ranking.items[1:]))
    journal.keep_ranking("visitor-1", evil, "key", "base")
    file = share._record_parts(journal.entries("visitor-1"))[-1].value
    with open(file["path"] if isinstance(file, dict) else file, encoding="utf-8") as stream:
        latest, *_ = json.load(stream)
    assert (latest["user"], latest["lam"]) == (ranking.example.user, 0.3) and latest["top"].startswith("=1+1 0.5000; ")


def test_file_names_hold_nothing_but_plain_letters():
    name = share._file_name(View("toybox", "../../=ü <b>", 0.3))
    assert name == "molorec-toybox-user-..-..-b-sum-lam0.3"


# -- in a browser ------------------------------------------------------------------------------------------------

browser_test = pytest.mark.browser


def panel_of(journal):
    def panel(engine, screen):
        with gr.Tab("Use it elsewhere") as tab:
            share.panel(engine, screen, journal, tab)

    return panel


def downloaded(tab, button):
    with tab.expect_download() as found:
        tab.get_by_role("button", name=button).click()
    return found.value.suggested_filename, open(found.value.path(), "rb").read()


@browser_test
def test_link_code_and_files_are_of_the_view_on_screen(panel_tab, engine, journal, view, ranking):
    from playwright.sync_api import expect

    with panel_tab(panel_of(journal), engine, share.CSS) as tab:
        number = tab.get_by_role("slider", name="λ")
        number.focus()
        tab.keyboard.press("Home")  # λ = 0
        here = tab.get_by_label("Link to this view")
        expect(here).to_have_value(re.compile("lam=0.0&"))
        here = here.input_value()
        tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab.get_by_role("button", name="Copy the link").press("Enter")
        tab.wait_for_selector("text=Copied")
        assert tab.evaluate("navigator.clipboard.readText()") == here
        opened, notices = link.view_of_query(engine, dict(parse_qsl(urlsplit(here).query)))
        assert opened == replace(view, lam=0.0) and not notices and here.startswith("http://127.0.0.1")
        tab.get_by_role("button", name="Show for this view").click()
        tab.wait_for_selector("text=Code and files are for toybox")
        assert "lam=0" in tab.locator(".cm-content").first.inner_text()
        tab.get_by_role("tab", name="Command line").click()
        tab.wait_for_selector("text=molorec rank --domain=toybox")
        tab.get_by_role("tab", name="API client").click()
        tab.wait_for_selector("text=from gradio_client import Client")
        name, text = downloaded(tab, "Ranking as JSON")
        specific = engine.rank(ranking.example, 0.0)
        assert name.endswith("-lam0.json") and json.loads(text) == documents.ranking(specific)
        name, text = downloaded(tab, "Ranking as CSV")
        assert name.endswith(".csv") and len(list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))) == 31


@browser_test
def test_the_mixed_adapter_is_made_and_downloaded(panel_tab, engine, journal):
    with panel_tab(panel_of(journal), engine) as tab:
        tab.get_by_role("button", name="Make the mixed adapter").click()
        tab.wait_for_selector("text=/one adapter of rank 8, .* exactly what the live mixture does/")
        name, content = downloaded(tab, "Download the adapter")
        assert name == "molorec-toybox-sum-lam0.5.zip"
        assert "molorec-toybox-sum-lam0.5/adapter_config.json" in zipfile.ZipFile(io.BytesIO(content)).namelist()


@browser_test
def test_an_entry_of_what_is_on_screen_sets_lam_and_another_opens_its_link(panel_tab, engine, journal):
    with panel_tab(panel_of(journal), engine) as tab:
        tab.wait_for_selector("text=user u >> visible=true")
        tab.locator("[role=gridcell] >> visible=true", has_text=re.compile(r"^\s*0\.2\s*$")).click()
        tab.wait_for_function("() => [...document.querySelectorAll('input')].some(e => e.value.startsWith('No. 2:'))")
        tab.get_by_role("button", name="Open this view").click()
        tab.wait_for_selector("text=Entry 2 is on screen: λ = 0.2.")
        assert tab.get_by_label("λ as a number").input_value() == "0.2"
        tab.get_by_label("Entry").click()
        tab.get_by_role("option", name="No. 1:").click()
        other = journal.entry("visitor-1", 1)
        with tab.expect_navigation():
            tab.get_by_role("button", name="Open this view").click()
        query = dict(parse_qsl(urlsplit(tab.url).query))
        assert link.view_of_query(engine, query) == (View("toybox", other.user, 0.6), [])


@browser_test
def test_a_record_is_forgotten_only_when_one_is_sure(panel_tab, engine, journal):
    answers = ["dismiss", "accept"]
    with panel_tab(panel_of(journal), engine) as tab:
        tab.on("dialog", lambda dialog: getattr(dialog, answers.pop(0))())
        tab.wait_for_selector("text=user u >> visible=true")
        tab.get_by_role("button", name="Forget my record").click()
        tab.wait_for_selector("text=Nothing was deleted.")
        assert len(journal.entries("visitor-1")) == 3
        tab.get_by_role("button", name="Forget my record").click()
        tab.wait_for_selector("text=3 entries are deleted.")
        assert journal.entries("visitor-1") == []


@browser_test
def test_hostile_titles_are_text(panel_tab, engine, journal, ranking):
    evil = replace(ranking, items=(RankedItem(1, Item("e", PAYLOAD), 0.5), *ranking.items[1:]))
    journal.keep_ranking("visitor-1", evil, "key", "base")
    with panel_tab(panel_of(journal), engine) as tab:
        tab.wait_for_selector("text=onerror=__xss >> visible=true")
        assert tab.evaluate("window.__xss") is None


@browser_test
def test_a_broken_record_is_a_note_and_the_rest_works(panel_tab, engine):
    class Broken(Journal):
        def entries(self, *_):
            raise JournalError("the record cannot be used (disk is full)")

    with panel_tab(panel_of(Broken()), engine) as tab:
        tab.wait_for_selector("text=the record cannot be used (disk is full)")
        tab.get_by_role("button", name="Show for this view").click()
        tab.wait_for_selector("text=Code and files are for toybox")
