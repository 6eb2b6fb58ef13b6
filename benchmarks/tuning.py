"""Tuning λ beside the way the paper's authors do it, on the same prompts.

    python benchmarks/tuning.py

Theirs, read off their code for facts: a pair of weights for every linear layer (a softmax, from ½ and ½), Adam, and at each of
its steps the first tokens of every prompt's answer decoded one after another, a forward with gradients for each, the entropy
over the whole vocabulary as the loss. Ours: :func:`molorec.tuning.tune`. What each finds is printed too, on one scale: the mean
entropy of the candidates.
"""

import argparse
import json
import statistics
import sys
import time

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import torch

from molorec import tuning
from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.ranking.scorer import log_probabilities

DOMAIN = "movielens-1m"
TOKENS = 3  # of each answer; the authors' number for MovieLens
LEARNING_RATE = 0.1


def stepwise(engine: Engine, examples, steps: int) -> tuple[float, torch.Tensor]:
    """(seconds, weights (modules, 2)) of the authors' loop: ``steps`` Adam steps over all prompts."""
    mixture, model = engine.mixture(DOMAIN), engine.base.model
    prompts = [engine.base.prompter.ranking(example, mixture.template, mixture.noun) for example in examples]
    free = torch.zeros(len(mixture.stack.paths), 2, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=LEARNING_RATE)
    started = time.perf_counter()
    for _ in range(steps):
        for prompt in prompts:
            tokens = list(prompt)
            for _ in range(TOKENS):
                with mixture.stack.at(free.softmax(-1), "sum", "module"):
                    out = model(input_ids=torch.tensor([tokens], device=engine.base.device), use_cache=False, logits_to_keep=1)
                logs = out.logits[0, -1].float().log_softmax(-1)
                (-(logs.exp() * logs).sum() / (TOKENS * len(prompts))).backward()
                tokens.append(int(logs.argmax()))
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - started, free.detach().softmax(-1)


def ours(engine: Engine, examples) -> tuple[float, tuning.TuningStep]:
    """(seconds, the last step) of our tuning, with nothing in the cache."""
    started = time.perf_counter()
    step = list(tuning.tune(engine, DOMAIN, examples=examples))[-1]
    return time.perf_counter() - started, step


def entropy(engine: Engine, examples, weights: torch.Tensor, granularity: str) -> float:
    """Mean entropy of the candidates at some weights, in nats."""
    mixture, found = engine.mixture(DOMAIN), []
    for example in examples:
        with torch.inference_mode(), mixture.stack.at(weights, "sum", granularity):
            logs = log_probabilities(engine.base.model, [engine.pack(mixture, example)])[0]
        found.append(float(-(logs.exp() * logs).sum()))
    return statistics.mean(found)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--prompts", type=int, default=50)
    options.add_argument("--steps", type=int, default=5, help="Adam steps; the authors take 3 to 10")
    arguments = options.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    engine = Engine.start(catalog=catalog)
    examples = catalog.examples(DOMAIN, "tune", limit=arguments.prompts)
    warm_up = [example.unlabelled() for example in catalog.examples(DOMAIN, "quick", limit=3)]
    ours(engine, warm_up)
    our_seconds, step = ours(engine, examples)
    their_seconds, weights = stepwise(engine, examples, arguments.steps)
    json.dump({
        "prompts": len(examples), "adam steps": arguments.steps, "tokens": TOKENS, "dtype": str(engine.base.dtype),
        "threads": torch.get_num_threads(), "stepwise seconds": their_seconds, "our seconds": our_seconds,
        "ratio": their_seconds / our_seconds, "our lam": step.lam, "our prompts": step.prompts,
        "stepwise mean weight of general": float(weights[:, 0].mean()),
        "candidate entropy": {"half": entropy(engine, examples, torch.tensor([0.5, 0.5]), "global"),
                              "ours": entropy(engine, examples, torch.tensor([step.lam, 1 - step.lam]), "global"),
                              "stepwise": entropy(engine, examples, weights, "module")}}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
