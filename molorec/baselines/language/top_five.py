"""Top-5-generated: the format that MoLoRec's authors train and test, on our backbone.

The prompt names the history and the candidates; the answer is five titles, written freely and read as text.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from molorec.backbone import Backbone
from molorec.baselines.data import Interactions
from molorec.baselines.language.model import LanguageBaseline
from molorec.baselines.language.windows import Window, unchosen
from molorec.baselines.language.writing import SEPARATOR, named, write
from molorec.baselines.model import Recipe
from molorec.catalog.lists import NEGATIVES
from molorec.prompts import template

NAMED = 5
BEFORE_ANSWER = f"The {NAMED} most likely to be chosen next, separated by {SEPARATOR}:\n"
MOST_TOKENS = 120  # of an answer: five films take some 65, five of the longest hundredth more than this


class Answered(NamedTuple):
    """The tokens of a prompt and of the answer to learn."""

    prompt: list[int]
    answer: list[int]


class TopFive(LanguageBaseline):
    """In training the true title comes first in the answer, then four others of the list, drawn evenly, as the authors have it;
    the loss is the language model's on the answer alone.

    A candidate that is written in place k scores 6 − k, and k is its rank: what is no candidate, or was written before, takes a
    place, as with the authors. One that is not named scores 0 and ranks last.
    """

    at_once = 16

    def __init__(self, data: Interactions, recipe: Recipe, backbone: Backbone, noun: str = "items"):
        super().__init__(data, recipe, backbone, noun)
        prompter = backbone.prompter
        self.before_candidates = prompter.encode(template("listed").before_candidates)
        self.before_answer = prompter.encode(BEFORE_ANSWER)
        self.separator = prompter.encode(" " + SEPARATOR)
        self._written = self._valid = self._lists = 0

    def example(self, window: Window, rng: np.random.Generator) -> Answered:
        """A list with the window's last item in it, in random order, and the answer."""
        target, others = window.items[-1], unchosen(self.data, window.user, NEGATIVES, rng)
        candidates = rng.permutation(np.append(others, target))
        return Answered(self.prompt(window.items[:-1], candidates), self.answer([target, *others[: NAMED - 1]]))

    def prompt(self, history: np.ndarray, candidates: np.ndarray) -> list[int]:
        """The tokens of a history and the list, up to the answer."""
        tokens = list(self.opening)
        for item in history:
            tokens.extend(self.titles[item])
        tokens.extend(self.before_candidates)
        for item in candidates:
            tokens.extend(self.titles[item])
        return tokens + self.before_answer

    def answer(self, items: Sequence[int]) -> list[int]:
        """The tokens of titles in one line, ended by the terminator."""
        tokens: list[int] = []
        for item in items:
            tokens += [*(self.separator if tokens else ()), *self.titles[item][:-1]]
        return [*tokens, self.backbone.prompter.terminator]

    def loss(self, batch: list[Answered]) -> Tensor:
        return self.answer_loss([each.prompt for each in batch], [each.answer for each in batch])

    def scores_of(self, histories: list[np.ndarray], candidates: np.ndarray) -> Sequence[Tensor]:
        prompter = self.backbone.prompter
        prompts = [self.prompt(history, some) for history, some in zip(histories, candidates, strict=True)]
        with self.stack.at([1.0]):
            answers = write(self.backbone.model, prompts, MOST_TOKENS, prompter.stops)
        return [self.graded(prompter.decode(answer), some) for answer, some in zip(answers, candidates, strict=True)]

    def graded(self, text: str, candidates: np.ndarray) -> Tensor:
        """Scores (c,) of a list's candidates by a written answer, which is counted for :meth:`take_notes`."""
        # a title that is longer than a prompt allows is compared as it stands there
        titles = [self.backbone.prompter.decode(self.titles[item][:-1]) for item in candidates]
        found = named(text, titles, NAMED)
        scores = torch.zeros(len(candidates))
        for order, place in enumerate(found):
            if place is not None and not scores[place]:
                scores[place] = NAMED - order
        self._lists, self._written, self._valid = (
            self._lists + 1, self._written + len(found), self._valid + int(scores.count_nonzero()))
        return scores

    def ranks(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The place where each target was written; the list's last where it was not."""
        mine = np.take_along_axis(scores, targets[:, None], axis=1)[:, 0]
        return np.where(mine > 0, NAMED + 1 - mine, scores.shape[1]).astype(int)

    def take_notes(self) -> dict:
        """The ``validity`` of the lists scored since the last call: which share of the written titles, at most five a list, are
        candidates that were not written before; also how many were ``written``."""
        notes = {"validity": self._valid / max(1, self._written), "written": self._written} if self._lists else {}
        self._written = self._valid = self._lists = 0
        return notes
