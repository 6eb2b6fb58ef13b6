"""Causal attention for training on a CPU: plain bf16 matrix products.

PyTorch's fused CPU kernel computes in float32 inside; for the short rows of training, forward and backward took
1.7 times as long as this. Use it for rows padded on the right only: it looks at no mask.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

NAME = "molorec_causal"


@lru_cache(maxsize=64)
def _causal(length: int, dtype: torch.dtype) -> Tensor:
    return torch.full((length, length), -1e9).triu(1).to(dtype)


def causal(module, query: Tensor, key: Tensor, value: Tensor, attention_mask, scaling=None, dropout=0.0, **_):
    """Attention of (batch, heads, length, width) queries in the form that transformers asks for."""
    batch, heads, length, width = query.shape
    groups = heads // key.shape[1]
    if groups > 1:
        key, value = (t.repeat_interleave(groups, dim=1) for t in (key, value))
    flat = (batch * heads, length, width)
    scores = torch.baddbmm(_causal(length, query.dtype).expand(batch * heads, length, length), query.reshape(flat),
                           key.reshape(flat).transpose(1, 2), alpha=scaling or width**-0.5)
    out = torch.bmm(scores.softmax(-1), value.reshape(flat)).view(batch, heads, length, width)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, causal)


@contextmanager
def applied(model: PreTrainedModel) -> Iterator[None]:
    """Inside the ``with`` block a model on a CPU attends so; one elsewhere, as it did."""
    before = model.config._attn_implementation
    if model.device.type == "cpu":
        model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
