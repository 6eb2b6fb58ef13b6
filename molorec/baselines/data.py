"""What the baselines learn from and are asked: sequences of item numbers, and lists to rank.

Items are numbered from 1, in the catalogue's order; 0 stands where there is none. Users are numbered from 1 too; 0 is whoever
was not trained on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from molorec.catalog import Catalog, Item, RankingExample
from molorec.errors import BadInput
from molorec.hashing import json_sha256

_SORTED_TOGETHER = 16  # batches whose sequences are sorted by length, so that little of a batch is padding


@dataclass(frozen=True)
class Interactions:
    """Who chose what, in order: all that is trained on.

    Attributes
    ----------
    items : the domain's items; number n is the one at n − 1.
    known : (items + 1,) whether an item may be learned of; the others are neither history nor target nor negative.
    users : user's id → number.
    sequences : of user n at n − 1, item numbers, oldest first; may be empty.
    texts : (items + 1, width) what a text encoder makes of the titles, for the models that read them; row 0 is 0.
    """

    items: tuple[Item, ...]
    known: np.ndarray
    users: dict[str, int]
    sequences: list[np.ndarray]
    texts: torch.Tensor | None = None

    def sha256(self) -> str:
        """Identifies what is learned from: the items, with their titles, and who chose them."""
        return json_sha256([[[item.item_id, item.title] for item in self.items], self.known.tolist(),
                            list(self.users), [sequence.tolist() for sequence in self.sequences]])

    @cached_property
    def number(self) -> dict[str, int]:
        """Item's id → number."""
        return {item.item_id: i for i, item in enumerate(self.items, start=1)}

    @cached_property
    def pool(self) -> torch.Tensor:
        """The numbers of all known items, ascending: what negatives are drawn from."""
        return torch.from_numpy(np.flatnonzero(self.known))

    @cached_property
    def _keys(self) -> np.ndarray:
        width = len(self.items) + 1
        return np.unique(np.concatenate([user * width + sequence for user, sequence in enumerate(self.sequences, start=1)]))

    def chosen(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each item is in the sequence of the user at the same place."""
        keys = users * (len(self.items) + 1) + items
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return self._keys[places] == keys

    def unchosen(self, users: torch.Tensor) -> torch.Tensor:
        """A known item for each user, drawn evenly from those not in his sequence. One who chose all there is gets any."""
        drawn = self.pool[torch.randint(len(self.pool), users.shape)]
        for _ in range(20):
            taken = torch.from_numpy(self.chosen(users.numpy(), drawn.numpy()))
            if not taken.any():
                break
            drawn[taken] = self.pool[torch.randint(len(self.pool), (int(taken.sum()),))]
        return drawn


@dataclass(frozen=True)
class Lists:
    """Lists to rank.

    Attributes
    ----------
    users : (n,) user numbers. histories : of each, item numbers, oldest first.
    candidates : (n, c) item numbers. targets : (n,) the true item's place in the list.
    """

    users: np.ndarray
    histories: list[np.ndarray]
    candidates: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.users)


class Batch(NamedTuple):
    """A part of an epoch: users (B,), inputs (B, T) with how many of each row are there (B,), and targets, 0 for none.

    The targets are (B, T), what comes after each input; (B, 1) where only the end of a sequence is learned from; (B,) where no
    order is.
    """

    users: torch.Tensor
    inputs: torch.Tensor | None
    lengths: torch.Tensor | None
    targets: torch.Tensor


def load(catalog: Catalog, domain: str, keep_last: int = 2, held_out: bool = False) -> Interactions:
    """A domain's training events. With ``held_out``, no item is held back, as in the protocols of the baselines' own papers.

    Raises
    ------
    BadInput : there is no such domain, or nothing to learn from.
    """
    items = catalog.items(domain)
    sequences = catalog.sequences(domain, keep_last, held_out)
    if not any(len(sequence) > 1 for sequence in sequences.values()):
        raise BadInput(f"domain '{domain}' has no user with two training events")
    number = {item.item_id: i for i, item in enumerate(items, start=1)}
    known = np.ones(len(items) + 1, bool)
    known[0] = False
    if not held_out:
        known[[number[item_id] for item_id in catalog.held_out(domain)]] = False
    return Interactions(items, known, {user: i for i, user in enumerate(sequences, start=1)},
                        [_numbers(number, sequence) for sequence in sequences.values()])


def lists(data: Interactions, examples: Sequence[RankingExample], unknown: bool = False) -> Lists:
    """Stored lists as numbers. What a model of item numbers does not know is left out of histories unless ``unknown`` is True."""
    histories = [_numbers(data.number, example.history) for example in examples]
    if not unknown:
        histories = [history[data.known[history]] for history in histories]
    return Lists(
        np.array([data.users.get(example.user, 0) for example in examples], np.int64), histories,
        np.array([_numbers(data.number, example.candidates) for example in examples]),
        np.array([example.candidates.index(example.target) for example in examples], np.int64))


def pad(sequences: Sequence[np.ndarray], length: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The last ``length`` items of each sequence in one array, and how many they are (0 items count as one, the number 0).

    Without ``left`` the array is as wide as the longest, with the padding behind; with it exactly ``length``, padding before.

    >>> pad([np.array([1, 2, 3]), np.array([4])], 2)[0].tolist(), pad([np.array([1])], 2, left=True)[0].tolist()
    ([[2, 3], [4, 0]], [[0, 1]])
    """
    cut = [sequence[-length:] for sequence in sequences]
    lengths = [max(1, len(sequence)) for sequence in cut]
    filled = np.zeros((len(cut), length if left else max(lengths)), np.int64)
    for row, sequence in zip(filled, cut, strict=True):
        if len(sequence):
            row[-len(sequence) if left else 0 : None if left else len(sequence)] = sequence
    return torch.from_numpy(filled), torch.tensor(lengths)


def windows(data: Interactions, length: int, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """An epoch of ``size`` sequences a batch: each user's last ``length`` + 1 items, every one but the first a target."""
    users = [user for user in rng.permutation(len(data.sequences)) if len(data.sequences[user]) > 1]
    batches = []
    for first in range(0, len(users), size * _SORTED_TOGETHER):
        some = sorted(users[first : first + size * _SORTED_TOGETHER], key=lambda user: len(data.sequences[user]))
        batches += [some[i : i + size] for i in range(0, len(some), size)]
    for place in rng.permutation(len(batches)):
        chosen = [data.sequences[user][-length - 1 :] for user in batches[place]]
        inputs, lengths = pad([sequence[:-1] for sequence in chosen], length)
        targets, _ = pad([sequence[1:] for sequence in chosen], length)
        yield Batch(torch.tensor(batches[place]) + 1, inputs, lengths, targets)


def prefixes(data: Interactions, length: int, size: int, rng: np.random.Generator, most: int = 0) -> Iterator[Batch]:
    """An epoch of single targets, each with the ``length`` items before it, padded on the left; ``most`` of them, drawn anew
    each epoch, if it is not 0. For models that see a sequence whole, from both sides: no target is ever an input."""
    users = np.repeat(np.arange(len(data.sequences)), [max(0, len(sequence) - 1) for sequence in data.sequences])
    places = np.concatenate([np.arange(1, max(1, len(sequence))) for sequence in data.sequences])
    order = rng.permutation(len(users))[: most or None]
    for first in range(0, len(order), size):
        some = order[first : first + size]
        pairs = list(zip(users[some], places[some], strict=True))
        inputs, lengths = pad([data.sequences[user][:place] for user, place in pairs], length, left=True)
        targets = torch.tensor([[data.sequences[user][place]] for user, place in pairs])
        yield Batch(torch.from_numpy(users[some]) + 1, inputs, lengths, targets)


def events(data: Interactions, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """An epoch of (user, item) pairs without any order."""
    users = torch.from_numpy(np.repeat(np.arange(1, len(data.sequences) + 1), [len(sequence) for sequence in data.sequences]))
    items = torch.from_numpy(np.concatenate(data.sequences))
    order = torch.from_numpy(rng.permutation(len(users)))
    for some in order.split(size):
        yield Batch(users[some], None, None, items[some])


def _numbers(number: dict[str, int], items: Sequence[Item]) -> np.ndarray:
    return np.array([number[item.item_id] for item in items], np.int64)
