"""What computes: everything above asks one of these for the probabilities of candidates, and for text.

`local` runs the model in this process, by transformers; `vllm` has vLLM run it, in this process or as a server.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from molorec.mixture.layer import AdapterStack
from molorec.ranking.trie import PackedTrie


@dataclass(frozen=True)
class Row:
    """One packed prompt and the adapters' weights (K,) to score it at; None: the base model alone."""

    packed: PackedTrie
    weights: Sequence[float] | None


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

    def write(self, tokens: Sequence[int], weights: Sequence[float] | None, stack: AdapterStack, rule: str,
              how: Writing) -> Iterator[list[int]]:
        """What follows ``tokens``, yielded whole after each new token; close the iterator to stop."""
