"""Soft labels from transition counts, on numbers small enough to do by hand."""

import numpy as np
import pytest

from molorec.training.transitions import PRIOR_WEIGHT, Transitions


def test_one_pair_gives_the_hand_worked_chances():
    # 0 → 1 and 0 → 2 once each; popularity ½, ¼, ¼
    chances = Transitions([[0, 1], [0, 2]], 3).next_item(np.array([0]))
    assert chances == pytest.approx([0, 0.5, 0.5])


def test_a_follower_is_likelier_than_a_title_of_equal_popularity():
    chances = Transitions([[0, 1], [2, 3]], 4).next_item(np.array([0]))
    follower, other = 1 + PRIOR_WEIGHT / 4, PRIOR_WEIGHT / 4
    assert chances[1] / chances[3] == pytest.approx(follower / other)


def test_nearer_followers_count_more():
    chances = Transitions([[0, 1, 2]], 3).next_item(np.array([0]))
    assert chances[1] > chances[2] > 0


def test_what_was_chosen_has_no_chance_and_the_rest_sums_to_one():
    chances = Transitions([[0, 1, 2, 3], [3, 2, 1]], 5).next_item(np.array([1, 3]))
    assert chances[1] == chances[3] == 0
    assert chances.sum() == pytest.approx(1)


def test_only_so_many_recent_titles_are_looked_at():
    sequences, history = [[0, 2], [1, 3]], np.array([0, 1])
    both, last = (Transitions(sequences, 4, recent).next_item(history) for recent in (2, 1))
    assert last[3] > both[3] > both[2] > last[2]


def test_without_a_history_popularity_decides():
    assert Transitions([[0, 1], [0, 2]], 3).next_item(np.array([], int)) == pytest.approx([0.5, 0.25, 0.25])


def test_sequences_without_a_pair_fall_back_on_popularity():
    assert Transitions([[0], [1]], 2).next_item(np.array([0])) == pytest.approx([0, 1])
