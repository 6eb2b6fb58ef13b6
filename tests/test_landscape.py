"""A sweep over λ says what the engine says at each, coarse to fine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molorec import landscape
from molorec.catalog import Item, RankingExample
from molorec.errors import BadInput
from molorec.landscape import Landscape, coarse_to_fine, sweep


@pytest.fixture
def example(engine):
    return engine.catalog.example("toybox", engine.catalog.users("toybox", "quick")[0])


def made(probabilities, target=None) -> Landscape:
    """A landscape of given probabilities, one row per λ."""
    probabilities = np.array(probabilities, float)
    items = tuple(Item(str(i), f"Title {i}") for i in range(probabilities.shape[1]))
    example = RankingExample("toybox", items[:1], items, None if target is None else items[target])
    lams = np.linspace(0, 1, len(probabilities))
    return Landscape(example, "sum", lams, probabilities, np.zeros(len(lams)), len(lams), 1.0)


@given(st.integers(2, 201))
def test_every_point_comes_once(points):
    assert sorted(coarse_to_fine(points)) == list(range(points))


@given(st.integers(3, 201), st.data())
def test_no_gap_is_more_than_about_twice_another(points, data):
    """Whatever has been ranked so far is spread over the whole of [0, 1]."""
    first = coarse_to_fine(points)[: data.draw(st.integers(3, points))]
    gaps = np.diff(sorted(first))
    assert gaps.max() <= 2 * gaps.min() + 2


def test_the_ends_and_the_middle_come_first():
    assert coarse_to_fine(21)[:3] == [0, 20, 10]


def test_a_sweep_grows_batch_by_batch_to_the_engines_own_numbers(engine, example):
    steps = list(sweep(engine, example, "product", points=11))
    assert [len(step.lams) for step in steps] == [engine.rows, 2 * engine.rows, 11]
    assert [step.done for step in steps] == [False, False, True]
    assert {0.0, 0.5, 1.0} <= set(steps[0].lams)
    last = steps[-1]
    assert last.lams.tolist() == [i / 10 for i in range(11)]
    assert last.probabilities.shape == (11, len(example.candidates))
    for i, lam in enumerate(last.lams):
        ranking = engine.rank(example, float(lam), "product")
        assert last.probabilities[i] == pytest.approx(ranking.probabilities())
        assert last.entropies[i] == pytest.approx(ranking.entropy)
    assert steps[0].seconds <= last.seconds and last.total == 11


def test_a_later_batch_leaves_earlier_results_as_they_were(engine, example):
    steps = sweep(engine, example)
    first = next(steps)
    before = first.probabilities.copy()
    next(steps)
    assert (first.probabilities == before).all()
    with pytest.raises(ValueError, match="read-only"):
        first.probabilities[0, 0] = 1


def test_a_swept_lam_need_not_be_ranked_again(engine, example, monkeypatch):
    *_, last = sweep(engine, example)
    monkeypatch.setattr(engine, "log_probabilities", lambda *_: pytest.fail("ranked again"))
    assert engine.rank(example, 0.15).entropy in last.entropies


def test_closing_the_iterator_stops_all_further_forwards(engine, example, monkeypatch):
    asked = []
    rank_each = engine.rank_each
    monkeypatch.setattr(engine, "rank_each", lambda example, lams, rule: asked.extend(lams) or rank_each(example, lams, rule))
    steps = sweep(engine, example)
    next(steps)
    steps.close()
    assert len(asked) == engine.rows and next(steps, None) is None


def test_the_top_titles_are_those_most_probable_anywhere():
    found = made([[0.1, 0.6, 0.1, 0.2], [0.1, 0.1, 0.7, 0.1], [0.2, 0.3, 0.4, 0.1]])
    assert [item.item_id for item in found.top(3)] == ["2", "1", "0"]  # 0 and 3 tie: the list's order
    assert len(found.top(9)) == 4
    assert found.of(found.top(1)[0]).tolist() == [0.1, 0.7, 0.4]


def test_ranks_of_the_target_count_ties_against_it():
    assert made([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.6, 0.2, 0.2]], target=0).target_ranks.tolist() == [3, 2, 1]
    assert made([[0.2, 0.8]]).target_ranks is None


def test_ranks_of_the_target_agree_with_the_engine(engine, example):
    *_, last = sweep(engine, example, points=5)
    for lam, rank in zip(last.lams, last.target_ranks, strict=True):
        ranking = engine.rank(example, float(lam))
        assert rank == next(ranked.rank for ranked in ranking.items if ranked.item == example.target)


@pytest.mark.parametrize("points", [-1, 0, 1, landscape.MOST_POINTS + 1])
def test_a_senseless_number_of_points_is_refused(engine, example, points):
    with pytest.raises(BadInput, match=str(points)):
        sweep(engine, example, points=points)


def test_one_adapter_has_nothing_to_sweep(engine, example, adapter_folder):
    (adapter_folder / "toybox").rename(adapter_folder / "elsewhere")
    engine.forget("toybox")
    with pytest.raises(BadInput, match="one adapter only"):
        sweep(engine, example)


def test_an_unknown_rule_is_refused(engine, example):
    with pytest.raises(BadInput, match="no mixing rule"):
        next(sweep(engine, example, "nonsense"))
