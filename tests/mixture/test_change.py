"""What an adapter adds: ΔW is what the mixture layer computes, and a picture's blocks keep every entry."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molorec.mixture import adapters, change
from tests.conftest import random_adapter

SHAPES = {"model.layers.0.up": (7, 5), "model.layers.0.down": (5, 7)}


def test_delta_is_what_the_layer_adds():
    general, specific = random_adapter(SHAPES, rank=2, alpha=6.0, seed=1), random_adapter(SHAPES, rank=2, alpha=6.0, seed=2)
    stack, x = adapters.stack([general, specific]), torch.randn(3, 5)
    for adapter, lam in ((general, 1.0), (specific, 0.0)):
        delta = change.delta(adapter, "model.layers.0.up")
        assert delta.shape == (7, 5)
        with stack.at(lam) as mixing:
            added = mixing.add_to(torch.zeros(3, 7), x, "model.layers.0.up")
        assert torch.allclose(added, x @ delta.T, atol=1e-4)


def test_parameters_are_those_of_both_factors():
    assert change.parameters(random_adapter(SHAPES, rank=2)) == 2 * 2 * (7 + 5)


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 60), columns=st.integers(1, 60), most=st.integers(1, 48))
def test_blocks_hold_every_entry_once(rows, columns, most):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows * 61 + columns))
    blocks = change.block_means(matrix, most)
    assert blocks.shape == (min(most, rows), min(most, columns)) and bool((blocks >= 0).all())
    sizes = [torch.tensor([len(part) for part in torch.arange(side).tensor_split(min(most, side))]) for side in (rows, columns)]
    assert float((blocks * sizes[0][:, None] * sizes[1]).sum()) == pytest.approx(float(matrix.abs().sum()), rel=1e-4)
