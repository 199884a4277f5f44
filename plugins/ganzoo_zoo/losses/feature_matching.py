"""Feature matching as the generator's whole loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from torch.nn.functional import softplus

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor


class FeatureMatching(ganzoo.Loss):
    """Feature matching loss (improved GAN): the generator matches the mean of the discriminator's features.

    With sp(t) = log(1 + e^t) and h(x) the features of the discriminator's last hidden layer:

    Formula:
        L_D = mean sp(-r) + mean sp(f)
        L_G = (1/n) | mean h(x) - mean h(x') |^2      n features

    Args:
        reduction: ``mean`` over the features, as in the authors' code, or ``sum``, the norm that the paper writes. The
            two differ by the number of features n, which matters with sgd, with clip-gradient and beside penalties.

    Raises:
        Incompatible: the discriminator gives no features.

    Notes:
        The generator no longer plays against the score, only against the features that the discriminator found useful.
        The real features are constants of the generator's loss. To add the matching of all layers to another loss
        (pix2pixHD), use the regularizer feature-matching.

    Source:
        Salimans et al. 2016, Improved techniques for training GANs, arXiv:1606.03498, section 3.1.

    Example:
        The mean features of the reals are (3, 4) and those of the fakes (0, 0): (3^2 + 4^2) / 2 = 12.5.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real_output={"features": [torch.tensor([[2.0, 4.0], [4.0, 4.0]])]},
        ...                   fake_output={"features": [torch.zeros(2, 2)]})
        >>> ganzoo.part("loss", "feature-matching").generator(s)
        tensor(12.5000)
    """

    reduction: Literal["mean", "sum"] = "mean"

    reads_scores: ClassVar[bool] = False  # the generator's part reads features alone

    def check(self, spec: ganzoo.Spec) -> None:
        """Require features from the discriminator."""
        if "features" not in spec.outputs:
            raise Incompatible(
                "loss feature-matching reads features, and this discriminator gives none: use nets that do, such as "
                "dcgan:auxiliary=true"
            )

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The cross-entropy, as in sgan."""
        return softplus(-s.real).mean() + softplus(s.fake).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The squared distance of the mean features."""
        real, fake = (output["features"][-1].flatten(1).mean(0) for output in (s.real_output, s.fake_output))
        gaps: Tensor = (real.detach() - fake).square()
        return gaps.mean() if self.reduction == "mean" else gaps.sum()
