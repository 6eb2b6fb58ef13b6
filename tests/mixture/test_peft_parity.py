"""Our folders and our rules mean in PEFT what they mean here."""

import pytest
import torch
from peft import PeftModel

from molorec.mixture import adapters
from tests.conftest import pico_model, random_adapter

TOKENS = torch.arange(5, 25)[None]


@pytest.fixture(scope="module")
def sources(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("peft")
    made = {}
    for seed, name in enumerate(("general", "specific"), start=1):
        made[name] = random_adapter(base.shapes, seed=seed)
        adapters.save(made[name], folder / name, dtype=torch.float32)
    return folder, made


@pytest.fixture
def peft_model(base, sources):
    folder, _ = sources
    plain = pico_model("llama", len(base.prompter.tokenizer), 0).float().eval()
    model = PeftModel.from_pretrained(plain, folder / "general", adapter_name="general")
    model.load_adapter(folder / "specific", adapter_name="specific")
    return model.eval()


def ours(base, stack, lam, rule="sum"):
    with torch.no_grad(), stack.at(lam, rule):
        return base.model(input_ids=TOKENS).logits


def theirs(model, name):
    model.set_adapter(name)
    model.eval()  # a newly added adapter is in train mode
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def assert_same(one, other):
    assert (one - other).abs().max().item() <= 1e-4


@pytest.mark.parametrize("name", ["general", "specific"])
def test_a_saved_folder_gives_the_same_logits_in_peft(base, sources, peft_model, name):
    stack = adapters.stack([sources[1][name]]).eval()
    assert_same(theirs(peft_model, name), ours(base, stack, 1.0))
    assert (ours(base, stack, 1.0) - base.model(input_ids=TOKENS).logits).abs().max() > 0.1


@pytest.mark.parametrize("lam", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(("rule", "combination", "weight"), [
    ("sum", "cat", lambda lam: lam),
    ("peft_linear", "linear", lambda lam: lam),
    # PEFT weighs each factor with √w, equations 6 to 8 with λ
    ("product", "linear", lambda lam: lam**2),
])
def test_a_rule_is_a_combination_of_peft(base, sources, peft_model, rule, combination, weight, lam):
    weights = [weight(lam), weight(1 - lam)]
    peft_model.add_weighted_adapter(["general", "specific"], weights, "mixed", combination_type=combination)
    stack = adapters.stack([sources[1]["general"], sources[1]["specific"]]).eval()
    assert_same(theirs(peft_model, "mixed"), ours(base, stack, lam, rule))
