"""What training minimises, given a batch and the model's last hidden states."""

import torch
import torch.nn.functional as F
from torch import Tensor

from molorec.errors import BadInput
from molorec.training.dataset import Batch

OBJECTIVES = ("listwise", "lm")


def check(name: str) -> None:
    """Raises BadInput if ``name`` is no objective."""
    if name not in OBJECTIVES:
        raise BadInput(f"there is no objective '{name}'; choose one of: {', '.join(OBJECTIVES)}")


def loss(batch: Batch, hidden: Tensor, head: Tensor) -> Tensor:
    """Mean loss of a title in nats.

    `listwise`: −log p(target | list or catalogue) at the branching nodes of the titles' trie. `lm` (the paper's): the sum of
    −log p(token) over the whole vocabulary. Logits are computed at deciding positions alone: the vocabulary's head
    over a whole prompt costs as much as the layers.

    Parameters
    ----------
    hidden : (rows, length, width).
    head : the output embedding (vocabulary, width).
    """
    total = hidden.new_zeros((), dtype=torch.float32)
    for positions, choices, offsets, targets in batch.roots.values():
        logits = (_at(hidden, positions) @ head[choices].t()).float() + offsets
        total = total - (targets * logits.log_softmax(-1)).sum()
    if batch.nodes is not None:
        positions, choices, offsets, targets = batch.nodes
        logits = torch.einsum("nd,ncd->nc", _at(hidden, positions), head[choices]).float() + offsets
        total = total - (targets * logits.log_softmax(-1)).sum()
    if batch.next_tokens is not None:
        positions, tokens = batch.next_tokens
        total = total + F.cross_entropy((_at(hidden, positions) @ head.t()).float(), tokens, reduction="sum")
    return total / max(batch.labels, 1)


def _at(hidden: Tensor, positions: Tensor) -> Tensor:
    return hidden[positions[:, 0], positions[:, 1]]
