"""The walks of the other baselines, over items with titles, and an adapter that changes something."""

from dataclasses import replace

import pytest
import torch

from molorec.baselines.data import Interactions
from molorec.baselines.models import kind
from molorec.catalog import Item
from tests.conftest import titles


@pytest.fixture
def walks(successors) -> Interactions:
    """60 users who walk over 24 titles; numbers 23 and 24 are kept from training."""
    return replace(successors, items=tuple(Item(item.item_id, title) for item, title
                                           in zip(successors.items, titles(24), strict=True)))


@pytest.fixture
def make(walks, base):
    """Makes a model by name; with ``strength``, of an adapter that is not nothing, as a fresh one is."""
    def made(name: str, strength: float = 0.0, data: Interactions = walks, **changes):
        recipe = replace(kind(name).recipe, **{"length": 4, "batch": 8, "examples": 16, "dropout": 0.0, "rate": 1e-2, **changes})
        model = kind(name).model(data, recipe, base, "songs")
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for b in model.stack.b:
                b.add_(torch.randn(b.shape, generator=generator) * strength)
        return model

    return made


@pytest.fixture
def few(questions):
    """Six lists."""
    return replace(questions, users=questions.users[:6], histories=questions.histories[:6],
                   candidates=questions.candidates[:6], targets=questions.targets[:6])
