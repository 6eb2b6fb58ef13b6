"""Reasons: evidence that is what ranking says, and a text that names nothing it should not."""

import threading
from dataclasses import replace

import pytest

from molorec.catalog import Item
from molorec.errors import BadInput
from molorec.explaining import STYLES, check, evidence, explain
from molorec.prompts import HISTORY_TITLES

LAM = 0.4


@pytest.fixture
def example(engine):
    return engine.catalog.examples("toybox", "quick")[0]


@pytest.fixture
def first(engine, example):
    return engine.rank(example, LAM).items[0].item


def probability(engine, example, item):
    return engine.rank(example, LAM).probabilities()[example.candidates.index(item)]


def test_evidence_is_the_ranking_with_and_without_each_title(engine, example, first):
    example = replace(example, history=example.history[-4:])
    pieces = list(evidence(engine, example, first, LAM))
    assert [piece.item for piece in pieces] == list(example.history)
    for i, piece in enumerate(pieces):
        rest = replace(example, history=example.history[:i] + example.history[i + 1:])
        assert piece.probability == probability(engine, example, first)
        assert piece.without == probability(engine, rest, first)
        assert piece.effect == piece.probability - piece.without


def test_titles_before_the_prompts_own_cannot_matter(engine, example, first):
    long = replace(example, history=example.history * 3)
    assert [piece.item for piece in evidence(engine, long, first, LAM)] == list(long.history[-HISTORY_TITLES:])


def test_evidence_is_worked_out_as_it_is_asked_for(engine, example, first, monkeypatch):
    calls, rank = [], engine.rank
    monkeypatch.setattr(engine, "rank", lambda *arguments: calls.append(1) or rank(*arguments))
    pieces = evidence(engine, example, first, LAM)
    assert not calls
    next(pieces)
    assert len(calls) == 2
    next(pieces)
    assert len(calls) == 3


FILM = Item("1", "Alien (1979)")
CATALOGUE = [FILM, Item("2", "Heat (1995)"), Item("3", "Field of Dreams (1989)"), Item("4", "Fear (1996)")]


@pytest.mark.parametrize(("text", "problem"), [
    (" films about a war in space.", ""),
    (" films like Alien (1979) and its kin.", ""),
    (' films like "Alien" and its kin.', ""),
    (" films without fear or hope.", ""),  # an ordinary word, though a title too
    (" fans of Heat (1995).", "names 'Heat'"),
    (" fans of Nowhere Land (1950).", "names 'Nowhere Land'"),
    (' they love "The Unknown Film" very much.', "names 'The Unknown Film'"),
    (" they love “The Unknown Film” very much.", "names 'The Unknown Film'"),
    (" a field of dreams in the corn.", "names 'Field of Dreams"),
    (" good and good and good and good and good.", "circles"),
    (" war in space war in space with some other words in between.", "circles"),
    ("", "no sentence"), ("  .,!", "no sentence"), (" films", "no sentence"), (" 1999 2000 2001", "no sentence"),
])
def test_the_check(text, problem):
    found = check(text, [FILM], CATALOGUE)
    assert problem in found
    assert bool(problem) == bool(found)


def test_the_check_ends_on_any_text():
    """Capitals in a row once made the search for titles try every way to split them."""
    assert check("A" * 60 + "! " + "Ab" * 40, [FILM]) == ""


def test_the_text_names_titles_of_the_history_and_is_checked_last(engine, example, first):
    texts = list(explain(engine, example, first, LAM))
    assert [text.done for text in texts] == [False] * (len(texts) - 1) + [True]
    final = texts[-1]
    assert len(final.named) == len(set(final.named)) == STYLES["short"].titles
    assert set(final.named) <= set(example.history[-HISTORY_TITLES:])
    assert f"may like {first.title} because they chose {final.named[0].title} and {final.named[1].title}." in final.text
    for item in engine.catalog.items("toybox"):
        assert item.title not in final.text or item in (first, *final.named)
    assert final.is_grounded == (not final.problem)
    assert not any(text.is_grounded for text in texts[:-1])


def test_a_stop_ends_the_text_within_a_token(engine, example, first, monkeypatch):
    stop, tokens, following = threading.Event(), [], engine.next_token
    monkeypatch.setattr(engine, "next_token", lambda *arguments: tokens.append(1) or following(*arguments))
    texts = []
    for text in explain(engine, example, first, LAM, stop=stop):
        texts.append(text)
        if len(tokens) == 2:
            stop.set()
    assert len(tokens) == 2
    assert not texts[-1].done


def test_closing_the_text_ends_it(engine, example, first, monkeypatch):
    texts = explain(engine, example, first, LAM)
    next(texts)
    texts.close()
    monkeypatch.setattr(engine, "next_token", lambda *_: pytest.fail("a token after the end"))
    assert next(texts, None) is None


def test_without_a_history_nothing_is_named(engine, example, first):
    bare = replace(example, history=())
    final = list(explain(engine, bare, first, LAM))[-1]
    assert final.done and final.named == ()
    assert final.text.startswith(f"This person may like {first.title} because they enjoy items that are")
    assert list(evidence(engine, bare, first, LAM)) == []


def test_a_title_chosen_twice_is_named_once(engine, example, first):
    final = list(explain(engine, replace(example, history=example.history[:1] * 2), first, LAM))[-1]
    assert final.done and final.named == example.history[:1]


def test_a_detailed_reason_names_more_titles_and_may_be_longer(engine, example):
    *_, short = explain(engine, example, example.candidates[0], 0.5)
    *_, detailed = explain(engine, example, example.candidates[0], 0.5, style="detailed")
    assert len(detailed.named) == STYLES["detailed"].titles > len(short.named)
    with pytest.raises(BadInput, match="short, detailed"):
        next(explain(engine, example, example.candidates[0], 0.5, style="long"))
