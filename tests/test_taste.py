"""A person in a few words, and nothing that the history does not say."""

import pytest

from molorec.catalog import Item, prepare
from molorec.taste import Taste
from tests.conftest import source_data


@pytest.fixture
def taste(catalog):
    source = source_data(seed=1)
    for n in range(80):
        source.categories[f"i{n}"] = ("Common", "Rare") if n < 12 else ("Common",)
    catalog.add_domain(prepare("films", source))
    return Taste(catalog, "films")


def test_what_everyone_chooses_describes_nobody(taste):
    assert taste.kinds([Item(f"i{n}", "x") for n in range(40, 50)]) == []


def test_what_stands_out_is_named(taste):
    assert taste.kinds([Item(f"i{n}", "x") for n in range(10)]) == ["Rare"]
    assert taste.describe([Item(f"i{n}", "Alien (1979)") for n in range(10)]) == "Rare, 1970s"


def test_without_kinds_or_years_the_latest_choice_says_who_it_is(catalog):
    assert Taste(catalog, "toybox").describe([Item("i1", "One"), Item("i2", "Two")]) == "latest Two"
    assert Taste(catalog, "toybox").describe([]) == "no history"
