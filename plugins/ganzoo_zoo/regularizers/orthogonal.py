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
        weight: the paper's beta.
        players: whose weights: generator (BigGAN, for the truncation trick), discriminator, or both.

    Raises:
        Incompatible: the player has no weight of a convolution or a linear layer.

    Notes:
        The paper writes W'W, its code W W' with half of this gradient, which makes its 1e-4 half as much here; the
        form with the diagonal, |W'W - I|^2, also asks for rows of length one and is another method. Embeddings are left
        out, as there.

    Source:
        Brock, Donahue and Simonyan 2019, Large scale GAN training (BigGAN), arXiv:1809.11096, equation 3.
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
        """Squared inner products of different rows of the discriminator's weights."""
        return self._penalty("discriminator")

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared inner products of different rows of the generator's weights."""
        return self._penalty("generator")

    def _penalty(self, player: Player) -> Tensor:
        found = []
        for name, layer in self.module.layers.items():
            if not name.startswith(player):
                continue
            products = matrix(layer) @ matrix(layer).T
            found.append((products - torch.diag(products.diagonal())).square().sum())
        return self.weight * torch.stack(found).sum()
