"""How often the mixed model's text passes its check: the grounded share over the first users of split `quick`.

    python benchmarks/explaining.py --users 100 --lam 0.5
"""

import argparse

import molorec  # noqa: F401 - thread settings before torch
from molorec import explaining
from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--users", type=int, default=100)
    options.add_argument("--lam", type=float, default=0.5)
    options.add_argument("--show", type=int, default=5, help="texts to print")
    arguments = options.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    engine = Engine.start(catalog=catalog)
    examples = catalog.examples("movielens-1m", "quick", limit=arguments.users)
    grounded, problems = 0, []
    for i, example in enumerate(examples):
        top = engine.rank(example, arguments.lam).items[0].item
        evidence = list(explaining.evidence(engine, example, top, arguments.lam))
        *_, last = explaining.explain(engine, example, top, evidence, arguments.lam)
        grounded += last.is_grounded
        if last.problem:
            problems.append(last.problem)
        if i < arguments.show:
            print(last.text, f"[{last.problem}]" if last.problem else "")
    print(f"grounded: {grounded} of {len(examples)} ({grounded / len(examples):.0%})")
    for problem in sorted(set(problems)):
        print(f"  {problems.count(problem)} × {problem}")


if __name__ == "__main__":
    main()
