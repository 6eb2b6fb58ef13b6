"""GRU4Rec: a recurrent network over what was chosen (Hidasi et al., ICLR 2016; Hidasi and Karatzoglou, CIKM 2018)."""

from torch import Tensor, nn

from molorec.baselines.data import Interactions
from molorec.baselines.model import Recipe, Sequential, item_vectors


class Gru4Rec(Sequential):
    """h_t = GRU(e(i_t), h_{t−1}), r(j) = (W h_t + c) · e(j): input and output share the item vectors.

    Learned by cross-entropy against sampled items, one of the losses that the second paper compares; whole sequences are
    learned from at once instead of one step after the other.
    """

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__(data, recipe)
        self.items = item_vectors(data, recipe.dimension, recipe.dimension**-0.5)
        self.dropout = nn.Dropout(recipe.dropout)
        self.recurrent = nn.GRU(recipe.dimension, recipe.dimension, recipe.blocks, batch_first=True,
                                dropout=recipe.dropout if recipe.blocks > 1 else 0.0)
        self.out = nn.Linear(recipe.dimension, recipe.dimension)

    def table(self) -> Tensor:
        return self.items.weight

    def encode(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        states, _ = self.recurrent(self.dropout(inputs))
        return self.out(self.dropout(states))
