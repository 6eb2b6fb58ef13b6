"""Free text during training, so that an adapter that learns titles does not forget how to write.

The rows are lead-ins of reasons that the base model itself has gone on writing. There the adapter is held to the base
model's next-token distribution (learning without forgetting, Li & Hoiem 2016): no text from elsewhere is needed.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from molorec.backbone import Backbone
from molorec.explaining import STYLES, lead_in
from molorec.mixture.layer import AdapterStack
from molorec.prompts import HISTORY_TITLES, Template
from molorec.training.dataset import TrainingDomain

POOL = 48  # texts; they are written once, at the start of a training
ROWS = 2  # of them in a step
STYLE = STYLES["short"]


class Replay:
    """A pool of reasons, begun as `molorec explain` begins them and finished by the base model.

    Parameters
    ----------
    length : longest row in tokens; the oldest titles of a history are left out where it would be longer. The lead-in
        itself is never cut.
    """

    def __init__(self, backbone: Backbone, domains: Sequence[TrainingDomain], style: Template, length: int, seed: int):
        self.model, self.device = backbone.model, backbone.device
        rng = np.random.default_rng([seed, POOL])
        prompts = [self._prompt(domains[i % len(domains)], style, length - STYLE.tokens, rng) for i in range(POOL)]
        torch.manual_seed(seed)
        self.texts = [text for first in range(0, POOL, 8)
                      for text in self._written(prompts[first : first + 8], backbone.prompter)]

    def loss(self, stack: AdapterStack, step: int) -> Tensor:
        """KL divergence of the adapter's model from the base model at the free tokens, mean over them, in nats."""
        texts = [self.texts[(step * ROWS + i) % POOL] for i in range(ROWS)]
        longest = max(len(prompt) + len(free) for prompt, free in texts)
        rows = torch.zeros(ROWS, longest, dtype=torch.long)
        free_at = torch.zeros(ROWS, longest, dtype=torch.bool)
        for i, (prompt, free) in enumerate(texts):
            rows[i, : len(prompt) + len(free)] = torch.tensor(prompt + free)
            free_at[i, len(prompt) - 1 : len(prompt) + len(free) - 1] = True
        rows, free_at = rows.to(self.device), free_at.to(self.device)
        with torch.no_grad():
            kept = self._log_probabilities(rows, free_at)
        with stack.at([1.0]):
            now = self._log_probabilities(rows, free_at)
        return F.kl_div(now, kept, reduction="batchmean", log_target=True)

    def drift(self, stack: AdapterStack) -> float:
        """The mean of :meth:`loss` over the whole pool."""
        with torch.inference_mode():
            return sum(float(self.loss(stack, step)) for step in range(POOL // ROWS)) / (POOL // ROWS)

    def _log_probabilities(self, rows: Tensor, at: Tensor) -> Tensor:
        hidden = self.model.base_model(input_ids=rows, use_cache=False).last_hidden_state[at]
        return (hidden @ self.model.get_output_embeddings().weight.t()).float().log_softmax(-1)

    def _prompt(self, domain: TrainingDomain, style: Template, length: int, rng: np.random.Generator) -> list[int]:
        sequence = domain.sequences[rng.integers(len(domain.sequences))]
        place = int(rng.integers(1, len(sequence)))
        history = [domain.items[i] for i in sequence[max(0, place - HISTORY_TITLES) : place]]
        item = domain.items[sequence[place]]
        named = [history[i] for i in rng.permutation(len(history))[: STYLE.titles]]
        ending = [*domain.prompter.title(item.title), *lead_in(domain.prompter, item, named, domain.noun)[1]]
        opening, titles = domain.prompter.opening(style, domain.noun), domain.prompter.titles(history)
        while titles and len(opening) + sum(map(len, titles)) + len(ending) > length:
            titles.pop(0)
        return [*opening, *(token for title in titles for token in title), *ending]

    def _written(self, prompts: Sequence[list[int]], prompter) -> list[tuple[list[int], list[int]]]:
        """Each prompt with the prose that the base model writes behind it."""
        longest = max(map(len, prompts))
        rows = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts], device=self.device)
        seen = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self.device)
        with torch.inference_mode():
            out = self.model.generate(input_ids=rows, attention_mask=seen, do_sample=True, top_k=50, max_new_tokens=STYLE.tokens,
                                      min_new_tokens=STYLE.tokens, pad_token_id=0, suppress_tokens=prompter.not_prose)
        return [(prompt, row[longest:].tolist()) for prompt, row in zip(prompts, out, strict=True)]
