"""Whether a baseline, as it is written here, reaches the figure of its paper under that paper's own protocol.

All users and items, nothing held back: of each user's sequence the last item is the test, the one before it validation, the rest
training. The test item is ranked among evenly drawn negatives, after a history that holds the validation item.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from molorec import config, whole_file
from molorec.baselines import data as numbers
from molorec.baselines.data import Interactions, Lists
from molorec.baselines.loop import Progress, Training, scores
from molorec.baselines.models import kind
from molorec.baselines.search import recipe_name
from molorec.catalog import Catalog
from molorec.errors import BadFile, BadInput
from molorec.evaluation.metrics import hit_rate, ndcg

WITHIN = 0.02
VALIDATION_LISTS = 2_000
_KANG = "Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, table III"
_ZHOU = "Zhou et al., Filter-enhanced MLP is All You Need for Sequential Recommendation, WWW 2022, table 2"


@dataclass(frozen=True)
class Figure:
    """A published figure, and how to come by it.

    Attributes
    ----------
    paper : where it stands. metrics : "hr@k", "ndcg@k" or "mrr" → value.
    negatives : in a list. unseen : whether negatives are in none of the user's events; otherwise, in none of training.
    changes : of the model's usual recipe, towards the paper's.
    note : what else is to be known about it.
    """

    paper: str
    domain: str
    negatives: int
    unseen: bool
    metrics: dict[str, float]
    changes: dict
    note: str = ""


FIGURES = {
    "bpr-mf": Figure(_KANG, "movielens-1m", 100, False, {"hr@10": 0.5781, "ndcg@10": 0.3287}, {"dimension": 50},
                     "BPR-MF as a baseline there; its own paper has no figure on these data"),
    "gru4rec": Figure(_KANG, "movielens-1m", 100, False, {"hr@10": 0.7501, "ndcg@10": 0.5513}, {"dimension": 50},
                      "the figure of GRU4Rec+, which learns with sampled negatives; of the first GRU4Rec .5581/.3381 there. "
                      "Its own papers have no figure on these data"),
    "sasrec": Figure(_KANG, "movielens-1m", 100, False, {"hr@10": 0.8245, "ndcg@10": 0.5905},
                     {"dimension": 50}, "the paper's loss is --loss bce, at --rate 1e-3 --batch 128 in some 200 epochs"),
    "fmlp-rec": Figure(_ZHOU, "amazon14_beauty", 99, True,
                       {"hr@1": 0.2011, "hr@5": 0.4025, "ndcg@5": 0.3070, "hr@10": 0.4998, "ndcg@10": 0.3385, "mrr": 0.3051},
                       {"dropout": 0.5, "length": 20, "examples": 0},
                       "20 items of history in place of 50; the paper's loss is --loss bpr; "
                       "its paper has no figure on MovieLens-1M"),
}


def reproduce(catalog: Catalog, name: str, changes: dict, folder: Path,
              on_epoch: Callable[[Progress], None] = lambda progress: None) -> dict:
    """Train and measure a baseline under its paper's protocol; the result is kept for :func:`stored`.

    Parameters
    ----------
    changes : of the recipe, over those of the figure.
    folder : for checkpoints.

    Returns
    -------
    result : paper, domain, theirs, ours, n, within (none of ours is more than .02 from theirs), reached (none is more than
        .02 below), and the recipe.

    Raises
    ------
    BadInput : there is no figure for this baseline, or its domain is not in the catalogue.
    """
    if name not in FIGURES:
        raise BadInput(f"no figure is known for '{name}' on data that are here; there are some for: {', '.join(FIGURES)}")
    figure, chosen = FIGURES[name], kind(name)
    recipe = replace(replace(chosen.recipe, **figure.changes), **changes)
    data = numbers.load(catalog, figure.domain, keep_last=2, held_out=True)
    whole = numbers.load(catalog, figure.domain, keep_last=0, held_out=True)
    torch.manual_seed(recipe.seed)
    training = Training(chosen.model(data, recipe), one_out(whole, 2, figure, VALIDATION_LISTS),
                        folder / recipe_name(recipe), k=10,
                        facts={"protocol": figure.paper, "domain": figure.domain, "data": data.sha256()})
    for progress in training.run():
        on_epoch(progress)
    test = one_out(whole, 1, figure)
    model = training.best_model()
    found = model.ranks(scores(model, test), test.targets)
    ours = {metric: round(measure(found, metric), 4) for metric in figure.metrics}
    result = {"paper": figure.paper, "domain": figure.domain, "negatives": figure.negatives, "theirs": figure.metrics,
              "ours": ours, "n": len(test), "epochs": training.epoch, "recipe": asdict(recipe), "note": figure.note,
              "within": all(abs(ours[metric] - theirs) <= WITHIN for metric, theirs in figure.metrics.items()),
              "reached": all(ours[metric] >= theirs - WITHIN for metric, theirs in figure.metrics.items())}
    whole_file.write(_file(name), json.dumps(result, indent=1) + "\n")
    return result


def stored(name: str) -> dict | None:
    """The latest result of :func:`reproduce` on this machine, None if there is none. Raises BadFile if it cannot be read."""
    try:
        return json.loads(_file(name).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadFile(_file(name), f"it cannot be read ({error}); delete it and reproduce the figure again") from error


def one_out(whole: Interactions, last: int, figure: Figure, most: int | None = None, seed: int = 0) -> Lists:
    """A list for each user's ``last`` event from the end (1: the last of all), or for ``most`` of them, the target first."""
    rng = np.random.default_rng((seed, last))
    users, histories, candidates = [], [], []
    usable = [user for user, sequence in enumerate(whole.sequences, start=1) if len(sequence) > 2]
    for user in usable[:most]:
        sequence = whole.sequences[user - 1]
        target = sequence[-last]
        drawn = rng.permutation(len(whole.items)) + 1
        drawn = drawn[~np.isin(drawn, sequence if figure.unseen else np.append(sequence[:-2], target))][: figure.negatives]
        if len(drawn) < figure.negatives:
            raise BadInput(f"'{figure.domain}' is too small for lists of {figure.negatives} negatives")
        users.append(user)
        histories.append(sequence[:-last])
        candidates.append([target, *drawn])
    return Lists(np.array(users), histories, np.array(candidates), np.zeros(len(users), np.int64))


def measure(ranks: np.ndarray, metric: str) -> float:
    """The mean of "hr@k", "ndcg@k" or "mrr" over ranks.

    >>> measure(np.array([1, 4]), "hr@3"), measure(np.array([1, 4]), "mrr")
    (0.5, 0.625)
    """
    name, _, k = metric.partition("@")
    if name == "mrr":
        return float((1 / ranks).mean())
    return float((hit_rate if name == "hr" else ndcg)(ranks, int(k)).mean())


def _file(name: str) -> Path:
    return config.home() / "baselines" / name / "reproduced.json"


