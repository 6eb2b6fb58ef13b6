"""P5-style: items as index strings that a language model spells (after Geng et al., RecSys 2022, and Hua et al., SIGIR-AP 2023).

Not their model: theirs is T5, trained on several tasks at once; this is the next item alone, on our backbone.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from molorec.backbone import Backbone
from molorec.baselines.data import Interactions
from molorec.baselines.language.model import LanguageBaseline
from molorec.baselines.language.windows import Window
from molorec.baselines.model import Recipe
from molorec.ranking.scorer import log_probabilities
from molorec.ranking.trie import PackedTrie, TitleTrie, pack


class P5Style(LanguageBaseline):
    """A history is a list of indices, one a line; what is learned is to write the next, at every line but the first.

    Indices are sequential: items are numbered as they first appear in the training sequences, one user after the other, so
    that what one person chose shares its first digits. Items that were kept from training are numbered behind all others. A
    candidate's score is log p of its index where only indices of the domain can be written, so that no beam search is needed.
    """

    unknown_history = False

    def __init__(self, data: Interactions, recipe: Recipe, backbone: Backbone, noun: str = "items"):
        super().__init__(data, recipe, backbone, noun)
        prompter = backbone.prompter
        self.indices = [(), *((*prompter.encode(text), prompter.terminator) for text in sequential_indices(data))]
        self.trie = TitleTrie(self.indices[1:])

    def loss(self, batch: list[Window]) -> Tensor:
        prompts = [[*self.opening, *self.indices[window.items[0]]] for window in batch]
        return self.answer_loss(prompts, [self._spelt(window.items[1:]) for window in batch])

    def scores_of(self, histories: list[np.ndarray], candidates: np.ndarray) -> Sequence[Tensor]:
        packed = [self.packed(history, some) for history, some in zip(histories, candidates, strict=True)]
        with self.stack.at([1.0]):
            return log_probabilities(self.backbone.model, packed)

    def packed(self, history: np.ndarray, candidates: np.ndarray) -> PackedTrie:
        """A history's prompt and the places where its candidates' indices part from others."""
        packed = pack([*self.opening, *self._spelt(history)], [self.indices[item] for item in candidates], self.trie)
        for node in packed.nodes:
            node.shares = None  # this model has learned itself how much lies below a digit
        return packed

    def _spelt(self, items: np.ndarray) -> list[int]:
        return [token for item in items for token in self.indices[item]]


def sequential_indices(data: Interactions) -> list[str]:
    """An index for each item (items,), by item number from 1: decimal numbers of one width, from 1001 on or, of 9,000
    items and more, from 10001 on, and so on."""
    known = dict.fromkeys(int(item) for sequence in data.sequences for item in sequence)
    order = dict.fromkeys([*known, *range(1, len(data.items) + 1)])
    place = {item: i for i, item in enumerate(order, start=1)}
    first = 10 ** max(3, len(str(len(data.items) // 9)))
    return [str(first + place[item]) for item in range(1, len(data.items) + 1)]
