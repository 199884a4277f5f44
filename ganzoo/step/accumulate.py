"""Gradient accumulation: each batch is taken in consecutive micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from ganzoo import errors
from ganzoo.parts import Batch, Player, Scores
from ganzoo.step.environment import GameParts, StepEnvironment
from ganzoo.step.game import Game
from ganzoo.step.gradients import Gradients, copy_into, moved, put_back
from ganzoo.step.parametrizations import of_parametrization


class AccumulatingGame(Game):
    """A game that computes the losses of a round in micro-batches, at the time of the update.

    Formula:
        grad L = 1/m sum_k grad L(micro-batch k)

    A round cannot be scored when the schedule asks for the round: m graphs would be in memory at once. So a round is a
    placeholder (``MicroBatches``), and the loss on a round is a symbol: a leaf of zero. A schedule may scale and add
    symbols. ``update`` differentiates the schedule's result by the leaves, which gives the coefficient of each loss,
    and then computes the losses one micro-batch at a time. No pass is added, and the memory is that of one
    micro-batch.

    Args:
        parts: architecture, loss, regularizers and the state of the run.
        environment: the surroundings of the step. ``accumulate`` is the number of micro-batches.
    """

    def __init__(self, parts: GameParts, environment: StepEnvironment) -> None:
        super().__init__(parts, environment)
        self.micro_batch: int | None = None  # the one that is being computed
        self._deferred: list[tuple[Tensor, Callable[[], Tensor]]] = []  # each loss's leaf, and how to compute the loss

    def round(self, *players: Player) -> Scores:
        """Draw the latents of a whole batch, and the number of a real batch where the discriminator learns."""
        latents = self.on_host(self.host.latents)
        number = self.next_batch() if not players or "discriminator" in players else None
        return MicroBatches(RoundInputs(self, latents, number, not players or "generator" in players))

    def discriminator_loss(self, s: Scores) -> Tensor:
        """A leaf in the place of the loss."""
        placeholder = cast(MicroBatches, s)
        compute = super().discriminator_loss
        return self._defer(lambda: compute(placeholder.current()))

    def generator_loss(self, s: Scores) -> Tensor:
        """A leaf in the place of the loss."""
        placeholder = cast(MicroBatches, s)
        compute = super().generator_loss
        return self._defer(lambda: compute(placeholder.current()))

    def update_both(self, s: Scores, weight: float = 1.0) -> None:
        """Refuse: the shared backward reads the scores of a whole round.

        Raises:
            Incompatible: always.
        """
        raise errors.Incompatible(
            "the shared backward of both players and --accumulate do not go together: leave one of them out"
        )

    def gradients(self, losses: Mapping[Player, Tensor]) -> dict[Player, Gradients]:
        """The gradients of deferred losses, averaged over the micro-batches.

        Raises:
            Incompatible: a player is to move by a loss that is not the game's.
        """
        deferred, self._deferred = self._deferred, []
        coefficients = self._coefficients(losses, [leaf for leaf, _ in deferred])
        buffers, count = self.environment.buffers, self.environment.accumulate
        starts = [value.clone() for value in buffers]
        # Power iterations depend on the weights alone, so that the first micro-batch makes all that an update makes. A
        # pass without a graph computes the weights anew in each micro-batch, from the same vectors each time.
        vectors = self._power_vectors()
        vectors_before, vectors_after = [value.clone() for value in vectors], list[Tensor]()
        changes = [torch.zeros_like(value) for value in buffers]
        sums: dict[Player, Gradients] = {}
        scalars_before, means = self.scalars, dict[str, Tensor]()
        try:
            for number in range(count):
                self.micro_batch, self.scalars = number, {}
                # Every micro-batch starts from the same buffers: a running mean moves once an update, however the batch
                # is cut.
                copy_into(buffers, starts)
                if number:
                    put_back(vectors, vectors_before)
                # In the order in which the schedule asked, so that each round meets the batch that it would have met.
                computed = [compute() for _, compute in deferred]
                totals = {
                    player: torch.stack([c * x for c, x in zip(some, computed, strict=True) if c is not None]).sum()
                    for player, some in coefficients.items()
                }
                del computed  # the graph is held by the totals alone
                for player in losses:
                    loss = totals.pop(player) / count
                    # The graph is still needed by the other player, or by the other micro-batches: parametrized weights
                    # are computed once for all of them.
                    more = bool(totals) or number < count - 1
                    grads = torch.autograd.grad(
                        loss, self.parameters[player], retain_graph=more, materialize_grads=True
                    )
                    if number == 0:
                        sums[player] = Gradients([*grads], loss.detach())
                    else:
                        torch._foreach_add_([*sums[player].grads, sums[player].loss], [*grads, loss.detach()])
                    del loss  # frees the graph of this micro-batch before the next is built
                for tag, value in self.scalars.items():
                    means[tag] = means.get(tag, 0.0) + value / count
                for change, value, start in zip(changes, buffers, starts, strict=True):
                    change.add_(value - start)
                vectors_after = vectors_after or [value.clone() for value in vectors]
            copy_into(buffers, [moved(s, change / count) for s, change in zip(starts, changes, strict=True)])
            put_back(vectors, vectors_after)
        finally:
            self.micro_batch, self.scalars = None, {**scalars_before, **means}
        under_way = {player: taken.mean(self.environment.process_group) for player, taken in sums.items()}
        return {player: averaged() for player, averaged in under_way.items()}

    def _power_vectors(self) -> list[Tensor]:
        """The buffers of parametrized weights, such as the singular vectors of spectral norm."""
        named = [each for module in self.modules.values() for each in module.named_buffers()]
        return [value for name, value in named if of_parametrization(name)]

    def close(self) -> None:
        """Forget the losses of a step that was not finished."""
        super().close()
        self._deferred = []

    def rehearsal(self, environment: StepEnvironment, **given: Any) -> AccumulatingGame:
        """A game that makes the begun step in another environment, with an empty list of deferred losses."""
        other = super().rehearsal(environment, **given)
        other._deferred = []
        return other

    def _defer(self, compute: Callable[[], Tensor]) -> Tensor:
        leaf = torch.zeros((), device=self.environment.device, dtype=self.environment.dtype, requires_grad=True)
        self._deferred.append((leaf, compute))
        return leaf

    def _coefficients(
        self, losses: Mapping[Player, Tensor], leaves: list[Tensor]
    ) -> dict[Player, Sequence[Tensor | None]]:
        """The factor of each deferred loss in each player's loss, None where a loss does not occur."""
        found: dict[Player, Sequence[Tensor | None]] = {}
        for player, loss in losses.items():
            found[player] = torch.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else [None]
            if all(coefficient is None for coefficient in found[player]):
                raise errors.Incompatible(
                    f"the {player} is to move by a loss that is not the game's: --accumulate cannot work through it"
                )
        return found


class RoundInputs:
    """The inputs of one round: latents, and the number of a real batch.

    Apart from ``MicroBatches``, so that the formulas of a micro-batch's scores hold no reference to the placeholder
    that holds the scores.

    Args:
        game: the game that the round belongs to.
        latents: latents (N, latent_dim) and labels of the whole batch.
        number: number of the real batch in the step, or None until a loss reads a real sample.
        generator_learns: whether the generator learns from the round, so that the fakes need a graph.
    """

    def __init__(self, game: AccumulatingGame, latents: Batch, number: int | None, generator_learns: bool) -> None:
        self.game, self.latents, self.number, self.generator_learns = game, latents, number, generator_learns

    def reals(self, piece: int) -> Batch:
        """The real samples of a micro-batch. The first call draws the batch where ``round`` did not.

        Args:
            piece: number of the micro-batch, from 0.

        Returns:
            Images (N / m, *shape), with the labels and inputs of the same samples.
        """
        if self.number is None:
            self.number = self.game.next_batch()
        return self.game.on_host(self.game.host.reals, self.number, piece)

    def scores(self, piece: int) -> Scores:
        """The scores of a micro-batch.

        Args:
            piece: number of the micro-batch, from 0.
        """
        game = self.game
        at_once = game.is_paired or self.number is not None
        reals: Batch | Callable[[Scores], Batch] = self.reals(piece) if at_once else lambda s: self.reals(piece)
        return game.score(game.own_rows(self.latents, piece), reals, self.generator_learns)


class MicroBatches(Scores):
    """A round under gradient accumulation: a placeholder, to be handed to the game's losses.

    A micro-batch has scores only during ``update``. To read a score raises Incompatible.

    Args:
        inputs: latents, and the number of a real batch.
    """

    def __init__(self, inputs: RoundInputs) -> None:
        self._inputs = inputs
        self._computed: tuple[int, Scores] | None = None

    def current(self) -> Scores:
        """The scores of the micro-batch that is being computed. Both players' losses share the scores."""
        piece = self._inputs.game.micro_batch
        assert piece is not None
        if self._computed is None or self._computed[0] != piece:
            self._computed = None  # before the next is built: two graphs would not fit where one does
            self._computed = piece, self._inputs.scores(piece)
        return self._computed[1]

    def __getattr__(self, name: str) -> NoReturn:
        raise errors.Incompatible(
            f"a schedule that reads a round's {name.lstrip('_')} cannot be trained with --accumulate, which makes a "
            "round piece by piece when the players move: leave --accumulate out, or use another schedule"
        )
