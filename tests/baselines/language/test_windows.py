"""Windows are stretches of what was chosen; negatives are what was not."""

from dataclasses import replace

import numpy as np

from molorec.baselines.language.windows import batches, unchosen


def test_windows_are_stretches_of_their_users_sequences(walks):
    found = [window for batch in batches(walks, 4, 100, 8, np.random.default_rng(0)) for window in batch]
    assert len(found) == 100 and {len(window.items) for window in found} == {2, 3, 4}
    for user, items in found:
        walk = walks.sequences[user - 1].tolist()
        start = walk.index(items[0])
        assert walk[start : start + len(items)] == items.tolist()
        assert len(items) == 4 or start == 0
    ends = {int(window.items[-1]) for window in found}
    assert len(ends) > 15  # not only the last of each


def test_who_chose_one_thing_alone_has_no_window(walks):
    data = replace(walks, sequences=[walk[:1] if user else walk for user, walk in enumerate(walks.sequences)])
    found = [window for batch in batches(data, 4, 0, 8, np.random.default_rng(0)) for window in batch]
    assert [window.user for window in found] == [1]


def test_negatives_are_known_different_and_were_never_chosen(walks):
    drawn = unchosen(walks, 5, 10, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 10 and walks.known[drawn].all()
    assert not set(drawn.tolist()) & set(walks.sequences[4].tolist())
    assert len(unchosen(walks, 5, 99, np.random.default_rng(0))) == 22 - 9  # all there are
