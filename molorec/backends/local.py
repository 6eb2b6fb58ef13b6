"""Forward passes of one base model: one at a time, all on one thread, and rows that wait share one.

One thread, because each thread that calls torch would keep a pool of workers and a heap of its own. Shared passes,
because on two cores five prompts together take 1.8 times less than one after the other (``LOG.md``).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from molorec.backends import Row, Weights, Writing
from molorec.errors import is_out_of_memory
from molorec.mixture.layer import AdapterStack
from molorec.ranking.scorer import log_probabilities

# Rows of one pass. On a processor, more of them would keep whoever comes next waiting for longer; on a GPU the weights are
# read once for all of them, and a sweep of 21 λ is one pass.
ROWS = {"cpu": 5, "cuda": 32}
LONGER = 1.5  # rows whose lengths differ by more do not share a pass: much of the shorter one would be padding


@dataclass(eq=False)
class _Call:
    """The rows that one caller waits for."""

    rows: list[Row]
    stack: AdapterStack
    rule: str
    waiting: deque[int]
    found: dict[int, Tensor] = field(default_factory=dict)
    answer: Future = field(default_factory=Future)

    def fits(self, number: int, other: "_Call", first: int) -> bool:
        """Whether a row may share a pass with another call's row."""
        row, beside = self.rows[number], other.rows[first]
        short, long = sorted((len(row.packed.tokens), len(beside.packed.tokens)))
        return (self.stack is other.stack and self.rule == other.rule and (row.weights is None) == (beside.weights is None)
                and long <= LONGER * short)


class Local:
    """The only way to a base model in this process."""

    def __init__(self, model: nn.Module, rows: int | None = None):
        self.model, self.rows = model, rows or ROWS.get(next(model.parameters()).device.type, ROWS["cpu"])
        self._calls: list[_Call] = []
        self._state = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "molorec-forward")

    def score(self, rows: Sequence[Row], stack: AdapterStack, rule: str) -> list[Tensor]:
        """log p of each row's candidates, (candidates,) in float32.

        Each pass takes a row of every call that waits before it takes a second one of any, so nobody waits for the
        whole of somebody else's long run.
        """
        if not rows:
            return []
        # those that may share a pass side by side: mixed ones, then the base alone, from short to long
        order = sorted(range(len(rows)), key=lambda i: (rows[i].weights is None, len(rows[i].packed.tokens)))
        call = _Call(list(rows), stack, rule, deque(order))
        with self._state:
            self._calls.append(call)
        for _ in rows:  # enough even if each pass takes one of them only
            self._worker.submit(self._pass)
        try:
            return call.answer.result()
        except BaseException:  # nobody waits for the rest of it
            with self._state:
                if call in self._calls:
                    self._calls.remove(call)
            raise

    def write(self, tokens: Sequence[int], weights: Weights | None, stack: AdapterStack, rule: str,
              how: Writing) -> Iterator[list[int]]:
        """See :class:`molorec.backends.Backend`; one pass a token, between those of others."""
        written: list[int] = []
        feed, cache, unwanted = list(tokens), None, list(how.unwanted)
        for _ in range(how.most):
            logits, cache = self.next_token(feed, cache, weights, stack, rule)
            logits[unwanted] = -torch.inf
            if len(written) < how.least:
                logits[list(how.stops)] = -torch.inf
            logits[list(set(written))] -= how.repetition
            token = int(torch.argmax(logits))
            if token in how.stops:
                return
            written.append(token)
            feed = [token]
            yield list(written)

    def next_token(self, tokens: Sequence[int], cache, weights: Weights | None, stack: AdapterStack, rule: str):
        """Logits (vocabulary,) of the token after ``tokens``, and the cache to pass with the tokens that follow."""

        def step():
            device = self.model.get_input_embeddings().weight.device
            with nullcontext() if weights is None else stack.at(weights, rule):
                return self.model(input_ids=torch.tensor([tokens], device=device), past_key_values=cache, use_cache=True,
                                  logits_to_keep=1)

        out = self._worker.submit(torch.inference_mode()(step)).result()
        # a copy made outside inference mode, which can be changed
        return out.logits[0, -1].to(torch.float32, copy=True), out.past_key_values

    def run(self, work: Callable[[nn.Module], Any]) -> Any:
        """What ``work(model)`` gives, on the thread of the passes and between two of them: for whoever needs gradients."""
        return self._worker.submit(work, self.model).result()

    def _pass(self) -> None:
        with self._state:
            batch = self._take()
        if not batch:
            return
        try:
            found = self._forward(batch)
        except Exception as error:
            found = self._in_parts(batch, error.with_traceback(None))  # the traceback holds on to the failed pass's memory
        for (call, number), logs in zip(batch, found, strict=True):
            if logs is not None:
                call.found[number] = logs
            if len(call.found) == len(call.rows) and not call.answer.done():
                call.answer.set_result([call.found[i] for i in range(len(call.rows))])

    def _take(self) -> list[tuple[_Call, int]]:
        """The rows of the next pass, no longer waiting."""
        batch: list[tuple[_Call, int]] = []
        for _ in range(self.rows):
            # a row of whoever has had fewest; among those, of who came first
            taken = [entry[0] for entry in batch]
            for call in sorted(self._calls, key=lambda call: len(call.found) + taken.count(call)):
                if call.waiting and (not batch or call.fits(call.waiting[0], *batch[0])):
                    batch.append((call, call.waiting.popleft()))
                    break
        self._calls = [call for call in self._calls if call.waiting]
        return batch

    def _forward(self, batch: list[tuple[_Call, int]]) -> list[Tensor]:
        call, number = batch[0]
        weights = [entry.rows[i].weights for entry, i in batch]
        mixed = nullcontext() if weights[0] is None else call.stack.at(weights if len(batch) > 1 else weights[0], call.rule)
        with torch.inference_mode(), mixed:
            return log_probabilities(self.model, [entry.rows[i].packed for entry, i in batch])

    def _in_parts(self, batch: list[tuple[_Call, int]], error: Exception) -> list[Tensor | None]:
        """The answers of a pass that failed, taken apart; None where a call has been told what went wrong."""
        if len(batch) == 1:
            self._fail(batch[0][0], error)
            return [None]
        size = 1  # what one row does wrong is its own
        if is_out_of_memory(error):
            size = self.rows = len(batch) // 2
            logging.getLogger(__name__).warning(
                "there is not enough memory for %d prompts at once; from now on %d at most", len(batch), size)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        found: list[Tensor | None] = []
        for first in range(0, len(batch), size):
            part = batch[first : first + size]
            try:
                found += self._forward(part)
            except Exception as again:
                found += self._in_parts(part, again.with_traceback(None))
        return found

    def _fail(self, call: _Call, error: Exception) -> None:
        with self._state:
            self._calls = [other for other in self._calls if other is not call]
        if not call.answer.done():
            call.answer.set_exception(error)
