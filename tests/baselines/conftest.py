"""Made-up sequences with a rule that can be learned in seconds."""

import numpy as np
import pytest
import torch

from molorec.baselines.data import Interactions, Lists
from molorec.catalog import Item

ITEMS = 24


@pytest.fixture
def successors() -> Interactions:
    """60 users who each walk over 24 items, always to the next number; items 23 and 24 are kept from training."""
    walks = [np.array([(start + step) % (ITEMS - 2) + 1 for step in range(9)]) for start in range(60)]
    items = tuple(Item(f"i{n}", f"Item {n}") for n in range(1, ITEMS + 1))
    known = np.array([False, *[True] * (ITEMS - 2), False, False])
    texts = torch.nn.functional.normalize(torch.randn(ITEMS + 1, 64, generator=torch.Generator().manual_seed(1)), dim=-1)
    texts[0] = 0
    return Interactions(items, known, {f"u{n}": n + 1 for n in range(60)}, walks, texts)


@pytest.fixture
def questions() -> Lists:
    """After five steps of a walk, the next item among those that no rest of the walk holds: chance is 1 of 14."""
    others = ITEMS - 2
    histories = [np.array([(start + step) % others + 1 for step in range(5)]) for start in range(others)]
    # the true item stands somewhere else in each list
    candidates = np.array([np.roll([(start + step) % others + 1 for step in (5, *range(9, others))], start)
                           for start in range(others)])
    targets = np.array([start % candidates.shape[1] for start in range(others)])
    return Lists(np.zeros(others, np.int64), histories, candidates, targets)
