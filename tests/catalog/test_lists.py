"""The stored lists are what their descriptions say, whoever draws them."""

import random
from dataclasses import replace

import pytest

from molorec.catalog import prepare
from molorec.catalog.lists import BIN, HARD, NEGATIVES, draw, lists_for, popularity, popularity_bin
from molorec.catalog.splits import is_held_out, split_of, user_order
from molorec.errors import BadInput
from molorec.titles import normalise
from tests.conftest import source_data, with_new_items


@pytest.fixture(scope="module")
def domain():
    return prepare("toybox", source_data(users=60))


def telling(domain):
    """The domain with a category that all items have and one that only some share."""
    return replace(domain, categories=[("all", f"kind {number % 2}") for number in range(len(domain.item_ids))])


@pytest.mark.parametrize("setting", HARD)
def test_hard_lists_are_of_the_warm_users_targets_and_histories(domain, setting):
    domain = telling(domain)
    sequences = dict(zip(domain.users, domain.sequences, strict=True))
    warm = {stored.user: stored for stored in lists_for(domain, "warm")}
    drawn, counts = lists_for(domain, setting), popularity(domain)
    assert drawn == lists_for(domain, setting) and len(drawn) > 10
    for stored in drawn:
        assert (stored.history, stored.target) == (warm[stored.user].history, warm[stored.user].target)
        negatives = [item for item in stored.candidates if item != stored.target]
        assert len(negatives) == NEGATIVES and not set(negatives) & set(sequences[stored.user])
        assert not any(domain.held_out[i] for i in negatives)
        assert len({domain.normal_forms[i] for i in stored.candidates}) == NEGATIVES + 1
        for item in negatives:
            if setting == "warm-popular":
                assert popularity_bin(counts[item]) == popularity_bin(counts[stored.target])
                assert 1 / BIN <= (counts[item] + 1) / (counts[stored.target] + 1) <= BIN
            else:
                assert domain.categories[item] == domain.categories[stored.target]


def test_a_target_that_is_like_no_29_others_has_no_hard_list(domain):
    few = replace(domain, categories=[("rare",) if number < 20 else () for number in range(len(domain.item_ids))])
    assert lists_for(few, "warm-category") == []
    target = domain.sequences[0][-1]
    counts = popularity(domain)
    loved = replace(domain, sequences=[[target, *sequence] if target not in sequence else sequence for sequence in
                                       domain.sequences for _ in range(9)], users=[f"{user}-{n}" for user in domain.users
                                                                                   for n in range(9)])
    assert popularity_bin(popularity(loved)[target]) > popularity_bin(9 * max(counts))
    assert not [stored for stored in lists_for(loved, "warm-popular") if stored.target == target]


def test_the_narrowest_category_with_enough_others_is_taken(domain, monkeypatch):
    monkeypatch.setattr("molorec.catalog.lists.COMMON", 0.9)
    wide = set([i for i, held_out in enumerate(domain.held_out) if not held_out][:60])

    def drawn(narrow):
        categories = [(*["wide"] * (i in wide), *["narrow"] * (i in narrow)) for i in range(len(domain.item_ids))]
        return lists_for(replace(domain, categories=categories), "warm-category")

    of_wide = drawn(())
    assert of_wide and all(set(stored.candidates) <= wide for stored in of_wide)
    assert drawn({of_wide[0].target}) == of_wide  # it is alone in the narrow one
    most = set(sorted(wide)[:50])
    of_both = [stored for stored in drawn(most) if stored.target in most and set(stored.candidates) <= most]
    assert of_both and all(set(stored.candidates) <= most or stored.target not in most or stored in of_wide
                           for stored in drawn(most))


def test_popularity_is_of_training_events_without_held_out_items(domain):
    counts = popularity(domain)
    held = [i for i, held_out in enumerate(domain.held_out) if held_out]
    assert sum(counts) == sum(not domain.held_out[i] for sequence in domain.sequences for i in sequence[:-2])
    assert held and all(counts[i] == 0 for i in held)


@pytest.mark.parametrize("setting", ["warm", "validation"])
def test_a_list_is_the_target_and_29_that_were_never_chosen(domain, setting):
    sequences = dict(zip(domain.users, domain.sequences, strict=True))
    drawn = lists_for(domain, setting)
    assert len(drawn) > 40
    for stored in drawn:
        sequence = sequences[stored.user]
        negatives = [item for item in stored.candidates if item != stored.target]
        assert len(negatives) == NEGATIVES and stored.candidates.count(stored.target) == 1
        assert not set(negatives) & set(sequence)
        assert len({domain.normal_forms[i] for i in stored.candidates}) == NEGATIVES + 1
        assert len({domain.titles[i].encode()[:40] for i in stored.candidates}) == NEGATIVES + 1
        assert stored.target == sequence[-1 if setting == "warm" else -2]
        assert not any(domain.held_out[i] for i in stored.candidates)


def test_held_out_items_appear_nowhere_in_validation(domain):
    for stored in lists_for(domain, "validation"):
        assert not any(domain.held_out[i] for i in [*stored.history, *stored.candidates])


def test_drawing_again_gives_the_same_lists(domain):
    assert lists_for(domain, "warm") == lists_for(domain, "warm")


def test_target_places_are_spread_over_the_list(domain):
    places = {stored.candidates.index(stored.target) for stored in lists_for(domain, "warm")}
    assert len(places) > 15


def test_one_item_in_twenty_is_held_out():
    share = sum(is_held_out("movielens-1m", str(i)) for i in range(4000)) / 4000
    assert 0.035 < share < 0.065


def test_users_are_ordered_by_hash_and_split_by_place():
    users = user_order([str(i) for i in range(1200)])
    assert users == user_order(users[::-1]) and users != sorted(users)
    assert [split_of(i) for i in (0, 100, 1100)] == ["tune", "quick", "full"]


def test_a_warm_target_is_never_held_out_and_its_user_has_no_warm_list_otherwise(domain):
    drawn = {stored.user for stored in lists_for(domain, "warm")}
    last = {user: sequence[-1] for user, sequence in zip(domain.users, domain.sequences, strict=True)}
    assert drawn == {user for user, item in last.items() if not domain.held_out[item]}
    assert len(drawn) < len(domain.users)


def test_new_item_lists_hold_held_out_items_only_and_a_history_without_any():
    domain = with_new_items(users=60)
    sequences = dict(zip(domain.users, domain.sequences, strict=True))
    drawn = lists_for(domain, "new-item")
    assert len(drawn) > 30
    for stored in drawn:
        sequence = sequences[stored.user]
        assert all(domain.held_out[i] for i in stored.candidates)
        assert stored.history == [i for i in sequence[: sequence.index(stored.target)] if not domain.held_out[i]]
        assert not any(domain.held_out[i] for i in sequence[sequence.index(stored.target) + 1:])
        assert set(stored.candidates) & set(sequence) == {stored.target}


def test_a_domain_with_too_few_held_out_items_has_no_new_item_lists(domain):
    assert 0 < sum(domain.held_out) <= NEGATIVES
    assert lists_for(domain, "new-item") == []


def test_the_same_title_or_the_same_first_40_bytes_never_stand_in_one_list():
    long = "x" * 40
    titles = ["Heat", "Heat [VHS]", "HEAT (1995)", long + "1", long + "2", "Alien"]
    forms = [normalise(title) for title in titles]
    drawn = draw(random.Random(0), list(range(6)), set(), 0, titles, forms, negatives=2)
    assert 0 in drawn and 5 in drawn and len(set(drawn) & {3, 4}) == 1
    with pytest.raises(BadInput, match="too small"):
        draw(random.Random(0), list(range(6)), set(), 0, titles, forms, negatives=3)


def test_another_setting_or_name_draws_other_lists(domain):
    renamed = replace(domain, name="other")
    assert lists_for(domain, "warm")[0].candidates != lists_for(renamed, "warm")[0].candidates


def test_a_domain_of_one_title_has_no_lists_and_few_different_ones_take_no_walk_over_all(domain, monkeypatch):
    same = replace(domain, titles=["Film"] * len(domain.titles), normal_forms=["film"] * len(domain.titles))
    assert lists_for(same, "warm") == []
    looked = []

    def in_order(_, pool):
        for item in pool:
            looked.append(item)
            yield item

    monkeypatch.setattr("molorec.catalog.lists._in_random_order", in_order)
    pool = list(range(1, 1_000_000))
    with pytest.raises(BadInput, match="could be drawn"):
        draw(random.Random(0), pool, set(), 0, _Same("A film"), _Same("a film"))
    assert len(looked) <= 100 * NEGATIVES + 1


class _Same:
    """Titles that are all alike."""

    def __init__(self, title):
        self.title = title

    def __getitem__(self, place):
        return self.title
