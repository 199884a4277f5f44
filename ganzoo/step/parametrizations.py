"""Parametrized weights (spectral norm), computed once for all passes between two updates."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext

from torch import nn
from torch.nn.utils import parametrize

from ganzoo.parts import Player


class ParametrizationCache:
    """Keeps the value of every parametrized weight from the first pass of a round to the next update.

    Without a cache, each look at a spectrally normalised weight would make one more power iteration. With the cache
    each update makes one iteration and one sigma for all passes, as in the paper: both players' gradients are of one
    function, and a third of the cost is saved.

    Args:
        networks: the network of each player.
    """

    def __init__(self, networks: Mapping[Player, nn.Module]) -> None:
        self._weights: dict[Player, list[tuple[nn.Module, str]]] = {
            player: [
                (module, name)
                for module in network.modules()
                if parametrize.is_parametrized(module)
                for name in module.parametrizations  # type: ignore[union-attr]  # torch's, which is no module's in general
            ]
            for player, network in networks.items()
        }
        # torch's cache is a process-wide switch. The stack turns it off again, whatever happens in the step.
        self._stack = ExitStack()
        self._is_open = False
        # Most networks have no parametrization, and pay one comparison a round.
        self._any = any(self._weights.values())

    def open(self, *players: Player) -> None:
        """Turn the cache on, and compute the weights of some players.

        A player is left out where the player's pass builds no graph: a cached weight without a graph would have no
        gradient.

        Args:
            players: the players whose weights are computed now.
        """
        if not self._any:
            return
        if not self._is_open:
            self._is_open = True
            self._stack.enter_context(parametrize.cached())
        for player in players:
            for module, name in self._weights[player]:
                getattr(module, name)  # computed at this place, outside autocast: nothing is rounded to bf16

    def of_a_pass(self) -> AbstractContextManager[object]:
        """A context for a pass without a graph: a weight that the pass reads twice is computed once, then forgotten."""
        return parametrize.cached() if self._any and not self._is_open else nullcontext()

    def close(self) -> None:
        """Forget the weights: call before the parameters change."""
        if self._is_open:
            self._is_open = False
            self._stack.close()


def of_parametrization(name: str) -> bool:
    """Whether a parameter or buffer belongs to the parametrization of a weight.

    Args:
        name: the name, as ``named_buffers`` gives it.

    Example:
        >>> of_parametrization("layers.0.parametrizations.weight.0._u"), of_parametrization("layers.1.running_mean")
        (True, False)
    """
    return "parametrizations." in name
