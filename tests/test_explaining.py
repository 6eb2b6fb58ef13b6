"""Reasons: evidence that is what ranking says, and a text that names nothing it should not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molorec.catalog import Item
from molorec.errors import BadInput
from molorec.explaining import LEAST_EFFECT, STYLES, Evidence, check, evidence, explain, strongest
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
    ranked, rank = [], engine.rank_all  # how many lists each time
    monkeypatch.setattr(engine, "rank_all", lambda examples, *more: ranked.append(len(examples)) or rank(examples, *more))
    monkeypatch.setattr(engine.backend, "rows", 2)
    pieces = evidence(engine, example, first, LAM)
    assert not ranked
    next(pieces)
    assert ranked == [1, 2]
    next(pieces)
    assert ranked == [1, 2]
    next(pieces)
    assert ranked == [1, 2, 2]


def test_evidence_for_what_is_no_candidate_is_refused(engine, example):
    with pytest.raises(BadInput, match="'Nowhere' is not among the 30 candidates"):
        next(evidence(engine, example, Item("nowhere", "Nowhere"), LAM))


FILM = Item("1", "Alien (1979)")
CATALOGUE = [FILM, Item("2", "Heat (1995)"), Item("3", "Field of Dreams (1989)"), Item("4", "Fear (1996)")]


@pytest.mark.parametrize(("text", "problem"), [
    (" films about a war in space.", ""),
    (" films like Alien (1979) and its kin.", ""),
    (' films like "Alien" and its kin.', ""),
    (" films without fear or hope.", ""),  # an ordinary word, though a title too
    (" fans of Heat (1995).", "names 'Heat'"),
    (" films like heat, and others.", "names 'Heat"), (" films such as alien or fear.", "names 'Fear"),
    (" films like these, without fear.", ""), (" people like heat waves.", ""),
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


def test_a_sequel_does_not_name_the_film_before_it():
    first, second = Item("1", "Toy Story (1995)"), Item("2", "Toy Story 2 (1999)")
    assert check(" films like Toy Story 2 and others.", [second], [first, second]) == ""
    assert "names 'Toy Story (1995)'" in check(" films like Toy Story and others.", [second], [first, second])


def test_the_check_ends_on_any_text():
    """Capitals in a row once made the search for titles try every way to split them."""
    assert check("A" * 60 + "! " + "Ab" * 40, [FILM]) == ""


@pytest.fixture
def measured(engine, example, first):
    return list(evidence(engine, example, first, LAM))


def test_the_text_names_the_titles_that_matter_most_and_is_checked_last(engine):
    for example in engine.catalog.examples("toybox", "quick"):  # the first whose titles matter enough to be named
        first = engine.rank(example, LAM).items[0].item
        measured = list(evidence(engine, example, first, LAM))
        most = sorted(measured, key=lambda piece: -piece.effect)[: STYLES["short"].titles]
        if most[-1].effect > LEAST_EFFECT * most[-1].probability:
            break
    else:
        pytest.fail("no example in which two titles matter")
    texts = list(explain(engine, example, first, measured, LAM))
    assert [text.done for text in texts] == [False] * (len(texts) - 1) + [True]
    final = texts[-1]
    assert final.because == tuple(most)
    assert f"may like {first.title} because they chose {most[0].item.title} and {most[1].item.title}." in final.text
    for item in engine.catalog.items("toybox"):
        assert item.title not in final.text or item in (first, *(piece.item for piece in most))
    assert final.is_grounded == (not final.problem)
    assert not any(text.is_grounded for text in texts[:-1])


FILMS = [Item(str(i), f"Film {i}") for i in range(12)]
pieces = st.lists(st.builds(Evidence, st.sampled_from(FILMS), st.just(0.3), st.floats(0, 1)), max_size=10)


@given(pieces, st.integers(1, 5))
def test_the_strongest_evidence_is_distinct_falls_and_lowers_the_probability(found, count):
    chosen = strongest(found, count)
    assert len(chosen) == len({piece.item for piece in chosen}) <= count
    effects = [piece.effect for piece in chosen]
    assert effects == sorted(effects, reverse=True) and all(effect >= LEAST_EFFECT * 0.3 for effect in effects)
    others = [piece for piece in found if piece.item not in {chosen.item for chosen in chosen}]
    if len(chosen) == count:
        assert all(piece.effect <= effects[-1] for piece in others)


def test_closing_the_text_ends_it(engine, example, first, measured, monkeypatch):
    texts = explain(engine, example, first, measured, LAM)
    next(texts)
    texts.close()
    monkeypatch.setattr(engine.backend, "next_token", lambda *_: pytest.fail("a token after the end"))
    assert next(texts, None) is None


def test_without_a_history_nothing_is_named(engine, example, first):
    bare = replace(example, history=())
    assert list(evidence(engine, bare, first, LAM)) == []
    final = list(explain(engine, bare, first, [], LAM))[-1]
    assert final.done and final.because == ()
    assert final.text.startswith(f"This person may like {first.title} because they enjoy items that are")


def test_a_history_that_does_not_matter_is_not_named(engine, example, first):
    idle = [Evidence(item, 0.3, 0.299) for item in example.history]
    assert list(explain(engine, example, first, idle, LAM))[-1].because == ()


def test_a_detailed_reason_names_more_titles_and_may_be_longer(engine, example, first):
    helpful = [Evidence(item, 0.3, 0.01 * i) for i, item in enumerate(example.history[-HISTORY_TITLES:])]
    *_, short = explain(engine, example, first, helpful, 0.5)
    *_, detailed = explain(engine, example, first, helpful, 0.5, style="detailed")
    assert (len(short.because), len(detailed.because)) == (STYLES["short"].titles, STYLES["detailed"].titles)
    assert detailed.because[: len(short.because)] == short.because
    with pytest.raises(BadInput, match="short, detailed"):
        next(explain(engine, example, first, helpful, 0.5, style="long"))
