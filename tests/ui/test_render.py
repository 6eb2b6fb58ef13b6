"""Every view escapes what comes from data, and shows what it was given."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from molorec.catalog import Item, RankingExample
from molorec.evaluation.half import Measured
from molorec.evaluation.metrics import Interval
from molorec.explaining import Evidence, Explanation
from molorec.ranking.result import RankedItem, Ranking
from molorec.ui import render
from tests.ui.conftest import PAYLOAD

EVIL, PLAIN = Item("e'\"><b>", PAYLOAD), Item("p", "Amber Song (1950)")


def result(target=EVIL, probabilities=(0.75, 0.25)) -> Ranking:
    example = RankingExample("toybox", (EVIL,), (EVIL, PLAIN), target)
    items = (RankedItem(1, EVIL, probabilities[0]), RankedItem(2, PLAIN, probabilities[1]))
    return Ranking(example, items, 0.5, 0.25, "sum", 0.1)


def step(**changes):
    facts = {"lam": 0.4, "by": "entropy", "entropy": 1.0, "entropy_start": 1.1, "lam_low": 0.3, "lam_high": 0.5, "prompts": 5,
             "total": 20, "seconds": 1.0, "settled": False, "verdict": PAYLOAD}
    return SimpleNamespace(**{**facts, **changes})


VIEWS = {
    "history": lambda: render.history([EVIL, PLAIN]),
    "candidates": lambda: render.candidates([EVIL, PLAIN]),
    "ranking": lambda: render.ranking(result(), {EVIL.item_id: 2}, truth=True),
    "tuning": lambda: render.tuning(step(settled=True)),
    "reason": lambda: render.reason(Explanation(PAYLOAD, (Evidence(EVIL, 0.2, 0.1),), done=True), detailed=True),
    "reason being written": lambda: render.reason(Explanation(PAYLOAD, (Evidence(EVIL, 0.2, 0.1),))),
    "refused reason": lambda: render.reason(Explanation("text", (), problem=f"it names '{PAYLOAD}'", done=True)),
    "adapter's name": lambda: render.ranking_status(
        result(), SimpleNamespace(is_pair=False, adapters=[SimpleNamespace(name=PAYLOAD)])),
    "note": lambda: render.note(PAYLOAD),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_title_never_becomes_markup(view):
    made = VIEWS[view]()
    assert "&lt;img src=x" in made
    assert "<img" not in made


def test_the_ranking_shows_ranks_probabilities_and_movement():
    made = render.ranking(result(), {EVIL.item_id: 2, PLAIN.item_id: 1}, truth=False)
    assert "1 higher than before" in made and "1 lower than before" in made
    assert "75.0%" in made and "25.0%" in made
    assert "chosen next" not in made
    assert "role='img' aria-label='unchanged'" in render.ranking(result(), {}, truth=False)


@pytest.mark.parametrize(("before", "mark"), [
    (5, "<span class='ml-move ml-up' role='img' aria-label='3 higher than before'>▲3</span>"),
    (1, "<span class='ml-move ml-down' role='img' aria-label='1 lower than before'>▼1</span>"),
    (2, "<span class='ml-move' role='img' aria-label='unchanged'>·</span>")])
def test_a_movement_is_a_picture_with_a_name(before, mark):
    assert render.movement(before, 2, "than before") == mark


def test_the_truth_is_marked_only_when_it_is_asked_for():
    assert render.ranking(result(target=PLAIN), {}, truth=True).count("chosen next") == 1
    assert "chosen next" not in render.ranking(result(target=None), {}, truth=True)


@pytest.mark.parametrize("probabilities", [(1.0, 0.0), (0.9999, 0.0001), (0.0, 0.0)])
def test_small_probabilities_are_not_shown_as_none(probabilities):
    assert "&lt;0.1%" in render.ranking(result(probabilities=probabilities), {}, truth=False)


def test_a_long_history_shows_its_end_and_says_how_much_there_is_before():
    items = [Item(str(i), f"Title {i}") for i in range(14)]
    made = render.history(items)
    assert "4 earlier choices" in made and "start='5'" in made
    assert "Title 13<" in made and "Title 3<" not in made
    assert "No history" in render.history([])


def test_the_status_says_what_is_mixed():
    pair = SimpleNamespace(is_pair=True)
    assert "25% general + 75% specific" in render.ranking_status(result(), pair)
    alone = SimpleNamespace(is_pair=False, adapters=[SimpleNamespace(name="toybox")])
    assert "toybox adapter alone" in render.ranking_status(result(), alone)


def test_the_status_says_where_the_truth_stands_if_it_is_to_be_shown():
    ranking, pair = result(), SimpleNamespace(is_pair=True)
    known = replace(ranking, example=replace(ranking.example, target=ranking.items[-1].item))
    assert f"place {len(ranking.items)} of {len(ranking.items)}" in render.ranking_status(known, pair, truth=True)
    assert "place" not in render.ranking_status(known, pair)
    assert "place" not in render.ranking_status(replace(known, example=known.example.unlabelled()), pair, truth=True)


def test_what_is_no_problem_is_not_said_in_the_colour_of_one():
    assert "ml-news" in render.news(PAYLOAD) and "ml-news" not in render.note(PAYLOAD)
    assert PAYLOAD not in render.news(PAYLOAD)


def test_tuning_says_where_it_stands():
    assert "width:25%" in render.tuning(step()) and "5 of 20 prompts" in render.tuning(step())
    assert "Stopped. After 5 of 20 prompts the best λ was 0.40" in render.stopped("Stopped.", step())
    done = render.tuning(step(settled=True))
    assert "width:100%" in done and "5 of 20 prompts, which were enough" in done


def test_what_labels_said_of_mixing_is_a_sentence_a_setting():
    above, below, open_ = Interval(0.03, 0.01, 0.05), Interval(-0.03, -0.05, -0.01), Interval(0.0, -0.01, 0.01)
    said = render.on_mixing([Measured("warm", 4_705, {"general": above, "specific": below}),
                             Measured("new-item", 914, {"general": above, "specific": above})])
    assert "Known titles (4,705 people): λ = ½ is surely below the specific adapter alone." in said
    assert ("New titles (914 people): mixing helps, λ = ½ is surely above the general adapter alone (+.030) and the specific "
            "adapter alone (+.030).") in said
    assert "not shown to be above both" in render.on_mixing([Measured("warm", 5, {"general": above, "specific": open_})])
    assert render.on_mixing([]) == ""


def test_a_refused_text_is_not_shown():
    made = render.reason(Explanation("they like secret things", (), problem="it runs in circles", done=True))
    assert "secret" not in made and "it runs in circles" in made


def test_a_detailed_reason_says_what_was_measured():
    films = [Item(str(i), f"Film {i}") for i in range(3)]
    because = tuple(Evidence(film, 0.3, 0.1 * i) for i, film in enumerate(films))
    made = render.reason(Explanation("text.", because, done=True), detailed=True)
    assert ("its probability is 30.0% with the whole history, &lt;0.1% without Film 0, 10.0% without Film 1 and 20.0% without "
            "Film 2.") in made
    assert "No single title" in render.reason(Explanation("text.", (), done=True), detailed=True)
    assert "Measured" not in render.reason(Explanation("text.", because, done=True)) + render.reason(
        Explanation("text", because), detailed=True)


def test_a_notice_shows_commands_as_code_and_nothing_else_as_markup():
    assert ("run <code class='ml-code'><span>molorec</span> <span>&lt;b&gt;</span></code> or `"
            in render.note("run `molorec <b>` or `"))
    assert render.code("a <b>") == "<code class='ml-code'><span>a</span> <span>&lt;b&gt;</span></code>"
