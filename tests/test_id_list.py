"""Ids survive being one text."""

from hypothesis import given
from hypothesis import strategies as st

from molorec import id_list


@given(st.lists(st.text("|\\ea7", max_size=5), max_size=6))
def test_what_was_joined_comes_apart_again(ids):
    assert id_list.split(id_list.join(ids)) == tuple(ids)


@given(st.text("|\\ea7"))
def test_any_text_is_read(text):
    ids = id_list.split(text)
    assert id_list.split(id_list.join(ids)) == ids
