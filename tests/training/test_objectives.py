"""Losses are finite, have gradients, and are what they say on numbers done by hand."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from molorec.errors import BadInput
from molorec.prompts import template
from molorec.training import objectives
from molorec.training.dataset import Batch, ListSampler, WindowSampler, load_domain


@pytest.mark.parametrize("objective", objectives.OBJECTIVES)
@pytest.mark.parametrize(("style", "sampler", "length"), [("open", WindowSampler, 120), ("listed", ListSampler, 500)])
def test_every_combination_has_a_finite_loss_and_gradients(catalog, base, objective, style, sampler, length):
    data = load_domain(catalog, "toybox", base.prompter)[0]
    batch = sampler([data], [1.0], template(style), objective, 2, length, 0).batch(0)
    hidden = torch.randn(2, length, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = objectives.loss(batch, hidden, base.model.get_output_embeddings().weight)
    value.backward()
    assert math.isfinite(value.item()) and value.item() > 0
    assert bool(torch.isfinite(hidden.grad).all()) and bool(hidden.grad.abs().sum(-1).any(1).all())


@pytest.mark.parametrize(("style", "sampler", "length"), [("open", WindowSampler, 120), ("listed", ListSampler, 500)])
def test_logits_are_computed_at_the_answers_alone(catalog, base, style, sampler, length):
    data = load_domain(catalog, "toybox", base.prompter)[0]
    batch = sampler([data], [1.0], template(style), "lm", 2, length, 0).batch(0)
    hidden, head = torch.randn(2, length, 32), base.model.get_output_embeddings().weight
    with FlopCounterMode(display=False) as counted:
        objectives.loss(batch, hidden, head)
    positions = batch.next_tokens[0]
    assert counted.get_total_flops() == 2 * len(positions) * head.numel()
    assert len(positions) < batch.tokens.ne(0).sum() / (1 if style == "open" else 8)  # `open` has a title at nearly every place
    for (row, place), token in zip(positions.tolist(), batch.next_tokens[1].tolist(), strict=True):
        assert batch.tokens[row, place + 1] == token


def test_an_unsure_model_pays_the_log_of_the_choices():
    hidden, head = torch.zeros(1, 2, 3), torch.ones(7, 3)
    place = torch.tensor([[0, 1]])
    nodes = (place, torch.tensor([[1, 2, 3, 4]]), torch.zeros(1, 4), torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    tokens = torch.zeros(1, 2, dtype=torch.long)
    assert float(objectives.loss(Batch(tokens, nodes=nodes, labels=1), hidden, head)) == pytest.approx(math.log(4))
    lm = Batch(tokens, next_tokens=(place, torch.tensor([5])), labels=1)
    assert float(objectives.loss(lm, hidden, head)) == pytest.approx(math.log(7))


def test_an_offset_stands_for_as_many_items():
    hidden, head, place = torch.zeros(1, 1, 3), torch.ones(7, 3), torch.tensor([[0, 0]])
    root = (place, torch.tensor([1, 2]), torch.log(torch.tensor([[1.0, 3.0]])), torch.tensor([[1.0, 0.0]]))
    value = objectives.loss(Batch(torch.zeros(1, 1, dtype=torch.long), roots={"toybox": root}, labels=1), hidden, head)
    assert float(value) == pytest.approx(math.log(4))


def test_the_loss_is_a_mean_over_titles():
    hidden, head, place = torch.zeros(1, 1, 3), torch.ones(7, 3), torch.tensor([[0, 0], [0, 0]])
    batch = Batch(torch.zeros(1, 1, dtype=torch.long), next_tokens=(place, torch.tensor([1, 2])), labels=2)
    assert float(objectives.loss(batch, hidden, head)) == pytest.approx(math.log(7))


def test_an_unknown_objective_names_those_there_are():
    with pytest.raises(BadInput, match="no objective 'hinge'; choose one of: listwise, lm"):
        objectives.check("hinge")
