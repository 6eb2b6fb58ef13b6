"""The command line of ``training_scripts/train_baseline.py``."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from molorec import backbone, config
from molorec.baselines import data as numbers
from molorec.baselines import reproduce, text
from molorec.baselines.data import Interactions
from molorec.baselines.loop import Progress, Training, scores
from molorec.baselines.model import LOSSES, Baseline, Recipe
from molorec.baselines.models import KINDS, Kind, kind
from molorec.baselines.search import recipe_name, search
from molorec.catalog import Catalog, RankingExample
from molorec.catalog.lists import HARD
from molorec.command_line import command_line
from molorec.errors import BadInput, check_least
from molorec.evaluation import rows
from molorec.evaluation.metrics import METRICS, Interval
from molorec.evaluation.rows import SPLITS, SystemRows
from molorec.options import Help, add_recipe

SETTINGS = ("warm", "new-item", *HARD)


def parser(description: str) -> argparse.ArgumentParser:
    """The options; one for each field of :class:`Recipe`, in place of what the model is usually trained with (a default
    that an option's help does not name)."""
    options = argparse.ArgumentParser(description=description, formatter_class=Help)
    options.add_argument("--model", choices=list(KINDS), required=True, help="which baseline")
    options.add_argument("--domain", help="a domain of the catalogue (see `molorec domains list`)")
    options.add_argument("--search", action="store_true", help="try the model's grid on validation lists, and keep the best")
    options.add_argument("--reproduce", action="store_true",
                         help="instead, train and measure it by its own paper's protocol; rows made later name the result")
    options.add_argument("--split", nargs="*", choices=SPLITS, help="whose lists are ranked (default: all; of a model on a "
                         "language model \"quick\" alone, for its lists take long)")
    options.add_argument("--setting", nargs="+", choices=SETTINGS, default=["warm", "new-item"], help="which lists are ranked")
    options.add_argument("--limit", type=int, help="rank the lists of a split's first so many users only (default: all)")
    options.add_argument("--halving", type=int, help="epochs after which a search goes on with the best alone (default: the "
                         "model's)")
    options.add_argument("--validation-lists", type=int, help="the most that epochs are chosen on (default: the model's)")
    options.add_argument("--out", type=Path, help="folder for checkpoints (default: in MOLOREC_HOME)")
    options.add_argument("--rows", type=Path, help="folder for the rows (default: in MOLOREC_HOME)")
    options.add_argument("--threads", type=int, help="CPU threads")
    add_recipe(options, Recipe, {"loss": LOSSES}, defaults=False)
    return options


def train(arguments: argparse.Namespace) -> None:
    """Train one baseline and keep its rows, or reproduce its paper's figure.

    Raises
    ------
    BadInput : an option is not usable, or the domain has no lists to choose epochs on.
    """
    check_least(1, threads=arguments.threads, limit=arguments.limit, validation_lists=arguments.validation_lists,
                halving=arguments.halving)
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    changes = {field.name: getattr(arguments, field.name) for field in fields(Recipe) if hasattr(arguments, field.name)}
    catalog, place = Catalog(), arguments.out or config.home() / "baselines" / arguments.model
    if arguments.reproduce:
        result = reproduce.reproduce(catalog, arguments.model, changes, place / "reproduce", _say)
        print(json.dumps(result, indent=1))
        return
    if not arguments.domain:
        raise BadInput("--domain is missing: a domain of the catalogue to train on")
    chosen = kind(arguments.model)
    recipe = replace(chosen.recipe, **changes)
    data = _load(catalog, arguments.domain, chosen)
    most = arguments.validation_lists or chosen.validation_lists
    validation = numbers.lists(data, _validation(catalog, arguments.domain, most), chosen.model.unknown_history)
    print(f"{arguments.domain}: {len(data.users)} users, {len(data.pool)} items, {sum(map(len, data.sequences))} events, "
          f"{len(validation)} validation lists", flush=True)
    build, of_base = partial(chosen.model, data), {}
    if chosen.is_on_backbone:
        base = backbone.load()
        build = partial(build, backbone=base, noun=catalog.domain(arguments.domain).noun)
        of_base = {"base": base.name, "base_sha256": base.sha256, "precision": base.precision}
    facts = {"domain": arguments.domain, "data": data.sha256(), **of_base}

    def make(recipe: Recipe, folder: Path) -> Training:
        torch.manual_seed(recipe.seed)
        return Training(build(recipe=recipe), validation, folder, facts=facts)

    folder = place / arguments.domain
    trials = []
    if arguments.search:
        training, trials = search(make, recipe, chosen.grid, arguments.halving or chosen.halving, folder,
                                  lambda changes, progress: _say(progress, changes))
    else:
        training = make(recipe, folder / recipe_name(recipe))
        for progress in training.run():
            _say(progress)
    model = training.best_model()
    made_with = rows.facts(
        command_line("python training_scripts/train_baseline.py", sys.argv[1:]),
        ["torch", "numpy", *(["transformers"] if chosen.is_on_backbone else [])], **of_base,
        recipe=asdict(model.recipe), search=[asdict(trial) for trial in trials], seed=model.recipe.seed,
        validation={"metric": "ndcg@3", "lists": len(validation), "best": max(training.history),
                    "epoch": training.best_epoch, "epochs": training.epoch},
        reproduced=reproduce.stored(arguments.model))
    splits = chosen.splits if arguments.split is None else arguments.split
    for made in measure(model, chosen, catalog, arguments.domain, arguments.setting, splits, made_with, arguments.limit):
        print(describe(made))
        print(rows.save(made, arguments.rows), flush=True)


def measure(model: Baseline, chosen: Kind, catalog: Catalog, domain: str, settings: Sequence[str], splits: Sequence[str],
            made_with: dict, limit: int | None = None) -> Iterator[SystemRows]:
    """Rank the stored lists of each setting and split, or the first ``limit`` of them; those that are empty are left out."""
    for setting in settings:
        for split in splits:
            examples = catalog.examples(domain, split, setting, limit)
            if not examples:
                continue
            lists = numbers.lists(model.data, examples, model.unknown_history)
            model.take_notes()  # of the validation lists
            made = scores(model, lists, partial(_say_ranked, setting, len(lists)) if chosen.is_on_backbone else _silent)
            made = made.astype(float)
            chances = np.exp(made - made.max(1, keepdims=True))
            chances /= chances.sum(1, keepdims=True)
            yield SystemRows(
                chosen.name, domain, split, setting, catalog.lists_sha256(domain, setting, split),
                catalog.cutting(domain, split, setting, limit), None,
                made_with | model.take_notes(),
                users=lists.users - 1, ranks=model.ranks(made, lists.targets),
                probabilities=chances[np.arange(len(lists)), lists.targets], positions=lists.targets, firsts=made.argmax(1))


def describe(made: SystemRows) -> str:
    """One line about rows: their means with 95% intervals."""
    intervals = {metric: Interval.of(METRICS[metric](made.ranks)) for metric in ("ndcg@1", "ndcg@3")}
    return f"{made.system}  {made.domain}  {made.setting} {made.split}  n {made.n}  " + "  ".join(
        f"{metric} {value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]" for metric, value in intervals.items())


def _say(progress: Progress, changes: dict | None = None) -> None:
    print(f"epoch {progress.epoch}  loss {progress.loss:.4f}  validation {progress.validation:.4f} "
          f"(best {progress.best:.4f} in {progress.best_epoch})  {progress.seconds:.0f} s" + (f"  {changes}" if changes else ""),
          flush=True)


def _silent(done: int) -> None:
    """Lists that take no time are not worth a line."""


def _say_ranked(setting: str, total: int, done: int) -> None:
    print(f"{setting}: ranked {done} of {total} lists", flush=True)


def _load(catalog: Catalog, domain: str, chosen: Kind) -> Interactions:
    data = numbers.load(catalog, domain)
    if not chosen.reads_titles:
        return data
    texts = torch.from_numpy(text.vectors([item.title for item in data.items]))
    return replace(data, texts=torch.nn.functional.pad(texts, (0, 0, 1, 0)))


def _validation(catalog: Catalog, domain: str, most: int) -> list[RankingExample]:
    found = catalog.examples(domain, "quick", "validation", most)
    if len(found) < most:
        found += catalog.examples(domain, "full", "validation", most - len(found))
    if not found:
        raise BadInput(f"domain '{domain}' has no validation lists to choose an epoch on")
    return found
