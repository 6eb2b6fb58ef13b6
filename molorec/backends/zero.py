"""ZeroGPU: a GPU that a Hugging Face Space is lent for one call at a time.

Each call runs in a process that was forked from the app's, after the base model had been loaded and perhaps before an
adapter was. So all else that it needs comes with the call: prompts and λ as arguments, the adapters as a file that a
process reads once. The call is made on the thread of whoever asks, by which the Space knows whose allowance it is on.
"""

import copy
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from molorec.backends import Row, Weights, Writing
from molorec.backends.local import ROWS, Local
from molorec.mixture.layer import AdapterStack

START, A_ROW, A_TOKEN = 8.0, 0.25, 0.1  # seconds; for a forked process, a prompt and a token of a 7B model, on the safe side

_model: nn.Module | None = None  # where forked processes find it


def is_zero() -> bool:
    """Whether this is a Space on ZeroGPU."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def score_seconds(rows: Sequence[Row], path: str, rule: str) -> float:
    """How long :func:`_score` may take, for the queue of the Space."""
    return START + A_ROW * len(rows)


def write_seconds(tokens: Sequence[int], weights: Weights | None, path: str, rule: str, how: Writing) -> float:
    """How long :func:`_write` may take."""
    return START + A_TOKEN * how.most


def _score(rows: Sequence[Row], path: str, rule: str) -> list[np.ndarray]:
    return [logs.cpu().numpy() for logs in _local(os.getpid()).score(rows, _stack(path), rule)]


def _write(tokens: Sequence[int], weights: Weights | None, path: str, rule: str, how: Writing) -> Iterator[list[int]]:
    yield from _local(os.getpid()).write(tokens, weights, _stack(path), rule, how)


@lru_cache(1)
def _local(process: int) -> Local:
    return Local(_model)


@lru_cache(4)
def _stack(path: str) -> AdapterStack:
    weights = _model.get_input_embeddings().weight
    return torch.load(path, weights_only=False).to(weights.device).eval()  # our own file


class ZeroGPU:
    """A base model whose passes run on a lent GPU.

    Parameters
    ----------
    model : loaded in the app's process.
    lend : ``spaces.GPU``: takes ``duration``, gives a decorator.
    """

    rows = ROWS["cuda"]

    def __init__(self, model: nn.Module, lend: Callable):
        global _model
        _model = model
        self._score = lend(duration=score_seconds)(_score)
        self._write = lend(duration=write_seconds)(_write)
        self._files: dict[str, Path] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="molorec-zero-")
        self._lock = threading.Lock()

    def score(self, rows: Sequence[Row], stack: AdapterStack, rule: str) -> list[Tensor]:
        """See :class:`molorec.backends.Backend`."""
        return [torch.from_numpy(logs) for logs in self._score(list(rows), self._file(stack), rule)] if rows else []

    def write(self, tokens: Sequence[int], weights: Weights | None, stack: AdapterStack, rule: str,
              how: Writing) -> Iterator[list[int]]:
        """See :class:`molorec.backends.Backend`."""
        return self._write(list(tokens), weights, self._file(stack), rule, how)

    def _file(self, stack: AdapterStack) -> str:
        with self._lock:
            path = self._files.get(stack.key)
            if path is None:
                path = Path(self._folder.name) / f"{len(self._files)}.pt"
                torch.save(copy.deepcopy(stack).to("cpu"), path)
                self._files[stack.key] = path
        return str(path)
