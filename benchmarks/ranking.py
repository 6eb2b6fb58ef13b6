"""What ranking, mixing and tuning cost, side by side with what one would use instead.

    python benchmarks/ranking.py

Every pair is timed in turn (A, B, A, B, …) in one process, with one dtype and the same threads; the figure is the
median of the pairwise ratios. Absolute times are this machine's alone.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import torch

from molorec import tuning
from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.mixture import adapters
from molorec.ranking.scorer import log_probabilities


def alternate(first: Callable[[], object], second: Callable[[], object], runs: int) -> tuple[float, float, float]:
    """(median seconds of first, of second, median of the pairwise ratios first ÷ second), after one warm-up."""
    first(), second()
    pairs = []
    for _ in range(runs):
        pairs.append((_seconds(first), _seconds(second)))
    return (statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs),
            statistics.median(a / b for a, b in pairs))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


class Bench:
    def __init__(self, runs: int):
        self.runs = runs
        self.catalog = Catalog()
        ensure_movielens(self.catalog)
        self.engine = Engine.start(catalog=self.catalog)
        self.model = self.engine.base.model
        self.mixture = self.engine.mixture("movielens-1m")
        examples = self.catalog.examples("movielens-1m", "quick", limit=100)
        trees = [self.engine.pack(self.mixture, example) for example in examples]
        by_extra = sorted(range(100), key=lambda i: len(trees[i].tokens) - trees[i].prompt_length)
        middle = by_extra[75]  # an example that needs more inner nodes than three of four do
        self.example, self.packed = examples[middle], trees[middle]
        self.prompt = self.packed.tokens[: self.packed.prompt_length]
        self.titles = self.engine.base.prompter.titles(self.example.candidates)

    def rank(self, lam: float = 0.5):
        with torch.inference_mode(), self.mixture.stack.at(lam):
            return log_probabilities(self.model, [self.packed])[0]

    def forward(self, mixed: bool):
        """One forward of the prompt with logits at the last position, the plainest thing a model does."""
        tokens = torch.tensor([self.prompt])
        with torch.inference_mode():
            if not mixed:
                return self.model(input_ids=tokens, use_cache=False, logits_to_keep=1).logits
            with self.mixture.stack.at(0.5):
                return self.model(input_ids=tokens, use_cache=False, logits_to_keep=1).logits

    def peft_model(self):
        """The same two adapters in PEFT, on a base of its own; PEFT keeps them in the base's dtype here."""
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        from molorec import backbone, config

        plain = AutoModelForCausalLM.from_pretrained(backbone.embedded_folder(config.profile()), dtype=self.engine.base.dtype)
        folder = Path(tempfile.mkdtemp())
        for adapter in self.mixture.adapters:
            adapters.save(adapter, folder / adapter.card.role, self.engine.base.name, self.engine.base.dtype)
        model = PeftModel.from_pretrained(plain, folder / "general", adapter_name="general", autocast_adapter_dtype=False)
        model.load_adapter(folder / "specific", adapter_name="specific", autocast_adapter_dtype=False)
        return model.eval()

    def remerge_and_generate(self, model) -> None:
        """A new λ the usual way: delete, merge again, generate exactly the tokens of five titles."""
        if "mixed" in model.peft_config:
            model.delete_adapter("mixed")
        model.add_weighted_adapter(["general", "specific"], [0.5, 0.5], "mixed", combination_type="linear")
        model.set_adapter("mixed")
        model.eval()
        count = sum(len(title) for title in self.titles[:5])
        with torch.inference_mode():
            model.generate(input_ids=torch.tensor([self.prompt]),
                           attention_mask=torch.ones(1, len(self.prompt), dtype=torch.long),
                           min_new_tokens=count, max_new_tokens=count, do_sample=False, pad_token_id=2)

    def cat_and_cache(self, model) -> torch.Tensor:
        """PEFT's exact `cat` merge, then 30 whole titles scored on one shared prompt cache."""
        if "mixed" in model.peft_config:
            model.delete_adapter("mixed")
        model.add_weighted_adapter(["general", "specific"], [0.5, 0.5], "mixed", combination_type="cat")
        model.set_adapter("mixed")
        model.eval()
        with torch.inference_mode():
            first = model(input_ids=torch.tensor([self.prompt]), use_cache=True, logits_to_keep=1)
            cache = first.past_key_values
            cache.batch_repeat_interleave(len(self.titles))
            longest = max(map(len, self.titles))
            rows = torch.tensor([[*title, *[0] * (longest - len(title))] for title in self.titles])
            logits = model(input_ids=rows, past_key_values=cache, use_cache=True).logits.float().log_softmax(-1)
            head = first.logits[0, -1].float().log_softmax(-1)
            scores = [head[title[0]] + sum(logits[i, j, token] for j, token in enumerate(title[1:]))
                      for i, title in enumerate(self.titles)]
        return torch.stack(scores)

    def tuning(self, forward_seconds: float, grid: bool) -> dict:
        """Tuning on 50 prompts, in seconds and in prompt forwards; with ``grid``, beside the best of 21 points."""
        examples = self.catalog.examples("movielens-1m", "tune", limit=50)
        started, first, last = time.perf_counter(), None, None
        for last in tuning.tune(self.engine, "movielens-1m", examples=examples):
            first = first or time.perf_counter() - started
        result = {"prompts": last.prompts, "nodes": len(last.curve), "forwards": last.forwards, "lam": last.lam,
                  "entropy": last.entropy, "seconds": last.seconds, "first_curve_seconds": first,
                  "prompt_forwards": last.seconds / forward_seconds}
        if grid:
            points = [i / 20 for i in range(21)]
            means = [statistics.mean(self.engine.rank(example, lam).entropy for example in examples) for lam in points]
            best = min(range(21), key=means.__getitem__)
            at_tuned = statistics.mean(self.engine.rank(example, last.lam).entropy for example in examples)
            result |= {"grid_lam": points[best], "grid_entropy": means[best], "entropy_at_tuned_lam_on_all": at_tuned}
        return result

    def report(self, grid: bool) -> dict:
        results: dict[str, object] = {"dtype": str(self.engine.base.dtype), "threads": torch.get_num_threads(),
                                      "prompt_tokens": len(self.prompt), "packed_tokens": len(self.packed.tokens)}
        a = alternate(self.rank, lambda: self.forward(True), self.runs)
        results["a: ranking 30 candidates ÷ one forward of the prompt"] = a
        results["b: mixture forward ÷ bare base forward"] = alternate(
            lambda: self.forward(True), lambda: self.forward(False), self.runs)
        peft = self.peft_model()
        results["c: PEFT merge and generate ÷ λ move"] = alternate(
            lambda: self.remerge_and_generate(peft), self.rank, max(3, self.runs // 4))
        results["d: PEFT cat and 30 titles on a cache ÷ λ move"] = alternate(
            lambda: self.cat_and_cache(peft), self.rank, max(3, self.runs // 4))
        writes = [_seconds(lambda: self.mixture.stack.at(0.3).__enter__()) for _ in range(self.runs)]
        results["e: writing λ alone (seconds)"] = statistics.median(writes)
        results["f: tuning"] = self.tuning(a[1], grid)
        return results


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--grid", action="store_true", help="also compare the tuned λ with a 21-point grid (minutes)")
    options.add_argument("--json", action="store_true")
    arguments = options.parse_args()
    results = Bench(arguments.runs).report(arguments.grid)
    if arguments.json:
        json.dump(results, sys.stdout)
        return
    for name, value in results.items():
        if isinstance(value, tuple):
            value = f"{value[2]:.3f}   ({value[0]:.4f} s against {value[1]:.4f} s)"
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
