"""Users evaluated a second, as a ratio to bare forwards of the same prompts.

    OMP_NUM_THREADS=1 python benchmarks/evaluating.py --users 30

An evaluation with the systems base, general, specific and half is timed against as many forwards of the base model without any
adapter, as many prompts a pass, each with the logits of its last token alone: the least that ranking with a language
model can cost. Both in turn, in one process; the ratio is the median of the pairs'.
"""

import argparse
import statistics
import time

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import torch

from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.evaluation import protocol
from molorec.evaluation.plan import make_plan

SYSTEMS = ("base", "general", "specific", "half")


def evaluate(engine: Engine, domain: str, users: int) -> None:
    """Rank everybody's list with each system, as ``molorec evaluate`` does."""
    planned = make_plan(engine, domain, limit=users, systems=SYSTEMS)
    for _ in protocol.measure(engine, planned, engine.catalog.users(domain, "quick", "warm", users)):
        pass


def forwards(engine: Engine, prompts: list[list[int]]) -> None:
    """Each prompt once for each system, through the bare base model."""
    rows = sorted((prompt for prompt in prompts for _ in SYSTEMS), key=len)
    for first in range(0, len(rows), engine.rows):
        batch = rows[first : first + engine.rows]
        longest = max(map(len, batch))
        tokens = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in batch])
        last = torch.tensor([len(prompt) - 1 for prompt in batch])
        with torch.inference_mode():
            hidden = engine.base.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
            engine.base.model.get_output_embeddings()(hidden[torch.arange(len(batch)), last])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--domain", default="movielens-1m")
    options.add_argument("--users", type=int, default=30)
    options.add_argument("--runs", type=int, default=5)
    arguments = options.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    pairs = []
    for run in range(arguments.runs + 1):  # the first of them warms up
        engine = Engine.start(catalog=catalog)  # a new one remembers no ranking
        mixture = engine.mixture(arguments.domain)
        examples = catalog.examples(arguments.domain, "quick", limit=arguments.users)
        prompts = [engine.base.prompter.ranking(example, mixture.template, mixture.noun) for example in examples]
        taken = []
        for work in (lambda: evaluate(engine, arguments.domain, len(examples)), lambda: forwards(engine, prompts)):  # noqa: B023
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
        if run:
            pairs.append(taken)
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{len(examples)} users, {len(SYSTEMS)} systems, {torch.get_num_threads()} threads: {len(examples) / ours:.2f} users/s,"
          f" bare forwards {len(examples) / bare:.2f} users/s, ratio {statistics.median(b / a for a, b in pairs):.2f}")


if __name__ == "__main__":
    main()
