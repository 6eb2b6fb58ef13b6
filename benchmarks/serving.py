"""The app in a process of its own, and a browser, for the benchmarks that look at it from outside: nothing to run by itself."""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import psutil
from playwright.sync_api import Browser, sync_playwright


@contextmanager
def app(port: int) -> Iterator[tuple[str, psutil.Popen]]:
    """Start ``app.py`` and give its address and process once it answers."""
    url, process = f"http://127.0.0.1:{port}", psutil.Popen([sys.executable, "app.py", "--port", str(port)])
    try:
        for _ in range(300):
            if process.poll() is not None:
                sys.exit("the app ended before it could be reached")
            with suppress(httpx.HTTPError):
                if httpx.get(url).is_success:
                    break
            time.sleep(1)
        else:
            sys.exit("the app could not be reached within five minutes")
        yield url, process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, without a window."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
