"""Several visitors at once for minutes: is every answer the one that a visitor alone would get, and does memory stay flat?

    python benchmarks/soak.py --minutes 10
"""

import argparse
import random
import threading
import time

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import psutil
from gradio_client import Client

from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine
from molorec.ui import page

SAME = 0.02  # the largest difference of a probability that still counts as the same answer in bf16
CHECKED = 300  # answers that are made once more, alone
SLOW_EVERY = 15  # one action in so many is a tuning or a sweep


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--visitors", type=int, default=8)
    arguments = options.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    engine = Engine.start(catalog=catalog)
    _, url, _ = page.build(engine).launch(prevent_thread_lock=True, server_name="127.0.0.1", quiet=True)
    users = catalog.users("movielens-1m", "quick", limit=60)
    answers, failures, memory = [], [], []
    end, process = time.monotonic() + 60 * arguments.minutes, psutil.Process()

    def visit(seed: int) -> None:
        rng, client = random.Random(seed), Client(url, verbose=False)
        while time.monotonic() < end:
            user, lam = rng.choice(users), round(rng.random(), 3)
            try:
                if rng.randrange(SLOW_EVERY):
                    answers.append((user, lam, client.predict("movielens-1m", user, lam, api_name="/rank")))
                elif rng.random() < 0.5:
                    client.predict("movielens-1m", user, api_name="/sweep")
                else:
                    client.predict("movielens-1m", 10, api_name="/tune")
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is counted here
                failures.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=visit, args=(seed,)) for seed in range(arguments.visitors)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(5)
        memory.append(process.memory_info().rss / 2**20)
    wrong, fresh = 0, Engine(engine.base, catalog, engine.adapter_folders)  # without the other's cache
    checked = random.Random(0).sample(answers, min(CHECKED, len(answers)))
    for user, lam, answer in checked:
        alone = {ranked.item.item_id: ranked.probability
                 for ranked in fresh.rank(catalog.example("movielens-1m", user), lam).items}
        wrong += max(abs(alone[row["item_id"]] - row["probability"]) for row in answer["ranking"]) > SAME
    settled = memory[len(memory) // 5:]
    print(f"{len(answers)} rankings, {wrong} of {len(checked)} checked wrong, {len(failures)} failures")
    print(f"memory after the first fifth: {min(settled):.0f} to {max(settled):.0f} MiB ({max(settled) / min(settled) - 1:.1%})")
    for failure in sorted(set(failures)):
        print(f"  {failures.count(failure)} × {failure}")


if __name__ == "__main__":
    main()
