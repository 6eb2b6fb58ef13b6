"""Domains that visitors bring: theirs alone, bounded, and gone without a trace."""

import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec import config, gain, owned
from molorec.catalog import Catalog
from molorec.engine import Engine
from molorec.errors import BadFile, BadInput, CatalogError, MolorecError
from molorec.journal import Journal
from molorec.mixture import adapters
from molorec.training import background
from molorec.training.background import State, Trainings
from tests.conftest import card_for, random_adapter, source_data

VISITOR, OTHER = "visitor-1", "visitor-2"


@pytest.fixture
def files(tmp_path):
    """The two CSV files of a domain, with columns of other names."""
    source = source_data(seed=3)
    items, events = tmp_path / "things.csv", tmp_path / "choices.csv"
    items.write_text("asin,name\n" + "".join(f"{item},{title}\n" for item, title in source.titles.items()))
    events.write_text("who,asin,when\n" + "".join(f"{user},{item},{at}\n" for user, item, at in source.events))
    return items, events


@pytest.fixture
def engine(base, catalog, adapter_folder):
    return Engine(base, catalog, [config.home() / "adapters" / "embedded", adapter_folder])


@pytest.fixture
def trainings():
    made = Trainings(lambda domain, out: [], "pico")
    yield made
    made.kill()


def bring(engine, files, visitor=VISITOR, name="My Films!", noun="films", core=5, **columns):
    mapped = {"item_columns": {"item_id": "asin", "title": "name", "categories": ""},
              "event_columns": {"user_id": "who", "item_id": "asin", "time": "when"}, **columns}
    return owned.bring(engine.catalog, visitor, name, noun, *files, core=core, **mapped)


def give_adapter(engine, name):
    """What a training leaves."""
    folder = config.home() / "adapters" / "embedded" / name
    adapter = random_adapter(engine.base.shapes, seed=9, card=card_for(engine.base, "specific", name))
    adapters.save(adapter, folder, engine.base.name, torch.float32)
    engine.forget(name)
    return folder


def test_what_is_brought_is_ranked_at_once_and_seen_by_nobody_else(engine, files):
    info = bring(engine, files)
    assert info.name.startswith("my-films-") and len(info.name) == len("my-films-") + 16
    assert (info.owner, info.noun, info.users, owned.label(info)) == (VISITOR, "films", 130, "my-films (only you)")
    example = engine.catalog.example(info.name, engine.catalog.users(info.name, "quick", limit=1)[0])
    assert len(engine.rank(example).items) == 30
    assert not engine.mixture(info.name).is_pair
    assert [found.name for found in owned.of(engine.catalog, VISITOR)] == [info.name]
    assert owned.of(engine.catalog, OTHER) == []
    assert bring(engine, files).name != info.name
    with pytest.raises(BadInput) as unknown:
        engine.catalog.domain("nothing")
    assert info.name not in str(unknown.value)


@pytest.mark.parametrize("visitor", ["", None, 3, "a b", "x" * 200, "../../x", []])
def test_without_an_id_nothing_can_be_brought(engine, files, visitor):
    with pytest.raises(BadInput, match="no id"):
        bring(engine, files, visitor)
    assert owned.of(engine.catalog, visitor) == []


def test_a_visitor_holds_so_many_at_most(engine, files, trainings):
    held = [bring(engine, files) for _ in range(config.LIMITS.owned_domains)]
    with pytest.raises(BadInput, match="you hold 3 domains"):
        bring(engine, files)
    bring(engine, files, OTHER)
    owned.delete(engine, trainings, Journal(), VISITOR, held[0].name)
    bring(engine, files)


def test_what_was_left_out_is_told(engine, files):
    with files[1].open("a") as events:
        events.write("lonely,i1,5\n")
    assert any("left out in all: 1 of 131 people, 0 of 80 items" in note for note in bring(engine, files).notes)


def test_problems_name_the_file_without_its_place(engine, files, tmp_path):
    with files[1].open("a") as events:
        events.write("u,none,5\n")
    with pytest.raises(BadFile) as caught:
        bring(engine, files)
    assert str(caught.value).startswith("choices.csv, line 2082, column 'asin': item 'none' is not in things.csv")
    assert str(tmp_path) not in str(caught.value)
    assert owned.of(engine.catalog, VISITOR) == []


@pytest.mark.parametrize(("changes", "words"), [
    ({"name": "!!!"}, "no letter"), ({"noun": "x" * 31}, "too long"), ({"core": 0}, "give 1 or more"),
    ({"core": 10_000}, "Fewest choices"), ({"item_columns": {"item_id": "asin", "title": "label"}}, "label"),
])
def test_nonsense_is_refused(engine, files, changes, words):
    with pytest.raises(BadInput, match=words):
        bring(engine, files, **changes)


@pytest.mark.parametrize(("noun", "kept"), [("", "items"), (None, "items"), (" \n ", "items"), (" board\ngames ", "board games")])
def test_a_noun_is_cleaned(engine, files, noun, kept):
    assert bring(engine, files, noun=noun).noun == kept


@pytest.mark.parametrize(("bound", "words"), [(owned.Bounds(100, 10**6), "larger than"),
                                              (owned.Bounds(10**6, 10), "more than 10 rows")])
def test_uploads_are_bounded(engine, files, monkeypatch, bound, words):
    monkeypatch.setattr(owned, "UPLOAD", bound)
    with pytest.raises(BadFile, match=words):
        bring(engine, files)


@given(st.text(max_size=80))
def test_any_name_is_made_usable_or_refused(name):
    try:
        made = owned.slug(name)
    except BadInput:
        return
    assert 0 < len(made) <= 40 and set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_deleting_takes_adapter_checkpoint_and_record_along(engine, files, trainings):
    name, journal = bring(engine, files).name, Journal()
    for domain in (name, "toybox"):
        ranking = engine.rank(engine.catalog.examples(domain, "quick")[0])
        journal.keep_ranking(VISITOR, ranking, "a", "base")
        journal.keep_lam(domain, "sum", "a", 0.3)
    folder, checkpoint = give_adapter(engine, name), background.folder_of(name) / "checkpoint.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("x")
    elsewhere = config.home() / "adapters" / "another-model" / name
    elsewhere.mkdir(parents=True)
    assert engine.mixture(name).is_pair
    for visitor in (OTHER, "", None):
        with pytest.raises(BadInput, match="none of your domains"):
            owned.delete(engine, trainings, Journal(), visitor, name)
    owned.delete(engine, trainings, Journal(), VISITOR, name)
    assert not folder.exists() and not checkpoint.parent.exists() and not elsewhere.exists()
    assert owned.of(engine.catalog, VISITOR) == []
    assert [entry.domain for entry in journal.entries(VISITOR)] == ["toybox"]
    assert journal.kept_lam(name, "sum", "a") is None and journal.kept_lam("toybox", "sum", "a") == 0.3
    with pytest.raises(BadInput, match="no domain"):
        engine.mixture(name)


@pytest.mark.parametrize("domain", ["toybox", "general", "../toybox", "", None, 5])
def test_what_is_everyones_cannot_be_deleted_or_trained(engine, trainings, adapter_folder, domain):
    for act, more in ((owned.delete, [Journal()]), (owned.share, [Journal()]), (owned.train, [])):
        with pytest.raises(BadInput, match="none of your domains"):
            act(engine, trainings, *more, VISITOR, domain)
    assert engine.catalog.domain("toybox") and (adapter_folder / "toybox").is_dir() and (adapter_folder / "general").is_dir()


def test_a_removed_domain_leaves_shipped_adapters_alone(engine, files, trainings, adapter_folder):
    name = bring(engine, files).name
    (adapter_folder / name).mkdir()
    owned.delete(engine, trainings, Journal(), VISITOR, name)
    assert (adapter_folder / name).is_dir()


def test_saved_for_everyone_under_the_chosen_name_with_its_adapter(engine, files, trainings):
    name = bring(engine, files).name
    lists = list(engine.catalog.export_lists(name))
    folder = give_adapter(engine, name)
    list(gain.measure(engine, name, people=3))
    measured, weak, journal, key = gain.of(engine, name), engine.mixture(name).weak, Journal(), engine.mixture(name).key
    journal.keep_lam(name, "sum", key, 0.3)
    journal.keep_ranking(VISITOR, engine.rank(engine.catalog.examples(name, None)[0]), key, "base")
    shared = owned.share(engine, trainings, Journal(), VISITOR, name)
    assert (shared.name, shared.owner, owned.label(shared)) == ("my-films", "", "my-films")
    assert not folder.exists() and list(engine.catalog.export_lists("my-films")) == lists
    mixture = engine.mixture("my-films")
    assert mixture.is_pair and mixture.adapters[1].card.domain == "my-films"
    assert gain.of(engine, "my-films") == measured and mixture.weak == weak != ()
    assert journal.kept_lam("my-films", "sum", mixture.key) == 0.3
    assert [entry.domain for entry in journal.entries(VISITOR)] == ["my-films"]
    assert owned.of(engine.catalog, VISITOR) == []
    assert "my-films" in {info.name for info in engine.catalog.domains(OTHER)}


@pytest.mark.parametrize("name", ["toybox", "general"])
def test_a_taken_name_is_not_shared(engine, files, trainings, name):
    brought = bring(engine, files, name=name).name
    with pytest.raises(BadInput, match="another name"):
        owned.share(engine, trainings, Journal(), VISITOR, brought)
    assert [info.name for info in owned.of(engine.catalog, VISITOR)] == [brought]


def test_of_two_who_save_one_name_at_once_the_first_has_it_and_nobody_loses_an_adapter(engine, files, trainings, monkeypatch):
    copying, go_on, copytree, refused = threading.Event(), threading.Event(), shutil.copytree, []
    names = {visitor: bring(engine, files, visitor).name for visitor in (VISITOR, OTHER)}
    folders = [give_adapter(engine, name) for name in names.values()]

    def slow(*arguments, **named):
        if not copying.is_set():
            copying.set()
            assert go_on.wait(30)
        return copytree(*arguments, **named)

    def save(visitor):
        try:
            owned.share(engine, trainings, Journal(), visitor, names[visitor])
        except MolorecError as error:
            refused.append((visitor, str(error)))

    monkeypatch.setattr(owned.shutil, "copytree", slow)
    first, second = (threading.Thread(target=save, args=[visitor]) for visitor in (VISITOR, OTHER))
    first.start()
    assert copying.wait(30)
    second.start()
    second.join(0.5)
    go_on.set()
    first.join()
    second.join()
    (visitor, why), = refused
    assert visitor == OTHER and "another name" in why
    assert engine.mixture("my-films").is_pair and not folders[0].exists() and folders[1].is_dir()


def test_what_is_being_trained_is_not_shared(engine, files, trainings, monkeypatch):
    name = bring(engine, files).name
    monkeypatch.setattr(trainings, "state", lambda domain: State("training"))
    with pytest.raises(BadInput, match="being trained"):
        owned.share(engine, trainings, Journal(), VISITOR, name)


def test_after_a_day_what_is_private_is_removed(engine, files, trainings, monkeypatch):
    name, trained = bring(engine, files).name, bring(engine, files).name
    owned.share(engine, trainings, Journal(), VISITOR, bring(engine, files, name="kept").name)
    give_adapter(engine, name)
    assert owned.remove_old(engine, trainings, Journal()) == []
    later = time.time() + config.LIMITS.owned_seconds + 60
    monkeypatch.setattr(trainings, "state", lambda domain: State("training") if domain == trained else None)
    assert owned.remove_old(engine, trainings, Journal(), later) == [name]
    assert {info.name for info in engine.catalog.domains(VISITOR)} == {"toybox", "kept", trained}
    assert not (config.home() / "adapters" / "embedded" / name).exists()


def test_an_app_with_adapters_elsewhere_says_that_it_cannot_train(engine, files, trainings, adapter_folder):
    name = bring(engine, files).name
    with pytest.raises(MolorecError, match="outside MOLOREC_HOME"):
        owned.train(Engine(engine.base, engine.catalog, [adapter_folder]), trainings, VISITOR, name)


def test_limits_of_the_screen_are_below_those_of_the_command_line():
    assert owned.UPLOAD.bytes == 50 * 2**20 < config.LIMITS.csv_bytes and owned.UPLOAD.rows < config.LIMITS.csv_rows


@pytest.mark.parametrize("error", [OSError("No space left on device"), None])
def test_a_full_disk_while_saving_for_everyone_changes_nothing(engine, files, trainings, fail_on, monkeypatch, error):
    name = bring(engine, files).name
    folder = give_adapter(engine, name)
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    if error:
        fail_on(os, "replace", 1, error)  # while the card is written
    else:
        fail_on(engine.catalog, "share_domain", 1, CatalogError("database or disk is full"))
    with pytest.raises(MolorecError, match="No space left" if error else "disk is full"):
        owned.share(engine, trainings, Journal(), VISITOR, name)
    assert [info.name for info in owned.of(engine.catalog, VISITOR)] == [name]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    assert [path.name for path in folder.parent.iterdir()] == [name]
    assert owned.share(engine, trainings, Journal(), VISITOR, name).name == "my-films"
    assert engine.mixture("my-films").is_pair and not folder.exists()


@pytest.mark.parametrize("error", ["database or disk is full", "database is locked"])
def test_a_catalogue_that_fails_midway_keeps_nothing_and_the_next_try_works(engine, files, disk, error):
    engine = Engine(engine.base, Catalog(engine.catalog.path), engine.adapter_folders)
    for n in (1, 5, 20):
        disk.fail("catalog.db", n, error)
        with pytest.raises(CatalogError, match=error):
            bring(engine, files)
        assert disk.mend() and owned.of(engine.catalog, VISITOR) == []
    info = bring(engine, files)
    assert owned.of(engine.catalog, VISITOR) == [info]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=120), st.text('ui12,"\n\r\0é=<', max_size=120).map(str.encode),
                         st.lists(st.tuples(*[st.text(max_size=8)] * 3)).map(
                             lambda rows: ("who,asin,when\n" + "".join(",".join(row) + "\n" for row in rows)).encode(
                                 errors="replace"))), which=st.sampled_from([0, 1]))
def test_any_upload_is_brought_or_refused_in_words(engine, files, content, which):
    kept = files[which].read_bytes()
    try:
        files[which].write_bytes(content)
        with pytest.raises(BadInput) as refused:  # far too little for a domain, whatever it holds
            bring(engine, files)
        assert str(files[which].parent) not in str(refused.value)
        files[which].write_bytes(kept + content)
        with suppress(BadInput):
            owned.delete(engine, Trainings(lambda domain, out: [], "pico"), Journal(), VISITOR, bring(engine, files).name)
    finally:
        files[which].write_bytes(kept)
    assert owned.of(engine.catalog, VISITOR) == []


def test_the_name_of_a_published_data_set_is_nobodys_to_take(engine, files, trainings):
    name = bring(engine, files, name="MovieLens 100K").name
    with pytest.raises(BadInput, match="'movielens-100k' is the name of a published data set"):
        owned.share(engine, trainings, Journal(), VISITOR, name)


def test_all_visitors_together_hold_so_many_domains(engine, files, monkeypatch):
    monkeypatch.setattr(owned, "LIMITS", replace(config.LIMITS, owned_total=1))
    bring(engine, files)
    with pytest.raises(BadInput, match="visitors hold 1 domains here already"):
        bring(engine, files, visitor="another-visitor")


def test_a_column_that_says_the_same_of_many_things_is_doubted(engine, files):
    ids = [line.split(",")[0] for line in files[0].read_text().splitlines()[1:]]
    files[0].write_text("asin,name\n" + "".join(f"{item_id},Comedy\n" for item_id in ids))
    assert any("only 1 different titles" in note for note in bring(engine, files).notes)
