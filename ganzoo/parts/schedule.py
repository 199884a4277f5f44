"""The contract of schedules, and the game that a schedule plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ganzoo.parts.part import Networks, Part, Player

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.parts.batch import Spec
    from ganzoo.parts.scores import Scores


@dataclass(frozen=True)
class Snapshot:
    """Copies of the players' parameters, and of the state of the optimizers where a schedule asked for the state.

    Args:
        weights: a copy of each parameter, by player.
        memory: a copy of the optimizer's state for each parameter, by player. Empty without ``memory=True``.
    """

    weights: Mapping[Player, list[Tensor]]
    memory: Mapping[Player, list[dict[str, object]]]


class Game:
    """What a schedule plays with; the engine's own is in ``ganzoo.step.game``.

    Attributes:
        step_number: the number of the step that is being made, from 0.
        parameters: the parameters of each player that learn in the step.

    Example:
        >>> from ganzoo import Game, Schedule
        >>> class Once(Schedule):
        ...     def step(self, game):
        ...         s = game.round()
        ...         game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s))
        >>> class Shown(Game):
        ...     def round(self, *players):
        ...         print("a round")
        ...     def discriminator_loss(self, s):
        ...         return 1.0
        ...     generator_loss = discriminator_loss
        ...     def update(self, **losses):
        ...         print("an update of", *losses)
        >>> Once().step(Shown())
        a round
        an update of discriminator generator
    """

    step_number: int = 0
    parameters: Mapping[Player, Sequence[nn.Parameter]]

    def round(self, *players: Player) -> Scores:
        """Draw one real batch and generate fakes, for some players to learn from.

        What only the other player would need is not computed. Fakes of the discriminator's own round carry no gradient
        to the generator. A round of the generator alone draws a real batch only if its loss reads one.

        Args:
            players: the players whose losses will be asked of the round. Both players where none is named.

        Returns:
            The scores of the round, for ``discriminator_loss`` and ``generator_loss``.
        """
        raise NotImplementedError

    def discriminator_loss(self, s: Scores) -> Tensor:
        """The discriminator's loss on a round, with the penalties that are due.

        Args:
            s: what ``round`` returned.

        Returns:
            (): the loss, with a graph to the discriminator.
        """
        raise NotImplementedError

    def generator_loss(self, s: Scores) -> Tensor:
        """The generator's loss on a round, with the penalties that are due.

        Args:
            s: what ``round`` returned.

        Returns:
            (): the loss, with a graph to the generator.
        """
        raise NotImplementedError

    def update(
        self,
        *,
        discriminator: Tensor | None = None,
        generator: Tensor | None = None,
        start: Snapshot | None = None,
        trial: bool = False,
    ) -> None:
        """Take all named gradients at the old point, each with respect to its own player, then move.

        Args:
            discriminator: its loss, where it is to move.
            generator: its loss, where it is to move.
            start: the point to move from, with the gradients of the present one; both players are put there.
            trial: a move only to look from, to be taken back: it is neither counted nor averaged.
        """
        raise NotImplementedError

    def update_both(self, s: Scores, weight: float = 1.0) -> None:
        """Move both players along the gradients of their losses on one round, from one backward pass through its fakes.

        With a_i = dL_D/df_i and c_i = dL_G/df_i, the generator's gradient by fake i is c_i/a_i times what the
        discriminator's own gradient computes on its way. The cost is 3g + 6d, for losses with
        ``supports_shared_backward``. Penalties on the discriminator come on top.

        Args:
            s: what ``round`` returned, not asked for scores before.
            weight: factor of the generator's loss.
        """
        raise NotImplementedError

    def differentiate(self, s: Scores) -> Mapping[Player, Sequence[Tensor]]:
        """The gradients of both players' losses on a round, with a graph, for schedules that differentiate them again.

        Args:
            s: what ``round`` returned for both players.

        Returns:
            For each player, the gradient of the player's loss by each of its ``parameters``.

        Raises:
            Incompatible: the batch is taken in pieces, whose second derivatives do not add up to those of the batch.
        """
        raise NotImplementedError

    def move(self, along: Mapping[Player, Sequence[Tensor]]) -> None:
        """Move players along directions in place of the gradients of their losses.

        Args:
            along: for each player that moves, a tensor for each of its ``parameters``, without a graph.
        """
        raise NotImplementedError

    def learning_rate(self, player: Player) -> float | Tensor:
        """The present learning rate of a player's optimizer.

        Args:
            player: the player.
        """
        raise NotImplementedError

    def unrolled_generator_loss(self, steps: int, rate: float | None = None) -> Tensor:
        """The generator's loss against the discriminator of some moves ahead, differentiable through these moves.

        Args:
            steps: plain gradient moves of the discriminator, each on a round of its own; it itself stays where it is.
            rate: of these moves; the discriminator's own learning rate unless given.
        """
        raise NotImplementedError

    def looking_ahead(self) -> AbstractContextManager[None]:
        """A context for rounds and moves that are taken back.

        Inside, the statistics that networks and regularizers keep (running means of norms, power vectors, what
        ``observe`` collects) are those of the begin, and at the end they are put back. So a statistic moves once an
        update, however far a schedule looks ahead.

        Returns:
            The context manager.
        """
        raise NotImplementedError

    def snapshot(self, *players: Player, memory: bool = False) -> Snapshot:
        """Copy the parameters of players.

        Args:
            players: the players to copy. Both players where the call names no player.
            memory: whether the state of the optimizers is copied too.
        """
        raise NotImplementedError

    def restore(self, snapshot: Snapshot) -> None:
        """Overwrite the players of a snapshot with the copies, bit for bit.

        Args:
            snapshot: the copies that ``snapshot`` returned.
        """
        raise NotImplementedError


class Schedule(Part):
    """The order of rounds and moves in a step of training.

    Example:
        Two moves of the discriminator for a move of the generator:

        >>> import ganzoo
        >>> class Twice(ganzoo.Schedule):
        ...     def step(self, game):
        ...         for _ in range(2):
        ...             game.update(discriminator=game.discriminator_loss(game.round("discriminator")))
        ...         game.update(generator=game.generator_loss(game.round("generator")))
        >>> Twice().uses_shared_backward
        False
    """

    kind: ClassVar[str] = "schedule"

    @property
    def uses_shared_backward(self) -> bool:
        """The schedule takes the players' gradients by ``game.update_both``, which not every recipe allows."""
        return False

    @property
    def differentiates_gradients(self) -> bool:
        """The schedule differentiates what ``game.differentiate`` gave. A penalty on a gradient then has a third
        derivative, which torch's batch norm lacks."""
        return False

    @property
    def needs_whole_batch(self) -> bool:
        """The schedule takes a derivative of the mean over the batch twice. Then the mean does not come apart into
        means over micro-batches and processes, and such runs are refused."""
        return self.differentiates_gradients

    @property
    def module(self) -> Any:
        """The module that ``prepare`` returned, saved and restored with the run. None outside a run."""
        return None

    def prepare(self, networks: Networks, spec: Spec) -> nn.Module | None:
        """Make the schedule's own state once, at assembly, after the regularizers.

        Args:
            networks: the two players.
            spec: shape and type of samples and latents.

        Returns:
            A module with the schedule's state, which the schedule reads as ``self.module``. None: the schedule has no
            state.
        """
        return None

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return (("step",),)

    def step(self, game: Game) -> None:
        """Make one step of training: any number of rounds and updates.

        Args:
            game: rounds, losses and updates.
        """
        raise NotImplementedError

    def linear_step(self, jacobian: Tensor, lr: float) -> Tensor | None:
        """The matrix of one step of plain gradient descent where the players' gradients are linear: J (theta, psi).

        Optional. ``ganzoo.lab`` compares the eigenvalues of the matrix with measured eigenvalues.

        Args:
            jacobian: (2, 2) float64, J: row 0 is the gradient of the generator's loss by theta, row 1 is the gradient
                of the discriminator's loss by psi.
            lr: the learning rate of both players.

        Returns:
            (2, 2): the matrix by which one step multiplies (theta, psi). None: no closed form is known.
        """
        return None
