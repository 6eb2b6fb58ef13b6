"""RecFormer-style: titles and histories as vectors of one language model (after Li et al., KDD 2023).

Not their model: theirs is a Longformer with position and type embeddings of its own, pre-trained on many domains; this reads
titles alone, on our backbone, and learns from one domain.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from molorec.backbone import Backbone
from molorec.baselines.data import Interactions
from molorec.baselines.language.model import LanguageBaseline
from molorec.baselines.language.windows import Window
from molorec.baselines.model import Recipe

TEMPERATURE = 0.05
_TITLES_AT_ONCE = 64


class RecFormerStyle(LanguageBaseline):
    """A title's vector is the last hidden state at its terminator, a history's the one at the terminator of its last title;
    the score is their cosine over the temperature.

    One forward over a window gives the vector of every history in it. The loss is the softmax of the true next title against
    all other titles of the batch and ``negatives`` more, drawn evenly; what a user chose is no negative to him.
    """

    def __init__(self, data: Interactions, recipe: Recipe, backbone: Backbone, noun: str = "items"):
        super().__init__(data, recipe, backbone, noun)
        self._vectors: dict[int, Tensor] = {}

    def train(self, mode: bool = True) -> "RecFormerStyle":
        """As for any module. Vectors that were kept are forgotten, for the adapter changes between calls of this."""
        self._vectors = {}
        return super().train(mode)

    def loss(self, batch: list[Window]) -> Tensor:
        histories, ends = [], []
        for window in batch:
            row, ends_of_row = self._flattened(window.items[:-1])
            histories.append(row)
            ends.append(ends_of_row)
        states = torch.cat([row[places] for row, places in zip(self.read(histories), ends, strict=True)])
        targets = np.concatenate([window.items[1:] for window in batch])
        users = np.repeat([window.user for window in batch], [len(window.items) - 1 for window in batch])
        drawn = self.data.pool[torch.randint(len(self.data.pool), (self.recipe.negatives,))].numpy()
        items, places = np.unique(np.concatenate([targets, drawn]), return_inverse=True)
        wanted = places[: len(targets)]
        logits = F.normalize(states.float(), dim=-1) @ self.title_vectors(items).t() / TEMPERATURE
        chosen = self.data.chosen(np.repeat(users, len(items)), np.tile(items, len(users))).reshape(len(users), len(items))
        chosen[np.arange(len(targets)), wanted] = False
        logits = logits.masked_fill(torch.from_numpy(chosen).to(logits.device), -torch.inf)
        return F.cross_entropy(logits, torch.from_numpy(wanted).to(logits.device))

    def scores_of(self, histories: list[np.ndarray], candidates: np.ndarray) -> Sequence[Tensor]:
        missing = [int(item) for item in np.unique(candidates) if int(item) not in self._vectors]
        for first in range(0, len(missing), _TITLES_AT_ONCE):
            some = missing[first : first + _TITLES_AT_ONCE]
            self._vectors.update(zip(some, self.title_vectors(some), strict=True))
        vectors = self.history_vectors(histories)
        return [torch.stack([self._vectors[int(item)] for item in row]) @ vector / TEMPERATURE
                for row, vector in zip(candidates, vectors, strict=True)]

    def title_vectors(self, items: Sequence[int]) -> Tensor:
        """Vectors (n, width) of unit length, in float32."""
        rows = [[*self.backbone.prompter.beginning, *self.titles[item]] for item in items]
        return self._at_ends(rows)

    def history_vectors(self, histories: Sequence[np.ndarray]) -> Tensor:
        """The same of histories; of an empty one it is what the opening alone says."""
        return self._at_ends([self._flattened(history)[0] for history in histories])

    def _at_ends(self, rows: Sequence[list[int]]) -> Tensor:
        ends = torch.tensor([len(row) - 1 for row in rows])
        return F.normalize(self.read(rows)[torch.arange(len(rows)), ends].float(), dim=-1)

    def _flattened(self, items: np.ndarray) -> tuple[list[int], list[int]]:
        """The tokens of a history, and where each of its titles ends."""
        row, ends = list(self.opening), []
        for item in items:
            row.extend(self.titles[item])
            ends.append(len(row) - 1)
        return row, ends
