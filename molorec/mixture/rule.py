"""How λ becomes a mixing matrix.

A layer with K adapters computes ``y = W0 x + Σij M_ij(λ) √(s_i s_j) B_i A_j x`` with ``s = α / r``. A rule says
what the K×K matrix M is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from molorec.errors import BadInput

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Rule:
    """One way to mix.

    Attributes
    ----------
    matrix : weights (..., K) → mixing matrices (..., K, K), differentiable.
    diagonal : M has no cross terms, so adapters of different ranks and scales mix.
    note : what the rule does, for people.
    """

    name: str
    matrix: Callable[[Tensor], Tensor]
    diagonal: bool
    note: str


def _outer(v: Tensor) -> Tensor:
    return v.unsqueeze(-1) * v.unsqueeze(-2)


def _root(weights: Tensor) -> Tensor:
    """√λ, whose slope is infinite at 0; it is taken as 0 there, so that nothing becomes NaN."""
    inside = weights > 0
    return torch.where(inside, torch.where(inside, weights, 1).sqrt(), 0)


RULES = {
    rule.name: rule
    for rule in (
        Rule("sum", torch.diag_embed, True,
             "adds the two adapters' effects, each times its weight (what the paper's authors ran)"),
        Rule("product", _outer, False,
             "averages the two factors of each adapter separately (the paper's equations 6 to 8), which adds cross "
             "terms between the adapters"),
        Rule("peft_linear", lambda weights: _outer(_root(weights)), False,
             "what PEFT's add_weighted_adapter(\"linear\") does, for comparison"),
    )
}
DEFAULT_RULE = "sum"


def rule(name: str) -> Rule:
    """The rule called ``name``. Raises BadInput, naming those there are, if there is none."""
    if name not in RULES:
        raise BadInput(f"there is no mixing rule '{name}'; choose one of: {', '.join(RULES)}")
    return RULES[name]


def as_weights(lam: float | list[float] | tuple[float, ...] | Tensor, adapters: int = 2) -> Tensor:
    """λ as a weight vector of shape (K,), or (rows, K) where λ differs from row to row.

    A number is the weight of the first adapter (general) of two; the second (specific) gets the rest.

    Raises
    ------
    BadInput : λ is outside [0, 1], not a number, of the wrong length, or does not sum to 1.

    >>> as_weights(0.25).tolist()
    [0.25, 0.75]
    >>> as_weights([0.2, 0.3, 0.5], 3).shape
    torch.Size([3])
    """
    try:
        weights = torch.as_tensor(lam, dtype=torch.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"λ = {lam!r} is not a number") from error
    if not bool(torch.isfinite(weights).all()):
        raise BadInput(f"λ = {lam} is not a finite number")
    if weights.ndim == 0:
        if adapters == 1:
            if float(weights) != 1:
                raise BadInput(f"λ = {float(weights):g}, but there is one adapter only, so λ is 1")
            return weights.reshape(1)
        if adapters != 2:
            raise BadInput(f"{adapters} adapters need {adapters} weights that sum to 1, not the single number {lam}")
        weights = torch.stack([weights, 1 - weights])
    if weights.shape[-1] != adapters:
        raise BadInput(f"λ has {weights.shape[-1]} weights for {adapters} adapters")
    if bool((weights < -TOLERANCE).any()) or bool((weights > 1 + TOLERANCE).any()):
        raise BadInput(f"λ = {lam} is outside 0 to 1")
    if bool(((weights.sum(-1) - 1).abs() > TOLERANCE).any()):
        raise BadInput(f"the weights {lam} sum to {weights.sum(-1).tolist()}, not to 1")
    return weights.clamp(0, 1)  # a rounding error below 0 has no square root
