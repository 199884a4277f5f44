"""The contract of regularizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from ganzoo.parts.part import PLAYERS, Networks, Part, Player

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.parts.batch import Batch, Spec
    from ganzoo.parts.scores import Scores


METHODS = (
    "prepare",
    "reals",
    "images",
    "targets",
    "discriminator_penalty",
    "generator_penalty",
    "joint_penalty",
    "observe",
    "select_samples",
    "modify_gradients",
    "after_update",
)
"""The methods by which a regularizer takes part in training."""


class Regularizer(Part):
    """A penalty, a transform, a change of targets or of the nets. Only hooks that a subclass defines cost time.

    The properties below are facts about the regularizer. A subclass gives another value as a constant
    (``per_sample_gradients: ClassVar[bool] = True``) or, where the value depends on parameters, as a property.

    Args:
        every: lazy regularization: the penalty is applied every ``every`` updates of the player, multiplied by
            ``every``. Only a part with a penalty has the parameter.

    Example:
        >>> import torch
        >>> from ganzoo import Regularizer, Scores
        >>> class Drift(Regularizer):
        ...     weight: float = 0.5
        ...     def discriminator_penalty(self, s):
        ...         return self.weight * s.real.square().mean()
        >>> Drift().discriminator_penalty(Scores(real=torch.tensor([2.0])))
        tensor(2.)
    """

    kind: ClassVar[str] = "regularizer"

    @property
    def needs_grad_of(self) -> frozenset[str]:
        """The images, of ``"real"`` and ``"fake"``, by which the penalty differentiates the scores.

        The gradient then comes from the pass that judged the images. ``"styles"``: the penalty differentiates the fakes
        by the points of the generator's style space, ``s.styles``.
        """
        return frozenset()

    @property
    def per_sample_gradients(self) -> bool:
        """The penalty takes one gradient a sample, which is undefined where the discriminator mixes samples."""
        return False

    @property
    def constrains_discriminator(self) -> bool:
        """The part keeps the discriminator from growing without bound, as losses like WGAN's need."""
        return False

    @property
    def paid_by(self) -> frozenset[Player]:
        """The players that pay the penalties which the class defines."""
        return frozenset(PLAYERS)

    @property
    def trained_by(self) -> Player:
        """The player that trains the parameters of the module that ``prepare`` returns."""
        return "discriminator"

    @property
    def pairs(self) -> bool:
        """The penalty compares fake i with real sample i, made for one condition: the data must give a condition."""
        return False

    @property
    def reads_intermediates(self) -> frozenset[str]:
        """The stages of the generator that the penalty reads from ``s.intermediates``, beside the images."""
        return frozenset()

    @property
    def module(self) -> Any:
        """The module that ``prepare`` returned, saved and restored with the run. None outside a run."""
        return None

    every: Annotated[int, Ge(1)] = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "every" in vars(cls) and not cls.has_penalty():
            raise TypeError(
                f"parameter 'every' of {cls.__qualname__} is the interval of a penalty, and the class defines no "
                "penalty: rename the parameter"
            )

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return (METHODS,)

    def prepare(self, networks: Networks, spec: Spec) -> nn.Module | None:
        """Change the nets once, at assembly, and make the part's own state.

        Args:
            networks: the two players.
            spec: shape and type of samples and latents, and the discriminator's outputs beside logits.

        Returns:
            A module with the part's state or networks, which the part reads as ``self.module``. None: the part has no
            state.
        """
        return None

    def reals(self, batch: Batch, s: Scores) -> Batch:
        """Put other samples in the place of some real samples. The hook is called without gradients.

        Losses, penalties and transforms see the batch that the hook returns.

        Args:
            batch: the real samples, with labels and the data part's own tensors. The batch is not changed in place.
            s: the round. The real side of the round is not there yet.

        Returns:
            A batch with as many samples, and tensors of equal names, shapes and types.
        """
        return batch

    def images(self, images: Tensor, s: Scores) -> Tensor:
        """Transform the images that the discriminator sees, real and fake alike.

        Args:
            images: (N, *shape), in [-1, 1].
            s: the round.

        Returns:
            (N, *shape): the images for the discriminator.
        """
        return images

    def targets(self, s: Scores, real: Tensor | float, fake: Tensor | float) -> tuple[Tensor | float, Tensor | float]:
        """Replace the targets of real and of fake samples.

        Args:
            s: the round.
            real: target of real samples so far, a number or (N,).
            fake: target of fake samples so far, a number or (N,).

        Returns:
            The targets of real and of fake samples, numbers or (N,).
        """
        return real, fake

    def discriminator_penalty(self, s: Scores) -> Tensor:
        """A scalar that is added to the discriminator's loss.

        Args:
            s: the round.
        """
        raise NotImplementedError

    def generator_penalty(self, s: Scores) -> Tensor:
        """A scalar that is added to the generator's loss.

        Args:
            s: the round.
        """
        raise NotImplementedError

    def linear_term(self, jacobian: Tensor, curvature: float) -> Tensor | None:
        """The part's contribution to the Jacobian of the players' gradients at the equilibrium of the Dirac-GAN.

        Optional. ``ganzoo.lab`` compares the eigenvalues that follow with measured eigenvalues. In the Dirac-GAN the
        real sample is 0, the fake sample is theta and D(x) = psi x. The equilibrium is theta = psi = 0.

        Args:
            jacobian: (2, 2) float64: of the two losses without regularizers. Row 0 is the gradient of the generator's
                loss by theta, row 1 is the gradient of the discriminator's loss by psi.
            curvature: the sum of the second derivatives of the discriminator's loss by the real and the fake score.

        Returns:
            (2, 2): the term. None: no closed form is known.
        """
        return None

    def joint_penalty(self, gradients: Mapping[Player, Sequence[Tensor]]) -> Tensor:
        """A scalar that is added to both players' losses.

        Args:
            gradients: the gradient of each player's loss by the player's own parameters, with a graph.
        """
        raise NotImplementedError

    def observe(self, player: Player, s: Scores) -> None:
        """Keep statistics of a round. The hook is called before the player's penalties, without gradients.

        Under accumulation every micro-batch starts from the same buffers. The changes are averaged, so that a statistic
        moves once an update.

        Args:
            player: the player whose update follows.
            s: the round.
        """

    def select_samples(self, s: Scores) -> Tensor:
        """The rows, (k,), of the samples of a round that the generator's loss sees.

        Args:
            s: the round.
        """
        raise NotImplementedError

    def modify_gradients(self, player: Player, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Replace the gradients along which a player moves.

        Args:
            player: the player.
            gradients: one tensor for each parameter of the player.

        Returns:
            One tensor for each parameter.
        """
        return gradients

    def after_update(self, player: Player, module: nn.Module) -> None:
        """Change a player's weights in place, right after the player's move. The hook is called without gradients.

        Args:
            player: the player that moved.
            module: the player's net.
        """

    def report(self) -> Mapping[str, Tensor]:
        """Scalars for the records, left on the device. The hook is called when records are due."""
        return {}

    def check(self, spec: Spec) -> None:
        """Raise Incompatible, in one line, where the part cannot be used with the samples or the outputs.

        Args:
            spec: shape and type of samples, latents and the data part's other tensors, and the discriminator's outputs
                beside logits.

        Raises:
            Incompatible: the part cannot be used.
        """

    @classmethod
    def defines(cls, method: str) -> bool:
        """Whether the class defines a hook.

        Args:
            method: name of the hook.
        """
        return getattr(cls, method) is not getattr(Regularizer, method)

    @classmethod
    def has_penalty(cls) -> bool:
        """Whether the part defines a penalty of the discriminator, of the generator, or of both."""
        return any(cls.defines(f"{which}_penalty") for which in ("discriminator", "generator", "joint"))
