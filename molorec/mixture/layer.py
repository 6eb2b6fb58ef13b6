"""The layer that adds any mixture of adapters to a frozen linear layer.

Adapters live in an :class:`AdapterStack` beside the model, never inside it, and λ travels with the call, in a
context variable. So several people can use one model at several λ, with several sets of adapters, and nothing is
ever merged, copied or re-quantised.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molorec.errors import BadInput
from molorec.mixture import rule as rules
from molorec.mixture.lam import ALL, GRANULARITIES, AnyLam, Lam
from molorec.mixture.rule import Rule

_active: ContextVar["Mixing | None"] = ContextVar("molorec_mixing", default=None)
_LAYER = re.compile(r"\.layers\.(\d+)\.")


class MixtureLinear(nn.Module):
    """A frozen linear layer (``nn.Linear`` or anything called like it) that adds the active mixture to its output."""

    def __init__(self, base: nn.Module, path: str):
        super().__init__()
        self.base = base
        self.path = path

    @property
    def in_features(self) -> int:
        return self.base.in_features

    @property
    def out_features(self) -> int:
        return self.base.out_features

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        mixing = _active.get()
        return y if mixing is None else mixing.add_to(y, x, self.path)


def attach(model: nn.Module) -> list[str]:
    """Wrap every linear layer of ``model`` but its output head, once; return their paths in module order."""
    paths = []
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    for path, module in list(model.named_modules()):
        if isinstance(module, MixtureLinear):
            paths.append(module.path)
        elif isinstance(module, nn.Linear) and module is not head and not path.endswith(".base"):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, MixtureLinear(module, path))
            paths.append(path)
    return paths


class AdapterStack(nn.Module):
    """K adapters of one base model, stacked: a layer's A are one (R, in) matrix, its B one (out, R), R = Σ r_k.

    Parameters
    ----------
    factors : path → K pairs (A of shape (r_k, in), B of shape (out, r_k)).
    scales : s_k = α_k / r_k of each adapter.
    dropout : applied to the adapters' input in train mode.
    key : identifies the adapters' weights, for whoever keeps something that was made from them.
    """

    def __init__(self, factors: dict[str, Sequence[tuple[Tensor, Tensor]]], scales: Sequence[float], dropout: float = 0.0,
                 key: str = ""):
        super().__init__()
        self.key = key
        first = next(iter(factors.values()))
        self.ranks = [a.shape[0] for a, _ in first]
        self.scales = list(scales)
        self.dropout = dropout
        self.paths = list(factors)
        self.a = nn.ParameterList(
            nn.Parameter(torch.cat([a for a, _ in pairs]), requires_grad=False) for pairs in factors.values())
        self.b = nn.ParameterList(
            nn.Parameter(torch.cat([b for _, b in pairs], dim=1), requires_grad=False) for pairs in factors.values())
        self._index = {path: i for i, path in enumerate(self.paths)}
        # nn.ParameterList looks its entries up by name, which a hot path should not do 210 times
        self._pairs = [(self.a[i], self.b[i]) for i in range(len(self.paths))]

    def __len__(self) -> int:
        return len(self.ranks)

    def _apply(self, function, recurse=True):
        result = super()._apply(function, recurse)
        self._pairs = [(self.a[i], self.b[i]) for i in range(len(self.paths))]
        return result

    def pair(self, path: str) -> tuple[Tensor, Tensor] | None:
        """The stacked (A, B) of a layer, or None where no adapter touches it."""
        index = self._index.get(path)
        return None if index is None else self._pairs[index]

    def groups(self, granularity: str) -> list[str]:
        """The names that λ has one weight vector each for: ["all"], the layers' numbers, or the modules' paths."""
        if granularity == "global":
            return [ALL]
        if granularity == "layer":
            return list(dict.fromkeys(layer_of(path) for path in self.paths))
        if granularity == "module":
            return list(self.paths)
        raise BadInput(f"there is no granularity '{granularity}'; choose one of: {', '.join(GRANULARITIES)}")

    def weights(self, lam: Lam, granularity: str) -> Tensor:
        """A λ as weights (groups, K) of its own granularity or a finer one, in the order of :meth:`groups`.

        Raises
        ------
        BadInput : λ is of other layers, or of another number of adapters.
        """
        if lam.adapters != len(self):
            raise BadInput(f"λ has {lam.adapters} weights for {len(self)} adapters")
        found, wanted = lam.by_group(), self.groups(lam.granularity)
        different = set(found) ^ set(wanted)
        if different:
            raise BadInput(f"λ is of {len(found)} {lam.granularity}s, these adapters have {len(wanted)}; one of those that "
                           f"differ is '{min(different)}'. It was made for another base model")
        if lam.granularity == granularity:
            source = wanted
        elif lam.granularity == "global":
            source = [ALL] * len(self.groups(granularity))
        else:
            source = [layer_of(path) for path in self.paths]
        return rules.as_weights([found[group] for group in source], len(self))

    @contextmanager
    def at(self, lam: AnyLam | Sequence[float | Sequence[float] | Lam] | Tensor, rule: str = rules.DEFAULT_RULE,
           granularity: str = "global") -> Iterator["Mixing"]:
        """Mix at λ inside the ``with`` block, in this thread only.

        Parameters
        ----------
        lam : a number, (K,), a :class:`Lam`; or one of (K,) and Lam for each row of the batch, of any granularities. With
            granularity "layer" or "module" a tensor (groups, K), or (groups, rows, K), in the order of :meth:`groups`.
            Gradients reach a tensor that requires them.
        """
        mixing = Mixing(self, lam, rule, granularity)
        token = _active.set(mixing)
        try:
            yield mixing
        finally:
            _active.reset(token)


class Mixing:
    """An adapter stack at one λ under one rule: the only thing a layer needs to see.

    Attributes
    ----------
    weights : (K,) or (rows, K) where ``granularity`` is "global", else (groups, K) or (groups, rows, K).
    """

    def __init__(self, stack: AdapterStack, lam, rule: str, granularity: str = "global"):
        self.stack, self.rule = stack, rules.rule(rule)
        if not self.rule.diagonal and len(set(stack.ranks)) > 1:
            raise BadInput(f"rule '{rule}' needs adapters of one rank, these have {stack.ranks}; use 'sum'")
        if self.rule.name == "product" and len(set(stack.scales)) > 1:
            raise BadInput(f"rule 'product' needs adapters of one scale α/r, these have {stack.scales}; use 'sum'")
        self.weights, self.granularity = _resolved(stack, lam, granularity)
        self.groups = stack.groups(self.granularity)
        self.has_rows = self.weights.ndim == (2 if self.granularity == "global" else 3)
        if self.granularity != "global" and (self.weights.ndim not in (2, 3) or len(self.weights) != len(self.groups)):
            raise BadInput(f"λ of granularity '{self.granularity}' has shape {tuple(self.weights.shape)}; it needs one row for "
                           f"each of {len(self.groups)} groups")
        self._coefficients = coefficients_of(self.rule, self.weights, stack)
        self._cast: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}

    def weights_of(self, path: str) -> Tensor:
        """The weights (K,), or (rows, K), of the layer at ``path``."""
        return self.weights if self.granularity == "global" else self.weights[self.groups.index(self._group(path))]

    def add_to(self, y: Tensor, x: Tensor, path: str) -> Tensor:
        """``y`` plus the mixture's output for input ``x`` (..., in) of the layer at ``path``."""
        pair = self.stack.pair(path)
        if pair is None:
            return y
        a, b = pair
        if self.stack.training and self.stack.dropout:
            x = fast_dropout(x, self.stack.dropout)
        z = F.linear(x, a.to(x.dtype))
        coefficients = self._of_layer(path, x)
        z = z * coefficients if self.rule.diagonal else z @ coefficients
        b = b.to(x.dtype)
        if z.ndim == 3 and y.is_contiguous():
            return torch.addmm(y.view(-1, y.shape[-1]), z.reshape(-1, z.shape[-1]), b.t()).view(y.shape)
        return y + F.linear(z, b)

    def _group(self, path: str) -> str:
        return ALL if self.granularity == "global" else layer_of(path) if self.granularity == "layer" else path

    def _of_layer(self, path: str, x: Tensor) -> Tensor:
        key = (x.dtype, x.device)
        found = self._cast.get(key)
        if found is None:
            cast = self._coefficients.to(x.device, x.dtype)
            if self.has_rows and self.rule.diagonal:
                cast = cast.unsqueeze(-2)  # (rows, 1, R): the same for every token of a row
            found = {ALL: cast} if self.granularity == "global" else dict(zip(self.groups, cast.unbind(), strict=True))
            self._cast[key] = found
        return found[self._group(path)]


def _resolved(stack: AdapterStack, lam, granularity: str) -> tuple[Tensor, str]:
    """λ in any form that :meth:`AdapterStack.at` takes, as weights and their granularity."""
    if isinstance(lam, Tensor) and lam.requires_grad:
        return lam, granularity  # an optimiser's own variable; it keeps it on the simplex
    if isinstance(lam, Lam):
        weights = stack.weights(lam, lam.granularity)
        return (weights[0] if lam.granularity == "global" else weights), lam.granularity
    if isinstance(lam, list | tuple) and any(isinstance(row, Lam) for row in lam):
        rows = [row if isinstance(row, Lam) else Lam("global", {ALL: list(row)}) for row in lam]
        finest = max((row.granularity for row in rows), key=GRANULARITIES.index)
        weights = torch.stack([stack.weights(row, finest) for row in rows], dim=1)
        return (weights[0] if finest == "global" else weights), finest
    return rules.as_weights(lam, len(stack)), granularity


def coefficients_of(rule: Rule, weights: Tensor, stack: AdapterStack) -> Tensor:
    """What A's output is multiplied with before B: (..., R) for a diagonal rule, else (..., R, R).

    Holds the scales √(s_i s_j). The matrix is transposed, ready for ``z @ matrix`` with z (..., R).
    """
    scales = torch.tensor(stack.scales, dtype=torch.float32, device=weights.device)
    matrix = rule.matrix(weights.float()) * (scales[:, None] * scales[None, :]).sqrt()
    if rule.diagonal:
        ranks = torch.tensor(stack.ranks, device=weights.device)
        return matrix.diagonal(dim1=-2, dim2=-1).repeat_interleave(ranks, dim=-1)
    r = stack.ranks[0]
    size = r * len(stack)
    blocks = matrix.transpose(-1, -2)[..., :, None, :, None] * torch.eye(r, device=weights.device)[:, None, :]
    return blocks.reshape(*matrix.shape[:-2], size, size)


def fast_dropout(x: Tensor, p: float) -> Tensor:
    """Dropout whose mask costs an eighth of the usual random numbers; p is rounded to a multiple of 1/256.

    On a CPU, drawing the mask of ``F.dropout`` took a fifth of a training step.
    """
    threshold = min(round(p * 256), 255)  # of all dropped nothing could be scaled up
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= threshold
    return x * (kept.to(x.dtype) * (256 / (256 - threshold)))


def layer_of(path: str) -> str:
    """The number of the layer that a module belongs to; its own path if it belongs to none.

    >>> layer_of("model.layers.11.mlp.up_proj")
    '11'
    """
    match = _LAYER.search(f".{path}.")
    return match.group(1) if match else path
