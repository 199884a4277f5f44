"""The entropy of the generator's samples, by their mutual information with the latents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import nn
from torch.nn.functional import softplus

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor


class Entropy(ganzoo.Regularizer):
    """Entropy of the generator (MEG, mutual information I(G(z); z), Deep InfoMax): against collapse of its samples.

    With a third network T(x, z), trained with the generator, and z' the batch's latents in another order:

    Formula:
        I = mean -softplus(-T(G(z), z)) - mean softplus(T(G(z), z'))
        the generator and T pay -weight * I

    Args:
        weight: weight of the information, at least 0: 1 in the paper, 0.5 in the authors' code, which averages over
            both kinds of pairs together.
        shuffle: how latents are dealt to samples: each dimension of the latents alone (dimensions, the paper's text),
            or whole vectors (rows, the authors' code, where a vector may return to its own sample).
        width: units of each of T's two hidden layers, at least 1.

    Notes:
        G is a function, so that I(G(z); z) is the entropy of G(z) up to a constant. I is the Jensen-Shannon form of the
        information: at most 0, and -2 log 2 where T cannot tell the pairs apart. T sees flattened samples of any shape.

    Source:
        Kumar et al. 2019, Maximum Entropy Generators for Energy-Based Models, arXiv:1901.08508, section 3.1;
        Hjelm et al. 2019, Deep InfoMax, arXiv:1808.06670, equation 4.

    Example:
        A network T that gives 0 for all pairs tells no pairs apart: the penalty is 2 log 2.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> bound = bind(ganzoo.part("regularizer", "entropy"))
        >>> network = torch.nn.Sequential(torch.nn.Linear(2 + 2, 1), torch.nn.Flatten(0))
        >>> _ = torch.nn.init.zeros_(network[0].weight), torch.nn.init.zeros_(network[0].bias)
        >>> bound.values["module"] = network
        >>> s = ganzoo.Scores(fake_images=torch.zeros(4, 2), latent=torch.randn(4, 2))
        >>> bound.part.generator_penalty(s)
        tensor(1.3863, grad_fn=<MulBackward0>)
    """

    weight: Annotated[float, Ge(0)] = 1.0
    shuffle: Literal["dimensions", "rows"] = "dimensions"
    width: Annotated[int, Ge(1)] = 256

    trained_by: ClassVar[Literal["discriminator", "generator"]] = "generator"

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """T, over a sample and the sample's latent side by side."""
        return nn.Sequential(
            nn.Linear(math.prod(spec.shape) + spec.latent_dim, self.width),
            nn.LeakyReLU(0.2),
            nn.Linear(self.width, self.width),
            nn.LeakyReLU(0.2),
            nn.Linear(self.width, 1),
            nn.Flatten(0),
        )

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Minus the weighted information of the samples on their latents.

        Args:
            s: the round.

        Raises:
            Incompatible: the samples of this step have another size than the data.
        """
        x, z = s.fake_images.flatten(1), s.latent
        net = self.module  # of ``prepare``, or any other function of the pairs, which checks the size by itself
        if isinstance(net, nn.Sequential) and x.shape[1] + z.shape[1] != net[0].in_features:
            raise Incompatible(
                "entropy measures samples of one size, and these networks change the size in training: use networks "
                "that do not grow, or leave entropy out"
            )
        if self.shuffle == "dimensions":
            dealt = z.gather(0, torch.rand_like(z).argsort(0))
        else:
            dealt = z[torch.randperm(len(z), device=z.device)]
        paired, unpaired = net(torch.cat([torch.cat([x, z], 1), torch.cat([x, dealt], 1)])).chunk(2)
        return self.weight * (softplus(-paired).mean() + softplus(unpaired).mean())
