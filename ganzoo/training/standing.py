"""Standing statistics: the statistics of batch norm, computed anew for the weights that make the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from ganzoo import errors


def stand(net: nn.Module, batches: int, play: Callable[[int], object]) -> None:
    """Replace the running statistics of a network by the averages over fresh batches, in place.

    The running statistics of training lag behind the weights, and those of an average of networks are averages of other
    networks' statistics. Standing statistics are those of the network itself.

    Formula:
        running_mean = (1 / B) sum over b of mean_b,  running_var = (1 / B) sum over b of var_b

    Args:
        net: the network, with layers that have ``running_mean``, ``running_var`` and ``momentum``, as batch norm has.
        batches: B, the number of batches, at least 1.
        play: runs the network on the batch of a number, from 0 to B - 1.

    Raises:
        SettingsError: the number is below 1, or no layer has running statistics.

    Source: A. Brock et al., Large scale GAN training for high fidelity natural image synthesis, 2019, arXiv 1809.11096,
        section 3.1 and appendix.

    Example:
        >>> import torch
        >>> net = torch.nn.BatchNorm1d(1).eval()
        >>> stand(net, 2, lambda b: net(torch.tensor([[0.0], [2.0 + 4 * b]])))
        >>> net.running_mean, net.running_var, net.training
        (tensor([2.]), tensor([10.]), False)
    """
    if batches < 1:
        raise errors.SettingsError(f"standing statistics of {batches} batches are none: give a whole number >= 1")
    layers = list(with_statistics(net))
    if not layers:
        raise errors.SettingsError(
            "the generator has no statistics of batches, so its samples need no standing statistics: leave standing out"
        )
    momenta, training = [layer.momentum for layer in layers], net.training
    net.eval()
    try:
        for layer in layers:  # only these layers: the other layers behave as they do when samples are made
            layer.train()
        with torch.no_grad():
            for b in range(batches):
                for layer in layers:
                    layer.momentum = 1 / (b + 1)  # type: ignore[assignment]  # the mean of all batches so far
                play(b)
    finally:
        net.train(training)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def with_statistics(net: nn.Module) -> Iterator[nn.Module]:
    """Find the layers with running statistics.

    Args:
        net: any network.

    Yields:
        The layers that normalise by the statistics of a batch in training, and by running statistics otherwise.
    """
    for layer in net.modules():
        if isinstance(getattr(layer, "running_mean", None), torch.Tensor) and hasattr(layer, "momentum"):
            yield layer
