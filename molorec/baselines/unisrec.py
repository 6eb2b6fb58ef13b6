"""UniSRec: items known by their text (Hou et al., KDD 2022), trained on one domain, without pre-training on others.

Its paper puts the next item against all of them (`--loss softmax`); unless told so it is put here against 256 that are drawn
for each batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molorec.baselines.data import Interactions
from molorec.baselines.model import Recipe, Sequential, item_vectors
from molorec.baselines.sasrec import Encoder
from molorec.errors import BadInput

EXPERTS = 8
TEMPERATURE = 0.07


class TextSequential(Sequential):
    """Cosine of an encoded history and an item's vector, over a temperature of .07, as in both text models' papers."""

    unknown_history = True

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__(data, recipe)
        if data.texts is None:
            raise BadInput("a model that reads titles needs their vectors")
        self.encoder = Encoder(recipe)

    def encode(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.encoder(inputs, lengths)

    def states(self, hidden: Tensor) -> Tensor:
        return F.normalize(hidden, dim=-1) / TEMPERATURE

    def candidates(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1)


class UniSRec(TextSequential):
    """An item is v = Σ_k g_k (x − b_k) W_k over eight experts, x its title's vector and g = softmax(x W₁ + δ), with noise
    δ = ε · softplus(x W₂) in training. With ``identity`` a free vector is added, which starts at 0, and stays so for items kept
    from training.
    """

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__(data, recipe)
        width = data.texts.shape[1]
        self.register_buffer("texts", data.texts, persistent=False)
        self.shift = nn.Parameter(torch.zeros(EXPERTS, width))
        self.whiten = nn.Parameter(torch.randn(EXPERTS, width, recipe.dimension) * recipe.dimension**-0.5)
        self.gate = nn.Parameter(torch.zeros(width, EXPERTS))
        self.noise = nn.Parameter(torch.zeros(width, EXPERTS))
        self.dropout = nn.Dropout(recipe.dropout)
        self.items = item_vectors(data, recipe.dimension, 0.0) if recipe.identity else None

    def table(self) -> Tensor:
        weights = self.texts @ self.gate
        if self.training:
            weights = weights + torch.randn_like(weights) * F.softplus(self.texts @ self.noise)
        weights = weights.softmax(-1)
        flat = self.whiten.permute(1, 0, 2).flatten(1)
        moved = torch.einsum("ew,ewd->ed", self.shift, self.whiten).flatten()
        made = (self.dropout(self.texts) @ flat - moved).view(len(self.texts), EXPERTS, -1)
        vectors = (weights[:, :, None] * made).sum(1)
        return vectors + self.items.weight if self.items else vectors
