"""BPR-MF: matrix factorisation learned from pairs (Rendle et al., UAI 2009)."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molorec.baselines.data import Batch, Interactions, events
from molorec.baselines.model import Baseline, Recipe, item_vectors


class BprMf(Baseline):
    """r(u, i) = p_u · q_i + b_i, with −log σ(r(u, i) − r(u, j)) + λ(‖p_u‖² + ‖q_i‖² + ‖q_j‖²) for an i that u chose and a j
    that he did not.

    A user is what he did in training: of the history that comes with a list nothing is read, the validation event neither. For
    a user that is not known the items' biases alone decide.
    """

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__(data, recipe)
        self.users = nn.Embedding(len(data.users) + 1, recipe.dimension, padding_idx=0)
        nn.init.normal_(self.users.weight, std=0.1)
        with torch.no_grad():
            self.users.weight[0] = 0
        self.items = item_vectors(data, recipe.dimension, 0.1)
        self.bias = nn.Embedding(len(data.items) + 1, 1)
        nn.init.zeros_(self.bias.weight)

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        return events(self.data, self.recipe.batch, rng)

    def loss(self, batch: Batch) -> Tensor:
        others = self.data.unchosen(batch.users)
        user, item, other = self.users(batch.users), self.items(batch.targets), self.items(others)
        margin = (user * (item - other)).sum(-1) + (self.bias(batch.targets) - self.bias(others))[:, 0]
        norm = user.square().sum(-1) + item.square().sum(-1) + other.square().sum(-1)
        return (self.recipe.l2 * norm - F.logsigmoid(margin)).mean()

    def scores(self, users: np.ndarray, histories: list[np.ndarray], candidates: np.ndarray) -> Tensor:
        items = torch.from_numpy(candidates)
        user = self.users(torch.from_numpy(users))
        return (self.items(items) @ user[:, :, None])[:, :, 0] + self.bias(items)[:, :, 0]
