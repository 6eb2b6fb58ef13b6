"""Both entropies are what they are said to be, at any λ, and their gradient is their slope."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molorec import entropy
from molorec.engine import Engine
from molorec.entropy import Meter, middle
from molorec.errors import BadInput
from molorec.mixture.lam import Lam
from molorec.mixture.rule import RULES


@pytest.fixture
def examples(engine):
    return engine.catalog.examples("toybox", "tune", limit=4)


def random_lam(stack, granularity, seed=0):
    groups = stack.groups(granularity)
    raw = torch.rand(len(groups), len(stack), generator=torch.Generator().manual_seed(seed))
    return Lam.of(granularity, groups, raw / raw.sum(-1, keepdim=True))


def test_the_entropy_of_candidates_is_the_rankings(engine, examples):
    meter = Meter(engine, "toybox")
    lams = [0.0, 0.3, random_lam(meter.mixture.stack, "module")]
    for example in examples:
        assert meter.at(example, lams) == [engine.rank(example, lam).entropy for lam in lams]
    asked = [(example, lam) for example in examples for lam in lams]
    assert meter.each(asked) == pytest.approx([engine.rank(*each).entropy for each in asked], abs=1e-4)
    assert meter.mean(examples, 0.3) == pytest.approx(sum(engine.rank(each, 0.3).entropy for each in examples) / 4, abs=1e-4)


def test_contrast_is_how_much_surer_a_persons_own_history_makes_the_model_than_the_next_ones(engine, examples):
    meter = Meter(engine, "toybox", objective="contrast", prompts=examples)
    for example, other in zip(examples, [*examples[1:], examples[0]], strict=True):
        listed = {item.item_id for item in example.candidates}
        stranger = replace(example, history=tuple(item for item in other.history if item.item_id not in listed))
        expected = [engine.rank(example, lam).entropy - engine.rank(stranger, lam).entropy for lam in (0.0, 0.7)]
        assert meter.at(example, [0.0, 0.7]) == pytest.approx(expected, abs=1e-6)
        assert meter.each([(example, 0.0), (example, 0.7)]) == pytest.approx(expected, abs=1e-4)
    assert meter.mean(examples, 0.7) == pytest.approx(sum(meter.at(each, [0.7])[0] for each in examples) / 4, abs=1e-4)


def test_a_stranger_is_the_next_prompt_whose_history_is_another(examples):
    one, two, three, _ = examples
    same = replace(two, history=one.history)
    gone = replace(two, history=one.candidates)  # nothing is left of it
    assert entropy.strangers([one, same, three])[one].history == entropy.strangers([one, three])[one].history
    assert entropy.strangers([one, gone, three])[one].history == entropy.strangers([one, three])[one].history
    assert entropy.strangers([one, three])[one].candidates == one.candidates
    with pytest.raises(BadInput, match="different histories, and there are 1; give more"):
        entropy.strangers([one])
    with pytest.raises(BadInput, match="different histories"):
        entropy.strangers([one, same])


def stepwise(engine, example, lam, tokens):
    """The paper's loop: token after token of the answer, whose tokens are the likeliest at λ = ½."""
    mixture, model = engine.mixture("toybox"), engine.base.model
    prompt, stops = engine.pack(mixture, example).tokens, engine.base.prompter.stops
    prompt, found = prompt[: engine.pack(mixture, example).prompt_length], []
    for _ in range(tokens):
        logits = {}
        for at in (0.5, lam):
            with torch.inference_mode(), mixture.stack.at(at):
                logits[at] = model(input_ids=torch.tensor([prompt])).logits[0, -1].float()
        chances = logits[lam].softmax(-1)
        found.append(-float((chances * chances.clamp_min(1e-30).log()).sum()))
        token = int(logits[0.5].argmax())
        if token in stops:
            break
        prompt = [*prompt, token]
    return sum(found) / len(found)


@pytest.mark.parametrize("tokens", [1, 3])
def test_one_pass_over_the_kept_answer_is_the_papers_loop(engine, examples, tokens):
    meter = Meter(engine, "toybox", objective="tokens", tokens=tokens)
    lams = [0.0, 0.8, random_lam(meter.mixture.stack, "layer")]
    for example in examples:
        expected = [stepwise(engine, example, lam, tokens) for lam in lams]
        assert meter.at(example, lams) == pytest.approx(expected, abs=1e-4)
        assert all(0 < value <= math.log(420) + 1e-6 for value in expected)


def test_an_answer_ends_where_the_model_ends_it(engine, examples, monkeypatch):
    meter = Meter(engine, "toybox", objective="tokens", tokens=5)
    first = meter.prepared(examples[0])
    answer = first.packed.tokens[first.first + 1:]
    assert len(answer) == 4
    monkeypatch.setattr(type(engine.base.prompter), "stops", {answer[1]})
    again = Meter(engine, "toybox", objective="tokens", tokens=5).prepared(examples[0])
    assert again.packed.tokens == first.packed.tokens[: first.first + 1 + answer.index(answer[1])]


def value(meter, examples, free, granularity):
    """The mean entropy at a softmax's weights, nothing rounded."""
    def work(model):
        weights = free.softmax(-1)
        with torch.no_grad(), meter.mixture.stack.at(weights[0] if granularity == "global" else weights, meter.rule, granularity):
            prompts = [meter.prepared(each) for example in examples for each in meter._rankings(example)]
            return float(meter._entropies(model, prompts).mean())

    return meter.engine.backend.run(work)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=st.sampled_from(sorted(RULES)), granularity=st.sampled_from(["global", "layer", "module"]),
       objective=st.sampled_from(entropy.OBJECTIVES), seed=st.integers(0, 999))
def test_the_gradient_is_the_slope(engine, examples, rule, granularity, objective, seed):
    meter = Meter(engine, "toybox", rule, objective, prompts=examples)
    generator = torch.Generator().manual_seed(seed)
    free = torch.randn(len(meter.mixture.stack.groups(granularity)), 2, generator=generator).requires_grad_()
    loss = meter.backward(examples[:2], free, granularity)
    assert loss == pytest.approx(value(meter, examples[:2], free, granularity), abs=1e-5)
    direction = torch.randn(free.shape, generator=generator)
    direction /= direction.norm()
    h = 0.002
    one, two = ([value(meter, examples[:2], free.detach() + sign * far * direction, granularity) for sign in (1, -1)]
                for far in (h, 2 * h))
    slope = (8 * (one[0] - one[1]) - (two[0] - two[1])) / (12 * h)  # exact to the fourth order: random adapters curve a lot
    assert float((free.grad * direction).sum()) == pytest.approx(slope, rel=0.02, abs=2e-3)


@pytest.mark.parametrize("far", [30.0, 200.0])
@pytest.mark.parametrize("rule", RULES)
def test_the_gradient_at_an_end_of_the_slider_is_a_number(engine, examples, rule, far):
    meter = Meter(engine, "toybox", rule)
    free = torch.tensor([[far, -far], [-far, far]], requires_grad=True)
    assert math.isfinite(meter.backward(examples[:1], free, "layer")) and bool(free.grad.isfinite().all())


def test_what_is_no_objective_is_refused(engine):
    with pytest.raises(BadInput, match="no objective 'words'; choose one of: candidates, tokens"):
        Meter(engine, "toybox", objective="words")
    with pytest.raises(BadInput, match="first 0 tokens"):
        Meter(engine, "toybox", objective="tokens", tokens=0)
    with pytest.raises(BadInput, match="no mixing rule"):
        Meter(engine, "toybox", "mean")
    assert (Meter(engine, "toybox").tokens, entropy.TOKENS_OF["amazon14_beauty"]) == (3, 5)


def test_another_backend_measures_candidates_and_refuses_the_rest_in_words(engine, examples):
    class Elsewhere:
        rows = 2
        score = engine.backend.score

    there = Engine(engine.base, engine.catalog, engine.adapter_folders, Elsewhere())
    assert Meter(there, "toybox").mean(examples, 0.3) == pytest.approx(Meter(engine, "toybox").mean(examples, 0.3), abs=1e-4)
    with pytest.raises(BadInput, match="--backend local"):
        Meter(there, "toybox", objective="tokens")
    with pytest.raises(BadInput, match="--backend local"):
        Meter(there, "toybox").backward(examples, torch.zeros(1, 2, requires_grad=True), "global")


def test_the_middle_weighs_all_adapters_the_same():
    assert middle(2) == 0.5 and sum(middle(3).mean) == pytest.approx(1)
