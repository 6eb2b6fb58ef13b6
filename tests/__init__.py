"""Tests. Of several processes each has ports of its own for Gradio to choose from, which reads this when it is imported."""

import os

_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
os.environ.setdefault("GRADIO_SERVER_PORT", str(7860 + 100 * _PROCESS))
