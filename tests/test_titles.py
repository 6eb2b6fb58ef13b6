"""Titles: what is shown, and when two count as the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molorec.titles import clean, is_untitled, normalise


@pytest.mark.parametrize(("one", "other"), [
    ("Matrix, The (1999)", "The Matrix"), ("Amélie (2001)", "AMELIE"), ("Alien [VHS]", "Alien (1979)"),
    ("Crimson &amp; Clover", "Crimson & Clover"), ("Wallace & Gromit: A Close Shave", "wallace   gromit a close shave"),
])
def test_the_same_work_has_one_normal_form(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(("one", "other"), [("Alien (1979)", "Aliens (1986)"), ("Toy Story", "Toy Story 2"),
                                              ("北京", "上海")])
def test_different_works_stay_different(one, other):
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize(("title", "form"), [
    ("Misérables, Les (1995)", "miserables"), ("2001: A Space Odyssey (1968)", "2001 a space odyssey"),
    ("A (2002)", "a"),
    ("[REC]", "[rec]"), ("(1999)", "(1999)"), ("???", "???"), ("´", "´"), ("An Ideal Husband", "ideal husband"),
    ("L'Atalante", "l atalante"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("", ""),
])
def test_the_normal_form_of_a_title(title, form):
    assert normalise(title) == form


@pytest.mark.parametrize(("title", "shown"), [
    ("  Heat\t(1995)\r\n", "Heat (1995)"), ("Tom &amp; Jerry", "Tom & Jerry"), ("a\x00b\x1bc", "a b c"),
    ("one\u2028two", "one two"), ("e\u0301", "é"), ("<b>bold</b>", "<b>bold</b>"),
    ("Matrix, The (1999)", "Matrix, The (1999)"),
])
def test_cleaning_keeps_what_the_source_says_on_one_line(title, shown):
    assert clean(title) == shown


@given(st.text(max_size=60))
def test_a_normal_form_has_neither_case_nor_surrounding_space(text):
    form = normalise(text)
    assert form == form.strip()
    assert normalise(text.strip()) == form


@given(st.lists(st.sampled_from(["amber", "basin", "cedar", "1984", "delta"]), min_size=1, max_size=4).map(" ".join))
def test_normalising_plain_words_again_changes_nothing(words):
    assert normalise(words.title()) == words == normalise(normalise(words))


@given(st.text(min_size=1, max_size=60))
def test_a_visible_title_never_becomes_nothing(text):
    if clean(text):
        assert normalise(clean(text))


@given(st.text(max_size=80))
def test_cleaned_titles_are_one_line_without_control_characters(text):
    cleaned = clean(text)
    assert "\n" not in cleaned
    assert not any(unicodedata.category(c) == "Cc" for c in cleaned)
    assert cleaned == cleaned.strip()


def test_nan_is_no_title_but_nan_is_a_name_in_one():
    assert is_untitled("NaN") and is_untitled("")
    assert not is_untitled("Nancy")
