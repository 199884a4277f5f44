"""Class terms beside any loss: the discriminator also tells the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

import ganzoo
from ganzoo_zoo.regularizers._outputs import class_error, require_class_logits

if TYPE_CHECKING:
    from torch import Tensor


class AuxiliaryClassifier(ganzoo.Regularizer):
    """Auxiliary classifier (class terms for any loss): the discriminator also tells the class.

    With class logits c(x) of the discriminator and CE the mean cross-entropy against the samples' own labels y:

    Formula:
        L_D <- L_D + real_weight CE(c(x), y) + fake_weight CE(c(x'), y')
        L_G <- L_G + generator_weight CE(c(x'), y')

    Args:
        real_weight: weight of the classes of real samples in the discriminator's loss, at least 0.
        fake_weight: weight of the classes of fakes in the discriminator's loss, at least 0. At 0 the classifier learns
            from real samples alone.
        generator_weight: weight of the classes of fakes in the generator's loss, at least 0.

    Raises:
        Incompatible: the discriminator gives no class logits.

    Notes:
        The loss of the run judges real and fake, and the part adds the classes. With ``--loss sgan`` the defaults are
        loss acgan. The conditional networks of improved WGAN training are ``--loss wgan -r wgan-gp -r
        auxiliary-classifier:fake_weight=0,generator_weight=0.1``. The generator reads labels and the discriminator
        finds them out, as networks with ``auxiliary=true`` do. The part does not constrain the slope of the scores.

    Source:
        Odena, Olah and Shlens 2017, Conditional image synthesis with auxiliary classifier GANs, arXiv:1610.09585,
        equation 3; Gulrajani et al. 2017, arXiv:1704.00028, section 5.

    Example:
        Equal logits of two classes cost log 2 for real samples and log 2 for fakes: 2 log 2 = 1.3863.

        >>> import ganzoo, torch
        >>> output = {"class_logits": torch.zeros(1, 2)}
        >>> s = ganzoo.Scores(real=torch.zeros(1), real_output=output, labels=torch.tensor([0]),
        ...                   fake=torch.zeros(1), fake_output=output, fake_labels=torch.tensor([1]))
        >>> ganzoo.part("regularizer", "auxiliary-classifier").discriminator_penalty(s)
        tensor(1.3863)
    """

    real_weight: Annotated[float, Ge(0)] = 1.0
    fake_weight: Annotated[float, Ge(0)] = 1.0
    generator_weight: Annotated[float, Ge(0)] = 1.0

    def check(self, spec: ganzoo.Spec) -> None:
        """Require class logits from the discriminator."""
        require_class_logits("auxiliary-classifier", spec.outputs)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted cross-entropies of the classes of real samples and of fakes."""
        real = self.real_weight * class_error(s.real_output, s.labels, s.real)
        return real + self.fake_weight * class_error(s.fake_output, s.fake_labels, s.fake)

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted cross-entropy of the classes of fakes."""
        return self.generator_weight * class_error(s.fake_output, s.fake_labels, s.fake)
