"""What the language baselines have in common: a frozen backbone and the adapter that is trained."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from molorec.backbone import Backbone
from molorec.baselines.data import Interactions
from molorec.baselines.language.rows import Branched
from molorec.baselines.language.windows import Window, batches
from molorec.baselines.model import Baseline, Recipe
from molorec.mixture import adapters
from molorec.prompts import template
from molorec.ranking.scorer import hidden_states, padded
from molorec.training import attention


class LanguageBaseline(Baseline):
    """A baseline whose parameters are one fresh LoRA adapter; the frozen backbone is no part of it, nor of its checkpoints.

    Parameters
    ----------
    backbone : its model is read through the adapter inside this class's methods alone, and left as it is.
    noun : what items are called ("films").

    Attributes
    ----------
    titles : by item number, a title's tokens with their terminator; number 0 has none.
    opening : the tokens before a history.
    """

    unknown_history = True
    at_once = 8  # lists of one forward pass

    def __init__(self, data: Interactions, recipe: Recipe, backbone: Backbone, noun: str = "items"):
        super().__init__(data, recipe)
        self.backbone, self.noun = backbone, noun
        self.stack = adapters.stack([adapters.new(backbone.shapes)], recipe.dropout).to(backbone.device)
        self.stack.requires_grad_(True)
        self.titles = [(), *backbone.prompter.titles(data.items)]
        self.opening = backbone.prompter.opening(template("open"), noun)

    def epoch(self, rng: np.random.Generator) -> Iterator[list]:
        """As for any baseline; a batch is a list of :meth:`example`."""
        for windows in batches(self.data, self.recipe.length + 1, self.recipe.examples, self.recipe.batch, rng):
            yield [self.example(window, rng) for window in windows]

    def example(self, window: Window, rng: np.random.Generator) -> object:
        """What is learned from a window; all that is drawn for it comes from ``rng``."""
        return window

    def scores(self, users: np.ndarray, histories: list[np.ndarray], candidates: np.ndarray) -> Tensor:
        made = []
        for first in range(0, len(histories), self.at_once):
            some = slice(first, first + self.at_once)
            cut = [history[-self.recipe.length :] for history in histories[some]]
            made.extend(self.scores_of(cut, candidates[some]))
        return torch.stack(made).float().cpu()

    def scores_of(self, histories: list[np.ndarray], candidates: np.ndarray) -> Sequence[Tensor]:
        """Scores (c,) of each of a few lists, after histories of at most the recipe's length."""
        raise NotImplementedError

    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """The last hidden states (n, length, width) of rows of tokens, each place seeing those before it."""
        model = self.backbone.model
        with self.stack.at([1.0]), attention.applied(model):
            return model.base_model(input_ids=padded(rows, model.device), use_cache=False).last_hidden_state

    def read_branched(self, rows: Sequence[Branched]) -> Tensor:
        """The same of rows with branches."""
        with self.stack.at([1.0]):
            return hidden_states(self.backbone.model, rows)

    def logits(self, states: Tensor) -> Tensor:
        """Logits (m, vocabulary) in float32 from states (m, width)."""
        return (states @ self.backbone.model.get_output_embeddings().weight.t()).float()

    def answer_loss(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> Tensor:
        """Mean −log p in nats of the answers' tokens, over the whole vocabulary; none of the prompts is learned from."""
        hidden = self.read([[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)])
        states = [row[len(prompt) - 1 : len(prompt) - 1 + len(answer)]
                  for row, prompt, answer in zip(hidden, prompts, answers, strict=True)]
        wanted = torch.tensor([token for answer in answers for token in answer], device=hidden.device)
        return F.cross_entropy(self.logits(torch.cat(states)), wanted)
