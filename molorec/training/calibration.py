"""A teacher for general adapters: what a history makes the base model expect, without what it always expects.

A language model rates some words as likely whatever was asked, and that drowns what the history in the prompt adds. Taking
away the mean over people (contextual calibration, Zhao et al. 2021, "Calibrate before use") nearly doubles the base model's
NDCG@1 on a domain that nothing was trained on, whichever other domain the mean is from (LOG.md). A LoRA adapter can learn
that from any domains, and what their histories teach on top.

Below the root of the trie, where titles that begin alike part, what it always expects stays: there it is what it knows of titles.

It is too sure of both, and surer the deeper in a title: at these temperatures its −log p on lists of two film domains was least
(LOG.md). A general adapter that had learned the untempered labels was worse there than an even guess.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from molorec.backbone import Backbone
from molorec.prompts import Template
from molorec.training.dataset import Batch, TrainingDomain, WindowSampler

AT_ROOT, BELOW = 2.0, 3.0  # what the teacher's logits are divided by
MEAN_ROWS = 48  # about 1,200 titles; from 200 on the choice of rows changed nothing that could be measured


class CalibratedTeacher:
    """Labels from the base model alone, less its mean over the people of a domain.

    Parameters
    ----------
    length, seed : of the rows that the means are taken over, drawn as a training on template `open` draws them.
    """

    def __init__(self, backbone: Backbone, domains: Sequence[TrainingDomain], style: Template, length: int, seed: int):
        self.model = backbone.model
        self.means: dict[str, Tensor] = {}
        for domain in domains:
            batch = WindowSampler([domain], [1.0], style, "listwise", MEAN_ROWS, length, seed).batch(0)
            rows = batch.tokens.to(backbone.device).split(8)
            with torch.inference_mode():
                hidden = torch.cat([self._hidden(part) for part in rows])
            positions = batch.roots[domain.name][0]
            self.means[domain.name] = hidden[positions[:, 0], positions[:, 1]].mean(0)

    def blend(self, batch: Batch, share: float) -> Batch:
        """The batch with ``share`` of each decision's label from the teacher."""
        head = self.model.get_output_embeddings().weight
        with torch.no_grad():  # not inference_mode: the labels take part in the loss
            hidden = self._hidden(batch.tokens)
            roots = {}
            for name, (positions, choices, offsets, targets) in batch.roots.items():
                states = hidden[positions[:, 0], positions[:, 1]] - self.means[name]
                taught = (states @ head[choices].float().t() / AT_ROOT + offsets).softmax(-1)
                roots[name] = (positions, choices, offsets, (1 - share) * targets + share * taught)
            nodes = batch.nodes
            if nodes is not None:
                positions, choices, offsets, targets = nodes
                states = hidden[positions[:, 0], positions[:, 1]]
                taught = (torch.einsum("nd,ncd->nc", states, head[choices].float()) / BELOW + offsets).softmax(-1)
                nodes = (positions, choices, offsets, (1 - share) * targets + share * taught)
        return replace(batch, roots=roots, nodes=nodes)

    def _hidden(self, tokens: Tensor) -> Tensor:
        # outside any mixture: the base model alone
        return self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state.float()
