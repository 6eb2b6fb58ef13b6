"""Numbers in place of ids: nothing that was kept from training is learned of, and no target is given away."""

import numpy as np
import pytest
import torch

from molorec.baselines import data as numbers
from molorec.catalog import Catalog
from molorec.errors import BadInput


def test_a_domain_is_read_without_its_last_two_events_and_without_what_is_held_out(catalog):
    data = numbers.load(catalog, "toybox")
    held_out = catalog.held_out("toybox")
    assert held_out and {data.items[n - 1].item_id for n in np.flatnonzero(~data.known) if n} == held_out
    as_ids = [[data.items[n - 1].item_id for n in sequence] for sequence in data.sequences if len(sequence) > 1]
    assert as_ids == [[item.item_id for item in sequence] for sequence in catalog.training_sequences("toybox")]
    assert set(data.pool.tolist()) == set(np.flatnonzero(data.known))


def test_for_the_protocols_of_others_nothing_is_held_back(catalog):
    whole = numbers.load(catalog, "toybox", keep_last=0, held_out=True)
    assert whole.known[1:].all() and sum(map(len, whole.sequences)) == catalog.domain("toybox").events


def test_a_domain_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match="nothing"):
        numbers.load(Catalog(tmp_path / "catalog.db"), "nothing")


@pytest.mark.parametrize("unknown", [False, True])
def test_stored_lists_keep_their_order_and_lose_what_is_unknown_from_histories(catalog, unknown):
    data = numbers.load(catalog, "toybox")
    examples = catalog.examples("toybox", "quick", "warm")
    lists = numbers.lists(data, examples, unknown)
    lost = 0
    for i, example in enumerate(examples):
        assert [data.items[n - 1] for n in lists.candidates[i]] == list(example.candidates)
        assert example.candidates[lists.targets[i]] == example.target
        history = [item for item in example.history if unknown or data.known[data.number[item.item_id]]]
        assert [data.items[n - 1] for n in lists.histories[i]] == history
        lost += len(example.history) - len(history)
        assert list(data.users)[lists.users[i] - 1] == example.user
    assert (lost == 0) == unknown


def test_an_epoch_of_windows_holds_every_user_once_and_each_next_item(successors):
    seen = []
    for batch in numbers.windows(successors, 5, 16, np.random.default_rng(0)):
        for user, inputs, length, targets in zip(*batch, strict=True):
            walk = successors.sequences[user - 1][-6:].tolist()
            assert inputs[:length].tolist() == walk[:-1] and targets[:length].tolist() == walk[1:]
            assert not inputs[length:].any() and not targets[length:].any()
            seen.append(int(user))
    assert sorted(seen) == list(range(1, 61))


def test_an_epoch_of_prefixes_is_another_draw_each_time(successors):
    def drawn(seed):
        return [tuple(row) for batch in numbers.prefixes(successors, 4, 10, np.random.default_rng(seed), most=30)
                for row in batch.inputs.tolist()]

    assert len(drawn(0)) == 30 and drawn(0) == drawn(0) != drawn(1)


def test_an_epoch_of_events_holds_each_of_them_once(successors):
    pairs = [(int(user), int(item)) for batch in numbers.events(successors, 50, np.random.default_rng(0))
             for user, item in zip(batch.users, batch.targets, strict=True)]
    assert sorted(pairs) == sorted((user, int(item)) for user, walk in enumerate(successors.sequences, start=1) for item in walk)


def test_negatives_are_known_and_were_never_chosen(successors):
    torch.manual_seed(0)
    users = torch.arange(1, 61).repeat(20)
    drawn = successors.unchosen(users)
    assert successors.known[drawn.numpy()].all()
    assert not successors.chosen(users.numpy(), drawn.numpy()).any()
    assert all(int(item) not in successors.sequences[user - 1] for user, item in zip(users, drawn, strict=True))


def test_who_chose_everything_still_gets_a_negative(successors):
    full = numbers.Interactions(successors.items[:3], np.array([False, True, True, True]), {"u": 1}, [np.array([1, 2, 3])])
    assert full.unchosen(torch.tensor([1, 1])).tolist() != [0, 0]
