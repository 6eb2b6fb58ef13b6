"""Several processes that train one adapter: each learns from its share of every batch, and the gradients are added up.

Started by ``torchrun`` or ``accelerate launch``, on one machine or many. Adapters are small, so one sum of their gradients a
step is all that travels; the frozen base is held whole by each process.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """One of ``count`` processes, the ``number``-th from 0; all of them make the same calls in the same order."""

    number: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.number == 0

    def share(self, parts: Sequence[T]) -> list[tuple[int, T]]:
        """This process's parts, each with its place among all.

        >>> Workers(1, 2).share("abcde")
        [(1, 'b'), (3, 'd')]
        """
        return [(place, part) for place, part in enumerate(parts) if place % self.count == self.number]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over all processes into each tensor, in place."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten().float() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, summed in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(summed.view_as(tensor))

    def from_first(self, value: T) -> T:
        """What the first process holds; the others' own is not looked at."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


ALONE = Workers()


@contextmanager
def join() -> Iterator[Workers]:
    """Join the processes that a launcher has started, each with a GPU of its own where there are any; alone without one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Workers(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
