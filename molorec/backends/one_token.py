"""Candidates' probabilities from requests for one token each, for engines that take requests and not tensors.

The rule is the one of :mod:`molorec.ranking.trie`: at every branching node of the candidates' trie the model is asked how
probable each child is behind the prompt and the tokens that lead there. Such an engine keeps what requests begin with
alike, so all nodes of a list cost about one prompt.
"""

import asyncio
import concurrent.futures
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from molorec.backends import Row, Weights, Writing
from molorec.errors import MolorecError
from molorec.mixture.layer import AdapterStack
from molorec.ranking.trie import PackedTrie

MOST = 128  # children that vLLM gives the probabilities of in one answer


def questions(packed: PackedTrie) -> list[tuple[list[int], list[int]]]:
    """(tokens before it, its children) of every branching node, in the order of ``packed.nodes``.

    >>> from molorec.ranking.trie import pack
    >>> questions(pack([7, 8], [[1, 2], [1, 3], [4, 5]]))
    [([7, 8], [1, 4]), ([7, 8, 1], [2, 3])]
    """
    found = []
    for node in packed.nodes:
        behind = node.position - packed.prompt_length
        above = packed.ancestors[behind] if behind >= 0 else []
        found.append(([*packed.tokens[: packed.prompt_length], *(packed.tokens[i] for i in above)], node.children))
    return found


class OneToken(ABC):
    """A backend that asks another program; its event loop runs in a thread of its own."""

    rows = 8

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="molorec-backend", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the loop; whatever it still has to answer is cut off."""
        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            if others:
                await asyncio.wait(others, timeout=1)
            self._loop.stop()

        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(end(), self._loop)

    @abstractmethod
    async def ask(self, tokens: Sequence[int], children: Sequence[int], adapter: Any) -> dict[int, float]:
        """log p of each of at most ``MOST`` children behind ``tokens``, among all tokens of the vocabulary."""

    @abstractmethod
    def stream(self, tokens: Sequence[int], adapter: Any, how: Writing) -> AsyncIterator[list[int]]:
        """What the model writes behind ``tokens``, whole after each token or after several; closing it ends the request."""

    @abstractmethod
    async def adapter(self, weights: Weights | None, stack: AdapterStack, rule: str) -> Any:
        """What a request names to be answered by the mixture; a context manager, while it is needed.

        Raises
        ------
        BadInput : there is none for these weights.
        """

    def score(self, rows: Sequence[Row], stack: AdapterStack, rule: str) -> list[Tensor]:
        """See :class:`molorec.backends.Backend`. A global λ counts to the nearest ten-thousandth."""
        return self._wait(self._score(rows, stack, rule))

    def write(self, tokens: Sequence[int], weights: Weights | None, stack: AdapterStack, rule: str,
              how: Writing) -> Iterator[list[int]]:
        """See :class:`molorec.backends.Backend`."""
        texts: queue.SimpleQueue = queue.SimpleQueue()

        async def pump() -> None:
            try:
                async with await self.adapter(weights, stack, rule) as adapter:
                    async for text in self.stream(tokens, adapter, how):
                        texts.put(text)
                texts.put(None)
            except asyncio.CancelledError:  # whoever waits for the next token must not wait for ever
                texts.put(MolorecError("the text was cut off, for what computes it has been closed"))
                raise
            except Exception as error:
                texts.put(error)

        running, told = asyncio.run_coroutine_threadsafe(pump(), self._loop), 0
        try:
            while (text := texts.get()) is not None:
                if isinstance(text, Exception):
                    raise text
                # an engine that is ahead of us tells several tokens at once, and whoever listens may stop at any of them
                while told < len(text):
                    told += 1
                    yield text[:told]
        finally:
            running.cancel()

    def _wait(self, work: Coroutine) -> Any:
        waiting: concurrent.futures.Future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise

    async def _score(self, rows: Sequence[Row], stack: AdapterStack, rule: str) -> list[Tensor]:
        return await asyncio.gather(*(self._row(row, stack, rule) for row in rows))

    async def _row(self, row: Row, stack: AdapterStack, rule: str) -> Tensor:
        async with await self.adapter(row.weights, stack, rule) as adapter:
            logits = await asyncio.gather(*(self._node(*question, adapter) for question in questions(row.packed)))
        return row.packed.log_probabilities(logits)

    async def _node(self, tokens: list[int], children: list[int], adapter: Any) -> Tensor:
        """Logits over a node's children; all of one softmax, so they may come from several answers."""
        parts = await asyncio.gather(*(self.ask(tokens, children[first : first + MOST], adapter)
                                       for first in range(0, len(children), MOST)))
        found = {child: log for part in parts for child, log in part.items()}
        return torch.tensor([found[child] for child in children])
