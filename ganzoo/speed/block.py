"""What the host hands to a recorded step before each replay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Block:
    """Numbers that the host hands to the device before each replay, side by side: one copy hands over all of them.

    Attributes:
        slots: the tensors on the device, views of the block.
    """

    def __init__(self, like: Sequence[Tensor], device: torch.device) -> None:
        """Make room for numbers.

        Args:
            like: tensors with the shapes and types of the numbers.
            device: where the recording reads the numbers.
        """
        self._places: list[tuple[int, int, torch.dtype]] = [(0, 0, torch.uint8)] * len(like)
        size = 0
        # The widest type first: each number then begins at a multiple of the width of its type.
        for k in sorted(range(len(like)), key=lambda k: -like[k].itemsize):
            self._places[k] = (size, size + like[k].nbytes, like[k].dtype)
            size += like[k].nbytes
        self._bytes = torch.zeros(size, dtype=torch.uint8, device=device)
        shapes = [each.shape for each in like]
        self.slots = [self._bytes[a:b].view(kind).view(s) for (a, b, kind), s in zip(self._places, shapes, strict=True)]

    def fill(self, values: Sequence[Tensor | float]) -> None:
        """Hand over the numbers of a step.

        Args:
            values: numbers, or tensors on the CPU, in the order of the slots.
        """
        # Other memory in each step, because the copy of the step before may not have been made yet. Pinned memory,
        # because the host would wait for a copy from other memory.
        pinned = self._bytes.device.type == "cuda"
        made = torch.empty(len(self._bytes), dtype=torch.uint8, device="cpu", pin_memory=pinned)
        for (first, end, kind), value in zip(self._places, values, strict=True):
            view = made[first:end].view(kind)
            if isinstance(value, Tensor):
                view.copy_(value)
            else:
                view.fill_(value)
        self._bytes.copy_(made, non_blocking=True)
