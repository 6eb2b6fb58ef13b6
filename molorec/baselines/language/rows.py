"""Token rows with branches that do not see each other, for one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Branched:
    """A trunk of tokens and branches behind it, each of which sees the trunk up to where it forks off, and itself.

    Attributes
    ----------
    tokens : the trunk's, then those of one branch after the other.
    position_ids : a token's place in its own text: a branch goes on counting from where it forks off.
    spans : of each branch (fork, first, end): how much of the trunk it sees, and its tokens' indices first … end − 1.
    """

    tokens: list[int]
    position_ids: list[int]
    spans: list[tuple[int, int, int]]

    @property
    def ends(self) -> list[int]:
        """The index of each branch's last token."""
        return [end - 1 for _, _, end in self.spans]

    @property
    def is_plain(self) -> bool:
        """No branch stands behind the trunk, so ordinary causal attention does."""
        return not self.spans

    def mask(self, length: int) -> Tensor:
        """Who attends to whom: (length, length) booleans; rows and columns beyond the tokens are padding."""
        allowed = torch.ones(length, length, dtype=torch.bool).tril()
        for fork, first, end in self.spans:
            allowed[first:end, fork:first] = False
        return allowed


def branched(trunk: Sequence[int], branches: Sequence[tuple[int, Sequence[int]]]) -> Branched:
    """Put branches, each (how many of the trunk's tokens it follows, its tokens), behind a trunk.

    >>> branched([7, 8, 9], [(2, [4, 5]), (3, [6])]).position_ids
    [0, 1, 2, 2, 3, 3]
    """
    tokens, positions, spans = list(trunk), list(range(len(trunk))), []
    for fork, branch in branches:
        spans.append((fork, len(tokens), len(tokens) + len(branch)))
        tokens.extend(branch)
        positions.extend(range(fork, fork + len(branch)))
    return Branched(tokens, positions, spans)
