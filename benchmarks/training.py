"""Training throughput beside what one would use instead: PEFT and transformers' Trainer.

    python benchmarks/training.py --threads 1

The same base, the same LoRA shape and the same token rows; a few steps of one, a few of the other, and so on in one process.
The figure is the median of the ratios of tokens a second. The Trainer learns the plain language-model loss, the only one it
has; ours is timed with that (over titles alone) and with the listwise loss of the adapters that ship.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from molorec import backbone, config
from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.mixture import adapters
from molorec.mixture.card import Card
from molorec.prompts import template
from molorec.training.dataset import WindowSampler, load_domain
from molorec.training.loop import Recipe, Training

DOMAIN = "movielens-1m"
SKIPPED = 2  # steps of each stretch that are not timed: memory is still being laid out


class Rows(Dataset):
    """The token rows that our own training sees, as the Trainer takes them: padded, padding without a label."""

    def __init__(self, tokens: list[torch.Tensor]):
        self.rows = [row for batch in tokens for row in batch]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        row = self.rows[place]
        return {"input_ids": row, "labels": torch.where(row == 0, -100, row)}


class Clock(TrainerCallback):
    """Seconds at the end of each step."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_, **__) -> None:
        self.ends.append(time.perf_counter())


class Bench:
    def __init__(self, steps: int, rows: int, length: int):
        catalog = Catalog()
        ensure_movielens(catalog)
        self.steps, self.folder = steps, Path(tempfile.mkdtemp())
        self.base = backbone.load()
        self.recipe = Recipe(steps=10**6, rows=rows, length=length)
        self.data = {objective: load_domain(catalog, DOMAIN, self.base.prompter, smoothing=smoothing)[0]
                     for objective, smoothing in (("listwise", self.recipe.smoothing), ("lm", 0.0))}
        self.ours = {objective: self._ours(objective) for objective in self.data}
        self.peft = get_peft_model(
            AutoModelForCausalLM.from_pretrained(backbone.embedded_folder(config.EMBEDDED), dtype=self.base.dtype),
            LoraConfig(r=adapters.RANK, lora_alpha=adapters.ALPHA, lora_dropout=adapters.DROPOUT, target_modules="all-linear",
                       task_type="CAUSAL_LM"))

    def _ours(self, objective: str) -> Iterator:
        card = Card("specific", DOMAIN, "", "", "", "open", "films", "", objective)
        training = Training(self.base, [self.data[objective]], [1.0], template("open"), replace(self.recipe, objective=objective),
                            self.folder / objective, card)
        return training.run(checkpoint_every_seconds=1e9)

    def timed(self, objective: str) -> float:
        """Tokens a second of our next steps."""
        ends = []
        for _ in range(self.steps + SKIPPED):
            next(self.ours[objective])
            ends.append(time.perf_counter())
        return self._rate(ends)

    def timed_trainer(self) -> float:
        """Tokens a second of as many steps of PEFT and the Trainer."""
        count = self.steps + SKIPPED
        draw = WindowSampler([self.data["lm"]], [1.0], template("open"), "lm", self.recipe.rows, self.recipe.length, 0)
        batches = [draw.batch(step).tokens for step in range(count)]
        longest = max(batch.shape[1] for batch in batches)
        padded = [torch.nn.functional.pad(batch, (0, longest - batch.shape[1])) for batch in batches]
        clock = Clock()
        settings = TrainingArguments(
            output_dir=str(self.folder / "trainer"), per_device_train_batch_size=self.recipe.rows, max_steps=count,
            use_cpu=not torch.cuda.is_available(), bf16=self.base.dtype == torch.bfloat16, report_to=[], save_strategy="no",
            logging_strategy="no", disable_tqdm=True, optim="adamw_torch")
        Trainer(self.peft, settings, train_dataset=Rows(padded), callbacks=[clock]).train()
        return self._rate(clock.ends)

    def _rate(self, ends: list[float]) -> float:
        return self.recipe.rows * self.recipe.length * (len(ends) - SKIPPED) / (ends[-1] - ends[SKIPPED - 1])

    def report(self, rounds: int) -> dict:
        found: dict[str, list[float]] = {"PEFT and Trainer": [], "ours, lm": [], "ours, listwise": []}
        for _ in range(rounds):
            found["PEFT and Trainer"].append(self.timed_trainer())
            found["ours, lm"].append(self.timed("lm"))
            found["ours, listwise"].append(self.timed("listwise"))
        plain = found["PEFT and Trainer"]
        return {"dtype": str(self.base.dtype), "threads": torch.get_num_threads(), "rows": self.recipe.rows,
                "length": self.recipe.length,
                "tokens a second": {name: statistics.median(rates) for name, rates in found.items()},
                "ratio to PEFT and Trainer": {name: statistics.median(a / b for a, b in zip(rates, plain, strict=True))
                                              for name, rates in found.items()}}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--steps", type=int, default=6, help="timed steps of each stretch")
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--rows", type=int, default=8)
    options.add_argument("--length", type=int, default=160)
    options.add_argument("--threads", type=int)
    arguments = options.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    json.dump(Bench(arguments.steps, arguments.rows, arguments.length).report(arguments.rounds), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
