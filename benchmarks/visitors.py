"""What sharing a forward pass gives to visitors who wait at the same time, each at a λ of their own.

    python benchmarks/visitors.py --visitors 8
"""

import argparse
import random
import statistics
import threading
import time

import molorec  # noqa: F401 - thread settings before torch

# isort: split

from molorec.backends.local import Local
from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--visitors", type=int, default=8)
    options.add_argument("--moves", type=int, default=6, help="of λ, by each visitor in each round")
    options.add_argument("--rounds", type=int, default=6)
    arguments = options.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    engine = Engine.start(catalog=catalog)
    examples = catalog.examples("movielens-1m", "quick", limit=60)
    engine.rank(examples[0], 0.5)
    shared = engine.rows
    seconds, waits = {1: [], shared: []}, {1: [], shared: []}
    rng = random.Random(0)

    def visit(seed: int, waited: list[float]) -> None:
        mine = random.Random(seed)
        for _ in range(arguments.moves):
            started = time.perf_counter()
            engine.rank(mine.choice(examples), mine.random())
            waited.append(time.perf_counter() - started)

    for _ in range(arguments.rounds):
        for rows in (1, shared):
            engine.backend = Local(engine.base.model, rows)
            threads = [threading.Thread(target=visit, args=(rng.random(), waits[rows])) for _ in range(arguments.visitors)]
            started = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds[rows].append(time.perf_counter() - started)
    moves = arguments.visitors * arguments.moves
    for rows in (1, shared):
        longest = statistics.quantiles(waits[rows], n=20)[-1]
        print(f"{rows} rows a pass: {moves / statistics.median(seconds[rows]):.2f} rankings a second, a visitor waits "
              f"{statistics.median(waits[rows]):.2f} s (19 of 20 at most {longest:.2f} s)")
    print(f"ratio, median of {arguments.rounds} rounds: "
          f"{statistics.median(one / more for one, more in zip(seconds[1], seconds[shared], strict=True)):.2f}")


if __name__ == "__main__":
    main()
