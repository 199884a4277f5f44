"""The orthogonal GAN: one network that discriminates and encodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.losses.hinge import Hinge
from ganzoo_zoo.losses.lsgan import LSGAN
from ganzoo_zoo.losses.paired import difference
from ganzoo_zoo.losses.rpgan import RpGAN
from ganzoo_zoo.losses.sgan import SGAN

if TYPE_CHECKING:
    from torch import Tensor


class Quadratic(ganzoo.Loss):
    """The adversarial loss of O-GAN's own code: a parabola in the difference of scores, as wide as the samples differ.

    Formula:
        t_i = r_i - f_i,  d_i = mean over the numbers of a sample of (x_i - x'_i)^2
        L_D = mean t^2 / (4 d) - t,  L_G = mean t

    Notes:
        The code has low real scores, here real scores are high. The distance is a constant for both players.

    Source: the code of Su 2019, arXiv:1903.01931.
    """

    pairs_samples: ClassVar[bool] = True

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The parabola minus the difference of scores."""
        t = difference(s, "ogan:form=quadratic")
        d = (s.real_images.detach() - s.fake_images.detach()).flatten(1).square().mean(1)
        return (t.square() / (4 * d.clamp(min=1e-8).to(t.dtype)) - t).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The mean difference of scores."""
        return difference(s, "ogan:form=quadratic").mean()


FORMS: dict[str, type[ganzoo.Loss]] = {
    "hinge": Hinge,
    "lsgan": LSGAN,
    "quadratic": Quadratic,
    "rpgan": RpGAN,
    "sgan": SGAN,
}


class OGAN(ganzoo.Loss):
    """Orthogonal GAN loss (O-GAN): the discriminator is an encoder, so that images are generated and reconstructed.

    With E(x) the encoder's n numbers, avg and std over these n, and N(e) = (e - avg e) / std e:

    Formula:
        D(x) = avg E(x)
        rho(z, e) = mean N(z) N(e), Pearson's correlation over the n numbers of a sample
        L_D = an adversarial loss of D - weight * mean rho(z, E(G(z)))
        L_G = an adversarial loss of D - weight * mean rho(z, E(G(z)))
        An image is reconstructed as G(N(E(x))).

    Args:
        form: the adversarial loss. quadratic is that of the authors' code, mean t^2 / (4 d) - t with t = r - f and the
            mean squared distance d of a real and a fake sample.
        weight: weight of the correlation in both players' losses (the paper's lambda), at least 0.
        eps: number added to the variance, at least 0, for embeddings whose numbers are all alike.

    Raises:
        Incompatible: the discriminator gives no embedding, or an embedding whose length is not the latent's.

    Notes:
        N(E(x)) has mean 0 and length sqrt(n), whatever the average of E(x) is. The slope of rho by e is orthogonal to
        the direction of D and to e - avg e, so that the two tasks do not compete. |z - E(G(z))|^2 in place of rho would
        leave D no freedom. The authors' code has low real scores and takes the variance over n, as here. The code
        trains by a one-step schedule with RMSprop at 1e-4, ``form=quadratic``, and weight 0.5.

    Source:
        Su 2019, O-GAN: Extremely Concise Approach for Auto-Encoding Generative Adversarial Networks, arXiv:1903.01931,
        equations 6 to 12.

    Example:
        The embedding 2 z + 5 correlates perfectly with z, so that the generator's hinge loss of -5 becomes -5 - 0.5.

        >>> import ganzoo, torch
        >>> z = torch.tensor([[-1.0, 0.0, 1.0]])
        >>> s = ganzoo.Scores(fake=torch.tensor([5.0]), latent=z, fake_output={"embedding": 2 * z + 5})
        >>> ganzoo.part("loss", "ogan").generator(s)
        tensor(-5.5000)
    """

    form: Literal["hinge", "lsgan", "quadratic", "rpgan", "sgan"] = "hinge"
    weight: Annotated[float, Ge(0)] = 0.5
    eps: Annotated[float, Ge(0)] = 1e-8

    trains_encoder: ClassVar[bool] = True

    @property
    def has_targets(self) -> bool:
        """The adversarial loss reads targets."""
        return self.adversarial.has_targets

    @property
    def bounded(self) -> bool:
        """The adversarial loss is bounded. The correlation always is."""
        return self.adversarial.bounded

    @property
    def saturates(self) -> bool:
        """The adversarial loss saturates."""
        return self.adversarial.saturates

    @property
    def pairs_samples(self) -> bool:
        """The adversarial loss compares real sample i with fake i."""
        return self.adversarial.pairs_samples

    @property
    def adversarial(self) -> ganzoo.Loss:
        """The adversarial loss, at its defaults."""
        return FORMS[self.form]()

    def check(self, spec: ganzoo.Spec) -> None:
        """Require an embedding as long as the latent."""
        if "embedding" not in spec.outputs:
            raise Incompatible(
                "ogan needs a discriminator that is an encoder, and this one gives only logits: use an architecture "
                "with an embedding, such as dcgan:embedding=latent"
            )
        (size,) = spec.outputs["embedding"][0]
        if size != spec.latent_dim:
            raise Incompatible(
                f"ogan correlates the embedding with the noise, and they have {size} and {spec.latent_dim} numbers: "
                f"use --latent-dim {size} or embedding=latent"
            )

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The adversarial loss minus the weighted correlation."""
        return self.adversarial.discriminator(s) - self.weight * self.correlation(s)

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The adversarial loss minus the weighted correlation."""
        return self.adversarial.generator(s) - self.weight * self.correlation(s)

    def correlation(self, s: ganzoo.Scores) -> Tensor:
        """Pearson's correlation of each fake's latent with the fake's embedding, averaged over the batch.

        Args:
            s: the round.
        """
        z, e = s.latent.to(s.fake.dtype), s.fake_output["embedding"].to(s.fake.dtype)
        return (self.standardised(z) * self.standardised(e)).mean()

    def standardised(self, v: Tensor) -> Tensor:
        """N(v), (N, n), by the population's variance.

        Args:
            v: (N, n) numbers.
        """
        centred = v - v.mean(1, keepdim=True)
        normed: Tensor = centred * (centred.square().mean(1, keepdim=True) + self.eps).rsqrt()
        return normed
