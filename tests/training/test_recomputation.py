"""Gradient checkpointing changes the memory, never the gradient."""

import threading

import pytest
import torch

from molorec.mixture import adapters
from molorec.training.recomputation import recomputed
from tests.conftest import pico_backbone, random_adapter


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def base(request):
    return pico_backbone(request.param)


def gradients(base, backward, checkpointing):
    stack = adapters.stack([random_adapter(base.shapes, strength=0.1)], dropout=0.2).train().requires_grad_(True)
    tokens = torch.arange(40).view(2, 20)

    def pass_through():
        torch.manual_seed(0)
        with stack.at([1.0]):
            hidden = base.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        backward(hidden.square().mean())

    if checkpointing:
        with recomputed(base.model, stack):
            pass_through()
    else:
        pass_through()
    return [parameter.grad for parameter in stack.parameters()]


def elsewhere(loss):
    """As on a GPU, where autograd has threads of its own, which know nothing of the mixture that is active here."""
    thread = threading.Thread(target=loss.backward)
    thread.start()
    thread.join()


@pytest.mark.parametrize("backward", [torch.Tensor.backward, elsewhere], ids=["this thread", "another thread"])
def test_gradients_are_those_of_kept_activations(base, backward):
    kept = gradients(base, torch.Tensor.backward, checkpointing=False)
    found = gradients(base, backward, checkpointing=True)
    assert all(grad is not None and grad.abs().max() > 0 for grad in kept)
    for one, other in zip(found, kept, strict=True):
        assert torch.allclose(one, other, atol=1e-7)


def test_activations_are_not_kept(base):
    def saved(checkpointing):
        count = 0

        def pack(tensor):
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            gradients(base, lambda loss: None, checkpointing)
        return count

    assert saved(True) < saved(False) / 3


def test_the_model_is_as_it_was_afterwards(base):
    gradients(base, torch.Tensor.backward, checkpointing=True)
    assert not base.model.training and not base.model.is_gradient_checkpointing
