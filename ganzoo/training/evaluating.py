"""Networks in evaluation mode while samples are made of them, in several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """A context with networks in evaluation mode. The last thread that leaves the context restores the former mode.

    Args:
        networks: any modules.
    """
    with _evaluating:
        for network in networks:
            users, training = _evaluated.get(network, (0, [module for module in network.modules() if module.training]))
            _evaluated[network] = users + 1, training
            if training:
                network.eval()
    try:
        yield
    finally:
        with _evaluating:
            for network in networks:
                users, training = _evaluated.pop(network)
                if users > 1:  # another thread still needs the network in evaluation mode
                    _evaluated[network] = users - 1, training
                    continue
                for module in training:
                    module.training = True


_evaluating = threading.Lock()
_evaluated: dict[nn.Module, tuple[int, list[nn.Module]]] = {}
"""The networks in evaluation mode: by how many threads, and the modules to put back into training mode."""
