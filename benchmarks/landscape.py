"""Seconds for a sweep over λ, from the press to the first picture and to the last.

    python benchmarks/landscape.py --users 3 --points 21
"""

import argparse
import statistics

import molorec  # noqa: F401 - thread settings before torch
from molorec.catalog import Catalog
from molorec.catalog.movielens import NAME as MOVIELENS
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.landscape import POINTS, sweep


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--users", type=int, default=3)
    options.add_argument("--points", type=int, default=POINTS)
    arguments = options.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    engine = Engine.start(catalog=catalog)
    warm_up, *examples = catalog.examples(MOVIELENS, "quick", limit=arguments.users + 1)
    engine.rank(warm_up)
    totals = []
    for example in examples:
        steps = list(sweep(engine, example, points=arguments.points))
        totals.append(steps[-1].seconds)
        print(f"user {example.user}: " + ", ".join(f"{len(step.lams)} points after {step.seconds:.2f} s" for step in steps))
    print(f"median of {len(totals)} sweeps of {arguments.points} points: {statistics.median(totals):.2f} s")


if __name__ == "__main__":
    main()
