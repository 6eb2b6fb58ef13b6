"""The command line that the training scripts share."""

import argparse
import io
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import asdict, fields
from pathlib import Path

from molorec import backbone, config, precision, titles
from molorec.catalog import Catalog, RankingExample
from molorec.errors import BadInput, MolorecError, check_least
from molorec.mixture import adapters
from molorec.mixture.card import SECOND_ROUND, Card
from molorec.options import Help, add_recipe
from molorec.prompts import TEMPLATES, template
from molorec.training import distributed
from molorec.training.dataset import load_domain
from molorec.training.distributed import Workers
from molorec.training.loop import NEGATIVE_SAMPLING, WITHOUT, Progress, Recipe, Training
from molorec.training.objectives import OBJECTIVES
from molorec.wording import percent

VALIDATION_LISTS = 100


def parser(description: str) -> argparse.ArgumentParser:
    """Options of every training script: where to, from what, and one for each field of :class:`Recipe`."""
    options = argparse.ArgumentParser(description=description, formatter_class=Help)
    options.add_argument("--out", type=Path, help="folder for checkpoints and the adapter (default: in MOLOREC_HOME)")
    options.add_argument("--init-from", type=Path, help="adapter folder to start from instead of a fresh one")
    options.add_argument("--base", help="folder or hub id of the base model (default: the profile's)")
    options.add_argument("--profile", choices=list(config.PROFILES), help="base model profile")
    options.add_argument("--precision", choices=precision.PRECISIONS, help="of the base model's weights (default: the profile's)")
    options.add_argument("--validation-lists", type=int, default=VALIDATION_LISTS,
                         help="lists on which the checkpoint is chosen")
    options.add_argument("--micro-rows", type=int, help="rows of one forward, for less memory: the batch's --rows are gone "
                         "through in parts (default: as many parts as processes)")
    options.add_argument("--checkpointing", action="store_true",
                         help="compute activations twice instead of keeping them, for much less memory and a third more time")
    options.add_argument("--threads", type=int, help="CPU threads (one a training is best when two run side by side)")
    options.add_argument("--progress-json", action="store_true",
                         help="for a program that runs this: each step as a line of JSON on stdout, at low priority; "
                         "when stdin ends, write a checkpoint and stop")
    choices = {"template": list(TEMPLATES), "objective": list(OBJECTIVES), "negatives": list(NEGATIVE_SAMPLING)}
    add_recipe(options, Recipe, choices, defaults=True)
    return options


def train(arguments: argparse.Namespace, *, role: str, domain: str, names: Sequence[str], shares: Sequence[float],
          targets: Sequence[str], share: float = 1.0) -> None:
    """Train one adapter on the catalogue's domains ``names`` and print its folder.

    Parameters
    ----------
    targets : domains whose titles are removed from the training data.
    share : of each domain's training users.
    """
    import torch

    stopped = _until_stdin_ends() if arguments.progress_json else threading.Event()
    if role == SECOND_ROUND and arguments.init_from is None:
        raise BadInput("--second-round trains a general adapter on; say which with --init-from")
    check_least(1, threads=arguments.threads)
    if not all(math.isfinite(share) and share > 0 for share in shares):
        raise BadInput(f"--shares are {' '.join(map(str, shares))}; give numbers above 0")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with distributed.join() as workers, nullcontext() if workers.is_first else redirect_stdout(io.StringIO()):
        training = _training(arguments, workers, role, domain, names, shares, targets, share)
        # processes that were interrupted between different steps would wait for each other
        with _interrupted_between_steps(stopped) if workers.count == 1 else nullcontext():
            for progress in training.run():
                if arguments.progress_json:
                    try:
                        print(json.dumps(asdict(progress)), flush=True)
                    except BrokenPipeError:  # the program that runs this one is gone
                        stopped.set()
                elif progress.validation is not None or progress.step % 20 == 0 or progress.step == 1:
                    print(describe(progress), flush=True)
                if stopped.is_set() and progress.step < progress.steps:
                    training.checkpoint()
                    raise KeyboardInterrupt(f"the same command goes on after step {progress.step}")
        print(training.folder / "best")


def _training(arguments: argparse.Namespace, workers: Workers, role: str, domain: str, names: Sequence[str],
              shares: Sequence[float], targets: Sequence[str], share: float) -> Training:
    recipe = Recipe(**{field.name: getattr(arguments, field.name) for field in fields(Recipe)})
    style = template(recipe.template)
    smoothing = recipe.smoothing if recipe.objective == "listwise" and not style.listed else 0.0
    catalog = Catalog()
    infos = [catalog.domain(name) for name in names]  # before a model is loaded for nothing
    base = backbone.load(arguments.base, config.profile(arguments.profile), arguments.precision)
    forms: set[str] = set().union(*(catalog.normal_forms(target) for target in targets))
    loaded = [load_domain(catalog, name, base.prompter, smoothing=smoothing, recent=recipe.recent,
                          negatives=recipe.negatives, without_forms=forms, share=share) for name in names]
    facts = {data.name: f"{len(data.sequences)} users, {len(data.items)} items, "
             f"{sum(map(len, data.sequences))} events" + (f", {percent(share)} of the users" if share < 1 else "")
             + (f", {removed} titles of target domains removed" if removed else "")
             for data, removed in loaded}
    for name, fact in facts.items():
        print(f"{name}: {fact}", flush=True)
    card = Card(
        role=role, domain=domain, base=base.name, base_revision=base.revision, base_sha256=base.sha256,
        template=style.name, noun=infos[0].noun, tokenizer=base.prompter.fingerprint(),
        objective=recipe.objective
        + (f", {recipe.negatives} negatives" if recipe.objective == "listwise" and not style.listed else "")
        + (f", {recipe.calibration:g} of each label from the base model less its mean, tempered" if recipe.calibration else "")
        + (", free text kept" if recipe.replay else "")
        + (f", labels smoothed {smoothing:g} by transition counts" if smoothing else ""),
        data=facts, data_terms="; ".join(sorted({info.terms for info in infos if info.terms})), share=share)
    if targets:
        card.data[WITHOUT] = ", ".join(targets)
    name = domain + (f"-share-{share:g}" if share < 1 else "") + (f"-{role}" if role == SECOND_ROUND else "")
    folder = arguments.out or config.home() / "training" / base.name.rpartition("/")[2] / name
    start = None
    if arguments.init_from:
        start = adapters.read(arguments.init_from, base.shapes, base.sha256, base.prompter.fingerprint())
        if role == SECOND_ROUND:
            card.data["second round"] = f"on top of adapter '{start.name}', {start.sha256[:12]}"
    return Training(base, [data for data, _ in loaded], shares, style, recipe, folder, card,
                    _validation(catalog, names, arguments.validation_lists, forms), start,
                    arguments.micro_rows, arguments.checkpointing, workers)


def describe(progress: Progress) -> str:
    """One line about a training step."""
    left = (progress.steps - progress.step) * progress.seconds / progress.step
    line = (f"step {progress.step}/{progress.steps}  loss {progress.loss:.3f}  labels {progress.labels}  "
            f"{progress.tokens_per_second:.0f} tokens/s  {left / 60:.0f} min left")
    if progress.validation is not None:
        line += f"  validation {progress.validation:.4f} (best {progress.best:.4f})"
    return line


def main(run) -> None:
    """Run a script's function; a problem that the user can mend is one line, not a trace."""
    try:
        run()
    except MolorecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that cannot be written
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        kept = str(stop) or "the same command goes on from the last checkpoint, or begins anew if none was written yet"
        print(f"stopped; {kept}", file=sys.stderr)
        sys.exit(130)


@contextmanager
def _interrupted_between_steps(stopped: threading.Event) -> Iterator[None]:
    """The first Ctrl-C sets ``stopped``, for a checkpoint is of whole steps; the second one ends everything at once."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # whoever starts this has other ideas
        yield
        return

    def stop(*_) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(OSError):  # not `print`, which this may have interrupted
            os.write(2, b"stopping after this step; Ctrl-C again ends it at once, without a checkpoint\n")

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _until_stdin_ends() -> threading.Event:
    """Set once stdin is at its end: the program that runs this one closed it, or is gone."""
    ended = threading.Event()

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        ended.set()

    if hasattr(os, "nice"):
        os.nice(10)
    threading.Thread(target=wait, daemon=True).start()
    return ended


def _validation(catalog: Catalog, names: Sequence[str], n: int, forms: set[str]) -> list[RankingExample]:
    """At most ``n`` validation lists, evenly from all domains; none whose target is one of ``forms``."""
    check_least(0, validation_lists=n)
    found, (share, rest) = [], divmod(n, len(names))
    for place, name in enumerate(names):
        examples = catalog.examples(name, "quick", "validation")
        fitting = [example for example in examples if titles.normalise(example.target.title) not in forms]
        found.extend(fitting[: share + (place < rest)])
    return found
