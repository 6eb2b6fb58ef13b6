"""One training loop for all baselines: epochs, the best of them by validation lists, checkpoints that survive a kill."""

import os
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from molorec.baselines.data import Lists
from molorec.baselines.model import Baseline
from molorec.errors import BadInput, MolorecError
from molorec.evaluation.metrics import ndcg

_LISTS_AT_ONCE = 256


@dataclass(frozen=True)
class Progress:
    """What a training tells the world after an epoch. ``validation`` is mean NDCG@k, ``best`` the highest so far, reached in
    epoch ``best_epoch``; ``seconds`` of all epochs, their validation included."""

    epoch: int
    loss: float
    validation: float
    best: float
    best_epoch: int
    seconds: float


class Training:
    """One model in training. Iterate over :meth:`run`; afterwards the model has the parameters of the best epoch.

    Parameters
    ----------
    folder : for the checkpoint, which is written after each epoch.
    validation : lists on which the best epoch is chosen, by NDCG at ``k``.
    facts : what else decides the result (data, lists), as JSON holds it; a checkpoint made from other facts is refused.
    """

    def __init__(self, model: Baseline, validation: Lists, folder: Path, k: int = 3, facts: dict | None = None):
        self.model, self.validation, self.folder, self.k = model, validation, Path(folder), k
        recipe = model.recipe
        # how long it goes on is not part of what a checkpoint is: with more epochs the same training goes on
        self.made_from = {**{name: value for name, value in asdict(recipe).items() if name not in ("epochs", "patience")},
                          "model": type(model).__name__, "k": k, "lists": len(validation), **(facts or {})}
        self.optimizer = torch.optim.Adam(model.parameters(), lr=recipe.rate, betas=(0.9, 0.98), fused=True)
        self.history: list[float] = []  # the validation score of each epoch
        self.seconds, self._best_parameters = 0.0, None

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, with the best validation; 0 before the first."""
        return int(np.argmax(self.history)) + 1 if self.history else 0

    @property
    def is_done(self) -> bool:
        """Whether no epoch is left, or so many went by without a better one that there will be none."""
        recipe = self.model.recipe
        return self.epoch >= recipe.epochs or self.epoch - self.best_epoch >= recipe.patience

    def run(self, until: int | None = None) -> Iterator[Progress]:
        """Train on, to the end or to epoch ``until``, yielding after each. Goes on from a checkpoint in the folder.

        Raises
        ------
        BadInput : the checkpoint there is of another training, or damaged.
        MolorecError : a checkpoint cannot be written, or the loss is no number any more.
        """
        if self.epoch == 0:
            self._resume()
        while not self.is_done and (until is None or self.epoch < until):
            started = time.monotonic()
            loss = self._train_epoch()
            self.history.append(self.validate())
            if self.best_epoch == self.epoch:
                self._best_parameters = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.seconds += time.monotonic() - started
            self._checkpoint()
            yield Progress(self.epoch, loss, self.history[-1], max(self.history), self.best_epoch, self.seconds)

    def best_model(self) -> Baseline:
        """The model with the parameters of the best epoch; :meth:`run` cannot go on after it."""
        if self._best_parameters is None:
            raise BadInput("nothing has been trained yet")
        self.model.load_state_dict(self._best_parameters)
        return self.model.eval()

    def validate(self) -> float:
        """Mean NDCG@k over the validation lists."""
        return float(ndcg(self.model.ranks(scores(self.model, self.validation), self.validation.targets), self.k).mean())

    def _train_epoch(self) -> float:
        # a seed for each epoch, so that the result does not depend on where a run was resumed
        seed = self.model.recipe.seed * 100_003 + self.epoch
        torch.manual_seed(seed)
        self.model.train()
        total = steps = 0
        for batch in self.model.epoch(np.random.default_rng(seed)):
            loss = self.model.loss(batch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            value = float(loss.detach())
            if not np.isfinite(value) or not torch.isfinite(norm):  # before it reaches the parameters
                raise MolorecError(f"in epoch {self.epoch + 1} the loss is {value}, the size of its gradient {float(norm)}; give "
                                   "a smaller --rate")
            self.optimizer.step()
            total, steps = total + value, steps + 1
        return total / max(1, steps)

    # -- checkpoints: written beside, then renamed, so that a kill leaves the last whole one ---------------------

    @property
    def _file(self) -> Path:
        return self.folder / "checkpoint.pt"

    def _checkpoint(self) -> None:
        content = {"made_from": self.made_from, "history": self.history, "seconds": self.seconds,
                   "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                   "best_parameters": self._best_parameters}
        partial = self._file.with_suffix(".partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            torch.save(content, partial)
            os.replace(partial, self._file)
        except (OSError, RuntimeError) as error:
            partial.unlink(missing_ok=True)
            raise MolorecError(f"the checkpoint could not be kept in {self.folder} ({error}); make room there") from error

    def _resume(self) -> None:
        if not self._file.exists():
            return
        try:
            content = torch.load(self._file, weights_only=True)
            model, optimizer, best = content["model"], content["optimizer"], content["best_parameters"]
            history, seconds = content["history"], content["seconds"]
            changed = [name for name, value in self.made_from.items() if content["made_from"].get(name) != value]
            if not changed:
                self.model.load_state_dict(model)
                self.optimizer.load_state_dict(optimizer)
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, EOFError,
                pickle.UnpicklingError) as error:
            raise BadInput(f"{self._file} is damaged ({error}); delete it to start again") from error
        if changed:
            raise BadInput(f"{self.folder} holds a checkpoint of another training ({', '.join(changed)} differ); delete it, or "
                           "give another --out")
        self.history, self.seconds, self._best_parameters = history, seconds, best


@torch.inference_mode()
def scores(model: Baseline, lists: Lists, on_lists: Callable[[int], None] = lambda done: None) -> np.ndarray:
    """Scores (n, c) of all candidates, without dropout; ``on_lists`` is told how many lists are done, now and then.

    Raises
    ------
    MolorecError : a score is no number, so that no rank could be given.
    """
    model.eval()
    order = np.argsort([len(history) for history in lists.histories], kind="stable")  # less padding
    made = np.zeros(lists.candidates.shape, np.float32)
    for first in range(0, len(order), _LISTS_AT_ONCE):
        some = order[first : first + _LISTS_AT_ONCE]
        made[some] = model.scores(lists.users[some], [lists.histories[i] for i in some], lists.candidates[some]).numpy()
        on_lists(first + len(some))
    if not np.isfinite(made).all():
        raise MolorecError("the model gives scores that are no numbers; train it anew with a smaller --rate")
    return made
