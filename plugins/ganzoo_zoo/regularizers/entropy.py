"""The entropy of the generator's samples, by mutual information with its noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import nn
from torch.nn.functional import softplus

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Entropy(ganzoo.Regularizer):
    """Entropy of the generator (MEG, mutual information I(G(z); z), Deep InfoMax): against collapse of its samples.

    With a third network T(x, z), trained with the generator, and z' the batch's noise dealt out anew:

    Formula:
        I = mean -softplus(-T(G(z), z)) - mean softplus(T(G(z), z'))
        the generator and T pay -weight * I

    Args:
        weight: of the information; 1 in the paper, 0.5 in its code, which averages over both kinds of pairs at once.
        shuffle: how noise is dealt out: each of its dimensions by itself (dimensions, the paper's text), or whole
            vectors (rows, its code, where a vector may fall to its own sample again).
        width: units of each of T's two hidden layers.

    Notes:
        G is a function, so I(G(z); z) is the entropy of G(z) up to a constant; I here is its Jensen-Shannon form, at
        most 0 and -2 log 2 where T cannot tell the pairs apart. T sees samples flattened, whatever their shape.

    Source:
        Kumar et al. 2019, Maximum Entropy Generators for Energy-Based Models, arXiv:1901.08508, section 3.1;
        Hjelm et al. 2019, Deep InfoMax, arXiv:1808.06670, equation 4.
    """

    weight: Annotated[float, Ge(0)] = 1.0
    shuffle: Literal["dimensions", "rows"] = "dimensions"
    width: Annotated[int, Ge(1)] = 256

    trained_by: ClassVar[Literal["discriminator", "generator"]] = "generator"

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """T, over a sample and its noise, side by side."""
        return nn.Sequential(
            nn.Linear(math.prod(spec.shape) + spec.latent_dim, self.width),
            nn.LeakyReLU(0.2),
            nn.Linear(self.width, self.width),
            nn.LeakyReLU(0.2),
            nn.Linear(self.width, 1),
            nn.Flatten(0),
        )

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Minus the information of the samples on their noise."""
        x, z = s.fake_images.flatten(1), s.latent
        if self.shuffle == "dimensions":
            dealt = z.gather(0, torch.rand_like(z).argsort(0))
        else:
            dealt = z[torch.randperm(len(z), device=z.device)]
        paired, unpaired = self.module(torch.cat([torch.cat([x, z], 1), torch.cat([x, dealt], 1)])).chunk(2)
        return self.weight * (softplus(-paired).mean() + softplus(unpaired).mean())
