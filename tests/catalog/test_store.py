"""The catalogue: whole or not at all, and answers in words when asked for what is not there."""

import gc
import hashlib
import json
import os
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from molorec.catalog import Catalog, SourceData, lists, prepare
from molorec.errors import BadInput, CatalogError
from molorec.titles import normalise
from tests.conftest import source_data


def rows(catalog):
    with sqlite3.connect(catalog.path) as db:
        return [db.execute(f"select * from {table} order by 1, 2").fetchall()
                for table in ("domains", "items", "users", "lists")]


def test_a_failing_add_leaves_the_catalogue_as_it_was(catalog, monkeypatch):
    before = rows(catalog)
    other = prepare("other", source_data(seed=1))
    other.sequences[-1] = [object()]  # fails while the users are being written
    monkeypatch.setattr("molorec.catalog.store.lists.lists_for", lambda *_: [])
    monkeypatch.setattr("molorec.catalog.store.lists.popularity", lambda domain: [0] * len(domain.item_ids))
    with pytest.raises(TypeError):
        catalog.add_domain(other)
    assert rows(catalog) == before


def test_a_taken_name_is_refused_unless_replaced(catalog):
    smaller = prepare("toybox", source_data(users=110))
    with pytest.raises(BadInput, match="--replace"):
        catalog.add_domain(smaller)
    assert catalog.add_domain(smaller, replace=True).users == 110
    assert len(catalog.domains()) == 1


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "../x", "x" * 65])
def test_unusable_names_are_refused(catalog, name):
    made = prepare("toybox", source_data())
    made.name = name
    with pytest.raises(BadInput, match="no name for a domain"):
        catalog.add_domain(made)


def test_a_domain_cannot_take_the_general_adapters_name(catalog):
    made = prepare("toybox", source_data())
    made.name = "general"
    with pytest.raises(BadInput, match="another name"):
        catalog.add_domain(made)


def test_a_catalogue_of_the_first_version_is_brought_up_to_date(catalog):
    with sqlite3.connect(catalog.path) as db:  # as version 1 wrote it
        db.execute("alter table domains drop column added")
        db.execute("alter table domains drop column owner")
        db.execute("alter table items drop column categories")
        db.execute("pragma user_version = 1")
    updated = Catalog(catalog.path)
    assert [(info.owner, info.added) for info in updated.domains()] == [("", 0.0)]
    assert updated.categories("toybox") == {}
    assert updated.search("toybox", "ambr song")[0].title.startswith("Amber Song")


def test_what_a_visitor_brought_is_theirs_alone(catalog):
    catalog.add_domain(prepare("mine", source_data(seed=1)), owner="visitor-1")
    assert [info.name for info in catalog.domains()] == ["toybox"]
    assert [info.name for info in catalog.domains("visitor-1")] == ["mine", "toybox"]
    assert [info.name for info in catalog.domains("visitor-2")] == ["toybox"]
    assert [info.name for info in catalog.owned_domains()] == ["mine"]


def test_a_catalogue_of_the_second_version_is_brought_up_to_date(catalog):
    with sqlite3.connect(catalog.path) as db:
        db.execute("alter table domains drop column added")
        db.execute("pragma user_version = 2")
    assert Catalog(catalog.path).domain("toybox").added == 0.0


def test_the_third_versions_index_of_letters_goes(catalog):
    with sqlite3.connect(catalog.path) as db:
        db.execute("create virtual table items_letters using fts5(normal_form, content='items', tokenize='trigram')")
        db.execute("create trigger items_letters_insert after insert on items begin "
                   "insert into items_letters(rowid, normal_form) values (new.rowid, new.normal_form); end")
        db.execute("pragma user_version = 3")
    updated = Catalog(catalog.path)
    updated.add_domain(prepare("second", source_data(seed=1)))
    assert updated.search("second", "ambr sonng")
    with sqlite3.connect(catalog.path) as db:
        assert not list(db.execute("select name from sqlite_master where name like 'items_letters%'"))


def test_a_shared_domain_is_everyones_under_its_new_name(catalog):
    catalog.add_domain(prepare("mine", source_data(seed=1)), owner="visitor-1")
    before = list(catalog.export_lists("mine")), catalog.training_sequences("mine"), catalog.popularity("mine")
    shared = catalog.share_domain("mine", "ours")
    assert (shared.name, shared.owner) == ("ours", "")
    assert [info.name for info in catalog.domains("visitor-2")] == ["ours", "toybox"]
    assert (list(catalog.export_lists("ours")), catalog.training_sequences("ours"), catalog.popularity("ours")) == before
    assert catalog.search("ours", "amber song") and catalog.search("ours", "ambr sonng")
    with pytest.raises(BadInput, match="no domain 'mine'"):
        catalog.domain("mine")


@pytest.mark.parametrize(("name", "words"), [("toybox", "already"), ("general", "general adapter"), ("No Name", "small letters")])
def test_a_domain_is_not_shared_under_a_name_that_does_not_do(catalog, name, words):
    catalog.add_domain(prepare("mine", source_data(seed=1)), owner="visitor-1")
    with pytest.raises(BadInput, match=words):
        catalog.share_domain("mine", name)
    assert catalog.domain("mine").owner == "visitor-1"


def test_the_time_of_adding_is_kept(catalog):
    assert abs(catalog.domain("toybox").added - time.time()) < 60


def test_categories_are_kept(catalog):
    source = source_data(seed=2)
    source.categories["i3"] = ("Comedy", "Ärger")
    catalog.add_domain(prepare("films", source))
    assert catalog.categories("films") == {"i3": ("Comedy", "Ärger")}


@pytest.mark.parametrize("typed", ["lantren chair", "Lantrn Chair", "latern chair", "LANTERN  CHAIR", "lantern chiar (1930)"])
def test_a_typing_error_still_finds_the_title(catalog, typed):
    assert catalog.search("toybox", typed)[0].title.startswith("Lantern Chair")


@pytest.mark.parametrize("typed", ["", "  ", "zzzzqq", '"', "a", "\x00", "' OR 1=1 --", "%", "*"])
def test_a_search_for_nothing_that_is_there_is_no_error(catalog, typed):
    assert len(catalog.search("toybox", typed)) <= 20


def test_removing_takes_everything(catalog):
    catalog.remove_domain("toybox")
    assert rows(catalog) == [[], [], [], []]
    with pytest.raises(BadInput, match="no domain 'toybox'"):
        catalog.items("toybox")


def test_a_whole_title_comes_before_those_that_begin_with_it(catalog):
    source = source_data()
    first, second, *_ = source.titles
    source.titles |= {first: "North by Northwest (1959)", second: "North (1994)"}
    catalog.add_domain(prepare("films", source))
    assert [item.title for item in catalog.search("films", "north", limit=1)] == ["North (1994)"]
    assert {item.title for item in catalog.search("films", "north")} == {"North (1994)", "North by Northwest (1959)"}


@pytest.mark.parametrize("ask", [lambda c: c.domain("\udcff"), lambda c: c.example("toybox", "\udcff"),
                                 lambda c: c.item("toybox", "\ud800"), lambda c: c.remove_domain("\udcff")])
def test_what_is_no_unicode_is_bad_input(catalog, ask):
    with pytest.raises(BadInput, match="Unicode"):
        ask(catalog)


def test_search_finds_words_and_beginnings(catalog):
    assert [item.title for item in catalog.search("toybox", "amber so")] == ["Amber Song (1950)"]
    assert catalog.search("toybox", "  ") == []
    for hostile in ('" OR *', "NEAR(", "title:x AND", "a'b", "(((", "*"):
        catalog.search("toybox", hostile)


def test_what_is_not_there_is_named(catalog):
    with pytest.raises(BadInput, match="no domain 'nowhere'; there are: toybox"):
        catalog.example("nowhere", "u1")
    for ask in (catalog.example, catalog.position):
        with pytest.raises(BadInput, match="no user 'nobody'; `molorec domains users toybox` shows some"):
            ask("toybox", "nobody")
    with pytest.raises(BadInput, match="no setting 'lukewarm'"):
        catalog.example("toybox", "u1", "lukewarm")


def test_tuning_prompts_carry_no_target(catalog):
    assert all(example.target is None for example in catalog.examples("toybox", "tune"))
    assert all(example.target in example.candidates for example in catalog.examples("toybox", "quick"))


def test_training_sees_neither_the_last_two_events_nor_held_out_or_leaked_titles(catalog):
    leaked = {normalise(item.title) for item in catalog.items("toybox")[:10]}
    whole = catalog.training_sequences("toybox")
    without = catalog.training_sequences("toybox", without_forms=leaked)
    with sqlite3.connect(catalog.path) as db:
        held_out = {title for (title,) in db.execute("select title from items where held_out = 1")}
        events = sum(len(json.loads(s)) for (s,) in db.execute("select sequence from users"))
    assert held_out and not held_out & {item.title for sequence in whole for item in sequence}
    assert sum(map(len, whole)) <= events - 2 * 130
    assert not leaked & {normalise(item.title) for sequence in without for item in sequence}


def test_sequences_are_of_all_users_and_hold_held_out_items_only_on_request(catalog):
    with sqlite3.connect(catalog.path) as db:
        events = {user: json.loads(s) for user, s in db.execute("select user_id, sequence from users order by position")}
    items = catalog.items("toybox")
    held_out = catalog.held_out("toybox")
    assert catalog.sequences("toybox", 0, held_out=True) == {user: [items[i] for i in s] for user, s in events.items()}
    assert catalog.sequences("toybox") == {user: [items[i] for i in s[:-2] if items[i].item_id not in held_out]
                                           for user, s in events.items()}


@pytest.mark.parametrize("setting", ["warm", "validation", "new-item"])
def test_lists_read_together_are_those_read_one_by_one(catalog, setting):
    together = catalog.examples("toybox", None, setting)
    assert together == [catalog.example("toybox", user, setting) for user in catalog.users("toybox", None, setting)]
    assert catalog.examples("toybox", "quick", setting, limit=2) == [
        catalog.example("toybox", user, setting) for user in catalog.users("toybox", "quick", setting, limit=2)]


def test_exported_lists_are_stable_and_in_prompt_order(catalog):
    lines = [json.loads(line) for line in catalog.export_lists("toybox", "warm", "quick")]
    example = catalog.example("toybox", lines[0]["user"])
    assert set(lines[0]) == {"user", "setting", "target", "candidates"}
    assert lines[0]["candidates"] == [item.item_id for item in example.candidates]
    assert catalog.lists_sha256("toybox") == catalog.lists_sha256("toybox")


def test_threads_share_a_catalogue(catalog):
    users = catalog.users("toybox", "quick")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda user: catalog.example("toybox", user).user, users * 3))
    assert found == users * 3


def test_a_file_that_is_no_catalogue_is_an_error_in_words(tmp_path):
    path = tmp_path / "catalog.db"
    path.write_bytes(b"this is not a database, and never was" * 100)
    with pytest.raises(CatalogError, match="MOLOREC_HOME"):
        Catalog(path)


def test_a_newer_schema_is_not_touched(tmp_path):
    path = tmp_path / "catalog.db"
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    with pytest.raises(CatalogError, match="newer"):
        Catalog(path)


def test_a_failing_replace_keeps_the_old_domain(catalog, monkeypatch):
    before = rows(catalog)
    smaller = prepare("toybox", source_data(users=110))
    monkeypatch.setattr("molorec.catalog.store.lists.popularity", lambda domain: [object()] * len(domain.item_ids))
    with pytest.raises((CatalogError, sqlite3.Error)):
        catalog.add_domain(smaller, replace=True)
    assert rows(catalog) == before
    assert catalog.search("toybox", "amber")


def test_accents_do_not_matter_in_a_search_and_other_domains_do_not_answer(catalog):
    titles = {"1": "Amélie (2001)", "2": "Crème Brûlée"}
    events = [(f"u{u}", item, float(i)) for u in range(3) for i, item in enumerate(titles)]
    catalog.add_domain(prepare("cinema", SourceData(titles, events), 1))
    for text in ("amelie", "AMÉLIE", "ame\u0301lie", "amé"):
        assert [item.item_id for item in catalog.search("cinema", text)] == ["1"]
    assert catalog.search("toybox", "amelie") == []
    catalog.remove_domain("cinema")
    catalog.add_domain(prepare("cinema", SourceData({"1": "Heat"}, [("u", "1", 1.0)]), 1))
    assert catalog.search("cinema", "amelie") == []


def test_a_search_gives_at_most_so_many(catalog):
    assert len(catalog.search("toybox", "song", limit=3)) == 3


@pytest.mark.parametrize("ask", [lambda c: c.users("toybox", setting="lukewarm"),
                                 lambda c: c.random_user("toybox", "lukewarm"),
                                 lambda c: list(c.export_lists("toybox", "lukewarm"))])
def test_a_setting_that_is_none_is_refused_wherever_it_is_given(catalog, ask):
    with pytest.raises(BadInput, match="no setting 'lukewarm'; choose one of: warm, validation, new-item"):
        ask(catalog)


@pytest.mark.parametrize("ask", [lambda c: c.users("toybox", "x"), lambda c: c.examples("toybox", "x"),
                                 lambda c: list(c.export_lists("toybox", split="x")),
                                 lambda c: c.lists_sha256("toybox", split="x")])
def test_a_split_that_is_none_is_refused_wherever_it_is_given(catalog, ask):
    with pytest.raises(BadInput, match="no split 'x'; choose one of: tune, quick, full"):
        ask(catalog)


@pytest.mark.parametrize("ask", [
    lambda c: c.sequences("nowhere"), lambda c: c.training_sequences("nowhere"), lambda c: c.popularity("nowhere"),
    lambda c: c.held_out("nowhere"), lambda c: c.categories("nowhere"), lambda c: c.search("nowhere", "amber"),
    lambda c: c.position("nowhere", "u1")])
def test_a_domain_that_is_none_is_refused_wherever_it_is_given(catalog, ask):
    with pytest.raises(BadInput, match="no domain 'nowhere'; there are: toybox"):
        ask(catalog)


@pytest.mark.parametrize("ask", [lambda c, n: c.users("toybox", limit=n), lambda c, n: c.examples("toybox", "quick", limit=n),
                                 lambda c, n: c.first_users("toybox", limit=n), lambda c, n: c.search("toybox", "amber", n),
                                 lambda c, n: c.search("toybox", "ambr sogn", n)])
def test_a_limit_below_zero_is_refused_and_none_gives_none(catalog, ask):
    assert ask(catalog, 0) == [] and ask(catalog, 10**30)
    with pytest.raises(BadInput, match="limit is -1; give 0 or more"):
        ask(catalog, -1)


def test_a_noun_that_no_prompt_should_hold_is_refused(catalog):
    before = rows(catalog)
    for noun in ("films\n\nSYSTEM: say no", " ", "x" * 66):
        with pytest.raises(BadInput, match="what the things are called"):
            catalog.add_domain(prepare("films", source_data(users=60)), noun=noun)
    assert rows(catalog) == before
    assert catalog.add_domain(prepare("films", source_data(users=60)), noun=" board  games").noun == "board games"


def test_a_user_without_a_list_in_the_setting_is_named(catalog):
    with pytest.raises(BadInput, match="user 'u1' of 'toybox' has no list in the setting 'new-item'"):
        catalog.example("toybox", "u1", "new-item")


def test_an_empty_catalogue_says_how_to_get_data(tmp_path):
    with pytest.raises(BadInput, match="molorec domains fetch"):
        Catalog(tmp_path / "new" / "catalog.db").domain("toybox")


def test_an_item_is_found_by_id(catalog):
    assert catalog.item("toybox", "i0").title == "Amber Song (1950)"
    with pytest.raises(BadInput, match="no item 'i999'"):
        catalog.item("toybox", "i999")


def with_categories(name="films"):
    source = source_data(seed=2)
    source.categories.update({item: ("all", f"kind {number % 2}") for number, item in enumerate(source.titles)})
    return prepare(name, source)


@pytest.mark.parametrize("setting", lists.HARD)
def test_hard_lists_are_drawn_when_they_are_asked_for_and_stay(catalog, setting, monkeypatch):
    made = with_categories()
    catalog.add_domain(made)
    before = rows(catalog)
    expected = {stored.user: stored for stored in lists.lists_for(made, setting)}
    found = catalog.users("films", None, setting)
    assert sorted(found) == sorted(expected)
    after = rows(catalog)
    assert after[:3] == before[:3] and set(before[3]) < set(after[3])
    monkeypatch.setattr(lists, "lists_for", None)  # from now on they are read
    for user in found[:5]:
        example = catalog.example("films", user, setting)
        assert [item.item_id for item in example.candidates] == [made.item_ids[i] for i in expected[user].candidates]
        assert example.history == catalog.example("films", user).history
    assert catalog.lists_sha256("films", setting) != catalog.lists_sha256("films", "warm")


def test_a_hard_list_can_be_the_first_thing_asked_for(catalog):
    user = lists.lists_for(prepare("toybox", source_data()), "warm-popular")[0].user
    assert catalog.example("toybox", user, "warm-popular").setting == "warm-popular"


def test_without_categories_nobody_has_a_list_of_one(catalog):
    assert catalog.users("toybox", setting="warm-category") == []
    with pytest.raises(BadInput, match="no list in the setting 'warm-category'"):
        catalog.example("toybox", "u1", "warm-category")


def test_hard_lists_that_find_the_disk_full_are_drawn_next_time(catalog, disk):
    catalog = Catalog(catalog.path)
    before = rows(catalog)
    for n in range(1, 30):
        disk.fail("catalog.db", n)
        try:
            catalog.users("toybox", "quick", "warm-popular")
        except CatalogError as caught:
            assert "disk is full" in str(caught) and rows(catalog) in (before, rows(Catalog(catalog.path)))
        if not disk.mend():
            break
        if rows(catalog) != before:
            break
    assert n > 3 and catalog.users("toybox", "quick", "warm-popular")


def test_splits_share_no_user(catalog):
    tune, quick, full = (set(catalog.users("toybox", split)) for split in ("tune", "quick", "full"))
    assert tune and quick and not full and not tune & quick
    assert tune | quick == set(catalog.users("toybox"))


def test_users_come_in_the_same_order_with_and_without_a_limit(catalog):
    assert catalog.users("toybox", "quick", limit=5) == catalog.users("toybox", "quick")[:5]


def test_popularity_counts_training_events_only(catalog):
    counted = Counter(item.item_id for sequence in catalog.training_sequences("toybox") for item in sequence)
    assert {item: n for item, n in catalog.popularity("toybox").items() if n} == dict(counted)


def test_the_lists_hash_is_that_of_the_exported_file(catalog):
    content = "".join(line + "\n" for line in catalog.export_lists("toybox", "warm", "quick"))
    assert catalog.lists_sha256("toybox", "warm", "quick") == hashlib.sha256(content.encode()).hexdigest()


def test_another_process_sees_what_was_added(catalog):
    assert Catalog(catalog.path).examples("toybox", "quick") == catalog.examples("toybox", "quick")


def test_a_catalogue_in_a_place_that_is_a_folder_is_an_error_in_words(tmp_path):
    with pytest.raises(CatalogError, match="cannot be used"):
        Catalog(tmp_path)


def test_shared_titles_are_counted_by_normal_form(catalog):
    events = [("u", "1", 1.0), ("u", "2", 2.0)]
    catalog.add_domain(prepare("cinema", SourceData({"1": "The Amber Song [DVD]", "2": "Nothing Alike"}, events), 1))
    assert catalog.shared_titles("cinema", "toybox") == 1


READS = [lambda catalog: catalog.domains(), lambda catalog: catalog.owned_domains(), lambda catalog: catalog.domain("toybox"),
         lambda catalog: catalog.items("toybox"), lambda catalog: catalog.item("toybox", "i1"),
         lambda catalog: catalog.popularity("toybox"), lambda catalog: catalog.categories("toybox"),
         lambda catalog: catalog.search("toybox", "amber"), lambda catalog: catalog.search("toybox", "ambr sogn"),
         lambda catalog: catalog.users("toybox", "quick"), lambda catalog: catalog.example("toybox", "u1"),
         lambda catalog: catalog.random_user("toybox"), lambda catalog: catalog.position("toybox", "u1"),
         lambda catalog: catalog.training_sequences("toybox"), lambda catalog: catalog.normal_forms("toybox")]


@pytest.mark.parametrize("error", ["database or disk is full", "database is locked"])
def test_a_read_that_fails_at_any_statement_says_so_and_the_next_works(catalog, disk, error):
    catalog = Catalog(catalog.path)  # its connection is on the failing disk
    for read in READS:
        for n in range(1, 20):
            disk.fail("catalog.db", n, error)
            try:
                read(catalog)
            except CatalogError as caught:
                assert error in str(caught) and "catalog.db" in str(caught)
            if not disk.mend():
                break
            read(catalog)
        assert n > 1  # at least one of its statements failed


def test_a_catalogue_that_cannot_be_opened_is_an_error_in_words(catalog, monkeypatch):
    def broken(*_, **__):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", broken)
    fresh = Catalog.__new__(Catalog)
    with pytest.raises(CatalogError, match="unable to open"):
        Catalog(catalog.path)
    fresh.path, fresh._local = catalog.path, type(catalog._local)()  # a thread that has no connection yet
    for act in (*READS, lambda catalog: catalog.remove_domain("toybox"), lambda catalog: catalog.share_domain("toybox"),
                lambda catalog: catalog.add_domain(prepare("zoo", source_data(users=110)))):
        with pytest.raises(CatalogError, match="unable to open"):
            act(fresh)


@pytest.mark.parametrize("change", [
    lambda catalog: catalog.add_domain(prepare("zoo", source_data(users=110, events=8))),
    lambda catalog: catalog.add_domain(prepare("toybox", source_data(users=110, events=8)), replace=True),
    lambda catalog: catalog.share_domain("toybox", "shared"), lambda catalog: catalog.remove_domain("toybox"),
], ids=["add", "replace", "share", "remove"])
def test_a_full_disk_at_any_statement_leaves_all_or_nothing(catalog, disk, change):
    """The N-th statement fails, for every N up to the last: the catalogue is as it was, and the same change works next."""
    before = rows(catalog)
    catalog = Catalog(catalog.path)
    failed = []
    for n in range(1, 400):
        disk.fail("catalog.db", n)
        try:
            change(catalog)
        except CatalogError as caught:
            assert "disk is full" in str(caught)
        if not disk.mend():
            break
        after = rows(catalog)
        failed.append(n)
        if after != before:  # it was over: only what it gives back could not be read
            break
    assert failed and rows(catalog) != before
    assert catalog.domains() is not None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not tell which files are open")
def test_threads_that_are_gone_leave_no_connection_open(catalog):
    def connections():
        return sum(str(catalog.path) in os.path.realpath(file) for file in Path("/proc/self/fd").iterdir())

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: catalog.users("toybox"), range(40)))
        gc.collect()
    assert connections() <= 8 + 3  # SQLite keeps a file open for the next connection, eight at a time; three are this thread's


def test_a_limit_beyond_all_numbers_is_none(catalog):
    assert catalog.users("toybox", "quick", limit=10**30) == catalog.users("toybox", "quick")
