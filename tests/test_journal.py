"""The record keeps what it is given, each visitor's apart, and a broken file is an error in words."""

import sqlite3
import threading
from dataclasses import replace

import pytest

from molorec import journal as module
from molorec import tuning
from molorec.errors import BadInput, JournalError
from molorec.journal import Journal


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Every ranking is one of its own, and no movement of a slider."""
    monkeypatch.setattr(module, "PAUSE", 0)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "folder" / "journal.db")


@pytest.fixture
def ranking(engine):
    return engine.rank(engine.catalog.examples("toybox", "quick", limit=1)[0], 0.25)


def keep(journal, ranking, visitor="visitor-ann", count=1):
    for _ in range(count):
        journal.keep_ranking(visitor, ranking, "a+b", "base")


def test_a_ranking_is_kept_with_its_first_titles(journal, ranking):
    keep(journal, ranking)
    entry, = journal.entries("visitor-ann")
    assert (entry.kind, entry.domain, entry.scenario, entry.user) == ("ranking", "toybox", "warm", ranking.example.user)
    assert (entry.lam, entry.rule, entry.adapters, entry.base) == (0.25, "sum", "a+b", "base")
    assert entry.top == tuple((ranked.item.title, ranked.probability) for ranked in ranking.items[:5])
    assert entry.entropy == ranking.entropy and entry.seconds == ranking.seconds and entry.time.endswith("+00:00")
    assert entry.history == entry.candidates == ()  # a user's lists are in the catalogue


def test_a_built_ranking_keeps_its_lists(journal, engine, ranking):
    built = replace(ranking, example=replace(ranking.example, user="", setting="built", target=None))
    keep(journal, built)
    entry, = journal.entries("visitor-ann")
    assert entry.candidates == tuple(item.item_id for item in ranking.example.candidates)
    assert entry.history == tuple(item.item_id for item in ranking.example.history)


def test_a_slider_on_the_move_leaves_one_entry_where_it_rests(tmp_path, engine, ranking, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 3)
    journal, clock = Journal(tmp_path / "journal.db"), iter(["10:00:00", "10:00:01", "10:00:03", "10:00:06", "10:00:07"])
    monkeypatch.setattr(module, "_now", lambda: f"2026-01-01T{next(clock)}+00:00")
    for lam in (0.1, 0.2, 0.3):
        keep(journal, replace(ranking, lam=lam))
    assert [entry.lam for entry in journal.entries("visitor-ann")] == [0.3]
    keep(journal, replace(ranking, lam=0.4))  # three seconds later: 0.3 was looked at
    assert [entry.lam for entry in journal.entries("visitor-ann")] == [0.4, 0.3]
    other = engine.rank(engine.catalog.examples("toybox", "quick", limit=2)[1], 0.4)
    keep(journal, other)  # at once, but somebody else's list
    assert [entry.user for entry in journal.entries("visitor-ann")][:2] == [other.example.user, ranking.example.user]


@pytest.mark.parametrize("change", ["history", "rule", "visitor"])
def test_another_list_rule_or_visitor_is_no_movement(tmp_path, ranking, change, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 3)
    journal = Journal(tmp_path / "journal.db")
    built = replace(ranking, example=replace(ranking.example, user="", setting="built", target=None))
    keep(journal, built)
    if change == "history":
        keep(journal, replace(built, example=replace(built.example, history=built.example.history[1:])))
    else:
        keep(journal, replace(built, rule="product") if change == "rule" else built,
             "visitor-bob" if change == "visitor" else "visitor-ann")
    assert len(journal.entries("visitor-ann")) + len(journal.entries("visitor-bob")) == 2


def test_a_tuning_is_kept_with_its_curve(journal, engine):
    for step in tuning.tune(engine, "toybox", 3):
        pass
    journal.keep_tuning("visitor-ann", "toybox", "sum", step, "a+b", "base")
    entry, = journal.entries("visitor-ann")
    assert entry.kind == "tuning" and entry.lam == step.lam and entry.curve == step.curve and entry.prompts == 3
    assert (entry.lam_low, entry.lam_high) == (step.lam_low, step.lam_high)


def test_each_visitor_sees_and_forgets_their_own_alone(journal, ranking):
    keep(journal, ranking, "visitor-ann", 2)
    keep(journal, ranking, "visitor-bob")
    keep(journal, ranking, "")
    number = journal.entries("visitor-ann")[0].number
    assert len(journal.entries("visitor-ann")) == 2 and len(journal.entries("visitor-bob")) == 1 and journal.entries("") == []
    assert journal.entry("visitor-ann", number).number == number and journal.entry("visitor-bob", number) is None
    assert journal.forget("visitor-ann") == 2
    assert journal.entries("visitor-ann") == [] and len(journal.entries("visitor-bob")) == 1


def test_the_newest_come_first_and_the_oldest_go(tmp_path, ranking):
    journal = Journal(tmp_path / "journal.db", rows=5)
    keep(journal, ranking, "visitor-bob", 2)
    for i in range(4):
        journal.keep_ranking("visitor-ann", replace(ranking, lam=i / 10), "a+b", "base")
    assert [entry.lam for entry in journal.entries("visitor-ann")] == [0.3, 0.2, 0.1, 0.0]
    assert len(journal.entries("visitor-bob")) == 1
    assert len(journal.entries("visitor-ann", limit=2)) == 2


def test_a_lam_is_kept_for_a_domain_a_rule_and_its_weights(journal):
    assert journal.kept_lam("toybox", "sum", "a+b") is None
    journal.keep_lam("toybox", "sum", "a+b", 0.3)
    journal.keep_lam("toybox", "sum", "a+b", 0.4)
    journal.keep_lam("toybox", "product", "a+b", 0.9)
    assert journal.kept_lam("toybox", "sum", "a+b") == 0.4
    assert journal.kept_lam("toybox", "product", "a+b") == 0.9
    assert journal.kept_lam("toybox", "sum", "a+c") is None
    with pytest.raises(BadInput, match="outside"):
        journal.keep_lam("toybox", "sum", "a+b", 1.5)
    assert Journal(journal.path).kept_lam("toybox", "sum", "a+b") == 0.4


def test_a_newer_file_is_refused_and_left_alone(journal):
    journal.entries("visitor-ann")
    with sqlite3.connect(journal.path) as connection:
        connection.execute(f"pragma user_version = {module.SCHEMA_VERSION + 1}")
    with pytest.raises(JournalError, match="newer MoLoRec"):
        Journal(journal.path).entries("visitor-ann")


def test_a_locked_file_is_an_error_in_words_and_soon(journal, ranking, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    keep(journal, ranking)
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(JournalError, match="locked"):
        keep(Journal(journal.path), ranking)
    other.execute("rollback")
    keep(journal, ranking)
    assert len(journal.entries("visitor-ann")) == 2


def test_what_is_no_database_or_no_folder_is_an_error_in_words(tmp_path, ranking):
    (tmp_path / "journal.db").write_bytes(b"not a database, but long enough to look at" * 40)
    with pytest.raises(JournalError, match="not a database"):
        Journal(tmp_path / "journal.db").entries("visitor-ann")
    with pytest.raises(JournalError):
        keep(Journal(tmp_path / "journal.db" / "journal.db"), ranking)


@pytest.mark.parametrize("visitor", [["visitor-ann"], {"a": 1}, "\ud800"])
def test_a_visitor_that_is_no_text_is_an_error_in_words(journal, visitor):
    with pytest.raises(JournalError):
        journal.entries(visitor)


def test_a_full_disk_at_any_call_leaves_all_or_nothing(tmp_path, ranking, disk):
    """The N-th statement fails, for every N: the call says so, an entry is there whole or not at all, and the next works."""
    failed = 0
    for n in range(1, 200):
        journal = Journal(tmp_path / f"{n}.db", rows=2)
        disk.fail(f"{n}.db", n)
        try:
            keep(journal, ranking, count=2)
            journal.keep_lam("toybox", "sum", "a+b", 0.3)
            whole = True
        except JournalError as error:
            assert "disk is full" in str(error)
            whole, failed = False, failed + 1
        done = not disk.mend()
        before = len(journal.entries("visitor-ann"))
        assert not whole or (before == 2 and journal.kept_lam("toybox", "sum", "a+b") == 0.3)
        keep(journal, ranking)
        assert len(journal.entries("visitor-ann")) == min(2, before + 1)
        if done:
            break
    assert done and failed > 20


def test_threads_share_a_journal(journal, ranking):
    problems = []

    def write(visitor):
        try:
            keep(journal, ranking, visitor, 10)
        except JournalError as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(f"visitor-{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert [len(journal.entries(f"visitor-{i}")) for i in range(6)] == [10] * 6


@pytest.mark.parametrize("visitor", ["", "short", "x" * 1_000_000, "two words", None, ["visitor-ann"]])
def test_only_what_can_be_a_visitors_id_has_a_record(journal, ranking, visitor):
    keep(journal, ranking, visitor)
    keep(journal, ranking)
    assert [entry.number for entry in journal.entries("visitor-ann")] == [1]


def test_one_visitor_cannot_push_out_the_others(tmp_path, ranking):
    journal = Journal(tmp_path / "journal.db", rows=8, of_one=3)
    keep(journal, ranking, "visitor-bob")
    keep(journal, ranking, "visitor-ann", 20)
    assert len(journal.entries("visitor-bob")) == 1 and len(journal.entries("visitor-ann")) == 3


def test_a_list_of_endless_ids_is_kept_without_them(journal, ranking):
    items = tuple(replace(item, item_id=f"{item.item_id}{'x' * 2_000}") for item in ranking.example.candidates)
    items *= 2
    keep(journal, replace(ranking, example=replace(ranking.example, user="", setting="built", target=None, candidates=items)))
    entry, = journal.entries("visitor-ann")
    assert entry.candidates == entry.history == () and entry.top
