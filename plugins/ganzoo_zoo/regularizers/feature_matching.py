"""Fakes whose features are those of real samples, beside any loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

import ganzoo
from ganzoo_zoo.regularizers._outputs import require_features

if TYPE_CHECKING:
    from torch import Tensor


class FeatureMatching(ganzoo.Regularizer):
    """Feature matching (pix2pixHD): the generator also matches the discriminator's features, layer by layer.

    With h_1, ..., h_L the features of the discriminator's layers:

    Formula:
        L_G <- L_G + weight (4/L) sum_l mean |h_l(x) - h_l(x')|                  paired
        L_G <- L_G + weight (4/L) sum_l mean | mean h_l(x) - mean h_l(x') |      mean: of the batch first

    Args:
        weight: the paper's lambda, at least 0. The formula shows lambda's factor 4/L.
        form: ``mean`` compares the means of the batch. ``paired`` compares each fake with the real sample of the same
            number, for tasks where the two belong together.

    Raises:
        Incompatible: the discriminator gives no features.

    Notes:
        Real features are constants. A fake made from a latent has no partner among the real samples: ``paired`` would
        draw the fake to an arbitrary real sample.

    Source:
        Wang et al. 2018, High-resolution image synthesis with conditional GANs (pix2pixHD), arXiv:1711.11585,
        equation 4; the mean: Salimans et al. 2016, arXiv:1606.03498, section 3.1.

    Example:
        The mean features differ by 3, and the factor 4/L is 4 for a single layer.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real_output={"features": [torch.tensor([[2.0], [4.0]])]},
        ...                   fake_output={"features": [torch.zeros(2, 1)]})
        >>> ganzoo.part("regularizer", "feature-matching:weight=1").generator_penalty(s)
        tensor(12.)
    """

    weight: Annotated[float, Ge(0)] = 10.0
    form: Literal["mean", "paired"] = "mean"

    def check(self, spec: ganzoo.Spec) -> None:
        """Require features from the discriminator."""
        require_features("feature-matching", spec.outputs)

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean absolute difference of the features."""
        layers = list(zip(s.real_output["features"], s.fake_output["features"], strict=True))
        if self.form == "mean":
            layers = [(real.mean(0), fake.mean(0)) for real, fake in layers]
        total: Tensor = sum((real.detach() - fake).abs().mean() for real, fake in layers)
        return self.weight * 4 / len(layers) * total
