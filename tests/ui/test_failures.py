"""The whole page when something goes wrong: a message in words, nothing half-written, and the next request works."""

import csv
import errno
import io
import json
import sys
import threading
import time
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import httpx
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError

from molorec import whole_file
from molorec.catalog import Catalog, prepare
from molorec.config import LIMITS, PACKAGE
from molorec.engine import Engine
from molorec.journal import Journal
from molorec.ui import page, session, shelf
from tests.conftest import source_data, toybox_adapters, toybox_catalog
from tests.ui.conftest import PAYLOAD
from tests.ui.pages import opened, served

MEMORY = [RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), MemoryError(),
          torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")]
# tab, start button, Stop button, what stands there at the end
LONG_RUNS = [(None, "Auto-tune", "Stop tuning", "text=/Done/"),
             (None, "Explain the first title", "Stop explaining", "text=/How the sentence goes on|did not pass the check/"),
             ("λ landscape", "Sweep λ", "Stop sweep", "text=/21 of 21 points/"),
             ("How it works", "Draw the pictures for this person", "Stop drawing", "text=/Drawn for user/")]


@pytest.fixture(scope="module")
def engine(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("failures")
    return Engine(base, toybox_catalog(folder / "catalog.db"), [toybox_adapters(base, folder / "adapters")])


@pytest.fixture(scope="module")
def app(engine, tmp_path_factory):
    return page.build(engine, Journal(tmp_path_factory.mktemp("journal") / "journal.db"))


@pytest.fixture(scope="module")
def address(app):
    with served(app) as url:
        yield url


@pytest.fixture
def client(address):
    return Client(address, verbose=False)


@pytest.fixture
def user(engine):
    engine._cache.clear()  # what another test ranked would need no forward pass
    return engine.catalog.users("toybox", "quick")[0]


@pytest.fixture
def tab(browser, app, address, user):
    with opened(browser, address) as tab:
        until(lambda: is_abandoned(app))  # what a page asks for when it opens is answered
        yield tab


def is_abandoned(app):
    """Whether no request is at work, or none that somebody still waits for."""
    return not any(event.alive for events in app._queue.active_jobs if events for event in events)


def until(true, seconds=30.0):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def button(tab, name):
    return tab.get_by_role("button", name=name, exact=True)


def go_to(tab, name):
    if name:
        tab.get_by_role("tab", name=name).click()


# -- out of memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "nth", "error"), [
    *(({"api_name": "/rank"}, 1, error) for error in MEMORY), ({"api_name": "/sweep"}, 3, MEMORY[0]),
    ({"api_name": "/tune", "prompts": 5}, 4, MEMORY[1]), ({"api_name": "/explain"}, 3, MEMORY[2]),
    ({"api_name": "/explain"}, 15, MEMORY[0]),
], ids=str)
def test_a_full_memory_is_said_in_words_and_the_next_request_works(client, engine, user, fail_on, asked, nth, error):
    calls = fail_on(engine.base.model.base_model, "forward", nth, error, lasting=True)
    asked = {"domain": "toybox", **({} if asked["api_name"] == "/tune" else {"user": user}), **asked}
    with pytest.raises(AppError, match="not enough memory"):
        client.submit(**asked).result(60)
    assert len(calls) >= nth
    calls.mend()
    engine._cache.clear()
    assert client.submit(**asked).result(60)["schema"]


@pytest.mark.browser
def test_a_full_memory_on_the_page_is_a_note_and_the_button_works_again(tab, engine, fail_on):
    for where, start, stop, done in LONG_RUNS:
        go_to(tab, where)
        engine._cache.clear()
        calls = fail_on(engine.base.model.base_model, "forward", 4, MEMORY[0], lasting=True)
        button(tab, start).click()
        tab.wait_for_selector("text=not enough memory")
        assert len(calls) >= 4
        calls.mend()
        until(button(tab, start).is_enabled)
        assert not button(tab, stop).is_enabled()
        button(tab, start).click()
        tab.wait_for_selector(done)
        until(lambda: not tab.get_by_text("not enough memory").count())


# -- full disk, locked database ----------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_database_that_cannot_be_used_is_said_and_the_next_request_works(browser, base, engine, user, disk, tmp_path):
    error = "database or disk is full"
    # connections of their own, on the failing disk
    engine = Engine(base, Catalog(engine.catalog.path), engine.adapter_folders)
    journal = Journal(tmp_path / "journal.db")
    with served(page.build(engine, journal)) as url, opened(browser, url) as tab:
        client = Client(url, verbose=False)
        for asked in ({"api_name": "/domains"}, {"api_name": "/users", "domain": "toybox"},
                      {"api_name": "/search", "domain": "toybox", "text": "amber"},
                      {"api_name": "/rank", "domain": "toybox", "user": user}):
            disk.fail("catalog.db", 1, error)
            with pytest.raises(AppError, match=error):
                client.predict(**asked)
            assert disk.mend() and client.predict(**asked)["schema"]

        disk.fail("catalog.db", 1, error, lasting=True)
        tab.reload()
        tab.wait_for_selector(f".ml-note:has-text('{error}')")
        assert disk.mend()
        tab.reload()
        tab.wait_for_selector(".ml-row")

        disk.fail("journal.db", 1, error, lasting=True)  # the record is a convenience: the ranking comes without it
        button(tab, "Specific").click()
        tab.wait_for_selector(".ml-status b:has-text('λ = 0.00')")
        button(tab, "Auto-tune").click()
        tab.wait_for_selector("text=/Done/")
        keep = tab.get_by_role("button", name="Keep")
        keep.click()
        tab.wait_for_selector(f".toast-body:has-text('{error}')")
        key = engine.mixture("toybox").key
        assert disk.mend() and journal.kept_lam("toybox", "sum", key) is None
        keep.click()
        until(lambda: journal.kept_lam("toybox", "sum", key) is not None)


@pytest.mark.browser
def test_a_download_that_finds_the_disk_full_is_said_and_the_next_one_comes(tab, monkeypatch, tmp_path):
    full = threading.Event()

    def on_a_full_disk(write):
        def inside(path, *arguments, **named):
            if full.is_set() and path.is_relative_to(tmp_path):
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(path, *arguments, **named)

        return inside

    def written():
        return [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith("molorec-record.")]

    monkeypatch.setattr(Path, "write_text", on_a_full_disk(Path.write_text))
    monkeypatch.setattr(whole_file, "write", on_a_full_disk(whole_file.write))
    for each in (shelf.ADAPTERS, shelf.TABLES):
        monkeypatch.setattr(each, "folder", tmp_path / each.folder.name)
    for where, press, done in (("λ landscape", "Sweep λ", "text=/21 of 21 points/"), ("Side by side", "Compare", ".ml-column"),
                               ("Use it elsewhere", "Show for this view", "text=Code and files are for toybox"),
                               ("Use it elsewhere", "Make the mixed adapter", "text=/one adapter of rank/")):
        go_to(tab, where)
        full.set()
        button(tab, press).click()
        tab.wait_for_selector("text=No space left on device >> visible=true")
        assert not written()
        full.clear()
        until(button(tab, press).is_enabled)
        button(tab, press).click()
        tab.wait_for_selector(done)
        until(written)
        until(button(tab, press).is_enabled)
        for path in written():
            path.unlink()


# -- runs that nobody waits for ----------------------------------------------------------------------------------


class Gate:
    """Lets so many forward passes through as it is told to."""

    def __init__(self, model, monkeypatch):
        self.begun, self._permits, works = 0, threading.Semaphore(0), model.forward

        def held(*arguments, **named):
            self.begun += 1
            assert self._permits.acquire(timeout=60)
            return works(*arguments, **named)

        monkeypatch.setattr(model, "forward", held)

    def let(self, passes):
        self._permits.release(passes)


@pytest.fixture
def gate(engine, monkeypatch):
    made = Gate(engine.base.model.base_model, monkeypatch)
    yield made
    made.let(10**6)


def inside():
    """How many threads are at work in MoLoRec."""
    def frames(frame):
        while frame:
            yield frame.f_code.co_filename
            frame = frame.f_back

    return sum(any(name.startswith(str(PACKAGE)) for name in frames(frame)) for frame in sys._current_frames().values())


@contextmanager
def held_at_the_third(gate, before):
    """The block runs while a third forward pass is under way; after it, no other begins, and the thread is free again."""
    gate.let(2)
    until(lambda: gate.begun == 3)
    yield
    gate.let(10**6)
    until(lambda: inside() <= before)
    time.sleep(0.3)
    assert gate.begun == 3 and inside() <= before


@pytest.mark.browser
def test_stop_ends_a_run_with_the_forward_pass_under_way(tab, engine, user, monkeypatch):
    stopped, works = threading.Event(), session.Job.stop
    monkeypatch.setattr(session.Job, "stop", lambda job, why: (works(job, why), stopped.set()))
    before = inside()
    for where, start, stop, _ in LONG_RUNS:
        go_to(tab, where)
        engine._cache.clear()
        engine.rank(engine.catalog.example("toybox", user), 0.5)  # what is on screen is asked for again at the end
        gate = Gate(engine.base.model.base_model, monkeypatch)
        button(tab, start).click()
        with held_at_the_third(gate, before):
            stopped.clear()
            button(tab, stop).click()
            assert stopped.wait(30)
        until(button(tab, start).is_enabled)


@pytest.mark.browser
@pytest.mark.parametrize(("where", "start"), [run[:2] for run in LONG_RUNS], ids=[run[1] for run in LONG_RUNS])
def test_a_closed_tab_ends_a_run_with_the_forward_pass_under_way(browser, app, address, user, gate, where, start):
    gate.let(1)  # the ranking of the page that opens
    with opened(browser, address) as tab:
        until(lambda: is_abandoned(app))
        gate.begun = 0
        go_to(tab, where)
        before = inside()
        button(tab, start).click()
        with held_at_the_third(gate, before):
            tab.close()
            until(lambda: is_abandoned(app))


def test_a_client_that_disconnects_ends_its_run(client, app, address, user, gate):
    before = inside()
    join(client, "tune", ["toybox", 50, "sum", "warm", "candidates"], "gone")
    with httpx.stream("GET", f"{address}gradio_api/queue/data", params={"session_hash": "gone"}, timeout=60) as answer:
        until(lambda: gate.begun == 1)
        lines = answer.iter_lines()
        next(lines)
        gate.let(2)
        until(lambda: gate.begun == 3)
    until(lambda: is_abandoned(app))
    gate.let(10**6)
    until(lambda: inside() <= before)
    assert gate.begun == 3


# -- flood and growth --------------------------------------------------------------------------------------------


def join(client, name, data, session_hash):
    """Ask an endpoint without waiting for its answer."""
    number = next(event["id"] for event in client.config["dependencies"] if event["api_name"] == name)
    return httpx.post(f"{client.src}gradio_api/queue/join",
                      json={"data": data, "fn_index": number, "session_hash": session_hash}, timeout=60)


@pytest.mark.browser
def test_a_full_queue_is_refused_in_words_and_takes_requests_again(tab, client, app, user, gate):
    asked = ["toybox", user, 0.9, "sum", "warm", None, None]
    for place in range(4):
        assert join(client, "rank", asked, f"flood-{place}").status_code == 200
    until(lambda: len(app._queue) == 0)  # all four are being ranked
    answers = [join(client, "rank", asked, f"flood-{place}") for place in range(4, 5 + LIMITS.queue)]
    assert [answer.status_code for answer in answers] == [200] * LIMITS.queue + [503]
    assert "Queue is full" in answers[-1].json()["detail"]
    with pytest.raises(QueueError, match="Queue is full! Please try again."):
        client.predict(domain="toybox", user=user, api_name="/rank")
    button(tab, "Sweep λ").click()
    tab.wait_for_selector(".toast-body:has-text('busy')")
    gate.let(10**6)
    until(lambda: len(app._queue) == 0 and is_abandoned(app))
    assert len(client.predict(domain="toybox", user=user, api_name="/rank")["ranking"]) == 30
    button(tab, "Sweep λ").click()
    tab.wait_for_selector("text=/21 of 21 points/")


def test_the_state_of_so_many_sessions_is_held_and_no_more(app, engine, tmp_path):
    assert app.state_holder.capacity == LIMITS.sessions
    small = page.build(engine, Journal(tmp_path / "journal.db"))
    with served(small, state_session_capacity=5) as url:
        client = Client(url, verbose=False)
        for number in range(25):
            small.state_holder[f"visitor-{number}"]
        assert len(small.state_holder.session_data) <= 5
        assert len(client.predict(domain="toybox", user="u1", api_name="/rank")["ranking"]) == 30
    assert small._queue.ANALYTICS_MAX_EVENTS <= 100  # Gradio goes through all of them after every event


# -- what may be read, and what comes in -------------------------------------------------------------------------


def test_no_route_gives_a_file_of_ours(address, engine, app, client):
    database, adapter = engine.catalog.path, engine.adapter_folders[0] / "general" / "adapter_model.safetensors"
    secret = [database, adapter, database.parent, Path("/etc/passwd"), PACKAGE.parent / "app.py", shelf.TABLES.folder,
              shelf.TABLES.folder.parent]
    paths = [str(path) for path in secret] + ["app.py", "pyproject.toml", "../../../../../../etc/passwd", "file:///etc/passwd"]
    coded = [path.replace("/", code) for path in paths for code in ("/", "%2F", "%252F")]
    routes = ("gradio_api/file=", "file=", "file/", "static/", "assets/", "svelte/", "gradio_api/proxy=", "gradio_api/stream/",
              "")
    with httpx.Client(base_url=address, follow_redirects=True, timeout=30) as browser:
        for route, path in product(routes, coded):
            answer = browser.get(route + path)
            assert answer.status_code in (400, 403, 404, 405), (route, path)
            assert "root:" not in answer.text and b"SQLite" not in answer.content and "argparse" not in answer.text
        assert browser.get(f"gradio_api/file={database}").status_code == 403


def test_a_path_sent_in_place_of_an_upload_is_refused(client, app, engine):
    """A file component takes what this app was sent, not a path that a request names."""
    preview = next(event for event in client.config["dependencies"] if app.fns[event["id"]].name == "look")
    for path in (str(engine.catalog.path), "/etc/passwd", "app.py"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        answer = httpx.post(f"{client.src}gradio_api/run/predict", timeout=30, json={
            "data": [file], "fn_index": preview["id"], "session_hash": "forger"})
        assert answer.status_code >= 400 and "root:" not in answer.text and "SQLite" not in answer.text


@pytest.mark.browser
@pytest.mark.parametrize("lam", ["9", "nan", "abc"])
def test_a_wrong_lam_in_the_address_is_the_default_and_a_notice(browser, address, lam):
    with opened(browser, f"{address}?lam={lam}") as tab:
        tab.wait_for_selector(f".toast-body:has-text(\"λ = '{lam}'\")")
        tab.wait_for_selector(".ml-status b:has-text('λ = 0.50')")
        assert tab.get_by_label("λ as a number").input_value() == "0.5"


def test_there_and_back_again_is_the_same_answer_to_the_last_digit(client, engine, user):
    def answer(lam):
        return client.predict(domain="toybox", user=user, lam=lam, api_name="/rank")["ranking"]

    first = answer(0.0)
    assert answer(1.0) != first
    assert answer(0.0) == first
    engine._cache.clear()
    assert answer(0.0) == first


def test_an_adapter_that_breaks_under_the_running_app_is_left_out_and_comes_back(client, engine, user):
    asked = {"domain": "toybox", "user": user, "lam": 0.0, "api_name": "/rank"}
    before = client.predict(**asked)["ranking"]
    weights = [engine.adapter_folders[0] / name / "adapter_model.safetensors" for name in ("toybox", "general")]
    whole = [path.read_bytes() for path in weights]
    try:
        for path, content in zip(weights, whole, strict=True):
            path.write_bytes(content[: len(content) // 2])
            engine.forget("toybox")
            if path == weights[0]:
                assert client.predict(**asked)["ranking"] != before  # the general adapter alone
        with pytest.raises(AppError, match="no adapter to rank 'toybox' with .*damaged"):
            client.predict(**asked)
    finally:
        for path, content in zip(weights, whole, strict=True):
            path.write_bytes(content)
        engine.forget("toybox")
    assert client.predict(**asked)["ranking"] == before


# -- texts that would run ----------------------------------------------------------------------------------------


def hostile_domain():
    """Titles, ids and people that would run as markup, as a formula or as a template where they are not kept from it."""
    source = source_data(users=110)
    texts = (PAYLOAD, "=1+1", "${window.__xss=1}", "{{value}}", "@SUM(1)", "<script>window.__xss=1</script>")
    names = {item_id: f"{texts[i % len(texts)]}{item_id}" for i, item_id in enumerate(source.titles)}
    source.titles = {names[item_id]: f"{texts[i % len(texts)]} {title}"
                     for i, (item_id, title) in enumerate(source.titles.items())}
    source.events = [(f"{texts[int(user[1:]) % len(texts)]}{user}", names[item], time) for user, item, time in source.events]
    return prepare("toybox", source)


def saved_by(tab, name):
    with tab.expect_download() as found:
        tab.get_by_role("link", name=name).or_(tab.get_by_role("button", name=name)).locator("visible=true").first.click()
    return found.value.suggested_filename, Path(found.value.path()).read_text("utf-8-sig")


@pytest.mark.browser
def test_no_text_of_the_data_runs_in_any_tab_or_file(browser, base, engine, tmp_path):
    catalog = Catalog(tmp_path / "catalog.db")
    catalog.add_domain(hostile_domain(), noun=PAYLOAD, source=PAYLOAD, terms=PAYLOAD)
    files = []
    hostile = Engine(base, catalog, engine.adapter_folders)
    with served(page.build(hostile, Journal(tmp_path / "journal.db"))) as url, opened(browser, url) as tab:
        assert "<img" in tab.locator(".ml-ranking").inner_text()
        button(tab, "Explain the first title").click()
        tab.wait_for_selector("text=/How the sentence goes on|did not pass the check/")
        tab.locator(".js-plotly-plot .bars path").nth(2).hover(force=True)
        button(tab, "Does the order of the list matter?").click()
        tab.wait_for_selector("text=/6 of 6 other orders/")
        button(tab, "Sweep λ").click()
        tab.wait_for_selector("text=/21 of 21 points/")
        files.append(saved_by(tab, "Download the sweep (CSV)"))
        go_to(tab, "Side by side")
        button(tab, "Compare").click()
        tab.wait_for_selector(".ml-column")
        button(tab, "Pin this ranking").click()
        tab.wait_for_selector("text=Pin 1")
        files += [saved_by(tab, f"Download the table ({kind})") for kind in ("CSV", "JSON")]
        go_to(tab, "Results")
        tab.wait_for_selector("text=/Nothing has been measured here on toybox/")
        go_to(tab, "How it works")
        button(tab, "Draw the pictures for this person").click()
        tab.wait_for_selector("text=/Drawn for user/")
        go_to(tab, "Use it elsewhere")
        button(tab, "Show for this view").click()
        tab.wait_for_selector("text=Code and files are for toybox")
        files += [saved_by(tab, f"Ranking as {kind}") for kind in ("CSV", "JSON")]
        button(tab, "Show my latest").click()
        tab.wait_for_function("() => document.querySelector('.ml-share-record')?.innerText.includes('ranking')")
        files += [saved_by(tab, f"Record as {kind}") for kind in ("CSV", "JSON")]
        tab.get_by_role("radio", name="Build your own").check()
        tab.wait_for_selector("ol.ml-edit li")
        tab.get_by_label("Search titles").press_sequentially("amber", delay=60)
        tab.wait_for_selector(".ml-found li")
        tab.get_by_label("Search titles").fill("<b>жжжжжж</b>")
        tab.wait_for_selector("text=No title here is written like “<b>жжжжжж</b>”.")
        assert tab.evaluate("window.__xss") is None
    for name, text in files:
        if name.endswith(".csv"):
            cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
            # the record holds five titles of a ranking: not each of the hostile ones
            assert any("'=1+1" in cell or "'@SUM" in cell or PAYLOAD in cell for cell in cells), name
            assert not any(cell.startswith(("=", "@", "+")) for cell in cells), name
        else:
            assert json.loads(text) and any(hostile in text for hostile in ("=1+1", "@SUM", "__xss")), name
