"""Choosing a recipe on validation lists: every one for so many epochs, then the best of them alone to its end."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from molorec.baselines.loop import Progress, Training
from molorec.baselines.model import Recipe


@dataclass(frozen=True)
class Trial:
    """What was tried: what the recipe changes, the best validation score of its first ``epochs``, and whether it was kept."""

    changes: dict
    validation: float
    epochs: int
    kept: bool


def search(make: Callable[[Recipe, Path], Training], recipe: Recipe, grid: Sequence[dict], epochs: int, folder: Path,
           on_epoch: Callable[[dict, Progress], None] = lambda changes, progress: None) -> tuple[Training, list[Trial]]:
    """Train ``recipe`` with each of the grid's changes for ``epochs``, then the best to its end.

    Every training has a folder of its own below ``folder``, so that a search that was stopped goes on where it was; the winner
    goes on from its own few epochs.

    Returns
    -------
    training, trials : the winner, finished, and all that were tried, in the grid's order.
    """
    scores, done = [], []
    for changes in grid:
        training = _make(make, recipe, changes, folder)
        for progress in training.run(until=epochs):
            on_epoch(changes, progress)
        scores.append(max(training.history[:epochs]))  # the winner of an earlier run has gone on, which must not count
        done.append(min(epochs, training.epoch))
    winner = scores.index(max(scores))
    training = _make(make, recipe, grid[winner], folder)
    for progress in training.run():
        on_epoch(grid[winner], progress)
    return training, [Trial(changes, score, some, i == winner)
                      for i, (changes, score, some) in enumerate(zip(grid, scores, done, strict=True))]


def _make(make: Callable[[Recipe, Path], Training], recipe: Recipe, changes: dict, folder: Path) -> Training:
    changed = replace(recipe, **changes)
    return make(changed, folder / recipe_name(changed))


def recipe_name(recipe: Recipe) -> str:
    """A short name for a folder: a hash of what decides a training's result but for how long it goes on.

    >>> recipe_name(Recipe(epochs=3)) == recipe_name(Recipe(epochs=9)), recipe_name(Recipe(rate=.1)) == recipe_name(Recipe())
    (True, False)
    """
    facts = {name: value for name, value in asdict(recipe).items() if name not in ("epochs", "patience")}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
