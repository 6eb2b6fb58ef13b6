"""What one visitor waits for, in a browser: the page, a new ranking after λ moved, a sweep.

    python benchmarks/screen.py
"""

import argparse
import statistics
import time

from serving import app, chromium

MOVES, SWEEPS = 20, 3


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with app(7878) as (url, _), chromium() as browser:
        for visit in ("first", "second"):
            tab = browser.new_page(viewport={"width": 1400, "height": 1000})
            tab.set_default_timeout(60_000)
            started = time.perf_counter()
            tab.goto(url)
            tab.wait_for_selector("h1")
            painted = time.perf_counter() - started
            tab.wait_for_selector(".ml-row")
            print(f"{visit} visit: painted after {painted:.2f} s, ranking after {time.perf_counter() - started:.2f} s")
        tab.wait_for_timeout(2000)
        waits = []
        for move in range(MOVES):
            lam = f"{0.11 + 0.04 * move:.2f}"
            started = time.perf_counter()
            tab.get_by_label("λ as a number").fill(lam)
            tab.wait_for_function("text => [...document.querySelectorAll('.ml-status b')].some(b => b.innerText == text)",
                                  arg=f"λ = {lam}", polling=20)
            waits.append(time.perf_counter() - started)
        print(f"λ move → new ranking on screen: median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s")
        for _ in range(SWEEPS):
            before = tab.locator(".ml-ranking").inner_text()
            tab.get_by_role("button", name="Random user").click()
            tab.wait_for_function("old => document.querySelector('.ml-ranking').innerText != old", arg=before)
            user = tab.get_by_label("User id").input_value()
            started = time.perf_counter()
            tab.get_by_role("button", name="Sweep λ").click()
            tab.wait_for_selector("text=/ of 21 points/")
            first = time.perf_counter() - started
            tab.wait_for_selector(f"text=/user {user} .*21 of 21 points/")
            print(f"sweep: first points after {first:.1f} s, all 21 after {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
