"""Weights whose rows are orthogonal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge
from torch import nn

import ganzoo
from ganzoo_zoo.regularizers.sn import Borrowed, matrix, weighted

if TYPE_CHECKING:
    from torch import Tensor

Player = Literal["discriminator", "generator"]


class Orthogonal(ganzoo.Regularizer):
    """Orthogonal regularization (BigGAN, ortho): the rows of every weight are drawn apart, whatever their length.

    With W a layer's weight as a matrix, one row an output, and 1 - I which is zero on the diagonal alone:

    Formula:
        weight * sum over layers |W W' . (1 - I)|^2      gradient 4 weight (W W' . (1 - I)) W

    Args:
        weight: the paper's beta, at least 0.
        players: the players whose weights are drawn apart: generator (BigGAN, for the truncation trick), discriminator,
            or both.

    Raises:
        Incompatible: the player has no weight of a convolution or a linear layer.

    Notes:
        The paper writes W'W. The authors' code has W W' with half of this gradient, so that 1e-4 of the code is a
        weight of 0.5e-4. The form with the diagonal, |W'W - I|^2, also asks for rows of length one and is another
        method. Embeddings are left out, as in the authors' code.

    Source:
        Brock, Donahue and Simonyan 2019, Large scale GAN training (BigGAN), arXiv:1809.11096, equation 3.

    Example:
        The rows (1, 1) and (2, 0) have the inner product 2, which stands twice in W W': 1 (2^2 + 2^2) = 8.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> net = torch.nn.Linear(2, 2, bias=False)
        >>> _ = net.weight.data.copy_(torch.tensor([[1.0, 1.0], [2.0, 0.0]]))
        >>> bound = bind(ganzoo.part("regularizer", "orthogonal:weight=1"))
        >>> bound.values["module"] = bound.part.prepare(ganzoo.Networks(net, torch.nn.Linear(1, 1)), None)
        >>> bound.part.generator_penalty(ganzoo.Scores()).item()
        8.0
    """

    weight: Annotated[float, Ge(0)] = 1e-4
    players: Literal["discriminator", "generator", "both"] = "generator"

    @property
    def paid_by(self) -> frozenset[Player]:
        """The players whose weights are penalised."""
        return frozenset({"discriminator", "generator"} if self.players == "both" else {self.players})

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Look up the layers, in the order of the nets. The module returned has no tensors of its own."""
        found = [
            (f"{player}.{i}", layer)
            for player in self.paid_by
            for i, layer in enumerate(weighted("orthogonal", player, networks))
            if not isinstance(layer, nn.Embedding)
        ]
        return Borrowed(dict(found))

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted squared inner products of different rows of the discriminator's weights."""
        return self._penalty("discriminator")

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted squared inner products of different rows of the generator's weights."""
        return self._penalty("generator")

    def _penalty(self, player: Player) -> Tensor:
        found = []
        for name, layer in self.module.layers.items():
            if not name.startswith(player):
                continue
            products = matrix(layer) @ matrix(layer).T
            found.append((products - torch.diag(products.diagonal())).square().sum())
        return self.weight * torch.stack(found).sum()
