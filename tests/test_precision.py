"""4-bit weights: loaded as they should be, right in value and gradient, and the whole pipeline on top of them."""

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit

from molorec import backbone, precision, tuning
from molorec.engine import Engine
from molorec.errors import BadInput
from molorec.mixture import adapters, export
from molorec.mixture.layer import MixtureLinear
from molorec.prompts import template
from molorec.ranking.scorer import log_probabilities
from molorec.training.dataset import load_domain
from molorec.training.loop import Recipe, Training
from tests.conftest import card_for, pico_model, pico_tokenizer, toybox_adapters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pico Qwen2 as transformers saves it."""
    path = tmp_path_factory.mktemp("nf4") / "pico-qwen2"
    tokenizer = pico_tokenizer()
    pico_model("qwen2", len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def exact():
    """Computing in float32, so that numbers can be compared closely."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "native_dtype", lambda: torch.float32)
        yield


@pytest.fixture(scope="module")
def nf4(folder, exact):
    return backbone.load(folder, precision="nf4")


@pytest.fixture(scope="module")
def unpacked(folder, nf4, exact):
    """The same model, its 4-bit weights written out in float32."""
    made = backbone.load(folder, precision="float32")
    for ours, theirs in zip(linear_layers(made), linear_layers(nf4), strict=True):
        ours.weight.data = dequantize_4bit(theirs.weight.data, theirs.weight.quant_state)
    return made


@pytest.fixture
def engine(nf4, catalog, tmp_path):
    return Engine(nf4, catalog, [toybox_adapters(nf4, tmp_path / "adapters")])


def linear_layers(base):
    return [module.base for module in base.model.modules() if isinstance(module, MixtureLinear)]


def test_every_layer_but_the_head_is_in_4_bits(nf4):
    layers = linear_layers(nf4)
    assert len(layers) == 14 and nf4.precision == "nf4"
    for layer in layers:
        assert isinstance(layer, Linear4bit) and layer.weight.dtype == torch.uint8
        state = layer.weight.quant_state
        assert state.quant_type == "nf4" and state.nested  # nested: the scales are quantised too
    assert type(nf4.model.lm_head) is torch.nn.Linear
    assert nf4.model.get_input_embeddings().weight.dtype == torch.float32


def test_packed_weights_are_counted_and_unpacked_one_by_one(nf4, unpacked):
    assert precision.count(nf4.model) == sum(parameter.numel() for parameter in unpacked.model.parameters())
    for ours, theirs in zip(linear_layers(nf4), linear_layers(unpacked), strict=True):
        assert torch.equal(precision.unpacked(ours.weight), theirs.weight.float())


def test_the_processor_does_not_repack_the_weights(nf4, engine):
    """With repacking, gradients and unpacked weights are silently wrong after the first forward."""
    example = engine.catalog.examples("toybox", "quick", limit=1)[0]
    before = [layer.weight.data.clone() for layer in linear_layers(nf4)]
    engine.rank(example, 0.5)
    for layer, packed in zip(linear_layers(nf4), before, strict=True):
        assert layer.support_avx512bf16_for_cpu is False
        assert torch.equal(layer.weight.data, packed)


@pytest.mark.parametrize("lam", [None, 0.0, 0.3, 1.0])
def test_4_bit_layers_rank_as_their_written_out_weights_do(engine, unpacked, lam):
    example = engine.catalog.examples("toybox", "quick", limit=1)[0]
    same = Engine(unpacked, engine.catalog, engine.adapter_folders)
    found, wanted = engine.rank(example, lam), same.rank(example, lam)
    assert found.probabilities() == pytest.approx(wanted.probabilities(), abs=1e-4)


def test_the_gradient_of_the_entropy_is_that_of_finite_differences(engine):
    example = engine.catalog.examples("toybox", "tune", limit=1)[0].unlabelled()
    mixture = engine.mixture("toybox")
    packed = engine.pack(mixture, example)

    def entropy(weights):
        with mixture.stack.at(weights, "sum", "layer"):
            logs = log_probabilities(engine.base.model, [packed])[0]
        return -(logs.exp() * logs).sum()

    with torch.inference_mode():
        engine.rank(example, 0.5)  # a forward in eval mode first: what repacks the weights where nothing prevents it
    at = torch.tensor([[0.4, 0.6], [0.7, 0.3]])
    weights = at.clone().requires_grad_()
    entropy(weights).backward()
    for layer in range(2):
        step = torch.zeros_like(at)
        step[layer] = torch.tensor([2e-3, -2e-3])
        with torch.no_grad():
            difference = (entropy(at + step) - entropy(at - step)) / 4e-3
        slope = weights.grad[layer, 0] - weights.grad[layer, 1]
        assert abs(slope) > 1e-3 and slope.item() == pytest.approx(difference.item(), rel=0.02)


def test_lambda_is_tuned(engine):
    step = list(tuning.tune(engine, "toybox", 12))[-1]
    assert step.settled and 0 <= step.lam <= 1 and step.entropy <= step.entropy_start + 1e-6


def test_ten_steps_of_training_learn_and_leave_the_base_alone(nf4, catalog, tmp_path):
    before = [layer.weight.data.clone() for layer in linear_layers(nf4)]
    data = load_domain(catalog, "toybox", nf4.prompter, smoothing=0.0)[0]
    recipe = Recipe(steps=10, rows=4, length=120, warmup=1, learning_rate=0.02, validate_every=5)
    run = Training(nf4, [data], [1.0], template("open"), recipe, tmp_path, card_for(nf4, "specific", "toybox"),
                   catalog.examples("toybox", "quick", "validation", limit=4))
    losses = [progress.loss for progress in run.run()]
    assert len(losses) == 10 and min(losses[5:]) < losses[0]
    assert all(torch.equal(layer.weight.data, packed) for layer, packed in zip(linear_layers(nf4), before, strict=True))
    read = adapters.read(tmp_path / "best", nf4.shapes, nf4.sha256, nf4.prompter.fingerprint())
    assert any(b.abs().max() > 0 for _, b in read.factors.values())


@pytest.mark.parametrize("rule", ["sum", "product"])
def test_an_exported_mixture_does_what_the_live_one_does(engine, tmp_path, rule):
    example = engine.catalog.examples("toybox", "quick", limit=1)[0]
    mixture = engine.mixture("toybox")
    export.export(list(mixture.adapters), mixture.stack, [0.3, 0.7], rule, tmp_path / "out" / "general", engine.base.name)
    alone = Engine(engine.base, engine.catalog, [tmp_path / "out"])
    assert alone.rank(example, 1.0).probabilities() == pytest.approx(engine.rank(example, 0.3, rule).probabilities(), abs=1e-4)


def test_without_a_wish_the_profile_decides_and_before_it_the_environment(monkeypatch):
    assert precision.chosen(None, "nf4") == "nf4"
    monkeypatch.setenv("MOLOREC_PRECISION", "float32")
    assert precision.chosen(None, "nf4") == "float32"
    assert precision.chosen("bfloat16", "nf4") == "bfloat16"


def test_weights_that_do_not_fit_are_refused_before_they_are_loaded(folder, monkeypatch):
    monkeypatch.setattr(precision, "free_bytes", lambda device: 1000)
    monkeypatch.setattr(precision, "load_model", lambda *_: pytest.fail("loaded"))
    with pytest.raises(BadInput, match="in bfloat16 takes .* GiB .*choose --precision nf4.*--profile embedded"):
        backbone.load(folder, precision="bfloat16")
    with pytest.raises(BadInput) as caught:
        backbone.load(folder, precision="nf4")
    assert "--precision nf4" not in str(caught.value)


def test_the_memory_asked_for_is_that_of_the_weights(folder, nf4, exact):
    def held(base):
        return sum(t.numel() * t.element_size() for t in base.model.parameters())

    assert precision.weight_bytes(folder, "float32") == held(backbone.load(folder, precision="float32"))
    packed = sum(layer.weight.numel() for layer in linear_layers(nf4))  # two weights a byte; the scales stand elsewhere
    assert precision.weight_bytes(folder, "nf4") == held(nf4) + packed * 2 // 64
