"""A branch is read as if it stood behind its part of the trunk alone."""

import pytest
import torch

from molorec.baselines.language.rows import branched


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_every_branch_is_what_a_row_of_its_own_gives(make, strength):
    model = make("tallrec", strength=strength)
    trunk, branches = [20, 21, 22, 23, 24], [(2, [5, 6, 7]), (5, [8]), (5, [9, 10, 11, 12]), (4, [5, 6])]
    row = branched(trunk, branches)
    with torch.inference_mode():
        states = model.read_branched([row, branched(list(range(30, 60)), [(30, [8, 9])])])[0]
        for (fork, branch), end in zip(branches, row.ends, strict=True):
            alone = model.read([[*trunk[:fork], *branch]])[0, fork + len(branch) - 1]
            assert (states[end] - alone).abs().max() < 1e-3
        plain = model.read([trunk])[0, : len(trunk)]
    assert (states[: len(trunk)] - plain).abs().max() < 1e-3
