"""Which adapters a domain is ranked with."""

import shutil

import pytest

from molorec.engine import Engine
from molorec.mixture.card import ALONE, update_card
from molorec.mixture.lam import to_saved


def test_a_broken_adapter_is_left_out_and_named(base, catalog, adapter_folder):
    (adapter_folder / "toybox" / "adapter_model.safetensors").write_bytes(b"\x00" * 40)
    served = Engine(base, catalog, [adapter_folder])
    assert "damaged" in served.mixture("toybox").problems[0]
    assert len(served.rank(catalog.examples("toybox", "quick")[0], 0.5).items) == 30


@pytest.mark.parametrize("role", ALONE)
def test_what_holds_the_general_adapter_already_is_never_the_specific_one(engine, adapter_folder, role):
    update_card(adapter_folder / "toybox", role=role)
    mixture = engine.mixture("toybox")
    assert [adapter.name for adapter in mixture.adapters] == ["general"]
    assert "not mixed with another" in mixture.problems[0]
    shutil.rmtree(adapter_folder / "general")
    engine.forget("toybox")
    alone = engine.mixture("toybox")
    assert [adapter.card.role for adapter in alone.adapters] == [role] and not alone.problems


def test_a_tuned_lam_is_of_this_pair_and_this_domain_alone(engine, adapter_folder):
    update_card(adapter_folder / "toybox", tuned_lam=to_saved(0.3), domain="another")
    assert engine.mixture("toybox").tuned_lam is None
    update_card(adapter_folder / "toybox", domain="toybox")
    engine.forget("toybox")
    assert engine.mixture("toybox").tuned_lam == 0.3


@pytest.mark.parametrize(("folder", "changes", "words"), [
    ("toybox", {"domain": "another"}, "is the specific one of 'another'"), ("toybox", {"role": "general"}, "is the general one"),
    ("general", {"role": "specific"}, "folder 'general' is the specific one")])
def test_an_adapter_in_another_ones_folder_is_named(engine, adapter_folder, folder, changes, words):
    assert not engine.mixture("toybox").problems
    update_card(adapter_folder / folder, **changes)
    engine.forget("toybox")
    mixture = engine.mixture("toybox")
    assert len(mixture.adapters) == 2 and words in mixture.problems[0]
