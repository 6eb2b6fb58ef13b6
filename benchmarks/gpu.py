"""What ranking, sweeping, tuning and training cost at the real shape of Qwen2-7B, with random weights.

    python benchmarks/gpu.py --precision nf4
    python benchmarks/gpu.py --precision bfloat16
    python benchmarks/gpu.py --shape pico --precision nf4     # a dry run of the same code on any processor

Time and memory do not depend on what the weights are, so nothing is downloaded: the model, the tokenizer, the titles (about
nine tokens each) and the people are made on the spot. Ratios are taken in one process, in turn.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Trainer, TrainingArguments

from molorec import backbone, landscape, precision, tuning
from molorec.catalog import Catalog, SourceData, prepare
from molorec.engine import Engine
from molorec.mixture import adapters
from molorec.mixture.adapters import Adapter, Card
from molorec.prompts import template
from molorec.training.dataset import load_domain
from molorec.training.loop import Recipe, Training

SHAPES = {
    "7b": {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
           "num_attention_heads": 28, "num_key_value_heads": 4},
    "pico": {"vocab_size": 2048, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2}}
DOMAIN, WORDS, ITEMS, USERS, EVENTS = "bench", 1200, 500, 400, 14


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
        self._settle()
        started = time.perf_counter()
        work()
        self._settle()
        return time.perf_counter() - started

    def _settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Bench:
    def __init__(self, shape: str, held_in: str, runs: int):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.clock, self.runs, self.few = Clock(self.device), runs, max(3, runs // 4)
        self.shape, self.held_in = shape, held_in
        self.folder = Path(tempfile.mkdtemp())
        self.catalog = catalog(self.folder)
        self._forget_peak()
        self.base = backbone.wrap(model(shape, held_in, self.device), tokenizer(), shape, "random", "random", held_in)
        for seed, (name, role) in enumerate((("general", "general"), (DOMAIN, "specific"))):
            generator = torch.Generator().manual_seed(seed)
            fresh = adapters.new(self.base.shapes)
            card = Card(role, name, shape, "random", "random", "listed", "items", self.base.prompter.fingerprint(), "none")
            factors = {path: (a, torch.randn(b.shape, generator=generator) * 0.01) for path, (a, b) in fresh.factors.items()}
            adapters.save(Adapter(factors, fresh.rank, fresh.alpha, card), self.folder / "adapters" / name)
        self.engine = Engine(self.base, self.catalog, [self.folder / "adapters"])
        self.examples = self.catalog.examples(DOMAIN, "quick", limit=60)

    def ranking(self) -> dict:
        """30 candidates in a prompt that lists them, a fresh λ each time."""
        self.engine.rank(self.examples[0], 0.5)
        seconds = [self.clock(lambda lam=lam: self.engine.rank(self.examples[0], lam))
                   for lam in ((i + 1) / (self.runs + 2) for i in range(self.runs))]
        packed = self.engine.pack(self.engine.mixture(DOMAIN), self.examples[0])
        return {"seconds": statistics.median(seconds), "prompt tokens": packed.prompt_length, "tokens": len(packed.tokens)}

    def sweep(self) -> dict:
        """21 λ of one list."""
        seconds = [self.clock(lambda example=example: list(landscape.sweep(self.engine, example)))
                   for example in self.examples[1 : 1 + self.few]]
        return {"seconds": statistics.median(seconds)}

    def tuning(self) -> dict:
        """λ by entropy on 50 prompts, to its end."""
        found = []
        unlabelled = [example.unlabelled() for example in self.examples[-50:]]
        seconds = self.clock(lambda: found.extend(tuning.tune(self.engine, DOMAIN, examples=unlabelled)))
        return {"seconds": seconds, "prompts": found[-1].prompts, "forwards": found[-1].forwards}

    def merge_and_generate(self) -> dict:
        """The usual way to a new λ, PEFT's merge and five generated titles, beside moving λ here."""
        plain = model(self.shape, self.held_in, self.device)
        from peft import PeftModel

        peft = PeftModel.from_pretrained(plain, self.folder / "adapters" / "general", adapter_name="general")
        peft.load_adapter(self.folder / "adapters" / DOMAIN, adapter_name="specific")
        peft.eval()
        mixture = self.engine.mixture(DOMAIN)
        example = self.examples[0]
        prompt = torch.tensor([self.base.prompter.ranking(example, mixture.template, mixture.noun)], device=self.device)
        count = sum(len(title) for title in self.base.prompter.titles(example.candidates)[:5])

        def usual() -> None:
            if "mixed" in peft.peft_config:
                peft.delete_adapter("mixed")
            peft.add_weighted_adapter(["general", "specific"], [0.5, 0.5], "mixed", combination_type="linear")
            peft.set_adapter("mixed")
            with torch.inference_mode():
                peft.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), min_new_tokens=count,
                              max_new_tokens=count, do_sample=False, pad_token_id=0)

        lams = iter((i + 0.5) / 1000 for i in range(1000))
        usual()
        pairs = [(self.clock(usual), self.clock(lambda: self.engine.rank(example, next(lams)))) for _ in range(self.few)]
        return {"seconds": statistics.median(a for a, _ in pairs), "ours": statistics.median(b for _, b in pairs),
                "ratio": statistics.median(a / b for a, b in pairs), "generated tokens": count}

    def training(self, rows: int, length: int, checkpointing: bool) -> dict:
        """Tokens a second of steps of the paper's recipe (template `listed`, plain language-model loss)."""
        data = load_domain(self.catalog, DOMAIN, self.base.prompter, smoothing=0.0)[0]
        recipe = Recipe(template="listed", objective="lm", steps=10**6, rows=rows, length=length)
        card = Card("specific", DOMAIN, "", "", "", "listed", "items", "", "lm")
        steps: Iterator = Training(
            self.base, [data], [1.0], template("listed"), recipe, self.folder / f"training-{checkpointing}", card,
            checkpointing=checkpointing).run(checkpoint_every_seconds=1e9)
        next(steps), next(steps)
        self._forget_peak()
        seconds = statistics.median(self.clock(lambda: next(steps)) for _ in range(self.few))
        return {"tokens a second": rows * length / seconds, "GiB": self._peak(), "rows": rows, "length": length,
                "checkpointing": checkpointing}

    def trainer(self, rows: int, length: int, checkpointing: bool) -> dict:
        """The same by PEFT and the Trainer."""
        peft = get_peft_model(model(self.shape, self.held_in, self.device), LoraConfig(
            r=adapters.RANK, lora_alpha=adapters.ALPHA, lora_dropout=adapters.DROPOUT, target_modules="all-linear",
            task_type="CAUSAL_LM"))
        if checkpointing:
            peft.enable_input_require_grads()
        generator, count = torch.Generator().manual_seed(0), 2 + self.few
        tokens = torch.randint(3, WORDS, (rows * count, length), generator=generator)
        ends: list[float] = []

        from transformers import TrainerCallback

        class Ends(TrainerCallback):
            def on_step_end(inner, *_, **__) -> None:
                self.clock._settle()
                ends.append(time.perf_counter())

        settings = TrainingArguments(
            output_dir=str(self.folder / "trainer"), per_device_train_batch_size=rows, max_steps=count, report_to=[],
            bf16=self.base.dtype == torch.bfloat16, use_cpu=self.device.type == "cpu", save_strategy="no", logging_strategy="no",
            disable_tqdm=True, gradient_checkpointing=checkpointing)
        self._forget_peak()
        Trainer(peft, settings, train_dataset=[{"input_ids": row, "labels": row} for row in tokens], callbacks=[Ends()]).train()
        seconds = statistics.median(b - a for a, b in zip(ends[1:], ends[2:], strict=False))
        return {"tokens a second": rows * length / seconds, "GiB": self._peak(), "rows": rows, "length": length,
                "checkpointing": checkpointing}

    def _forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _peak(self) -> float | None:
        return torch.cuda.max_memory_allocated() / 2**30 if self.device.type == "cuda" else None


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shape", choices=list(SHAPES), default="7b")
    options.add_argument("--precision", choices=precision.PRECISIONS, default="nf4")
    options.add_argument("--runs", type=int, default=12)
    options.add_argument("--rows", type=int, default=8, help="of a training step")
    options.add_argument("--length", type=int, default=640, help="of its rows, in tokens")
    options.add_argument("--skip", nargs="*", default=[], help="parts to leave out")
    arguments = options.parse_args()
    bench = Bench(arguments.shape, arguments.precision, arguments.runs)
    device = torch.cuda.get_device_name() if bench.device.type == "cuda" else "CPU"
    print(json.dumps({"device": device, "shape": arguments.shape, "precision": arguments.precision, "torch": torch.__version__}))
    size = (arguments.rows, arguments.length)
    parts = {"ranking": bench.ranking, "sweep of 21": bench.sweep, "tuning": bench.tuning,
             "merge and generate": bench.merge_and_generate,
             "training": lambda: bench.training(*size, False), "training, checkpointing": lambda: bench.training(*size, True),
             "PEFT and Trainer": lambda: bench.trainer(*size, False),
             "PEFT and Trainer, checkpointing": lambda: bench.trainer(*size, True)}
    for name, part in parts.items():  # each said as soon as it is known: a time limit loses only what follows
        if name in arguments.skip:
            continue
        bench._forget_peak()
        try:
            found = part()
        except RuntimeError as error:
            found = {"failed": str(error).splitlines()[0]}
        found.setdefault("GiB", bench._peak())
        print(json.dumps({name: found}), flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
