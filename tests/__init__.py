"""Tests. Of several processes each has ports of its own for Gradio to choose from, which reads this when it is imported."""

import os

# Set whatever it was: a worker inherits it from the process that started it.
if _worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["GRADIO_SERVER_PORT"] = str(7860 + 100 * int(_worker.removeprefix("gw")))
