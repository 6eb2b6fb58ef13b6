"""A visitor's own domain on the screen: brought, ranked, trained, deleted, and never anybody else's."""

import re
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import replace

import gradio as gr
import pytest

from molorec import config, owned
from molorec.catalog import known, prepare
from molorec.engine import Engine
from molorec.gain import Gain
from molorec.journal import Journal
from molorec.training.background import State, Trainings
from molorec.ui import own
from molorec.ui import page as whole_page
from tests.conftest import source_data
from tests.ui import pages
from tests.ui.conftest import PATIENCE, PAYLOAD, plain_screen

TRAINING = """
    import json, sys, time
    for step in range(1, 31):
        time.sleep(0.2)
        report = {"step": step, "steps": 30, "loss": 5 / step, "seconds": step, "validation": None, "best": 4.0}
        print(json.dumps(report), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def engine(base, catalog, adapter_folder):
    return Engine(base, catalog, [config.home() / "adapters" / "embedded", adapter_folder])


@pytest.fixture
def files(tmp_path):
    source = source_data(seed=3)
    items, events = tmp_path / "things.csv", tmp_path / "choices.csv"
    titles = {**source.titles, "i0": PAYLOAD, "i1": "=cmd|'/c calc'!A1"}
    items.write_text("asin,label\n" + "".join(f"{item},{title}\n" for item, title in titles.items()))
    events.write_text("customer,asin,order\n" + "".join(f"{user},{item},{at}\n" for user, item, at in source.events))
    return items, events


# -- without a browser -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "words"), [
    (State("starting", waited=35.2), "35 s so far"),
    (State("training", 3, 10, ((3, 1.0),), seconds_left=150.0), "Step 3 of 10, about 2 min left"),
    (State("training", 3, 10, seconds_left=30.0, first=4.0, best=3.5), "4.000 nat before, 3.500 at best"),
    (State("stopping", 3, 10), "Finishing"), (State("stopped", 3, 10, message="Stopped."), "Resume"),
    (State("stopped", 0, 0, message="Stopped."), "Stopped."), (State("failed", message="The training failed: x"), "failed"),
    (State("done", 10, 10, first=4.0, best=3.0), "in use"), (State("done", 10, 10, first=4.0, best=4.0), "not used"),
])
def test_where_a_training_stands_is_said_in_words(state, words):
    assert words in own.training_status(state)


@pytest.mark.parametrize(("general", "popularity", "words"), [
    ((0.1, 0.02, 0.18), (-0.1, -0.18, -0.02),
     ["better than</b> the general", "worse than</b> popularity", "+.100 [+.020, +.180]"]),
    ((0.01, -0.04, 0.06), (0.0, -0.05, 0.05), ["not shown to be better than</b> the general adapter (.080)"]),
])
def test_whether_a_plug_in_is_better_is_said_with_interval_and_n(general, popularity, words):
    scores = {"specific": 0.09, "general": 0.08, "popularity": 0.11}
    said = own.gain_in_words(Gain(100, scores, {"general": general, "popularity": popularity}))
    assert all(word in said for word in [*words, "choice of 100 people", "9.0% of them (NDCG@1 .090)"])


def test_no_text_of_a_training_is_markup():
    assert PAYLOAD not in own.training_status(State("failed", message=PAYLOAD))
    assert PAYLOAD not in own.training_status(State("stopped", 1, 2, message=PAYLOAD))


def test_a_preview_holds_no_formula_and_no_endless_cell():
    assert own._cells(["=1+1", "+1", "-1", "@x", "\0", "x" * 500, "plain"]) == [
        "'=1+1", "'+1", "'-1", "'@x", "'\0", "x" * 59 + "…", "plain"]


def test_known_domains_are_named_as_long_as_they_are_not_here(engine):
    assert all(name in own._known(engine) for name in ("amazon14_beauty", "amazon14_toys", "amazon14_sports"))
    for name in known.DOMAINS:
        engine.catalog.add_domain(prepare(name, source_data()))
        assert name not in own._known(engine)
    assert "All domains that are known are here" in own._known(engine)


def test_old_domains_are_removed_when_the_page_is_built(engine, files, monkeypatch):
    owned.bring(engine.catalog, "visitor-1", "old", "", *files, core=5, item_columns={"item_id": "asin", "title": "label"},
                event_columns={"user_id": "customer", "item_id": "asin"})
    page(engine, Trainings(lambda domain, out: [], "pico"))
    assert len(engine.catalog.owned_domains()) == 1
    monkeypatch.setattr(owned, "LIMITS", replace(config.LIMITS, owned_seconds=-1))
    page(engine, Trainings(lambda domain, out: [], "pico"))
    assert engine.catalog.owned_domains() == []


def test_two_visitors_may_bring_the_same_files(engine, files):
    """Gradio keeps uploads of the same bytes under one path."""
    add = next(event.fn for event in page(engine, Trainings(lambda domain, out: [], "pico")).fns.values() if event.name == "add")
    columns = ("asin", "label", "", "customer", "asin", "order")
    for visitor in ("visitor-1", "visitor-2"):
        *_, (told, *_) = add(visitor, *map(str, files), *columns, "films", "", 5)
        assert "is there, and on screen above" in told
    assert len(engine.catalog.owned_domains()) == 2


# -- in a browser ------------------------------------------------------------------------------------------------


def page(engine, trainings, visitor="visitor-1"):
    """The panel on a plain screen that tells how often it was asked to rank, and what."""
    with gr.Blocks(title="own", analytics_enabled=False) as built:
        screen = plain_screen(engine)
        screen.visitor = gr.BrowserState(visitor)
        ranked = gr.HTML("<p id='ranked'></p>")
        screen.refresh = {"fn": lambda domain, user: f"<p id='ranked'>{len(rank(engine, domain, user))} titles of {domain}</p>",
                          "inputs": [screen.domain, screen.user], "outputs": ranked}
        with gr.Tab("Your own domain"):
            own.panel(engine, screen, Journal(), trainings)
    return built


def rank(engine, domain, user):
    return engine.rank(engine.catalog.example(domain, user)).items


@contextmanager
def served(engine, trainings=None, visitor="visitor-1"):
    with pages.served(page(engine, trainings or Trainings(lambda domain, out: [], "pico"), visitor)) as url:
        yield url


@contextmanager
def opened(browser, url):
    tab = browser.new_page(viewport={"width": 1400, "height": 1200})
    tab.set_default_timeout(PATIENCE)
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(url)
    tab.wait_for_selector("text=Recommend your own things")
    yield tab
    assert tab.evaluate("window.__xss") is None
    tab.close()
    assert not errors


def upload(tab, items, events):
    inputs = tab.locator("input[type=file]")
    for place, path in ((1, events), (0, items)):  # the input of a file that is there is gone
        inputs.nth(place).set_input_files(str(path))


def choose(tab, label, option):
    tab.get_by_label(label, exact=True).click()
    tab.get_by_role("option", name=option, exact=True).click()


def bring(tab, files, name="my films"):
    """Upload, map the columns that no guess finds, and add."""
    upload(tab, *files)
    tab.get_by_label("Title", exact=True).wait_for()
    tab.get_by_label("Chosen thing", exact=True).wait_for()
    choose(tab, "Title", "label")
    tab.get_by_label("Name", exact=True).fill(name)
    tab.get_by_label("What are these?", exact=True).fill("films")
    tab.get_by_role("button", name="Add and rank").click()


@pytest.mark.browser
def test_bring_rank_and_delete(browser, engine, files):
    with served(engine) as url, opened(browser, url) as tab:
        bring(tab, files)
        tab.wait_for_selector("text=130 people, 80 films, 2,080 choices")
        name = owned.of(engine.catalog, "visitor-1")[0].name
        tab.wait_for_selector(f"#ranked:has-text('30 titles of {name}')")  # the ranking was asked for, of the new domain
        assert tab.get_by_label("Domain", exact=True).input_value() == "my-films (only you)"
        tab.get_by_role("button", name="Delete", exact=True).click()
        tab.get_by_role("button", name="Keep it").click()
        tab.get_by_role("button", name="Delete", exact=True).click()
        tab.get_by_role("button", name="Delete for good").click()
        tab.wait_for_selector("text=is gone, with all that was made from it")
        tab.wait_for_selector("#ranked:has-text('30 titles of toybox')")
        assert owned.of(engine.catalog, "visitor-1") == []
        tab.get_by_text("Yours", exact=True).wait_for(state="hidden")


@pytest.mark.browser
def test_another_visitor_sees_nothing_of_it_until_it_is_saved(browser, engine, files):
    with served(engine) as url, opened(browser, url) as tab:
        bring(tab, files)
        tab.wait_for_selector("text=130 people, 80 films, 2,080 choices")
        with served(engine, visitor="visitor-2") as other, opened(browser, other) as theirs:
            theirs.wait_for_timeout(1500)
            assert "my-films" not in theirs.content()
            assert not theirs.get_by_text("Yours", exact=True).is_visible()
        tab.reload()
        tab.get_by_text("Yours", exact=True).wait_for()  # it is still this visitor's
        tab.once("dialog", lambda dialog: dialog.dismiss())
        tab.get_by_role("button", name="Save for everyone").click()
        tab.wait_for_timeout(500)
        assert engine.catalog.owned_domains()  # they thought better of it
        tab.once("dialog", lambda dialog: dialog.accept())
        tab.get_by_role("button", name="Save for everyone").click()
        tab.wait_for_selector("text=Everyone on this machine can choose my-films now")
        assert engine.catalog.domain("my-films").owner == ""


@pytest.mark.browser
def test_old_domains_are_removed_when_a_tab_is_closed(browser, engine, files, monkeypatch):
    with served(engine) as url:
        with opened(browser, url) as tab:
            bring(tab, files)
            tab.wait_for_selector("text=130 people, 80 films, 2,080 choices")
            monkeypatch.setattr(owned, "LIMITS", replace(config.LIMITS, owned_seconds=-1))
        ends = time.monotonic() + 30
        while engine.catalog.owned_domains() and time.monotonic() < ends:
            time.sleep(0.1)
        assert engine.catalog.owned_domains() == []


@pytest.mark.browser
@pytest.mark.parametrize(("items", "events", "words"), [
    (b"asin,name\n1,A\n2,\xff\n", None, "things.csv, line 3: this is not UTF-8"),
    (b"asin,name\n1,A\n2,\0\n", None, "things.csv, line 3: the line holds a NUL"),
    (b"asin,name\n1," + b"x" * 20_000_000 + b"\n", None, "things.csv, line 2: the line is longer than 1 MiB"),
    (None, b"customer,asin,order\nu,i1,soon\n", "choices.csv, line 2, column 'order': 'soon' is not a number"),
    (None, f"customer,asin,order\nu,{PAYLOAD},1\n".encode(), f"item '{PAYLOAD}' is not in things.csv"),
    (b"asin,nothing\ni1,x\n", None, "choose which column of things.csv holds “Title”"),
    (f"asin,name,{PAYLOAD}\ni0,=1+1,{PAYLOAD}\n".encode(), None, "is not in things.csv"),
])
def test_a_hostile_file_gets_a_note(browser, engine, files, items, events, words):
    for path, content in zip(files, (items, events), strict=True):
        if content:
            path.write_bytes(content)
    with served(engine) as url, opened(browser, url) as tab:
        upload(tab, *files)
        tab.get_by_label("Chosen thing", exact=True).wait_for()
        if items is None:
            tab.get_by_label("Title", exact=True).wait_for()
            choose(tab, "Title", "label")
        tab.get_by_label("Name", exact=True).fill(PAYLOAD if items and b"=1+1" in items else "x")
        tab.wait_for_timeout(800)
        if not tab.get_by_text(words).count():
            tab.get_by_role("button", name="Add and rank").click()
        tab.get_by_text(words).wait_for()
        assert owned.of(engine.catalog, "visitor-1") == []


@pytest.mark.browser
def test_train_watch_and_stop(browser, engine, files, tmp_path):
    script = tmp_path / "training.py"
    script.write_text(textwrap.dedent(TRAINING))
    trainings = Trainings(lambda domain, out: [sys.executable, str(script)], "pico")
    with served(engine, trainings) as url, opened(browser, url) as tab:
        bring(tab, files)
        tab.get_by_role("button", name="Train", exact=True).click()
        tab.wait_for_selector("text=/Step \\d+ of 30, about/")
        tab.wait_for_selector(".js-plotly-plot")
        tab.reload()  # it goes on, and is shown again
        tab.wait_for_selector("text=/Step \\d+ of 30, about/")
        name = owned.of(engine.catalog, "visitor-1")[0].name
        trainings._known[name].stop()
        trainings._known[name].kill()
        tab.wait_for_selector("text=/goes on from there/")
        assert tab.get_by_role("button", name="Resume").is_enabled()
    trainings.kill()


TRAINED = """
    import json, shutil, sys
    for step in range(1, 4):
        report = {"step": step, "steps": 3, "loss": 5 / step, "seconds": step, "validation": None, "best": 5 - step}
        print(json.dumps(report), flush=True)
    shutil.copytree(sys.argv[1], sys.argv[2])
"""


@pytest.mark.browser
def test_a_training_that_ends_brings_the_slider(browser, engine, files, adapter_folder, tmp_path, monkeypatch):
    """On the whole page, as somebody sees it who waits: until then there is nothing to mix."""
    script = tmp_path / "training.py"
    script.write_text(textwrap.dedent(TRAINED))
    script_and_folders = [str(script), str(adapter_folder / "toybox")]
    trainings = Trainings(lambda domain, out: [sys.executable, *script_and_folders, str(out / "best")], "pico")
    monkeypatch.setattr(own, "Trainings", lambda command, model: trainings)
    with pages.served(whole_page.build(engine)) as url, pages.opened(browser, url) as tab:
        tab.get_by_role("tab", name="Your own domain").click()
        bring(tab, files)
        tab.wait_for_selector("text=130 people, 80 films, 2,080 choices")
        tab.get_by_text("Mixing takes two adapters").wait_for()
        slider = tab.get_by_role("slider", name=re.compile("weight of the general"))
        assert not slider.is_visible()
        tab.get_by_role("button", name="Train", exact=True).click()
        tab.wait_for_selector("text=Done: the plug-in is in use")
        slider.wait_for()
        assert not tab.get_by_text("Mixing takes two adapters").is_visible()
        tab.get_by_role("button", name="Specific", exact=True).click()
        tab.wait_for_selector("text=/0% general \\+ 100% specific/")
        told = "text=/Measured on the held-out last choice of \\d+ people: the plug-in alone/"  # by itself
        tab.wait_for_selector(told)
        tab.wait_for_selector("text=/The plug-in is .* popularity/")
        tab.reload()
        tab.get_by_role("tab", name="Your own domain").click()
        tab.wait_for_selector(told)  # it is kept with the plug-in
    trainings.kill()
