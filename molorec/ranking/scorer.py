"""Candidates' probabilities from one forward pass of the mixed model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molorec.ranking.trie import PackedTrie

PAD = 0
# Lengths are rounded up to a multiple of this. The CPU library keeps code of its own for every shape that it has met:
# with all lengths there are, a running app grew by hundreds of MiB (``LOG.md``).
STEP = 16


def log_probabilities(model: nn.Module, packed: Sequence[PackedTrie]) -> list[Tensor]:
    """log p(candidate) for each packed prompt, in float32, at whatever mixture is active.

    Parameters
    ----------
    model : a causal language model of transformers, its linear layers wrapped.
    packed : one entry for each row of the batch; shorter rows are padded on the right.

    Returns
    -------
    One tensor (candidates,) for each row; ``exp`` of it sums to 1. Differentiable in λ.
    """
    hidden = hidden_states(model, packed)
    head = model.get_output_embeddings().weight
    return [_row(hidden[i], entry, head) for i, entry in enumerate(packed)]


def hidden_states(model: nn.Module, packed: Sequence[PackedTrie]) -> Tensor:
    """The last hidden states (rows, length, width) of packed prompts, or of other rows that say who attends to whom in the same
    way, padded on the right to a multiple of :data:`STEP`."""
    device = model.get_input_embeddings().weight.device
    tokens = padded([entry.tokens for entry in packed], device)
    if all(entry.is_plain for entry in packed):
        # causal attention: what stands to the right of a prompt cannot reach it
        return model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    positions = padded([entry.position_ids for entry in packed], device)
    mask = torch.stack([entry.mask(tokens.shape[1]) for entry in packed]).unsqueeze(1).to(device)
    return model.base_model(input_ids=tokens, attention_mask=mask, position_ids=positions,
                            use_cache=False).last_hidden_state


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Tokens, or their positions, (n, length), padded on the right to a common multiple of :data:`STEP`."""
    length = -(-max(map(len, rows)) // STEP) * STEP
    return torch.tensor([[*row, *[PAD] * (length - len(row))] for row in rows], device=device)


def _row(hidden: Tensor, entry: PackedTrie, head: Tensor) -> Tensor:
    # in float32: a bf16 logit near 16 is only good to 1/16 nat
    logits = [head[node.children].float() @ hidden[node.position].float() for node in entry.nodes]
    return entry.log_probabilities(logits).to(hidden.device)
