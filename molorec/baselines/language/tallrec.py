"""TALLRec-style: is this one chosen next, Yes or No? (After Bao et al., RecSys 2023.)

Not their model: theirs is LLaMA-7B, tuned on instructions first and on a few likes and dislikes then; this learns from what was
chosen next and what was not chosen, on our backbone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from molorec.backbone import Backbone
from molorec.baselines.data import Interactions
from molorec.baselines.language.model import LanguageBaseline
from molorec.baselines.language.rows import Branched, branched
from molorec.baselines.language.windows import Window, unchosen
from molorec.baselines.model import Recipe
from molorec.errors import BadInput

QUESTION = "{Noun} one person chose, oldest first, then one more. Was it chosen next, Yes or No?\n"
BEFORE = "Next:"


class Asked(NamedTuple):
    """A row with questions, and of each whether the answer is Yes."""

    row: Branched
    labels: list[bool]


class TallRecStyle(LanguageBaseline):
    """The last hidden state of (history, candidate) answers with one token; the loss is −log p of "Yes" or "No" over the whole
    vocabulary, a score logit(Yes) − logit(No).

    Candidates are branches behind one history, so a list costs one forward pass. In training questions are asked behind each
    item of the later half of a window: about the one that came next, and about ``negatives`` that the user never chose.
    """

    def __init__(self, data: Interactions, recipe: Recipe, backbone: Backbone, noun: str = "items"):
        super().__init__(data, recipe, backbone, noun)
        prompter = backbone.prompter
        self.opening = prompter.beginning + prompter.encode(QUESTION.format(Noun=noun[:1].upper() + noun[1:]))
        self.before = prompter.encode(BEFORE)
        self.yes, self.no = prompter.encode("Yes")[0], prompter.encode("No")[0]
        if self.yes == self.no:
            raise BadInput("this tokenizer begins 'Yes' and 'No' alike; choose another base model")

    def example(self, window: Window, rng: np.random.Generator) -> Asked:
        """Questions behind the later half of a window, and their answers."""
        trunk, branches, labels = list(self.opening), [], []
        for place, (item, following) in enumerate(zip(window.items, window.items[1:], strict=False), start=1):
            trunk.extend(self.titles[item])
            if 2 * place >= len(window.items) - 1:
                others = unchosen(self.data, window.user, self.recipe.negatives, rng)
                branches += [(len(trunk), self._question(candidate)) for candidate in (following, *others)]
                labels += [True, *[False] * len(others)]
        return Asked(branched(trunk, branches), labels)

    def asked(self, history: np.ndarray, candidates: np.ndarray) -> Branched:
        """A history with one question for each candidate."""
        trunk = [*self.opening, *(token for item in history for token in self.titles[item])]
        return branched(trunk, [(len(trunk), self._question(candidate)) for candidate in candidates])

    def loss(self, batch: list[Asked]) -> Tensor:
        states = torch.cat(self._answers([asked.row for asked in batch]))
        wanted = torch.tensor([self.yes if label else self.no for asked in batch for label in asked.labels],
                              device=states.device)
        return F.cross_entropy(self.logits(states), wanted)

    def scores_of(self, histories: list[np.ndarray], candidates: np.ndarray) -> Sequence[Tensor]:
        rows = [self.asked(history, some) for history, some in zip(histories, candidates, strict=True)]
        head = self.backbone.model.get_output_embeddings().weight
        # in float32: a bf16 logit near 16 is only good to 1/16
        direction = head[self.yes].float() - head[self.no].float()
        return [states.float() @ direction for states in self._answers(rows)]

    def _answers(self, rows: Sequence[Branched]) -> list[Tensor]:
        """The states (questions, width) that each row's questions are answered from."""
        return [states[row.ends] for states, row in zip(self.read_branched(rows), rows, strict=True)]

    def _question(self, item: int) -> tuple[int, ...]:
        return (*self.before, *self.titles[item])
