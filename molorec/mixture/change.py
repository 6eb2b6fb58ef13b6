"""What an adapter adds to a base model, in numbers: how many weights, and how far each layer moves."""

import torch
from torch import Tensor

from molorec.mixture.adapters import Adapter


def parameters(adapter: Adapter) -> int:
    """How many numbers an adapter holds: those of A and B in all its layers."""
    return sum(a.numel() + b.numel() for a, b in adapter.factors.values())


def delta(adapter: Adapter, path: str) -> Tensor:
    """ΔW = s·B·A of one layer, float32 of shape (out, in): what the adapter alone adds to the layer's weights."""
    a, b = (factor.float() for factor in adapter.factors[path])
    return adapter.scale * (b @ a)


def block_means(matrix: Tensor, most: int = 48) -> Tensor:
    """Mean |entry| by block, for a picture: at most ``most`` blocks a side, which together hold every entry once.

    >>> block_means(torch.tensor([[1.0, -1.0, 4.0], [3.0, -3.0, 0.0]]), most=2).tolist()
    [[1.0, 4.0], [3.0, 0.0]]
    """
    rows, columns = (min(most, side) for side in matrix.shape)
    return torch.stack([torch.stack([block.mean() for block in row.tensor_split(columns, dim=1)])
                        for row in matrix.abs().tensor_split(rows, dim=0)])
