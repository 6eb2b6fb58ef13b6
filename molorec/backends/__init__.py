"""What computes: everything above asks one of these for the probabilities of candidates, and for text.

`local` runs the model in this process, by transformers; `vllm` has vLLM run it in this process, `server` at an address;
`zero` on the GPU that a Space is lent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from molorec.backbone import Backbone
from molorec.errors import BadInput
from molorec.mixture.lam import Lam
from molorec.mixture.layer import AdapterStack
from molorec.ranking.trie import PackedTrie

Weights = Sequence[float] | Lam


@dataclass(frozen=True)
class Row:
    """One packed prompt and the adapters' weights to score it at.

    Attributes
    ----------
    weights : (K,) for all layers, a λ that differs by layer, or None for the base model alone.
    """

    packed: PackedTrie
    weights: Weights | None


@dataclass(frozen=True)
class Writing:
    """How a text is written on, always the likeliest token next.

    Attributes
    ----------
    most, least : tokens; before ``least`` of them no stop is written.
    stops : tokens that end the text; they are not part of it.
    unwanted : tokens never written.
    repetition : taken off a token's logit once it has been written, in nats.
    """

    most: int
    least: int
    stops: frozenset[int]
    unwanted: Sequence[int]
    repetition: float


class Backend(Protocol):
    """Any number of threads may ask at the same time."""

    rows: int  # a list of λ is best asked for in as many at a time

    def score(self, rows: Sequence[Row], stack: AdapterStack, rule: str) -> list[Tensor]:
        """log p of each row's candidates, (candidates,) in float32."""

    def write(self, tokens: Sequence[int], weights: Weights | None, stack: AdapterStack, rule: str,
              how: Writing) -> Iterator[list[int]]:
        """What follows ``tokens``, yielded whole after each new token; close the iterator to stop."""


def remote(name: str, base: Backbone) -> Backend:
    """The backend called "vllm", or the one at an address, for a base model's outline.

    Raises
    ------
    BadInput : it is neither. MolorecError : vLLM is not installed, or nobody answers at the address.
    """
    if name == "vllm":
        from molorec.backends.vllm import VLLM

        return VLLM(base)
    if name.startswith(("http://", "https://")):
        from molorec.backends.server import Server

        return Server(name, base.model.get_input_embeddings().num_embeddings)
    raise BadInput(f"there is no backend '{name}'; choose local, vllm, or the address of a server (http://…)")


def lent(base: Backbone) -> Backend | None:
    """On a Space with ZeroGPU the backend that has its passes run there, else None."""
    from molorec.backends import zero

    if not zero.is_zero():
        return None
    import spaces  # a Space has it, before anything else is imported: see app.py

    return zero.ZeroGPU(base.model, spaces.GPU)
