"""Fakes among the real samples, as often as the discriminator's overfitting asks for."""

from __future__ import annotations

import torch

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.regularizers._adaptive import Adaptive


class APA(Adaptive):
    """Adaptive pseudo augmentation (APA): fakes are shown as real samples, as often as overfitting asks for.

    Formula:
        D sees x' in the place of a real sample x with probability p, a draw a sample and round
        every ``interval`` updates of D:  p <- max(0, p + sign(r_t - target) N interval / (1000 kimg)),
        r_t = mean sign(r) of real scores since then: 1/2 and less where D does not know its samples by heart

    Args:
        target: aim for r_t, from -1 to 1.
        interval: updates of the discriminator between two changes of p, at least 1.
        kimg: thousands of real images in which p can go from 0 to 1, above 0.
        start: p at the first step, from 0 to 1.
        p: the probability, from 0 to 1, where p is fixed or scheduled (p=0..0.5) and does not follow overfitting.

    Raises:
        Incompatible: the data gives a condition beside class labels.

    Notes:
        The real samples of a round with their fakes are a mixture of (1 - p) data and p generator. The best
        discriminator between the mixture and the generator is less sure than without fakes, and the optimum of the
        generator is left where it was. Losses, penalties and r_t see the mixture. The fake in the place of real sample
        i belongs to the latent of another row, except in a micro-batch of one sample. On labelled data the fake is
        generated anew, for the label of fake i, which costs a pass of the generator without a graph. The authors' code
        takes the fakes of the generator's last move, and leaves the label of the real sample. Any shape of samples will
        do. p is in the records as parts/apa/p.

    Source:
        Jiang et al. 2021, Deceive D: Adaptive pseudo augmentation for GAN training with limited data,
        arXiv:2111.06849, section 3.2, and the authors' code.

    Example:
        With p = 1 each real sample is replaced by the fake of another row.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> bound = bind(ganzoo.part("regularizer", "apa:p=1"))
        >>> bound.values["module"] = bound.part.prepare(None, None)
        >>> s = ganzoo.Scores(fake_images=torch.tensor([[1.0], [2.0], [3.0]]))
        >>> bound.part.reals(ganzoo.Batch(images=torch.zeros(3, 1)), s).images.tolist()
        [[3.0], [1.0], [2.0]]
    """

    def check(self, spec: ganzoo.Spec) -> None:
        """Refuse conditions: a fake for another condition is no sample of the condition."""
        if spec.inputs:
            raise Incompatible(
                f"apa puts fakes in the place of real samples, and this data gives {', '.join(spec.inputs)} to each "
                "sample: use data of images with class labels at most, or leave apa out"
            )

    def reals(self, batch: ganzoo.Batch, s: ganzoo.Scores) -> ganzoo.Batch:
        """The real samples, with fakes in the place of some."""
        images, labels = batch.images, batch.labels
        fakes = s.fake_images.roll(1, 0) if labels is None else s.generate(s.latent.roll(1, 0))
        chosen = torch.rand(len(images), device=images.device) < self.probability(images)
        mixed = torch.where(chosen.view(-1, *[1] * (images.dim() - 1)), fakes.detach().to(images.dtype), images)
        if labels is not None and s.fake_labels is not None:
            labels = torch.where(chosen, s.fake_labels, labels)
        return batch.replace(images=mixed, labels=labels)
