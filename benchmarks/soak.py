"""Several visitors at once for minutes: is every answer the one that a visitor alone would get, and does memory stay flat?

    python benchmarks/soak.py --minutes 10

Most visitors come through the API, two of them through the page in a browser, where Debian's chromium is installed.
"""

import argparse
import random
import shutil
import threading
import time

import molorec  # noqa: F401 - thread settings before torch

# isort: split

import psutil
from gradio_client import Client
from serving import app, chromium

from molorec.catalog import Catalog
from molorec.datasets import ensure_movielens
from molorec.engine import Engine

SAME = 0.02  # the largest difference of a probability that still counts as the same answer in bf16
SLOW_EVERY = 15  # one action in so many is a tuning or a sweep
DOMAIN = "movielens-1m"
Answer = tuple[str, float, dict[str, float]]  # user, λ, title → probability
# (title, percent) of each row, once the screen shows this list at this λ
_SHOWN = """([titles, lam]) => {
  const rows = [...document.querySelectorAll('.ml-ranking li')].map(
    row => [row.querySelector('.ml-title').textContent, row.querySelector('.ml-percent').textContent]);
  const same = JSON.stringify(rows.map(row => row[0]).sort()) === JSON.stringify(titles);
  return same && (document.querySelector('.ml-facts')?.textContent ?? '').includes(lam) ? rows : false;
}"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--visitors", type=int, default=8)
    options.add_argument("--tabs", type=int, default=2 if shutil.which("chromium") else 0,
                         help="how many of the visitors use a browser")
    options.add_argument("--port", type=int, default=7879)
    arguments = options.parse_args()
    catalog = Catalog()
    ensure_movielens(catalog)
    with app(arguments.port) as (url, process):
        answers = soak(catalog, process, url, arguments)
    check(catalog, answers)


def soak(catalog: Catalog, process: psutil.Popen, url: str, arguments: argparse.Namespace) -> list[Answer]:
    """Send the visitors, print how memory went and what failed, and give the answers."""
    users = catalog.users(DOMAIN, "quick", limit=60)
    answers: list[Answer] = []
    failures, memory = [], []
    end = time.monotonic() + 60 * arguments.minutes

    def visit(seed: int, act) -> None:
        rng = random.Random(seed)
        while time.monotonic() < end:
            try:
                act(rng)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is counted here
                failures.append(f"{type(error).__name__}: {str(error)[:300]}")

    def through_api(seed: int) -> None:
        client = Client(url, verbose=False)

        def act(rng: random.Random) -> None:
            user, lam = rng.choice(users), round(rng.random(), 3)
            if rng.randrange(SLOW_EVERY):
                answer = client.predict(DOMAIN, user, lam, api_name="/rank")
                answers.append((user, lam, {row["title"]: row["probability"] for row in answer["ranking"]}))
            elif rng.random() < 0.5:
                client.predict(DOMAIN, user, api_name="/sweep")
            else:
                client.predict(DOMAIN, 10, api_name="/tune")

        visit(seed, act)

    def through_page(seed: int) -> None:
        with chromium() as browser:
            tab = browser.new_page(viewport={"width": 1400, "height": 1600})
            tab.set_default_timeout(120_000)
            tab.goto(url)
            tab.locator(".ml-ranking li").first.wait_for()

            def act(rng: random.Random) -> None:
                user, lam = rng.choice(users), round(rng.random(), 2)
                if not rng.randrange(SLOW_EVERY):
                    tab.get_by_role("button", name="Sweep λ").click()
                tab.get_by_label("User id").fill(user)
                tab.get_by_label("User id").press("Enter")
                tab.get_by_label("λ as a number").fill(str(lam))
                titles = sorted(item.title for item in catalog.example(DOMAIN, user).candidates)
                handle = tab.wait_for_function(_SHOWN, arg=[titles, f" λ = {lam:.4g} "])
                answers.append((user, lam, {title: _number(percent) for title, percent in handle.json_value()}))

            visit(seed, act)

    threads = [threading.Thread(target=through_page if seed < arguments.tabs else through_api, args=(seed,))
               for seed in range(arguments.visitors)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(5)
        memory.append(process.memory_info().rss / 2**20)
    print("memory, MiB:", " ".join(f"{value:.0f}" for value in memory[:: max(1, len(memory) // 20)]))
    settled = memory[len(memory) // 5:]
    print(f"after the first fifth {min(settled):.0f} to {max(settled):.0f} MiB ({max(settled) / min(settled) - 1:.1%}); "
          f"{process.num_threads()} threads, {len(failures)} failures")
    for failure in sorted(set(failures)):
        print(f"  {failures.count(failure)} × {failure}")
    return answers


def check(catalog: Catalog, answers: list[Answer]) -> None:
    """Make every answer once more, alone."""
    wrong, engine = 0, Engine.start(catalog=catalog)
    for user, lam, answer in answers:
        alone = {ranked.item.title: ranked.probability for ranked in engine.rank(catalog.example(DOMAIN, user), lam).items}
        wrong += answer.keys() != alone.keys() or max(abs(alone[title] - answer[title]) for title in alone) > SAME
    print(f"{len(answers)} rankings, {wrong} wrong")


def _number(percent: str) -> float:
    return 0.0005 if percent.startswith("<") else float(percent.removesuffix("%")) / 100


if __name__ == "__main__":
    main()
