"""FMLP-Rec: learnable filters in the frequency domain in place of attention (Zhou et al., WWW 2022)."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from molorec.baselines.data import Batch, Interactions, prefixes
from molorec.baselines.model import Recipe, Sequential, item_vectors


class FmlpRec(Sequential):
    """Blocks of x ← LN(x + D(F⁻¹(W ⊙ F(x)))), x ← LN(x + D(FFN(x))), F being the Fourier transform along the sequence and W
    a complex number for each frequency and channel; before the first, LN of item plus place. r(j) = x_last · e(j).

    A filter is a circular convolution, so every place sees every other: each target is learned from on its own, with the items
    before it alone as input. The paper's loss is "bpr" (its pairwise rank loss).
    """

    left = True

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__(data, recipe)
        self.items = item_vectors(data, recipe.dimension)
        self.places = nn.Embedding(recipe.length, recipe.dimension)
        nn.init.normal_(self.places.weight, std=0.02)
        self.norm = nn.LayerNorm(recipe.dimension)
        self.dropout = nn.Dropout(recipe.dropout)
        self.blocks = nn.ModuleList(_Block(recipe) for _ in range(recipe.blocks))

    def table(self) -> Tensor:
        return self.items.weight

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        return prefixes(self.data, self.recipe.length, self.recipe.batch, rng, self.recipe.examples)

    def encode(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.dropout(self.norm(inputs + self.places.weight))
        for block in self.blocks[:-1]:
            hidden = block(hidden)
        return self.blocks[-1](hidden, last=True)


class _Block(nn.Module):
    def __init__(self, recipe: Recipe):
        super().__init__()
        width, length = recipe.dimension, recipe.length
        self.length = length
        self.filter = nn.Parameter(torch.randn(length // 2 + 1, width, 2) * 0.02)
        self.after_filter, self.after_layer = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layer = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, hidden: Tensor, last: bool = False) -> Tensor:
        """The block's output (B, L, d); with ``last`` only at the last place (B, 1, d), the same numbers for half the work."""
        spectrum = torch.view_as_complex(self.filter)
        if last:
            # y_{L−1} = Σ_s k_{L−1−s} x_s with the kernel k = F⁻¹(W)
            kernel = torch.fft.irfft(spectrum, n=self.length, dim=0).flip(0)
            filtered, hidden = torch.einsum("bld,ld->bd", hidden, kernel)[:, None], hidden[:, -1:]
        else:
            filtered = torch.fft.irfft(torch.fft.rfft(hidden, dim=1) * spectrum, n=self.length, dim=1)
        hidden = self.after_filter(hidden + self.dropout(filtered))
        return self.after_layer(hidden + self.dropout(self.layer(hidden)))
