"""Every kind of export, read again, against the live mixture."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from molorec import backbone, fidelity, precision
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.mixture import export
from molorec.mixture.card import read_card
from tests.conftest import pico_model, pico_tokenizer, toybox_adapters


@pytest.fixture(scope="module", autouse=True)
def exact():
    """Computing in float32, so that numbers can be compared closely."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "native_dtype", lambda: torch.float32)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dense") / "pico-qwen2"
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def engine(folder, catalog, tmp_path):
    base = backbone.load(folder, precision="float32")
    return Engine(base, catalog, [toybox_adapters(base, tmp_path / "adapters")])


@pytest.mark.parametrize("rule", ["sum", "product"])
def test_an_adapter_is_the_live_mixture_and_a_damaged_one_is_not(engine, tmp_path, rule):
    mixture = engine.mixture("toybox")
    made = export.export(list(mixture.adapters), mixture.stack, 0.3, rule, tmp_path / "mixed", engine.base.name)
    found = fidelity.of_adapter(engine, "toybox", made, 0.3, rule)
    found.check("float32")
    assert found.same_first == found.lists == fidelity.LISTS
    weights = load_file(made / "adapter_model.safetensors")
    save_file({name: value * 1.2 for name, value in weights.items()}, made / "adapter_model.safetensors")
    with pytest.raises(BadInput, match="not the live mixture"):
        fidelity.of_adapter(engine, "toybox", made, 0.3, rule).check("float32")


def test_a_truncated_adapter_differs_and_less_at_a_higher_rank(engine, tmp_path):
    mixture = engine.mixture("toybox")
    differences = []
    for rank in (1, 4, 7, 8):
        made = export.export(list(mixture.adapters), mixture.stack, 0.4, "sum", tmp_path / f"r{rank}", engine.base.name, rank)
        differences.append(fidelity.of_adapter(engine, "toybox", made, 0.4).difference)
    assert differences[0] > differences[2] > differences[3] and differences[3] <= 1e-4  # rank 8 is exact


def test_a_whole_model_holds_the_mixture_up_to_rounding(engine, tmp_path, folder):
    mixture = engine.mixture("toybox")
    made = export.export_dense(mixture.stack, 0.3, "sum", folder, tmp_path / "dense")
    assert fidelity.of_model(engine, "toybox", made, 0.3, precision="float32").difference <= 0.05  # its weights are bfloat16
    assert fidelity.of_model(engine, "toybox", made, 0.9, precision="float32").difference > 0.1  # another λ is another model
    assert json.loads((made / "config.json").read_text())["model_type"] == "qwen2"
    assert backbone.load(made, precision="float32").prompter.fingerprint() == engine.base.prompter.fingerprint()


def test_a_model_in_4_bits_is_made_from_the_dense_one(engine, tmp_path, folder):
    mixture = engine.mixture("toybox")
    dense = export.export_dense(mixture.stack, 0.3, "sum", folder, tmp_path / "dense")
    small = export.export_dense(mixture.stack, 0.3, "sum", folder, tmp_path / "nf4", "nf4")
    again = backbone.load(small, precision="float32")  # it holds nothing but 4 bits
    assert again.precision == "nf4" and list(small.glob("*.safetensors"))
    unpacked = backbone.load(dense, precision="nf4")
    for path in engine.base.shapes:  # rounded once, from the dense weights
        ours, theirs = (made.model.get_submodule(path).base.weight for made in (again, unpacked))
        assert torch.equal(ours.data, theirs.data)
    found = fidelity.of_model(engine, "toybox", small, 0.3, precision="nf4")
    assert 0 < found.difference < 1 and found.lists == fidelity.LISTS


def test_a_failed_export_leaves_what_was_there(engine, tmp_path, folder, monkeypatch):
    target = tmp_path / "dense"
    target.mkdir()
    (target / "mine.txt").write_text("mine")

    def full(*_):
        raise OSError(28, "No space left")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    with pytest.raises(OSError, match="No space"):
        export.export_dense(engine.mixture("toybox").stack, 0.3, "sum", folder, target)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".dense")] == []
    assert (target / "mine.txt").read_text() == "mine"


def test_an_export_that_cannot_take_its_place_leaves_what_was_there(engine, tmp_path, folder, monkeypatch):
    target, replace = tmp_path / "dense", os.replace
    target.mkdir()
    (target / "mine.txt").write_text("mine")

    def fails_at_the_new_one(source, place):
        if Path(place) == target and Path(source).name == target.name:
            raise OSError(28, "No space left")
        replace(source, place)

    monkeypatch.setattr(os, "replace", fails_at_the_new_one)
    with pytest.raises(OSError, match="No space"):
        export.export_dense(engine.mixture("toybox").stack, 0.3, "sum", folder, target)
    assert (target / "mine.txt").read_text() == "mine"


def test_a_domain_without_lists_has_nothing_to_compare_on(engine, monkeypatch):
    monkeypatch.setattr(engine.catalog, "examples", lambda *_, **__: [])
    monkeypatch.setattr(engine.catalog, "users", lambda *_, **__: [])
    with pytest.raises(BadInput, match="no lists"):
        fidelity._examples(engine, "toybox")


def test_the_command_line_says_how_near_each_is(engine, tmp_path):
    found = fidelity.Fidelity(0.0123, 4, 5)
    assert str(found) == "no probability differs from the live mixture's by more than 0.012 on 5 lists; 4 keep their first title"
    with pytest.raises(BadInput):
        found.check("float32")
    found.check("bfloat16")
    with pytest.raises(BadInput, match="rounding explains 0.02"):
        fidelity.Fidelity(0.03, 5, 5).check("bfloat16")
    assert read_card(tmp_path) is None
