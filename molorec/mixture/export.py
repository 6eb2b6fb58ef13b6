"""A mixture at one λ as one ordinary PEFT adapter, for every other engine."""

import math
from dataclasses import replace
from pathlib import Path

import torch

from molorec.errors import BadInput, memory_in_words
from molorec.mixture import adapters
from molorec.mixture.adapters import Adapter
from molorec.mixture.layer import AdapterStack, Mixing


def merge(stack: AdapterStack, lam, rule: str) -> Adapter:
    """One adapter that does what the stack does at a global λ.

    Exact for every rule. `sum`: rank Σ r_k, the factors concatenated, each weighed √(λ_k s_k) on both sides.
    `product`: rank r, A = Σ λ_k A_k and B = Σ λ_k B_k (eq. 6-8). `peft_linear`: rank r with √λ_k. The exported
    scale α/r is 1 for `sum`, and the adapters' own for the others.

    Raises
    ------
    BadInput : λ is not one weight vector, or the rule does not fit the adapters.
    """
    mixing = Mixing(stack, lam, rule, "global")
    weights = mixing.weights.detach().to("cpu", torch.float32)
    if weights.ndim != 1:
        raise BadInput("an export has one λ; give one weight vector")
    rank, scale = stack.ranks[0], stack.scales[0]
    factors = {}
    for path in stack.paths:
        a, b = (t.detach().to("cpu", torch.float32) for t in stack.pair(path))
        if rule == "sum":
            share = (weights * torch.tensor(stack.scales)).sqrt().repeat_interleave(torch.tensor(stack.ranks))
            factors[path] = (a * share[:, None], b * share)
        else:
            # √(s_i s_j) is not a product of one scale unless scales are equal, so each factor carries its own
            own = torch.tensor(stack.scales).sqrt() * (weights if rule == "product" else weights.sqrt()) / math.sqrt(scale)
            factors[path] = ((a.view(len(stack), rank, -1) * own[:, None, None]).sum(0),
                             (b.view(-1, len(stack), rank) * own[:, None]).sum(1))
    if rule == "sum":
        rank = sum(stack.ranks)
        return Adapter(factors, rank, float(rank))
    return Adapter(factors, rank, scale * rank)


def export(sources: list[Adapter], stack: AdapterStack, lam, rule: str, folder: Path | str, base_name: str) -> Path:
    """Write :func:`merge` as a PEFT folder with a card that says what was mixed, at which λ.

    Weights are float32: rounding to bf16 would make the export differ from the live mixture.
    """
    with memory_in_words():
        merged = merge(stack, lam, rule)
    last = sources[-1].card
    if last:
        weights = [round(w, 6) for w in Mixing(stack, lam, rule, "global").weights.tolist()]
        merged.card = replace(last, role="merged", objective=f"mixture by rule '{rule}'", scores={}, steps=0, seconds=0.0,
                              device="", tuned_lam=None,
                              data={"mixed from": ", ".join(f"{s.name} × {w}" for s, w in zip(sources, weights, strict=True))})
    return adapters.save(merged, folder, base_name, torch.float32)
