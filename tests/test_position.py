"""How much the order of the list matters."""

from dataclasses import replace

import pytest

from molorec import position
from molorec.prompts import template


@pytest.fixture
def example(engine):
    return engine.catalog.examples("toybox", "quick")[0]


def test_a_prompt_without_the_list_cannot_depend_on_its_order(engine, example):
    steps = list(position.check(engine, example, 0.5, shuffles=4))
    assert [step.shuffles for step in steps] == [1, 2, 3, 4]
    assert steps[-1].same_first == 4 and steps[-1].largest < 1e-4
    assert steps[-1].mean == pytest.approx(engine.rank(example, 0.5).probabilities(), abs=1e-4)


def test_a_prompt_with_the_list_does_and_the_mean_is_over_the_orders(engine, example):
    engine._mixtures["toybox"] = replace(engine.mixture("toybox"), template=template("listed"))
    *_, last = position.check(engine, example, 0.5, shuffles=4)
    assert last.largest > 1e-3
    assert sum(last.mean) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("candidates", "others"), [(2, 1), (3, 5), (5, 6)])
def test_a_short_list_has_only_so_many_other_orders(engine, example, monkeypatch, candidates, others):
    asked, rank = [], engine.rank
    monkeypatch.setattr(engine, "rank", lambda example, *how: asked.append(example.candidates) or rank(example, *how))
    steps = list(position.check(engine, replace(example, candidates=example.candidates[:candidates])))
    assert [(step.shuffles, step.total) for step in steps] == [(count, others) for count in range(1, others + 1)]
    assert len(set(asked)) == len(asked) == others + 1


def test_it_is_the_same_every_time(engine, example):
    one, other = (list(position.check(engine, example, 0.5, shuffles=3)) for _ in range(2))
    assert one == other
