"""SASRec: self-attention over what was chosen (Kang and McAuley, ICDM 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molorec.baselines.data import Interactions
from molorec.baselines.model import Recipe, Sequential, item_vectors


class Encoder(nn.Module):
    """``blocks`` times x + D(SA(LN(x))), then x + D(FFN(LN(x))); LN at the end.

    SA is softmax(QKᵀ/√d)V where no place sees a later one, FFN two layers of width d with a ReLU between. Places are counted
    from the end, so that the latest item always stands on the last.

    Parameters
    ----------
    inner_dropout : of attention's weights and behind the ReLU, where SASRec's authors drop too (in their code; the paper
        has D alone).
    """

    def __init__(self, recipe: Recipe, inner_dropout: float = 0.0):
        super().__init__()
        self.places = nn.Embedding(recipe.length, recipe.dimension)
        nn.init.normal_(self.places.weight, std=0.02)
        self.dropout = nn.Dropout(recipe.dropout)
        self.blocks = nn.ModuleList(_Block(recipe, inner_dropout) for _ in range(recipe.blocks))
        self.norm = nn.LayerNorm(recipe.dimension)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, d) at each of the inputs (B, T, d); padding stands behind a row's ``lengths`` items, where none looks."""
        first = self.places.num_embeddings - lengths
        places = (first[:, None] + torch.arange(inputs.shape[1])).clamp(max=self.places.num_embeddings - 1)
        hidden = self.dropout(inputs + self.places(places))
        for block in self.blocks:
            hidden = block(hidden)
        return self.norm(hidden)


class _Block(nn.Module):
    def __init__(self, recipe: Recipe, inner_dropout: float):
        super().__init__()
        width = recipe.dimension
        self.heads, self.inner_dropout = recipe.heads, inner_dropout
        self.before_attention, self.before_layer = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        between = nn.Sequential(nn.ReLU(), nn.Dropout(inner_dropout))
        self.layer = nn.Sequential(nn.Linear(width, width), between, nn.Linear(width, width))
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        rows, places, width = hidden.shape
        split = self.project(self.before_attention(hidden)).view(rows, places, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        dropped = self.inner_dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropped)
        hidden = hidden + self.dropout(seen.transpose(1, 2).reshape(rows, places, width))
        return hidden + self.dropout(self.layer(self.before_layer(hidden)))


class SasRec(Sequential):
    """r(j) = Encoder(√d e(i_1), …, √d e(i_t)) · e(j). The paper's loss is "bce"; "sampled" learns the same in fewer epochs."""

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__(data, recipe)
        self.items = item_vectors(data, recipe.dimension)
        self.encoder = Encoder(recipe, recipe.dropout)

    def table(self) -> Tensor:
        return self.items.weight

    def encode(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.encoder(inputs * inputs.shape[-1] ** 0.5, lengths)
