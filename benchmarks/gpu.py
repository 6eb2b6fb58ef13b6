"""What ranking, sweeping, tuning and training cost at the real shape of Qwen2-7B, with random weights, as one table.

    python benchmarks/gpu.py                   # all figures, in 4 bits and in bfloat16; a GPU of 80 GB
    python benchmarks/gpu.py --shape pico      # a dry run of the same code on any processor

Time and memory do not depend on what the weights are, so nothing is downloaded: the model, the tokenizer, the titles (about
nine tokens each) and the people are made on the spot. Ratios are taken in one process, in turn. Each part is said as soon as
it is measured, as a line of JSON; the table comes at the end.
"""

import argparse
import gc
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from torch.profiler import ProfilerActivity, profile
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Qwen2Config,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from molorec import backbone, landscape, precision, tuning
from molorec.backends import Writing
from molorec.catalog import Catalog, SourceData, prepare
from molorec.engine import Engine
from molorec.errors import MolorecError, is_out_of_memory
from molorec.mixture import adapters
from molorec.mixture.adapters import Adapter
from molorec.mixture.card import Card
from molorec.prompts import template
from molorec.training.dataset import load_domain
from molorec.training.loop import Recipe, Training

SHAPES = {
    "7b": {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
           "num_attention_heads": 28, "num_key_value_heads": 4},
    "pico": {"vocab_size": 2048, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2}}
DOMAIN, WORDS, ITEMS, USERS, EVENTS = "bench", 1200, 500, 400, 14
REASON = 32  # tokens
SKIPPED = 2  # steps of each stretch of training that are not timed: memory is still being laid out
ROUNDS = 2  # stretches of ours and of theirs, in turn


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, one for a line break."""
    vocabulary = {word: i for i, word in enumerate(["<end>", "\n", "?", *(f"w{n}" for n in range(WORDS))])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")


def catalog(folder: Path) -> Catalog:
    """People who chose titles of six to twelve words."""
    rng = random.Random(0)
    titles = {f"i{n}": " ".join(f"w{rng.randrange(WORDS)}" for _ in range(rng.randint(6, 12))) for n in range(ITEMS)}
    events = [(f"u{user}", item, float(place)) for user in range(USERS)
              for place, item in enumerate(rng.sample(sorted(titles), EVENTS))]
    made = Catalog(folder / "catalog.db")
    made.add_domain(prepare(DOMAIN, SourceData(titles, events)), noun="items", source="made up")
    return made


def model(shape: str, held_in: str, device: torch.device) -> nn.Module:
    """A causal language model with random weights at a precision, made on the device."""
    dtype = precision.compute_dtype(held_in)
    with torch.device(device):
        made = AutoModelForCausalLM.from_config(Qwen2Config(**SHAPES[shape], max_position_embeddings=4096), dtype=dtype)
    if held_in == "nf4":
        from bitsandbytes.nn import Linear4bit, Params4bit

        for path, linear in [(path, module) for path, module in made.named_modules() if isinstance(module, nn.Linear)]:
            if linear is made.get_output_embeddings():
                continue
            packed = Linear4bit(linear.in_features, linear.out_features, linear.bias is not None, compute_dtype=dtype,
                                compress_statistics=True, quant_type="nf4", quant_storage=torch.uint8, device="meta")
            packed.weight = Params4bit(linear.weight.data.cpu(), requires_grad=False, compress_statistics=True, quant_type="nf4",
                                       quant_storage=torch.uint8, module=packed)
            packed.bias, packed.support_avx512bf16_for_cpu = linear.bias, False
            parent, _, name = path.rpartition(".")
            setattr(made.get_submodule(parent), name, packed)
            packed.weight = packed.weight.to(device)
            del linear
    return made


class Clock:
    """Seconds of a call, the device's queue emptied before and after."""

    def __init__(self, device: torch.device):
        self.device = device

    def __call__(self, work: Callable[[], object]) -> float:
        self.settle()
        started = time.perf_counter()
        work()
        self.settle()
        return time.perf_counter() - started

    def settle(self) -> None:
        """Wait until the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Ends(TrainerCallback):
    """The time at the end of each of a Trainer's steps."""

    def __init__(self, clock: Clock):
        self.clock, self.ends = clock, []

    def on_step_end(self, *_, **__) -> None:
        self.clock.settle()
        self.ends.append(time.perf_counter())


class Bench:
    """A model at a precision with two adapters, and everything that is measured on it.

    Parameters
    ----------
    runs : timed rankings; what takes longer is timed a quarter as often.
    rows, length : of a training step; fewer rows where memory does not allow so many.
    """

    def __init__(self, shape: str, held_in: str, runs: int, rows: int, length: int):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.clock, self.runs, self.few = Clock(self.device), runs, max(2, runs // 4)
        self.shape, self.held_in, self.rows, self.length = shape, held_in, rows, length
        self.work = tempfile.TemporaryDirectory(prefix="molorec-bench-")
        self.folder = Path(self.work.name)
        self.catalog = catalog(self.folder)
        self.base = backbone.wrap(model(shape, held_in, self.device), tokenizer(), shape, "random", "random", held_in)
        for seed, (name, role) in enumerate((("general", "general"), (DOMAIN, "specific"))):
            generator = torch.Generator().manual_seed(seed)
            fresh = adapters.new(self.base.shapes)
            card = Card(role, name, shape, "random", "random", "listed", "items", self.base.prompter.fingerprint(), "none")
            factors = {path: (a, torch.randn(b.shape, generator=generator) * 0.01) for path, (a, b) in fresh.factors.items()}
            adapters.save(Adapter(factors, fresh.rank, fresh.alpha, card), self.folder / "adapters" / name)
        self.engine = Engine(self.base, self.catalog, [self.folder / "adapters"])
        self.mixture = self.engine.mixture(DOMAIN)
        self.examples = self.catalog.examples(DOMAIN, "quick", limit=60)
        self.lams = iter((i + 0.5) / 10_000 for i in range(10_000))  # a fresh one each time: nothing is remembered

    def parts(self) -> dict[str, Callable[[], dict]]:
        """What is measured, by name."""
        return {"ranking": self.ranking, "sweep": self.sweep, "tuning": self.tuning, "writing": self.writing,
                "merge and generate": self.merge_and_generate, "training": lambda: self.training(False),
                "training, checkpointing": lambda: self.training(True)}

    def rank(self) -> None:
        self.engine.rank(self.examples[0], next(self.lams))

    def ranking(self) -> dict:
        """30 candidates in a prompt that lists them."""
        self.rank()
        seconds = statistics.median(self.clock(self.rank) for _ in range(self.runs))
        packed = self.engine.pack(self.mixture, self.examples[0])
        return {"seconds": seconds, "busy": self.busy(self.rank, seconds), "prompt tokens": packed.prompt_length,
                "tokens": len(packed.tokens)}

    def sweep(self) -> dict:
        """21 λ of one list."""
        seconds = [self.clock(lambda example=example: list(landscape.sweep(self.engine, example)))
                   for example in self.examples[1 : 2 + self.few]]
        return {"seconds": statistics.median(seconds[1:])}

    def tuning(self) -> dict:
        """λ by entropy on 50 prompts, to its end."""
        found = []
        unlabelled = [example.unlabelled() for example in self.examples[-50:]]
        seconds = self.clock(lambda: found.extend(tuning.tune(self.engine, DOMAIN, examples=unlabelled)))
        return {"seconds": seconds, "prompts": found[-1].prompts, "forwards": found[-1].forwards}

    def writing(self) -> dict:
        """A reason, one token after another."""
        prompt = self.engine.pack(self.mixture, self.examples[0]).tokens
        how = Writing(REASON, REASON, frozenset({0}), [], 0.0)

        def write() -> None:
            for _ in self.engine.write(self.mixture, prompt, 0.5, "sum", how):
                pass

        write()
        seconds = statistics.median(self.clock(write) for _ in range(self.few))
        return {"tokens a second": REASON / seconds, "busy": self.busy(write, seconds)}

    def merge_and_generate(self) -> dict:
        """The usual way to a new λ, PEFT's merge and five generated titles, beside moving λ here."""
        plain = model(self.shape, self.held_in, self.device)
        peft = PeftModel.from_pretrained(plain, self.folder / "adapters" / "general", adapter_name="general")
        peft.load_adapter(self.folder / "adapters" / DOMAIN, adapter_name="specific")
        example = self.examples[0]
        prompt = torch.tensor([self.base.prompter.ranking(example, self.mixture.template, self.mixture.noun)],
                              device=self.device)
        count = sum(len(title) for title in self.base.prompter.titles(example.candidates)[:5])

        def usual() -> None:
            if "mixed" in peft.peft_config:
                peft.delete_adapter("mixed")
            peft.add_weighted_adapter(["general", "specific"], [0.5, 0.5], "mixed", combination_type="linear")
            peft.set_adapter("mixed")
            peft.eval()  # a new adapter is in train mode
            with torch.inference_mode():
                peft.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), min_new_tokens=count,
                              max_new_tokens=count, do_sample=False, pad_token_id=0)

        usual()
        pairs = [(self.clock(usual), self.clock(self.rank)) for _ in range(self.few)]
        return {"theirs, seconds": statistics.median(a for a, _ in pairs),
                "ours, seconds": statistics.median(b for _, b in pairs),
                "ratio": statistics.median(a / b for a, b in pairs), "generated tokens": count}

    def training(self, checkpointing: bool) -> dict:
        """The paper's recipe (template `listed`, plain language-model loss) beside PEFT and the Trainer on the same rows.

        Both of as many rows as both have memory for: the rows asked for, or a half of them, and so on.
        """
        rows = self.rows
        while True:
            try:
                return self._training(rows, checkpointing)
            except (torch.OutOfMemoryError, MolorecError) as error:  # the training says it in words
                if rows == 1 or not is_out_of_memory(error.__cause__ or error):
                    raise
            rows //= 2
            self.forget_peak()

    def _training(self, rows: int, checkpointing: bool) -> dict:
        data = load_domain(self.catalog, DOMAIN, self.base.prompter, smoothing=0.0)[0]
        recipe = Recipe(template="listed", objective="lm", steps=10**6, rows=rows, length=self.length)
        card = Card("specific", DOMAIN, "", "", "", "listed", "items", "", "lm")
        training = Training(self.base, [data], [1.0], template("listed"), recipe,
                            self.folder / f"training-{rows}-{checkpointing}", card, checkpointing=checkpointing)
        steps = training.run(checkpoint_every_seconds=1e9)
        self.forget_peak()
        ours, peak = [self._our_step(steps)], self.peak()  # before theirs takes a share of the memory
        batches = [training.sampler.batch(step).tokens for step in range(SKIPPED + self.few)]
        peft = get_peft_model(model(self.shape, self.held_in, self.device), LoraConfig(
            r=adapters.RANK, lora_alpha=adapters.ALPHA, lora_dropout=adapters.DROPOUT, target_modules="all-linear",
            task_type="CAUSAL_LM"))
        if checkpointing:
            peft.enable_input_require_grads()
        theirs = [self._their_step(peft, batches, checkpointing)]
        while len(ours) < ROUNDS:
            ours.append(self._our_step(steps))
            theirs.append(self._their_step(peft, batches, checkpointing))
        tokens = rows * self.length
        return {"ours, tokens a second": tokens / statistics.median(ours), "GB": peak,
                "theirs, tokens a second": tokens / statistics.median(theirs),
                "ratio": statistics.median(b / a for a, b in zip(ours, theirs, strict=True)), "rows": rows, "length": self.length}

    def _our_step(self, steps: Iterator) -> float:
        return statistics.median([self.clock(lambda: next(steps)) for _ in range(SKIPPED + self.few)][SKIPPED:])

    def _their_step(self, peft: nn.Module, batches: list[torch.Tensor], checkpointing: bool) -> float:
        """Seconds of a step of the Trainer, which learns from every token that is no padding."""
        rows = [{"input_ids": row, "labels": torch.where(row == 0, -100, row)} for batch in batches for row in batch]
        ends = Ends(self.clock)
        settings = TrainingArguments(
            output_dir=str(self.folder / "trainer"), per_device_train_batch_size=len(batches[0]), max_steps=len(batches),
            bf16=self.base.dtype == torch.bfloat16, use_cpu=self.device.type == "cpu", save_strategy="no", logging_strategy="no",
            report_to=[], disable_tqdm=True, gradient_checkpointing=checkpointing)
        trainer = Trainer(peft, settings, train_dataset=rows, callbacks=[ends])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return statistics.median(b - a for a, b in zip(ends.ends[SKIPPED - 1 :], ends.ends[SKIPPED:], strict=False))

    def busy(self, work: Callable[[], object], seconds: float) -> float | None:
        """The share of a call's time in which the GPU computes; CUDA graphs or compiling could win the rest at most."""
        if self.device.type != "cuda":
            return None
        with profile(activities=[ProfilerActivity.CUDA]) as found:
            self.clock(work)
        return sum(event.self_device_time_total for event in found.key_averages()) / 1e6 / seconds

    def forget_peak(self) -> None:
        """Give back what nothing holds any more, and count from here."""
        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float | None:
        """The most memory that was in use since :meth:`forget_peak`, in GB; None on a processor."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.device.type == "cuda" else None


# figure, part, its value, times, what it is to be
FIGURES = (
    ("ranking 30 candidates, ms", "ranking", "seconds", 1000, "≤ 150"),
    ("sweep of 21 λ, s", "sweep", "seconds", 1, "≤ 1.5"),
    ("tuning on 50 prompts, s", "tuning", "seconds", 1, "≤ 15"),
    ("memory while ranking, GB", "ranking", "GB", 1, "≤ 9 (nf4)"),
    ("memory while sweeping, GB", "sweep", "GB", 1, "≤ 9 (nf4)"),
    ("memory while tuning, GB", "tuning", "GB", 1, "≤ 9 (nf4)"),
    ("PEFT's merge and five generated titles ÷ λ move", "merge and generate", "ratio", 1, "≥ 25"),
    ("training, tokens/s", "training", "ours, tokens a second", 1, ""),
    ("the same ÷ PEFT and Trainer", "training", "ratio", 1, "≥ 1.5"),
    ("its memory, GB", "training", "GB", 1, ""),
    ("training with checkpointing, tokens/s", "training, checkpointing", "ours, tokens a second", 1, ""),
    ("the same ÷ PEFT and Trainer", "training, checkpointing", "ratio", 1, "≥ 1.5"),
    ("its memory, GB", "training, checkpointing", "GB", 1, ""),
    ("writing a reason, tokens/s", "writing", "tokens a second", 1, ""),
    ("GPU busy while ranking, %", "ranking", "busy", 100, ""),
    ("GPU busy while writing, %", "writing", "busy", 100, ""),
)


def table(found: Mapping[str, Mapping[str, dict]]) -> str:
    """Every figure as a line of a Markdown table; ``found``: precision → part → what was measured."""
    lines = ["| figure | aimed at | " + " | ".join(found) + " |", "|---" * (2 + len(found)) + "|"]
    for figure, part, value, times, aim in FIGURES:
        cells = []
        for parts in found.values():
            measured = parts.get(part, {})
            number = measured.get(value)
            cells.append("failed" if "failed" in measured else "not measured" if number is None else
                         f"{number * times:.0f}" if number * times >= 100 else f"{number * times:.3g}")
        lines.append(f"| {figure} | {aim} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shape", choices=list(SHAPES), default="7b")
    options.add_argument("--precision", choices=precision.PRECISIONS, nargs="+", default=["nf4", "bfloat16"])
    options.add_argument("--runs", type=int, default=12)
    options.add_argument("--rows", type=int, default=8, help="of a training step; fewer where memory does not allow so many")
    options.add_argument("--length", type=int, default=640, help="of its rows, in tokens")
    options.add_argument("--skip", nargs="*", default=[], help="parts to leave out")
    arguments = options.parse_args(argv)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(json.dumps({"device": device, "shape": arguments.shape, "torch": torch.__version__}))
    found: dict[str, dict[str, dict]] = {}
    for held_in in arguments.precision:
        bench = Bench(arguments.shape, held_in, arguments.runs, arguments.rows, arguments.length)
        found[held_in] = {}
        for name, part in bench.parts().items():
            if name in arguments.skip:
                continue
            bench.forget_peak()
            try:
                measured = part()
            except (RuntimeError, MolorecError) as error:
                measured = {"failed": str(error).splitlines()[0]}
            measured.setdefault("GB", bench.peak())
            found[held_in][name] = measured
            print(json.dumps({"precision": held_in, name: measured}), flush=True)
        del bench, part  # the next one's first part finds their memory free
    print(f"\n{device}, {arguments.shape}\n\n{table(found)}")


if __name__ == "__main__":
    main()
