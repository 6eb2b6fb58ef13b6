"""Rankings: in order, and back in the order of the candidates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molorec.catalog import Item, RankingExample
from molorec.ranking.result import Ranking


def ranking(weights):
    candidates = tuple(Item(str(i), f"Film {i}") for i in range(len(weights)))
    example = RankingExample("toybox", (), candidates)
    return Ranking.of(example, [weight / sum(weights) for weight in weights], 0.5, "sum", 0.0)


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=40))
def test_probabilities_come_back_in_the_order_of_the_candidates(weights):
    made = ranking(weights)
    assert made.probabilities() == [weight / sum(weights) for weight in weights]
    assert [ranked.rank for ranked in made.items] == list(range(1, len(weights) + 1))
    assert 0 <= made.entropy <= math.log(len(weights)) + 1e-9


def test_equals_stand_in_the_order_of_the_candidates_and_know_nothing():
    made = ranking([1, 1, 1])
    assert [ranked.item.item_id for ranked in made.items] == ["0", "1", "2"]
    assert made.entropy == pytest.approx(math.log(3))
