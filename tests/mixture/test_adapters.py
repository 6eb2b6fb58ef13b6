"""Adapter folders: what is saved comes back, and what cannot be used is refused before a model sees it."""

import json
import os
import pickle

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from molorec import whole_file
from molorec.errors import BadAdapter
from molorec.mixture import adapters
from molorec.mixture.lam import to_saved
from tests.conftest import card_for, random_adapter

CONFIG, WEIGHTS, CARD = "adapter_config.json", "adapter_model.safetensors", "molorec.json"


@pytest.fixture
def folder(base, tmp_path):
    adapter = random_adapter(base.shapes, card=card_for(base, "specific", "toybox"))
    return adapters.save(adapter, tmp_path / "toy-adapter", base.name, torch.float32)


def read(folder, base):
    return adapters.read(folder, base.shapes, base.sha256, base.prompter.fingerprint())


def change_json(name, **changes):
    def spoil(folder):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **changes}))
    return spoil


def change_weights(change):
    def spoil(folder):
        tensors = load_file(folder / WEIGHTS)
        change(tensors, next(iter(tensors)))
        save_file(tensors, folder / WEIGHTS)
    return spoil


def put(value):
    def change(tensors, key):
        tensors[key][0, 0] = value
    return change


def pickled(folder):
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"weights": 1}))


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def without_field(folder):
    content = json.loads((folder / CARD).read_text())
    del content["template"]
    (folder / CARD).write_text(json.dumps(content))


REFUSED = {
    "truncated": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-100]), "damaged"),
    "random bytes": (lambda f: (f / WEIGHTS).write_bytes(bytes(range(256)) * 20), "damaged"),
    "empty": (lambda f: (f / WEIGHTS).write_bytes(b""), "damaged"),
    "pickle under our name": (lambda f: (f / WEIGHTS).write_bytes(pickle.dumps({"weights": 1})), "damaged"),
    "pickle": (pickled, "adapter_model.bin is not read"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "has no adapter_model"),
    "nan": (change_weights(put(float("nan"))), "not finite"),
    "infinite": (change_weights(put(float("inf"))), "not finite"),
    "whole numbers": (change_weights(lambda t, key: t.update({key: t[key].int()})), "not finite"),
    "beyond float32": (change_weights(lambda t, key: t.update({key: t[key].double() * 1e200})), "not finite"),
    "missing key": (change_weights(lambda t, key: t.pop(key)), "missing"),
    "extra key": (change_weights(lambda t, key: t.update({"lm_head.lora_A.weight": torch.ones(1)})), "fit no layer"),
    "other shape": (change_weights(lambda t, key: t.update({key: t[key][:, :-1].contiguous()})), "has shape"),
    "wrong rank": (change_json(CONFIG, r=3), "has shape"),
    "r is text": (change_json(CONFIG, r="16"), "rank"),
    "r is true": (change_json(CONFIG, r=True), "rank"),
    "r is 0": (change_json(CONFIG, r=0), "rank"),
    "alpha is nan": (change_json(CONFIG, lora_alpha=float("nan")), "lora_alpha"),
    "alpha is text": (change_json(CONFIG, lora_alpha="8"), "lora_alpha"),
    **{name: (change_json(CONFIG, **{name: {"a": 1}}), name) for name in adapters._VARIANTS},
    **{f"begun as {name}": (change_json(CONFIG, init_lora_weights=name), "init_lora_weights")
       for name in ("pissa", "pissa_niter_16", "olora", "loftq", "corda", "eva", "mica", None, [])},
    "rsLoRA": (change_json(CONFIG, use_rslora=True), "use_rslora"),
    "DoRA": (change_json(CONFIG, use_dora=True), "use_dora"),
    "bias": (change_json(CONFIG, bias="all"), "bias"),
    "lora_bias": (change_json(CONFIG, lora_bias=True), "lora_bias"),
    "rank_pattern": (change_json(CONFIG, rank_pattern={"q_proj": 2}), "rank_pattern"),
    "alpha_pattern": (change_json(CONFIG, alpha_pattern={"q_proj": 2}), "alpha_pattern"),
    "modules_to_save": (change_json(CONFIG, modules_to_save=["lm_head"]), "modules_to_save"),
    "other method": (change_json(CONFIG, peft_type="LOHA"), "LOHA"),
    "no config": (lambda f: (f / CONFIG).unlink(), "no adapter_config.json"),
    "config is no JSON": (text(CONFIG, "{r: 16"), "cannot be read"),
    "config is a list": (text(CONFIG, "[16]"), "object"),
    "config is no text": (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "other base": (change_json(CARD, base_sha256="0" * 64), "another"),
    "other tokenizer": (change_json(CARD, tokenizer="0" * 16), "another tokenizer"),
    "other schema": (change_json(CARD, schema=99), "schema 99"),
    "unknown field": (change_json(CARD, colour="blue"), "colour"),
    "missing field": (without_field, "template"),
    "bad role": (change_json(CARD, role="boss"), "boss"),
    "hash is a number": (change_json(CARD, base_sha256=5), "base_sha256 = 5"),
    "scores are a list": (change_json(CARD, scores=[1]), "scores"),
    "share is none": (change_json(CARD, share=0.0), "share"),
    "share is more than all": (change_json(CARD, share=1.5), "share"),
    "tuned_lam is text": (change_json(CARD, tuned_lam="half"), "tuned_lam"),
    "tuned_lam is empty": (change_json(CARD, tuned_lam={}), "tuned_lam"),
    "tuned_lam has no weights": (change_json(CARD, tuned_lam={"granularity": "global", "weights": {"all": None}}), "tuned_lam"),
    "tuned_lam is outside 0 to 1": (change_json(CARD, tuned_lam={"granularity": "global", "weights": {"all": [2, -1]}}),
                                    "tuned_lam"),
    "card is a list": (text(CARD, "[]"), "object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_by_name(base, folder, case):
    spoil, message = REFUSED[case]
    before = {name: parameter.clone() for name, parameter in base.model.named_parameters()}
    read(folder, base)
    spoil(folder)
    with pytest.raises(BadAdapter, match=message) as refusal:
        read(folder, base)
    assert "toy-adapter" in str(refusal.value)
    assert all(torch.equal(parameter, before[name]) for name, parameter in base.model.named_parameters())


def test_a_folder_that_is_not_there_is_refused(base, tmp_path):
    with pytest.raises(BadAdapter, match="nowhere"):
        read(tmp_path / "nowhere", base)


def test_what_was_saved_comes_back(base, tmp_path):
    adapter = random_adapter(base.shapes, rank=3, alpha=6,
                             card=card_for(base, "general", "general", tuned_lam=to_saved(0.4), data={"rows": 7}))
    back = read(adapters.save(adapter, tmp_path / "kept", base.name, torch.float32), base)
    assert (back.rank, back.alpha, back.scale, back.card) == (3, 6, 2, adapter.card)
    assert back.factors.keys() == adapter.factors.keys()
    for path, pair in adapter.factors.items():
        assert all(torch.equal(one, other) for one, other in zip(pair, back.factors[path], strict=True))


def test_bfloat16_files_are_half_as_large_and_nearly_the_same(base, tmp_path):
    adapter = random_adapter(base.shapes)
    small, large = (adapters.save(adapter, tmp_path / str(dtype), dtype=dtype)
                    for dtype in (torch.bfloat16, torch.float32))
    assert (small / WEIGHTS).stat().st_size < 0.7 * (large / WEIGHTS).stat().st_size
    for path, (a, _) in read(small, base).factors.items():
        torch.testing.assert_close(a, adapter.factors[path][0], rtol=0.01, atol=0.01)


def test_an_adapter_of_peft_has_no_card_and_is_read(base, folder):
    (folder / CARD).unlink()
    assert read(folder, base).card is None


@pytest.mark.parametrize(("where", "error"), [
    ((adapters, "save_file"), OSError("No space left on device")),
    # what safetensors says of a full disk is no OSError
    ((adapters, "save_file"), SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")),
    ((whole_file, "write"), OSError("No space left on device")),
], ids=["weights", "weights by safetensors", "settings"])
def test_a_failing_save_leaves_the_old_folder(base, folder, fail_on, where, error):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    fail_on(*where, 1, error)
    with pytest.raises(OSError, match="No space"):
        adapters.save(random_adapter(base.shapes, seed=9), folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert list(folder.parent.iterdir()) == [folder]
    adapters.save(random_adapter(base.shapes, seed=9), folder)


def test_a_save_replaces_the_whole_folder(base, folder):
    (folder / "leftover.txt").write_text("old")
    adapters.save(random_adapter(base.shapes, seed=9), folder, dtype=torch.float32)
    assert sorted(file.name for file in folder.iterdir()) == [CONFIG, WEIGHTS]


def test_an_adapter_that_cannot_be_replaced_is_kept(base, folder, monkeypatch):
    before, replace = (folder / "adapter_model.safetensors").read_bytes(), os.replace

    def fails_at_the_new_one(source, target):
        if source.name == folder.name and source != folder:
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_at_the_new_one)
    with pytest.raises(OSError, match="disk full"):
        adapters.save(random_adapter(base.shapes), folder)
    assert (folder / "adapter_model.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_every_new_adapter_of_a_base_starts_from_the_same_a(base):
    one, other, another = (adapters.new(base.shapes, seed=seed) for seed in (1, 1, 2))
    for path, (_, into) in base.shapes.items():
        a, b = one.factors[path]
        assert torch.equal(a, other.factors[path][0]) and not torch.equal(a, another.factors[path][0])
        assert a.abs().max() <= into**-0.5 and not b.any()


def test_adapters_of_different_layers_are_not_stacked(base):
    whole, part = random_adapter(base.shapes), random_adapter(dict(list(base.shapes.items())[1:]))
    with pytest.raises(BadAdapter, match="same layers"):
        adapters.stack([whole, part])
    with pytest.raises(BadAdapter, match="no adapter"):
        adapters.stack([])
