"""VQ-Rec: items known by discrete codes of their text (Hou et al., WWW 2023), trained on one domain, without pre-training.

Its paper puts the next item against all of them (`--loss softmax`); unless told so it is put here against 256 that are drawn
for each batch."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molorec.baselines.data import Interactions
from molorec.baselines.model import Recipe
from molorec.baselines.unisrec import TextSequential

CODES = 32  # parts of a title's vector, each with a codebook of its own
CENTROIDS = 256
_ROUNDS = 8


class VqRec(TextSequential):
    """An item is the mean of 32 vectors, one out of each table of 256, chosen by the optimised product quantisation of its
    title's vector. The codebooks are learned from the items that may be trained on; the others are given the nearest codes."""

    def __init__(self, data: Interactions, recipe: Recipe):
        super().__init__(data, recipe)
        codes = quantise(data.texts[1:].numpy(), data.known[1:], CODES, CENTROIDS, recipe.seed)
        offsets = np.arange(CODES) * CENTROIDS
        self.register_buffer("codes", torch.from_numpy(codes + offsets), persistent=False)
        self.vectors = nn.Embedding(CODES * CENTROIDS, recipe.dimension)
        nn.init.normal_(self.vectors.weight, std=recipe.dimension**-0.5)

    def table(self) -> Tensor:
        return F.pad(F.embedding_bag(self.codes, self.vectors.weight, mode="mean") * CODES**0.5, (0, 0, 1, 0))


def quantise(vectors: np.ndarray, learned: np.ndarray, parts: int, centroids: int, seed: int = 0) -> np.ndarray:
    """Codes (n, parts) from 0 of vectors (n, width), with codebooks from those rows that ``learned`` (n,) marks.

    Optimised product quantisation (Ge et al., CVPR 2013): rotation R and codebooks in turn, each to the smallest ‖xR − c‖²; the
    rotation for given codes is the solution of the orthogonal Procrustes problem.
    """
    rng = np.random.default_rng(seed)
    known = vectors[learned]
    mean = known.mean(0)
    known, width = known - mean, vectors.shape[1]
    count = min(centroids, len(known))
    rotation = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    spans = np.array_split(np.arange(width), parts)
    books = [(known @ rotation)[rng.choice(len(known), count, replace=False)][:, span] for span in spans]
    for _ in range(_ROUNDS):
        rotated, rebuilt = known @ rotation, np.empty_like(known)
        for place, span in enumerate(spans):
            part = rotated[:, span]
            codes = _nearest(part, books[place])
            counts = np.bincount(codes, minlength=count)[:, None]
            sums = np.zeros_like(books[place])
            np.add.at(sums, codes, part)
            books[place] = np.where(counts > 0, sums / np.maximum(counts, 1), books[place])
            rebuilt[:, span] = books[place][codes]
        left, _, right = np.linalg.svd(known.T @ rebuilt)
        rotation = (left @ right).astype(np.float32)
    rotated = (vectors - mean) @ rotation
    return np.stack([_nearest(rotated[:, span], book) for span, book in zip(spans, books, strict=True)], axis=1)


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return ((centres**2).sum(1) - 2 * points @ centres.T).argmin(1)
