"""The penalty on spectral norms, which is not spectral normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import nn
from torch.nn.functional import normalize

import ganzoo
from ganzoo_zoo.regularizers.sn import matrix, weighted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class SpectralNormPenalty(ganzoo.Regularizer):
    """Spectral norm regularization (Yoshida and Miyato): a penalty on each weight's largest singular value.

    With W_l a layer's weight as a matrix, one row an output:

    Formula:
        (weight / 2) sum_l sigma(W_l)^2,  sigma(W) = u' W v,  v <- W'u / |W'u|,  u <- Wv / |Wv|     once a payment

    Args:
        weight: the paper's lambda, at least 0.
        power_iterations: updates of u and v each time that the penalty is applied, at least 1.

    Raises:
        Incompatible: the discriminator has no weight of a convolution, a linear layer or an embedding.

    Notes:
        The penalty draws weights to small norms and does not reparametrize the weights. sn divides by the norm instead,
        and is the usual choice. u and v are saved with the run.

    Source:
        Yoshida and Miyato 2017, Spectral norm regularization for improving generalizability, arXiv:1705.10941,
        equation 3 and algorithm 1.

    Example:
        The weight diag(3, 1) has sigma 3, and (2 / 2) 3^2 = 9.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> net = torch.nn.Linear(2, 2, bias=False)
        >>> _ = net.weight.data.copy_(torch.diag(torch.tensor([3.0, 1.0])))
        >>> bound = bind(ganzoo.part("regularizer", "sn-penalty:weight=2"))
        >>> bound.values["module"] = bound.part.prepare(ganzoo.Networks(torch.nn.Linear(1, 1), net), None)
        >>> round(bound.part.discriminator_penalty(ganzoo.Scores()).item(), 4)
        9.0
    """

    weight: Annotated[float, Ge(0)] = 0.01
    power_iterations: Annotated[int, Ge(1)] = 1

    constrains_discriminator: ClassVar[bool] = True

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Vectors u and v for each layer, after 15 iterations."""
        layers = weighted("sn-penalty", "discriminator", networks)
        return Vectors(layers)

    def report(self) -> Mapping[str, Tensor]:
        """The largest of the norms."""
        return {"largest_sigma": self.module.norms().max()}

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Half the weighted sum of the squared norms, after a power iteration."""
        self.module.iterate(self.power_iterations)
        total: Tensor = self.weight / 2 * self.module.norms().square().sum()
        return total


class Vectors(nn.Module):
    """Estimates of the singular vectors of the largest singular value of each layer's weight.

    Args:
        layers: the layers with a weight, in the order of the network.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = tuple(
            layers
        )  # in a tuple, which torch does not look into: the discriminator saves and trains them
        for i, layer in enumerate(layers):
            w = matrix(layer).detach()
            self.register_buffer(f"u{i}", normalize(torch.randn(len(w)).to(w), dim=0))
            self.register_buffer(f"v{i}", torch.zeros_like(w[0]))
        self.iterate(15)

    @torch.no_grad()
    def iterate(self, times: int) -> None:
        """Make power iterations on the present weights.

        Args:
            times: how many.
        """
        for i, layer in enumerate(self.layers):
            u, v, w = getattr(self, f"u{i}"), getattr(self, f"v{i}"), matrix(layer)
            for _ in range(times):
                v.copy_(normalize(w.T @ u, dim=0, eps=1e-12))
                u.copy_(normalize(w @ v, dim=0, eps=1e-12))

    def norms(self) -> Tensor:
        """(layers,): u' W v of each."""
        return torch.stack(
            [
                getattr(self, f"u{i}").clone() @ matrix(layer) @ getattr(self, f"v{i}").clone()
                for i, layer in enumerate(self.layers)
            ]
        )
