"""Metrics against tables worked out by hand."""

import math

import numpy as np
import pytest

from molorec.evaluation.metrics import bootstrap_interval, hit_rate, ndcg, rank_of


@pytest.mark.parametrize(("scores", "target", "rank"), [
    ([0.7, 0.2, 0.1], 0, 1), ([0.7, 0.2, 0.1], 2, 3), ([0.5, 0.5], 0, 2), ([0.5, 0.5], 1, 2),
    ([0.3, 0.3, 0.3, 0.1], 1, 3), ([1.0], 0, 1),
])
def test_ties_count_against_the_target(scores, target, rank):
    assert rank_of(scores, target) == rank


@pytest.mark.parametrize(("rank", "k", "gain", "hit"), [
    (1, 1, 1, 1), (2, 1, 0, 0), (2, 3, 1 / math.log2(3), 1), (3, 3, 0.5, 1), (4, 3, 0, 0),
    (10, 10, 1 / math.log2(11), 1), (11, 10, 0, 0),
])
def test_one_relevant_item(rank, k, gain, hit):
    assert ndcg([rank], k)[0] == pytest.approx(gain)
    assert hit_rate([rank], k)[0] == hit


def test_means_are_over_users():
    assert ndcg([1, 2, 3, 4], 3).mean() == pytest.approx((1 + 1 / math.log2(3) + 0.5) / 4)
    assert hit_rate([1, 2, 3, 4], 3).mean() == 0.75


def test_the_interval_holds_the_mean_and_is_the_same_every_time():
    values = np.random.default_rng(0).normal(0.2, 1, 200)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    assert (low, high) == bootstrap_interval(values)
    assert (low, high) != bootstrap_interval(values, seed=1)
    # the normal theory's 95%: ±1.96 standard errors
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(200), rel=0.1)


def test_more_certainty_needs_a_wider_interval():
    values = np.arange(20.0)
    (low, high), (lower, higher) = bootstrap_interval(values, 0.8), bootstrap_interval(values, 0.99)
    assert lower < low < high < higher


def test_no_values_have_no_interval():
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([])
