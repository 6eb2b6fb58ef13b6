"""Titles written much like what was typed."""

from hypothesis import given
from hypothesis import strategies as st

from molorec.catalog.alike import closest

TITLES = ["matrix", "matilda", "it", "alien", "seven samurai the magnificent seven", "star wars episode iv a new hope"]
words = st.text(st.characters(codec="utf-8"), max_size=12)


@given(words, st.lists(words, max_size=8), st.integers(0, 5))
def test_places_are_distinct_and_within_the_limit_whatever_is_typed(typed, forms, limit):
    found = closest(typed, forms, limit)
    assert len(found) == len(set(found)) <= limit and all(0 <= place < len(forms) for place in found)


@given(st.sampled_from(TITLES))
def test_a_title_itself_comes_first(title):
    assert TITLES[closest(title, TITLES, 3)[0]] == title


def test_a_beginning_written_as_one_word_and_letters_changed_about_are_found():
    assert [TITLES[closest(typed, TITLES, 1)[0]] for typed in ("starwars", "matirx", "alein", "samuri")] == \
           [TITLES[5], "matrix", "alien", TITLES[4]]


def test_a_short_title_is_not_found_in_a_longer_word():
    assert closest("termnaitor", TITLES, 5) == []
