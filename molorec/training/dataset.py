"""From a catalogue's training sequences to batches of tokens with the decisions to learn.

A *decision* is one next-token choice among a few tokens: a branching node of a title trie. For the template `open`
that is the trie of the whole catalogue, as it is when candidates are ranked (:mod:`molorec.ranking.trie`): each child is
offset by the log of the mass of items below it, at the root of those not yet chosen, so that what is learned is the score
of one item. All decisions on a title's path together are −log p(item | catalogue).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from molorec import titles
from molorec.catalog import Catalog, Item, RankingExample
from molorec.catalog.lists import NEGATIVES
from molorec.errors import BadInput
from molorec.hashing import json_sha256
from molorec.prompts import HISTORY_TITLES, Prompter, Template
from molorec.ranking.trie import TitleTrie, pack
from molorec.training.transitions import Transitions

NEVER = -1e4
TRIES_A_ROW = 100


@dataclass
class Batch:
    """Token rows and what is to be learned from them. Positions are (row, index) pairs of the deciding outputs.

    Attributes
    ----------
    tokens : (rows, length), padded on the right.
    roots : by domain, decisions that share one set of choices: (positions (n, 2), choices (c,), offsets (n, c),
        targets (n, c)).
    nodes : ragged decisions: (positions (m, 2), choices (m, c), offsets (m, c), targets (m, c)).
    next_tokens : plain language-model targets: (positions (n, 2), tokens (n,)).
    labels : how many titles are learned from.
    """

    tokens: Tensor
    roots: dict[str, tuple[Tensor, Tensor, Tensor, Tensor]] = field(default_factory=dict)
    nodes: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    next_tokens: tuple[Tensor, Tensor] | None = None
    labels: int = 0

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        def move(tensors):
            return None if tensors is None else tuple(t.to(device) for t in tensors)

        return Batch(self.tokens.to(device), {name: move(root) for name, root in self.roots.items()}, move(self.nodes),
                     move(self.next_tokens), self.labels)

    def split(self, rows: int) -> "list[Batch]":
        """Batches of at most ``rows`` rows, for one forward each. They keep the whole's ``labels``: losses add up to its."""
        return [self._rows(first, first + rows) for first in range(0, len(self.tokens), rows)]

    def _rows(self, first: int, end: int) -> "Batch":
        def among(positions: Tensor) -> Tensor:
            return (positions[:, 0] >= first) & (positions[:, 0] < end)

        def of(positions: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
            inside = among(positions)
            return positions[inside] - torch.tensor([first, 0], device=positions.device), *(other[inside] for other in others)

        roots = {}
        for name, (positions, choices, offsets, targets) in self.roots.items():
            positions, offsets, targets = of(positions, offsets, targets)
            roots[name] = (positions, choices, offsets, targets)
        return Batch(self.tokens[first:end], roots, of(*self.nodes) if self.nodes is not None else None,
                     of(*self.next_tokens) if self.next_tokens is not None else None, self.labels)


@dataclass
class TrainingDomain:
    """The training data of one domain, tokenised.

    Parameters
    ----------
    sequences : item numbers of each user, oldest first.
    items : the items by number; only these are ever a target or a negative.
    smoothing : share of a decision's label that comes from the domain's transition counts instead of the one
        item that came next; 0 for hard labels.
    recent : how many of a history's last titles those counts look at.
    negatives : how often an item is taken to be drawn as a negative, at the root. "uniform": the adapter learns which item
        comes next, popularity included. "popularity": it learns only what a history adds to popularity, which carries over
        to other domains, as popularity does not. Below the root all items count alike: which of the titles that begin alike
        is the well-known one is what a base model knows of titles that it was never trained on here.
    """

    name: str
    noun: str
    items: list[Item]
    sequences: list[list[int]]
    prompter: Prompter
    smoothing: float
    recent: int = 6
    negatives: str = "uniform"

    def sha256(self) -> str:
        """Identifies what is learned from: the noun, the items with their titles, and who chose them."""
        items = [[item.item_id, item.title] for item in self.items]
        return json_sha256([self.noun, items, [list(map(int, sequence)) for sequence in self.sequences]])

    def __post_init__(self) -> None:
        self.tokens = self.prompter.titles(self.items)
        self.transitions = Transitions(self.sequences, len(self.items), self.recent) if self.smoothing else None
        self.background = 0.0
        popularity = Counter(item for sequence in self.sequences for item in sequence)
        self.mass = np.array([popularity[item] if self.negatives == "popularity" else 1
                              for item in range(len(self.items))])
        self.trie = TitleTrie(self.tokens)
        roots = self.trie.below(())
        self.root_tokens = np.array(sorted(roots))
        root_index = {token: i for i, token in enumerate(self.root_tokens.tolist())}
        self.root_mass = np.array([self.mass[roots[token]].sum() for token in self.root_tokens.tolist()])
        self.first = np.array([root_index[title[0]] for title in self.tokens])
        # short histories are as common among readers as long ones, but hold fewer windows
        weights = np.sqrt([len(sequence) for sequence in self.sequences])
        self.user_weights = weights / weights.sum()

    def widen(self, tokens: set[int], share: float) -> None:
        """Add first tokens that this domain's titles never have, and keep them neutral.

        ``share`` of the mass and of the label of each root decision is spread evenly over all first tokens, so that the
        scores of those without an item are held at 0 in place of drifting: other domains' titles begin with them.
        """
        own = dict(zip(self.root_tokens.tolist(), self.root_mass.tolist(), strict=True))
        before, self.root_tokens = self.root_tokens, np.array(sorted(own.keys() | tokens))
        place = {token: i for i, token in enumerate(self.root_tokens.tolist())}
        self.root_mass = np.array([own.get(token, 0) for token in self.root_tokens.tolist()])
        self.first = np.array([place[token] for token in before.tolist()])[self.first]
        self.background = share

    def label(self, history: Sequence[int], target: int) -> np.ndarray:
        """What came next after ``history``, as a distribution over items (items,)."""
        label = np.zeros(len(self.items), np.float32)
        if self.transitions:
            label += self.smoothing * self.transitions.next_item(np.asarray(history, int))
        label[target] += 1 - self.smoothing
        return label

    def root_decision(self, history: Sequence[int], label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets and targets (c,) at the trie's root, of a :meth:`label` after ``history``."""
        mass, seen = self.root_mass.copy(), np.asarray(history, int)
        np.subtract.at(mass, self.first[seen], self.mass[seen])
        targets = np.zeros(len(self.root_tokens), np.float32)
        np.add.at(targets, self.first, label)
        targets[mass <= 0] = 0
        targets /= targets.sum()
        if self.background:
            even = self.background / len(mass)
            return np.log((1 - self.background) * mass / mass.sum() + even), (1 - self.background) * targets + even
        return np.where(mass > 0, np.log(np.maximum(mass, 1)), NEVER), targets

    def deeper_decisions(self, target: int, label: np.ndarray) -> list[tuple[int, list[int], np.ndarray, np.ndarray]]:
        """Branching nodes below the root on a title's path: (depth, choices, offsets, targets), of a :meth:`label`."""
        title, decisions = self.tokens[target], []
        for depth in range(1, len(title)):
            below = self.trie.below(title[:depth])
            if below:
                chances = np.array([label[members].sum() for members in below.values()], np.float32)
                if not chances.sum():  # transitions alone, and none to any of these
                    chances[list(below).index(title[depth])] = 1
                counts = np.array([len(members) for members in below.values()], np.float32)
                decisions.append((depth, list(below), np.log(counts), chances / chances.sum()))
        return decisions


def load_domain(catalog: Catalog, name: str, prompter: Prompter, *, smoothing: float = 0.0, recent: int = 6,
                negatives: str = "uniform", without_forms: set[str] = frozenset(),
                share: float = 1.0) -> tuple[TrainingDomain, int]:
    """A domain's training data without held-out items and without the titles in ``without_forms``.

    Parameters
    ----------
    share : of the training users that are learned from, in (0, 1]; see :meth:`Catalog.training_sequences`.

    Returns
    -------
    The domain, and how many of its titles ``without_forms`` removed.

    Raises
    ------
    BadInput : nothing is left to train on, or the share is none.
    """
    if not 0 < share <= 1:
        raise BadInput(f"a share of {share:g} of the users is none; give one above 0 and up to 1")
    sequences = catalog.training_sequences(name, without_forms=without_forms, share=share)
    number: dict[Item, int] = {}
    numbered = [[number.setdefault(item, len(number)) for item in sequence] for sequence in sequences]
    if not numbered:
        among = "" if share == 1 else f" of a share of {share:g}"
        raise BadInput(f"domain '{name}' has nothing to train on: no user{among} has two events left beside the last two")
    removed = sum(titles.normalise(item.title) in without_forms for item in catalog.items(name) if without_forms)
    domain = TrainingDomain(name, catalog.domain(name).noun, list(number), numbered, prompter, smoothing,
                            recent, negatives)
    return domain, removed


class _Sampler:
    """What both samplers share: the mixture of domains, and whose sequence comes next."""

    def __init__(self, domains: Sequence[TrainingDomain], shares: Sequence[float], style: Template, objective: str,
                 rows: int, length: int, seed: int):
        self.domains, self.style, self.objective = list(domains), style, objective
        self.shares = np.asarray(shares, float) / np.sum(shares)
        self.rows, self.length, self.seed = rows, length, seed

    def _draw(self, rng: np.random.Generator) -> tuple[TrainingDomain, list[int]]:
        domain = self.domains[rng.choice(len(self.domains), p=self.shares)]
        return domain, domain.sequences[rng.choice(len(domain.sequences), p=domain.user_weights)]


class WindowSampler(_Sampler):
    """Batches for the template `open`: stretches of histories that fill a row, a label at every title."""

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same step always gives the same batch."""
        rng = np.random.default_rng([self.seed, step])
        collected = _Collector(self.length)
        for row in range(self.rows):
            domain, sequence = self._draw(rng)
            start = rng.integers(0, max(1, len(sequence) - HISTORY_TITLES // 2))
            self._fill(collected, row, domain, sequence[start:])
        return collected.batch()

    def _fill(self, collected: "_Collector", row: int, domain: TrainingDomain, stretch: list[int]) -> None:
        tokens = domain.prompter.opening(self.style, domain.noun)
        for place, item in enumerate(stretch):
            title = domain.tokens[item]
            if len(tokens) + len(title) > self.length:
                break
            at = len(tokens) - 1
            collected.labels += 1
            if self.objective == "lm":
                collected.next_tokens.extend((row, at + depth, token) for depth, token in enumerate(title))
            else:
                label = domain.label(stretch[:place], item)
                collected.root(domain, row, at, *domain.root_decision(stretch[:place], label))
                for depth, *decision in domain.deeper_decisions(item, label):
                    collected.nodes.append((row, at + depth, *decision))
            tokens.extend(title)
        collected.rows.append(tokens)


class ListSampler(_Sampler):
    """Batches for the template `listed`: one drawn list of 30 a row, the answer behind it."""

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same step always gives the same batch."""
        rng = np.random.default_rng([self.seed, step])
        collected = _Collector(self.length)
        tries = 0
        while len(collected.rows) < self.rows:
            tries += 1
            if tries > TRIES_A_ROW * self.rows:
                raise BadInput(f"lists of {NEGATIVES + 1} titles do not fit into rows of {self.length} tokens; give a "
                               "greater --length")
            domain, sequence = self._draw(rng)
            place = int(rng.integers(1, len(sequence)))
            seen = set(sequence)
            pool = [i for i in rng.permutation(len(domain.items))[: NEGATIVES + len(seen)] if i not in seen]
            members = [sequence[place], *(int(i) for i in pool[:NEGATIVES])]
            rng.shuffle(members)
            example = RankingExample(domain.name, tuple(domain.items[i] for i in sequence[:place]),
                                     tuple(domain.items[i] for i in members), domain.items[sequence[place]])
            self._fill(collected, domain, example, members.index(sequence[place]))
        return collected.batch()

    def _fill(self, collected: "_Collector", domain: TrainingDomain, example: RankingExample, answer: int) -> None:
        prompt = domain.prompter.ranking(example, self.style, domain.noun)
        candidates = domain.prompter.titles(example.candidates)
        title, row = candidates[answer], len(collected.rows)
        if len(prompt) + len(title) > self.length:
            # the row is too short for ten titles of history: drop the oldest, never the list
            return self._fill_shorter(collected, domain, example, answer)
        if self.objective == "lm":
            collected.next_tokens.extend((row, len(prompt) - 1 + depth, token) for depth, token in enumerate(title))
        else:
            packed = pack(prompt, candidates)
            for node, child in packed.paths[answer]:
                choices = packed.nodes[node].children
                depth = packed.position_ids[packed.nodes[node].position] - (len(prompt) - 1)
                collected.nodes.append((row, len(prompt) - 1 + depth, choices, np.zeros(len(choices), np.float32),
                                        np.eye(len(choices), dtype=np.float32)[child]))
        collected.labels += 1
        collected.rows.append([*prompt, *title])
        return None

    def _fill_shorter(self, collected, domain, example, answer) -> None:
        if len(example.history) > 1:
            history = example.history[-min(len(example.history) - 1, HISTORY_TITLES - 1):]
            self._fill(collected, domain, replace(example, history=history), answer)


class _Collector:
    """Gathers decisions row by row and turns them into tensors."""

    def __init__(self, length: int):
        self.length = length
        self.rows: list[list[int]] = []
        self.roots: dict[str, tuple[TrainingDomain, list, list, list]] = {}
        self.nodes: list[tuple[int, int, list[int], np.ndarray, np.ndarray]] = []
        self.next_tokens: list[tuple[int, int, int]] = []
        self.labels = 0

    def root(self, domain: TrainingDomain, row: int, at: int, offsets: np.ndarray, label: np.ndarray) -> None:
        _, positions, all_offsets, targets = self.roots.setdefault(domain.name, (domain, [], [], []))
        positions.append((row, at))
        all_offsets.append(offsets)
        targets.append(label)

    def batch(self) -> Batch:
        if not self.labels:
            raise BadInput(f"no title fits into rows of {self.length} tokens; give a greater --length")
        tokens = torch.zeros(len(self.rows), self.length, dtype=torch.long)
        for i, row in enumerate(self.rows):
            tokens[i, : len(row)] = torch.tensor(row)
        roots = {name: (torch.tensor(positions), torch.from_numpy(domain.root_tokens),
                        torch.from_numpy(np.array(offsets, np.float32)), torch.from_numpy(np.array(targets, np.float32)))
                 for name, (domain, positions, offsets, targets) in self.roots.items()}
        next_tokens = None
        if self.next_tokens:
            table = torch.tensor(self.next_tokens)
            next_tokens = (table[:, :2], table[:, 2])
        return Batch(tokens, roots, self._ragged(), next_tokens, self.labels)

    def _ragged(self):
        if not self.nodes:
            return None
        widest = max(len(choices) for _, _, choices, *_ in self.nodes)
        choices = torch.zeros(len(self.nodes), widest, dtype=torch.long)
        offsets = torch.full((len(self.nodes), widest), NEVER)
        targets = torch.zeros(len(self.nodes), widest)
        for i, (_, _, tokens, logs, chances) in enumerate(self.nodes):
            choices[i, : len(tokens)] = torch.tensor(tokens)
            offsets[i, : len(logs)] = torch.from_numpy(logs)
            targets[i, : len(chances)] = torch.from_numpy(chances)
        return torch.tensor([node[:2] for node in self.nodes]), choices, offsets, targets
