"""The auxiliary classifier loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge
from torch.nn.functional import cross_entropy, softplus

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class ACGAN(ganzoo.Loss):
    """Auxiliary classifier GAN loss (ACGAN, class-conditional): the discriminator also tells the class.

    With sp(t) = log(1 + e^t), class logits c(x), and CE the mean cross-entropy against the samples' own labels y:

    Formula:
        L_D = mean sp(-r) + mean sp(f) + real_weight CE(c(x), y) + fake_weight CE(c(x'), y')
        L_G = mean sp(-f) + generator_weight CE(c(x'), y')

    Args:
        real_weight: weight of the classes of real samples in the discriminator's loss, at least 0.
        fake_weight: weight of the classes of fakes in the discriminator's loss, at least 0. At 0 the classifier learns
            from real samples alone.
        generator_weight: weight of the classes of fakes in the generator's loss, at least 0.

    Raises:
        Incompatible: the discriminator gives no class logits.

    Notes:
        The defaults are the paper's. The class terms beside any other loss are the regularizer auxiliary-classifier,
        as in the conditional nets of improved WGAN training. The semi-supervised K + 1 classes of
        Salimans et al. are ``acgan:fake_weight=0,generator_weight=0`` on nets with ``auxiliary=true,joint=true``, whose
        logit is the logsumexp of the class logits: sp(-r) + CE is then the cross-entropy of K + 1 classes, and
        penalties see that logit too. The classes of fakes are an aim that both players share, not a contest. The aim
        draws the generator to samples that are typical of their class.

    Source:
        Odena, Olah and Shlens 2017, Conditional image synthesis with auxiliary classifier GANs, arXiv:1610.09585,
        equations 2 and 3; Gulrajani et al. 2017, arXiv:1704.00028, section 5; Salimans et al. 2016, arXiv:1606.03498,
        section 5.

    Example:
        Scores of 0 cost log 2, and equal logits of two classes cost log 2 more: 2 log 2 = 1.3863.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(fake=torch.zeros(1), fake_output={"class_logits": torch.zeros(1, 2)},
        ...                   fake_labels=torch.tensor([1]))
        >>> ganzoo.part("loss", "acgan").generator(s)
        tensor(1.3863)
    """

    real_weight: Annotated[float, Ge(0)] = 1.0
    fake_weight: Annotated[float, Ge(0)] = 1.0
    generator_weight: Annotated[float, Ge(0)] = 1.0

    def check(self, spec: ganzoo.Spec) -> None:
        """Require class logits from the discriminator."""
        if "class_logits" not in spec.outputs:
            raise Incompatible(
                "loss acgan reads class logits, and this discriminator gives none: use nets that do on labelled data, "
                "such as dcgan:auxiliary=true"
            )

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The cross-entropy of real and fake, plus that of the classes."""
        loss = softplus(-s.real).mean() + softplus(s.fake).mean()
        if self.real_weight:
            loss = loss + self.real_weight * _classes(s.real_output, s.labels, s.real)
        if self.fake_weight:
            loss = loss + self.fake_weight * _classes(s.fake_output, s.fake_labels, s.fake)
        return loss

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The cross-entropy of 'real', plus that of the fakes' own classes."""
        loss = softplus(-s.fake).mean()
        if self.generator_weight:
            loss = loss + self.generator_weight * _classes(s.fake_output, s.fake_labels, s.fake)
        return loss


def _classes(output: Mapping[str, Tensor], labels: Tensor | None, scores: Tensor) -> Tensor:
    assert labels is not None
    return cross_entropy(output["class_logits"].to(scores.dtype), labels)  # in float32 at least, as the scores are
