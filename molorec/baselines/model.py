"""What every baseline is to the training loop, and what those that read sequences have in common."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molorec.baselines.data import Batch, Interactions, pad, windows
from molorec.errors import BadInput, check_least
from molorec.options import described

LOSSES = ("bpr", "bce", "sampled", "softmax")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training's result, apart from the data. Not every model uses all of it. What each
    field is stands beside it; more of the losses in :meth:`Sequential.objective`.

    Raises
    ------
    BadInput : a value is not possible.
    """

    dimension: int = described(64, "of item vectors")
    length: int = described(200, "the most items of a history that are looked at")
    blocks: int = described(2, "layers of a sequence encoder")
    heads: int = described(1, "of attention, in each layer")
    dropout: float = described(0.2, "in [0, 1); on a language model, of the adapter's input")
    loss: str = described("sampled", "of models that read sequences: the next item against one other (bpr, bce), against "
                          "--negatives of them (sampled) or against all (softmax)")
    negatives: int = described(256, "for \"sampled\" and RecFormer-style drawn for each batch, the same for all of it; for "
                               "TALLRec-style drawn for each answer Yes")
    rate: float = described(1e-3, "Adam's learning rate")
    batch: int = described(128, "sequences, windows or pairs a step")
    l2: float = described(0.0, "of the vectors of a pair (BPR-MF)")
    identity: bool = described(False, "whether an item of a text model has a vector of its own as well")
    examples: int = described(0, "targets an epoch, for models that learn one at a time; for those on a language model, windows "
                              "of a history; 0 for all targets, or a window for each user")
    epochs: int = described(40, "the most there are")
    patience: int = described(4, "epochs without a better validation after which it ends")
    seed: int = described(0, "of every random draw")

    def __post_init__(self) -> None:
        check_least(1, dimension=self.dimension, length=self.length, blocks=self.blocks, heads=self.heads, batch=self.batch,
                    epochs=self.epochs, patience=self.patience)
        check_least(0, negatives=self.negatives, examples=self.examples, seed=self.seed)
        if self.dimension % self.heads:
            raise BadInput(f"--dimension {self.dimension} cannot be shared by --heads {self.heads}; give a multiple of them")
        if not (0 <= self.dropout < 1 and 0 < self.rate < math.inf and 0 <= self.l2 < math.inf):  # NaN too is refused
            raise BadInput(f"--dropout is {self.dropout}, --rate {self.rate}, --l2 {self.l2}; dropout is from 0 to below 1, the "
                           "rate above 0, l2 from 0 on")


class Baseline(nn.Module):
    """A model that scores items for users. Subclasses say what an epoch is, what is minimised, and how a list is scored.

    ``unknown_history`` is whether it can make something of history items that were kept from training.
    """

    unknown_history = False

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__()
        self.data, self.recipe = data, recipe

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of one epoch, in the order that ``rng`` gives."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss over the batch's targets; negatives come from torch's own generator."""
        raise NotImplementedError

    def scores(self, users: np.ndarray, histories: list[np.ndarray], candidates: np.ndarray) -> Tensor:
        """Scores (n, c) of candidates (n, c) for users (n,) after histories; higher is better."""
        raise NotImplementedError

    def ranks(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Rank (n,), from 1, of each list's target (n,) by its :meth:`scores` (n, c); ties count against it.

        >>> Baseline.ranks(None, np.array([[.5, .2, .5], [.1, .3, .2]]), np.array([0, 1])).tolist()
        [2, 1]
        """
        return (scores >= np.take_along_axis(scores, targets[:, None], axis=1)).sum(1)

    def take_notes(self) -> dict:
        """What else there is to say of the lists scored since the last call, as JSON holds it; of most models nothing."""
        return {}


class Sequential(Baseline):
    """A model that encodes a history as one vector and scores items by the product with theirs.

    Subclasses give :meth:`table` and :meth:`encode`; the vectors that encode an item as input and as candidate are the same.
    """

    left = False  # whether sequences are padded before their first item, to a fixed length

    def table(self) -> Tensor:
        """The vectors (items + 1, d) of all items; row 0 is the padding's."""
        raise NotImplementedError

    def encode(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """From the vectors (B, T, d) of inputs, of which the first ``lengths`` (B,) of a row are there, a state at each
        place (B, T, d) that depends on none after it; with ``left``, the last place's alone (B, 1, d)."""
        raise NotImplementedError

    def states(self, hidden: Tensor) -> Tensor:
        """What of an encoded history is multiplied with an item's vector."""
        return hidden

    def candidates(self, vectors: Tensor) -> Tensor:
        """What of an item's vector is multiplied with an encoded history."""
        return vectors

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        return windows(self.data, self.recipe.length, self.recipe.batch, rng)

    def loss(self, batch: Batch) -> Tensor:
        table = self.table()
        hidden = self.encode(F.embedding(batch.inputs, table, padding_idx=0), batch.lengths)  # padding stays 0
        there = batch.targets > 0
        users = batch.users[:, None].expand_as(batch.targets)[there]
        return self.objective(self.states(hidden[there]), table, batch.targets[there], users)

    def objective(self, states: Tensor, table: Tensor, targets: Tensor, users: Tensor) -> Tensor:
        """The mean loss at states (m, d) with targets (m,), of users (m,). With r the score:

        ``bpr``: −log σ(r⁺ − r⁻); ``bce``: −log σ(r⁺) − log(1 − σ(r⁻)), both with one negative a target that its user never
        chose; ``softmax``: −log of the target's softmax over all known items; ``sampled``: over the target and ``negatives``
        known ones, drawn evenly for the whole batch.
        """
        kind = self.recipe.loss
        if kind == "softmax":
            pool = self.data.pool
            return F.cross_entropy(states @ self.candidates(table[pool]).T, torch.searchsorted(pool, targets))
        positive = (states * self.candidates(F.embedding(targets, table))).sum(-1)
        if kind == "sampled":
            drawn = self.data.pool[torch.randint(len(self.data.pool), (self.recipe.negatives,))]
            negative = states @ self.candidates(F.embedding(drawn, table)).T
            negative = negative.masked_fill(drawn == targets[:, None], -torch.inf)
            return (torch.logaddexp(positive, negative.logsumexp(-1)) - positive).mean()
        negative = (states * self.candidates(F.embedding(self.data.unchosen(users), table))).sum(-1)
        if kind == "bce":
            return -(F.logsigmoid(positive) + F.logsigmoid(-negative)).mean()
        if kind == "bpr":
            return -F.logsigmoid(positive - negative).mean()
        raise BadInput(f"the loss cannot be '{kind}'; choose one of: {', '.join(LOSSES)}")

    def scores(self, users: np.ndarray, histories: list[np.ndarray], candidates: np.ndarray) -> Tensor:
        inputs, lengths = pad(histories, self.recipe.length, self.left)
        table = self.table()
        hidden = self.encode(F.embedding(inputs, table), lengths)
        last = hidden[:, -1] if self.left else hidden[torch.arange(len(inputs)), lengths - 1]
        vectors = self.candidates(F.embedding(torch.from_numpy(candidates), table))
        return (vectors @ self.states(last)[:, :, None])[:, :, 0]


def item_vectors(data: Interactions, dimension: int, spread: float = 0.02) -> nn.Embedding:
    """Free vectors for all items, drawn with standard deviation ``spread``. Those that are not known keep what was drawn."""
    embedding = nn.Embedding(len(data.items) + 1, dimension, padding_idx=0)
    nn.init.normal_(embedding.weight, std=spread)
    with torch.no_grad():
        embedding.weight[0] = 0
    return embedding
