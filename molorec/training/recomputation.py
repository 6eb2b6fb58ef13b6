"""Gradient checkpointing: activations inside a layer are computed again at the backward pass instead of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import nn
from transformers import PreTrainedModel

from molorec.mixture.layer import AdapterStack


@contextmanager
def recomputed(model: PreTrainedModel, stack: AdapterStack) -> Iterator[None]:
    """Forward and backward passes inside the ``with`` block keep one activation a layer; about a third more time.

    The stack is mixed at λ = 1 where a layer is computed again, whatever thread autograd does that in.
    """
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={
        "use_reentrant": False, "context_fn": lambda: (nullcontext(), stack.at([1.0]))})
    model.train()  # transformers looks at this
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    try:
        yield
    finally:
        model.eval()
        model.gradient_checkpointing_disable()
