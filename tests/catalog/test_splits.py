"""Who is in which split, by a rule that anybody can follow."""

import hashlib

import pytest

from molorec.catalog.splits import SPLITS, digest, is_held_out, positions_of, split_of, user_order
from molorec.errors import BadInput


def test_users_stand_in_the_order_of_their_hashes():
    users = [str(i) for i in range(50)]
    assert user_order(users) == sorted(users, key=lambda user: hashlib.sha256(user.encode()).digest())


def test_every_position_is_in_exactly_the_split_whose_bounds_hold_it():
    for position in (0, 99, 100, 1099, 1100, 10**6):
        bounds = {split: positions_of(split) for split in SPLITS}
        holding = [split for split, (first, end) in bounds.items()
                   if first <= position and (end is None or position < end)]
        assert holding == [split_of(position)]


def test_a_split_that_is_none_is_refused_with_those_there_are():
    with pytest.raises(BadInput, match="no split 'x'; choose one of: tune, quick, full"):
        positions_of("x")


def test_the_digest_is_the_whole_sha256():
    assert digest("é") == int(hashlib.sha256("é".encode()).hexdigest(), 16)


@pytest.mark.parametrize("domain", ["toybox", "movielens-1m"])
def test_an_item_is_held_out_when_its_hash_says_so(domain):
    for i in range(200):
        assert is_held_out(domain, str(i)) == (int(hashlib.sha256(f"{domain}|{i}".encode()).hexdigest(), 16) % 20 == 0)


def test_the_same_id_is_held_out_independently_in_two_domains():
    held = [{i for i in range(400) if is_held_out(domain, str(i))} for domain in ("one", "two")]
    assert held[0] and held[1] and held[0] != held[1]
