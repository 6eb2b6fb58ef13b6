"""What two domains share, and what a training leaves out."""

from collections import Counter

import pytest

from molorec.catalog import SourceData, overlap, prepare
from molorec.errors import BadInput
from molorec.training.dataset import load_domain
from tests.conftest import source_data


@pytest.fixture
def two(catalog):
    """Beside "toybox", a domain "films" that has two of its titles in another spelling, one of them twice."""
    toybox = catalog.titles_by_form("toybox")
    first, second = sorted(toybox)[:2]
    source = source_data(users=40, seed=5)
    renamed = {"i0": f"The {first.title()} (1999)", "i1": f"{second.upper()} [DVD]", "i2": f"{second}!"}
    titles = {item: renamed.get(item, f"only here {item}") for item in source.titles}
    catalog.add_domain(prepare("films", SourceData(titles, source.events), k=1))
    return catalog, renamed, (toybox[first], toybox[second])


def test_titles_are_shared_whatever_their_spelling(two):
    catalog, _, shared = two
    found, = overlap.shared(catalog, ["toybox", "films"])
    assert found == overlap.Shared(("toybox", "films"), tuple(sorted(shared)))
    assert len(found.titles) == catalog.shared_titles("toybox", "films") == 2
    back, = overlap.shared(catalog, ["films", "toybox"])
    assert len(back.titles) == 2 and back.titles != found.titles


@pytest.mark.parametrize("names", [[], ["toybox"], ["toybox", "toybox"], ["toybox", "nowhere"]])
def test_fewer_than_two_domains_cannot_be_compared(catalog, names):
    with pytest.raises(BadInput, match="two domains or more|no domain 'nowhere'"):
        overlap.shared(catalog, names)


def test_what_is_said_to_be_left_out_is_what_a_training_leaves_out(two, base):
    catalog, renamed, _ = two
    found, = overlap.removals(catalog, ["films"], ["toybox"])
    assert found.titles == tuple(sorted(renamed.values()))
    loaded, removed = load_domain(catalog, "films", base.prompter, without_forms=catalog.normal_forms("toybox"))
    assert removed == len(found.titles)
    assert (found.events_left, found.users_left) == (sum(map(len, loaded.sequences)), len(loaded.sequences))
    whole = catalog.training_sequences("films")
    seen = Counter(item.title for sequence in whole for item in sequence)
    assert found.events - found.events_left >= sum(seen[title] for title in renamed.values()) > 0
    assert (found.items, found.events, found.users) == (len(catalog.items("films")), sum(map(len, whole)), len(whole))


def test_without_a_title_in_common_nothing_is_left_out(catalog):
    catalog.add_domain(prepare("films", SourceData({"a": "A", "b": "B"}, [("u", "a", 1), ("u", "b", 2)] * 2), k=1))
    found, = overlap.removals(catalog, ["toybox"], ["films"])
    assert found.titles == () and found.events == found.events_left > 0
