"""The contract of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ganzoo.parts.part import Part

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.parts.batch import Spec
    from ganzoo.parts.scores import Scores


class Loss(Part):
    """Arithmetic on scores: the two numbers that the players minimise.

    The properties below are facts about the loss. A subclass gives another value as a constant (``bounded:
    ClassVar[bool] = False``) or, where the value depends on parameters, as a property.

    Example:
        >>> from ganzoo import Scores
        >>> import torch
        >>> class Wasserstein(Loss):
        ...     bounded = False
        ...     def discriminator(self, s):
        ...         return s.fake.mean() - s.real.mean()
        ...     def generator(self, s):
        ...         return -s.fake.mean()
        >>> Wasserstein().discriminator(Scores(real=torch.tensor([3.0]), fake=torch.tensor([1.0])))
        tensor(-2.)
    """

    kind: ClassVar[str] = "loss"

    @property
    def has_targets(self) -> bool:
        """The loss reads ``s.real_target`` and ``s.fake_target``, so that label smoothing can move the targets."""
        return False

    @property
    def bounded(self) -> bool:
        """The discriminator's loss is bounded below. An unbounded loss needs a Lipschitz constraint."""
        return True

    @property
    def saturates(self) -> bool:
        """A player's gradient may vanish, by design, at scores that are most wrong. The exam reads the fact."""
        return False

    @property
    def reads_scores(self) -> bool:
        """The loss is arithmetic on scores. A loss that reads other outputs alone is not examined on scores."""
        return True

    @property
    def takes_patches(self) -> bool:
        """The loss is a mean of a function of single scores, or of pairs (real i, fake i).

        A score may then be that of a patch of an image, for a discriminator that gives many logits an image. Other
        losses are given the mean of an image's logits.
        """
        return False

    @property
    def energy_based(self) -> bool:
        """Minus the score is an energy that the loss shapes, so that MCMC can move samples along the energy."""
        return False

    @property
    def trains_encoder(self) -> bool:
        """The loss trains the discriminator as an encoder, so that images can be reconstructed."""
        return False

    @property
    def supports_shared_backward(self) -> bool:
        """Both losses read fakes only through the scores, and dL_D/df is nonzero wherever dL_G/df is nonzero.

        The two gradients of a sample are then equal up to a factor, so that one backward pass gives both.
        """
        return False

    @property
    def pairs_samples(self) -> bool:
        """The loss compares real sample i with fake i. On labelled data both are then of one class.

        Between classes, the offset of the discriminator from class to class would enter the difference.
        """
        return False

    @property
    def needs_grad_of(self) -> frozenset[str]:
        """The images, of ``"real"`` and ``"fake"``, by which the loss differentiates the scores."""
        return frozenset()

    @property
    def per_sample_gradients(self) -> bool:
        """The loss takes one gradient a sample, which is undefined where the discriminator mixes samples."""
        return False

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return ("discriminator",), ("generator",)

    def check(self, spec: Spec) -> None:
        """Raise Incompatible, in one line, where the part cannot be used with the samples or the outputs.

        Args:
            spec: shape and type of samples, latents and the data part's other tensors, and the discriminator's outputs
                beside logits.

        Raises:
            Incompatible: the part cannot be used.
        """

    def discriminator(self, s: Scores) -> Tensor:
        """The scalar that the discriminator minimises.

        Args:
            s: the round: real and fake scores, and all that belongs to the two.

        Returns:
            (): the loss.
        """
        raise NotImplementedError

    def generator(self, s: Scores) -> Tensor:
        """The scalar that the generator minimises.

        Args:
            s: the round.

        Returns:
            (): the loss.
        """
        raise NotImplementedError
