"""People described, candidates drawn, and lists read."""

import random
from dataclasses import replace

import pytest

from molorec.catalog import prepare
from molorec.errors import BadInput
from molorec.prompts import HISTORY_TITLES
from molorec.ui import page, session, who
from molorec.ui.session import Job, Latest, Shown
from tests.conftest import source_data


def test_sample_users_are_described(engine):
    samples = who.sample_users(engine.catalog, "toybox")
    assert len(samples) == who.SAMPLE_USERS
    assert all(label.startswith(f"{user} · ") and len(label) > len(user) + 3 for label, user in samples)


def test_drawn_candidates_are_new_and_differ(engine):
    history = [item.item_id for item in engine.catalog.items("toybox")[:20]]
    drawn = who.draw_candidates(engine.catalog, "toybox", 30, history, random.Random(0))
    assert len({item.item_id for item in drawn}) == 30 and not {item.item_id for item in drawn} & set(history)
    assert drawn != who.draw_candidates(engine.catalog, "toybox", 30, history, random.Random(1))


def test_more_than_there_are_gives_all_and_too_few_a_word(engine):
    ids = [item.item_id for item in engine.catalog.items("toybox")]
    assert len(who.draw_candidates(engine.catalog, "toybox", 300, ids[:10], random.Random(0))) == len(ids) - 10
    with pytest.raises(BadInput, match="too few titles"):
        who.draw_candidates(engine.catalog, "toybox", 30, ids[1:], random.Random(0))


@pytest.mark.parametrize("count", [-1, 0, 1, 301, 10**9])
def test_a_count_out_of_range_is_refused(engine, count):
    with pytest.raises(BadInput, match="candidates cannot be drawn"):
        who.draw_candidates(engine.catalog, "toybox", count, [], random.Random(0))


def test_pasted_lines_become_titles_once_and_the_rest_is_named(engine):
    first, second = engine.catalog.items("toybox")[:2]
    typed = first.title[:3] + first.title[4:]
    found, guessed, missing = who.resolve(engine.catalog, "toybox",
                                          f"{first.title}\n\n  {second.title} \n{first.title}\nqqqq zzzz\n{typed}\n")
    assert found == [first, second] and missing == ["qqqq zzzz"] and guessed == {typed: first.title}


@pytest.mark.parametrize(("text", "words"), [("", "nothing to read"), (" \n ", "nothing to read"), ("a\n" * 301, "too many")])
def test_a_text_without_lines_or_with_too_many_is_refused(engine, text, words):
    with pytest.raises(BadInput, match=words):
        who.resolve(engine.catalog, "toybox", text)


def test_the_picker_offers_what_is_here_what_is_ones_own_and_what_is_known(engine):
    catalog = engine.catalog
    catalog.add_domain(prepare("mine-0123456789abcdef", source_data()), owner="visitor-1")
    theirs, others = who.domain_choices(catalog, "visitor-1"), who.domain_choices(catalog)
    assert ("mine (only you)", "mine-0123456789abcdef") in theirs and len(others) == len(theirs) - 1
    assert ("toybox", "toybox") == others[0]
    assert ("Amazon Beauty (data not here)", "amazon14_beauty") in others
    catalog.add_domain(prepare("amazon14_beauty", source_data()))
    assert [label for label, name in who.domain_choices(catalog) if name == "amazon14_beauty"] == ["amazon14_beauty"]


def test_another_visitors_domain_opens_for_nobody_who_has_its_name(engine):
    engine.catalog.add_domain(prepare("mine-0123456789abcdef", source_data()), owner="visitor-1")
    does = {event.name: event.fn for event in page.build(engine).fns.values()
            if event.fn and event.fn.__module__ in (page.__name__, who.__name__)}
    assert does["choose_domain"]("visitor-2", "mine-0123456789abcdef")[0] == "toybox"
    assert does["choose_domain"]("visitor-1", "mine-0123456789abcdef")[0] == "mine-0123456789abcdef"
    user = engine.catalog.users("mine-0123456789abcdef")[0]

    def shown(visitor):
        return str(does["show"]("mine-0123456789abcdef", "warm", user, [], [], 0.5, "sum", False, Shown(), Job(), Job(), Latest(),
                                visitor, 0))

    title = engine.catalog.example("mine-0123456789abcdef", user).candidates[0].title
    assert title in shown("visitor-1")
    assert title not in shown("visitor-2") and "there is no domain" in shown("visitor-2")


@pytest.mark.parametrize("visitor", [None, "", [], 3])
def test_a_browser_without_an_id_is_offered_everyones_domains(engine, visitor):
    assert who.domain_choices(engine.catalog, visitor) == who.domain_choices(engine.catalog)


def test_a_list_of_ones_own_begins_as_what_was_on_screen(engine, monkeypatch):
    choose = next(event.fn for event in page.build(engine).fns.values() if event.name == "choose_scenario")
    warm = engine.catalog.examples("toybox", "quick")[0]
    lists = {"warm": warm, "new-item": replace(warm, candidates=warm.candidates[:5])}
    monkeypatch.setattr(engine.catalog, "example", lambda domain, user, scenario: lists[scenario])
    for drawn, shown in (({"scenario": "new-item"}, "new-item"), ({"scenario": "warm"}, "warm"), ({}, "warm")):
        _, history, candidates = choose("toybox", "built", warm.user, [], [], drawn)
        assert history == session.as_value(warm.history[-HISTORY_TITLES:])
        assert candidates == session.as_value(lists[shown].candidates)


def test_many_lines_that_name_nothing_read_the_titles_once(engine, monkeypatch):
    asked, rows = [], type(engine.catalog)._rows
    monkeypatch.setattr(type(engine.catalog), "_rows",
                        lambda self, query, *given: asked.append(query) or rows(self, query, *given))
    first = engine.catalog.items("toybox")[0]
    asked.clear()
    lines = [f"qqqq zzzz {i}" for i in range(50)]
    found, _, missing = who.resolve(engine.catalog, "toybox", "\n".join([first.title, *lines, "y" * 60_000]))
    assert found == [first] and missing == [*lines, "y" * 200]
    assert sum("item_id, title, normal_form" in query for query in asked) == 1
