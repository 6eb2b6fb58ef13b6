"""Cards: what changes in one is kept with it, and nothing else changes."""

import os
from dataclasses import replace

import pytest
import torch

from molorec.errors import BadAdapter
from molorec.mixture import adapters
from molorec.mixture.card import CARD, MERGED, SECOND_ROUND, card_text, read_card, update_card
from molorec.mixture.lam import to_saved
from tests.conftest import card_for, random_adapter


@pytest.fixture
def folder(base, tmp_path):
    adapter = random_adapter(base.shapes, card=card_for(base, "specific", "toybox"))
    return adapters.save(adapter, tmp_path / "toy-adapter", base.name, torch.float32)


def test_a_card_that_cannot_be_written_stays_as_it_was(folder, fail_on):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    fail_on(os, "replace", 1, OSError("No space left on device"))
    with pytest.raises(OSError, match="No space"):
        update_card(folder, tuned_lam=to_saved(0.37))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_update_card_changes_card_and_readme_and_no_weight(folder):
    before, weights = read_card(folder), (folder / "adapter_model.safetensors").read_bytes()
    update_card(folder, tuned_lam=to_saved(0.37), scores={"ndcg@1": 0.21})
    assert read_card(folder) == replace(before, tuned_lam=to_saved(0.37), scores={"ndcg@1": 0.21})
    assert (folder / "adapter_model.safetensors").read_bytes() == weights
    assert "ndcg@1: 0.21" in (folder / "README.md").read_text()


def test_update_card_needs_a_card_and_known_fields(folder):
    with pytest.raises(TypeError, match="colour"):
        update_card(folder, colour="blue")
    assert read_card(folder) is not None
    (folder / CARD).unlink()
    with pytest.raises(BadAdapter, match="toy-adapter"):
        update_card(folder, tuned_lam=to_saved(0.5))


@pytest.mark.parametrize(("role", "said"), [("specific", "Role in a mixture: specific"), (MERGED, "mixed at one λ"),
                                            (SECOND_ROUND, "it is no part of a mixture")])
def test_for_people_a_card_says_what_the_adapter_is_for(base, role, said):
    assert said in card_text(card_for(base, role, "toybox"))
