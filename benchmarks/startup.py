"""From a cold process to the first ranking, and the app's peak memory while it ranks, tunes and explains.

    python benchmarks/startup.py        # run twice: the first run fetches and converts the model
"""

import argparse
import resource
import time

started = time.perf_counter()

import molorec  # noqa: E402, F401 - the imports are part of what is timed
from molorec import explaining, tuning  # noqa: E402
from molorec.catalog import Catalog  # noqa: E402
from molorec.datasets import ensure_movielens  # noqa: E402
from molorec.engine import Engine  # noqa: E402
from molorec.ui import page  # noqa: E402


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    engine = Engine.start(catalog=catalog)
    page.build(engine)
    example = catalog.examples("movielens-1m", "quick", limit=1)[0]
    ranking = engine.rank(example, 0.5)
    print(f"first ranking after {time.perf_counter() - started:.1f} s")
    for step in tuning.tune(engine, "movielens-1m", prompts=10):
        pass
    print(f"10 prompts tuned: λ = {step.lam:.3f}")
    evidence = list(explaining.evidence(engine, example, ranking.items[0].item))
    for _ in explaining.explain(engine, example, ranking.items[0].item, evidence):
        pass
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
