"""The candidates' titles as a token trie, and its inner nodes packed behind a prompt.

A candidate's score is its probability under decoding constrained to the trie:
p(c) = Π over the branching nodes on its path of softmax(logits restricted to that node's children).
Only branching nodes need logits, so ranking 30 candidates costs one prompt and a handful of further tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from molorec.errors import BadInput


@dataclass
class BranchingNode:
    """A place where candidates part.

    Attributes
    ----------
    position : index into the packed tokens whose output decides here.
    children : the tokens that may follow.
    """

    position: int
    children: list[int]


@dataclass
class PackedTrie:
    """A prompt followed by the trie's inner tokens, for one forward pass.

    Attributes
    ----------
    tokens : prompt, then one token for each inner trie node on the way to a branching node.
    position_ids : a token's place in its own sequence: siblings have the same.
    ancestors : for each token behind the prompt, indices of the packed tokens above it (itself included).
    nodes : the branching nodes.
    paths : for each candidate the (node, child) decisions that lead to it.
    twins : how many candidates have the very same tokens (they share one leaf's probability equally).
    """

    tokens: list[int]
    prompt_length: int
    position_ids: list[int]
    ancestors: list[list[int]] = field(default_factory=list)
    nodes: list[BranchingNode] = field(default_factory=list)
    paths: list[list[tuple[int, int]]] = field(default_factory=list)
    twins: list[int] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """No token stands behind the prompt, so ordinary causal attention does."""
        return len(self.tokens) == self.prompt_length

    def mask(self, length: int) -> Tensor:
        """Who attends to whom: (length, length) booleans; rows and columns beyond the tokens are padding."""
        allowed = torch.ones(length, length, dtype=torch.bool).tril()
        if not self.is_plain:
            allowed[self.prompt_length:, self.prompt_length:] = False
            for i, ancestors in enumerate(self.ancestors):
                allowed[self.prompt_length + i, ancestors] = True
        return allowed

    def log_probabilities(self, node_logits: Sequence[Tensor]) -> Tensor:
        """Candidates' log-probabilities (n,) from each branching node's logits over its children."""
        at_node = [logits.float().log_softmax(-1) for logits in node_logits]
        zero = at_node[0].new_zeros(()) if at_node else torch.zeros(())
        scores = []
        for path, twins in zip(self.paths, self.twins, strict=True):
            score = sum((at_node[node][child] for node, child in path), start=zero)
            scores.append(score - torch.log(score.new_tensor(float(twins))) if twins > 1 else score)
        return torch.stack(scores)


def pack(prompt: Sequence[int], candidates: Sequence[Sequence[int]]) -> PackedTrie:
    """Build the trie of the candidates' tokens and pack it behind the prompt.

    Raises
    ------
    BadInput : no candidates, an empty title, or one title's tokens are the start of another's (titles without a
        terminator).
    """
    if not candidates:
        raise BadInput("there are no candidates to rank")
    if not prompt:
        raise BadInput("the prompt is empty")
    if not all(candidates):
        raise BadInput("a candidate has no tokens")
    packed = PackedTrie(list(prompt), len(prompt), list(range(len(prompt))))
    packed.paths = [[] for _ in candidates]
    packed.twins = [1] * len(candidates)

    def visit(members: list[int], depth: int, position: int, above: list[int]) -> None:
        """Walk down from a node whose output position is known; all ``members`` share their first ``depth`` tokens."""
        by_token: dict[int, list[int]] = {}
        for member in members:
            if len(candidates[member]) == depth:
                if len(members) != sum(len(candidates[m]) == depth for m in members):
                    raise BadInput("one candidate's tokens are the start of another's; end every title with a "
                                   "terminator")
                for twin in members:
                    packed.twins[twin] = len(members)
                return
            by_token.setdefault(candidates[member][depth], []).append(member)
        if len(by_token) > 1:
            index = len(packed.nodes)
            packed.nodes.append(BranchingNode(position, list(by_token)))
            for child, below in enumerate(by_token.values()):
                for member in below:
                    packed.paths[member].append((index, child))
        for token, below in by_token.items():
            if len(below) > 1 and not _all_equal(candidates, below):
                place = len(packed.tokens)
                packed.tokens.append(token)
                packed.position_ids.append(len(prompt) + depth)
                packed.ancestors.append([*above, place])
                visit(below, depth + 1, place, [*above, place])
            elif len(below) > 1:
                for twin in below:
                    packed.twins[twin] = len(below)

    visit(list(range(len(candidates))), 0, len(prompt) - 1, [])
    return packed


def _all_equal(candidates: Sequence[Sequence[int]], members: list[int]) -> bool:
    first = tuple(candidates[members[0]])
    return all(tuple(candidates[member]) == first for member in members)
