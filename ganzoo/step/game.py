"""One training step: a round, the players' losses with penalties, an update. The page to read beside a paper.

A schedule plays ``Game``: the schedule asks for rounds (a real batch and fakes, scored), for each player's loss on a
round, and for an update. With psi the discriminator's parameters, theta the generator's, and the scores f = D(x), g =
D(G(z)):

    L_D(psi, theta) = loss.discriminator(f, g) + penalties        psi   <- psi   - step of grad_psi   L_D
    L_G(psi, theta) = loss.generator(f, g)     + penalties        theta <- theta - step of grad_theta L_G

Costs, in forward passes of the generator (g) and the discriminator (d): a round is g + 2d, the discriminator's gradient
4d, the generator's 2g + d. So both gradients from one round are 3g + 7d.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo import errors
from ganzoo.parts import PLAYERS, Batch, Learning, Player, Regularizer, Scores, Snapshot
from ganzoo.step.gradients import Gradients, norms, with_layout_of
from ganzoo.step.lookahead import restore_snapshot, take_snapshot, unrolled_generator_loss
from ganzoo.step.naming import named, require_players, require_scalar
from ganzoo.step.nonfinite import raise_flag, stop_on
from ganzoo.step.round import round_scores
from ganzoo.step.second_order import differentiate, joint_penalties
from ganzoo.step.shared_backward import shared_gradients
from ganzoo.step.surroundings import Surroundings


class Game(Surroundings):
    """Two players, two losses, and the updates of each player by the player's own loss.

    The constructor, the begin and the end of a step, and scalars for the records are in ``Surroundings``.
    """

    # -- the round -----------------------------------------------------------------------------------------------

    def round(self, *players: Player) -> Scores:
        """Draw latents and a real batch, and generate fakes. A score is computed when a loss reads the score.

        The real batch is drawn at once where the discriminator learns from the round, as every discriminator's loss
        reads real samples. A round of the generator alone draws one only if the loss reads real samples too, as
        relativistic losses do. Otherwise alternating training would draw and count batches that no loss has seen.
        """
        players = require_players(players)
        latents = self.own_rows(self.on_host(self.host.latents))
        if "discriminator" in players or self.is_paired:
            reals: Batch | Callable[[Scores], Batch] = self.on_host(self.host.reals, self.next_batch(), 0)
        else:
            reals = lambda s: self.on_host(self.host.reals, self.next_batch(), 0)  # noqa: E731
        return self.score(latents, reals, "generator" in players)

    def score(self, latents: Batch, reals: Batch | Callable[[Scores], Batch], generator_learns: bool) -> Scores:
        """Generate fakes from latents, x' = G(z), to be scored beside a real batch.

        Args:
            latents: latents and labels of the fakes.
            reals: the real batch, or a function that fetches the batch.
            generator_learns: keep the graph from the fakes to the generator's parameters.
        """
        self.is_untouched = False  # a pass moves running statistics
        if self.is_paired:  # fake i is generated for the condition, or for the class, of real sample i
            assert isinstance(reals, Batch)
            latents = latents.replace(**{name: reals[name] for name in self.environment.feed.inputs})
            if self.pairs_classes:
                latents = latents.replace(labels=reals.labels)
        latents, reals = latents.at(self.stage), self._at_stage(reals)
        slopes, styles = self.slopes_due(), None
        # A joint penalty contains the generator's gradient, whoever pays.
        joint = any(self.due("discriminator", r) for r in self.with_hook["joint_penalty"].values())
        if generator_learns or joint:
            self._cache_parametrizations(*PLAYERS)
            if "styles" in slopes:  # the graph of a penalty's slope must begin at the points that made the fakes
                styles = self.styles(latents)
                stages = {"images": self.synthesize(styles, latents)}
            else:
                stages = self.generate_all(latents)
        else:
            # g without a graph, and outside the cache: weights that are cached here would carry no gradients later.
            with torch.no_grad(), self.parametrizations.of_a_pass():
                stages = self.generate_all(latents)
            self._cache_parametrizations("discriminator")
            stages["images"].requires_grad_("fake" in slopes)
        return round_scores(self, reals, latents, stages, slopes, styles)

    def next_batch(self) -> int:
        """Count a real batch. Returns the number of the batch in the step, from 0."""
        number = self.state.counters.draws - self.host.counters_at_start.draws
        self.on_host(self.host.count_batch)
        return number

    def own_rows(self, latents: Batch, piece: int = 0) -> Batch:
        """The rows of a whole batch that belong to a micro-batch of the process."""
        environment = self.environment
        if environment.micro_batches == 1:
            return latents
        size = environment.batch_size // environment.micro_batches
        first = (environment.process_group.rank * environment.accumulate + piece) * size
        return latents.rows(slice(first, first + size))

    def generate(self, batch: Batch) -> Tensor:
        """G(z): fakes, (N, *shape), from a batch of latents."""
        return self.generate_all(batch)["images"]

    def generate_all(self, batch: Batch) -> dict[str, Tensor]:
        """G(z) as ``images``, and the stages on the way, from one pass over a batch of latents."""
        with self.environment.autocast(), named("architecture", self.parts.architecture_name):
            made = self.architecture.generate_all(self.modules["generator"], batch)
        return {name: value.to(self.environment.dtype) for name, value in made.items()}

    def styles(self, batch: Batch) -> Tensor:
        """The points of the generator's style space, (N, D) or (N, L, D), from a batch of latents.

        The fakes can be differentiated by the points.
        """
        with self.environment.autocast(), named("architecture", self.parts.architecture_name):
            styles = self.architecture.styles(self.modules["generator"], batch)
        return styles if styles.requires_grad else styles.requires_grad_()

    def synthesize(self, styles: Tensor, batch: Batch) -> Tensor:
        """Fakes, (N, *shape), from points of the generator's style space."""
        with self.environment.autocast(), named("architecture", self.parts.architecture_name):
            images = self.architecture.synthesize(self.modules["generator"], styles, batch)
        return images.to(self.environment.dtype)

    def judge(self, images: Tensor, batch: Batch) -> Any:
        """D(x): the output of the discriminator for images, given the labels and inputs of a batch."""
        with self.environment.autocast(), named("architecture", self.parts.discriminator_name):
            return self.architecture.judge(self._discriminator, images, batch)

    def _at_stage(self, reals: Batch | Callable[[Scores], Batch]) -> Batch | Callable[[Scores], Batch]:
        """The real batch as the networks meet the batch at the present point of growth."""
        if self.stage is None:
            return reals
        if not isinstance(reals, Batch):
            return lambda s: self._resized(reals(s))
        return self._resized(reals)

    def _resized(self, reals: Batch) -> Batch:
        assert self.stage is not None
        with named("architecture", self.parts.architecture_name):
            images = self.architecture.resize(reals.images, self.stage)
        return reals.replace(images=images).at(self.stage)

    def replaced(self, reals: Batch, s: Scores) -> Batch:
        """The real batch as the discriminator meets it: regularizers may put other samples in the place of some."""
        with torch.no_grad():  # a relativistic loss reads real scores in the generator's move too
            for name, regularizer in self.with_hook["reals"].items():
                with named("regularizer", name):
                    reals = regularizer.reals(reals, s)
        return reals

    def transformed(self, images: Tensor, s: Scores) -> Tensor:
        """T(x): the images that the discriminator sees (augmented, with noise), real and fake alike."""
        for name, regularizer in self.with_hook["images"].items():
            with named("regularizer", name):
                images = regularizer.images(images, s)
        return images

    def targets(self, s: Scores) -> tuple[Tensor | float, Tensor | float]:
        """The targets of real and of fake samples: 1 and 0, unless a regularizer smooths the targets."""
        real: Tensor | float = 1.0
        fake: Tensor | float = 0.0
        for name, regularizer in self.with_hook["targets"].items():
            with named("regularizer", name):
                real, fake = regularizer.targets(s, real, fake)
        return real, fake

    def _cache_parametrizations(self, *players: Player) -> None:
        if self._discriminator is self.modules["discriminator"]:  # a stand-in has weights that no cache knows
            self.parametrizations.open(*players)

    # -- the losses ----------------------------------------------------------------------------------------------

    def discriminator_loss(self, s: Scores) -> Tensor:
        """L_D: the loss on a round, with the penalties that are due; 0 while the discriminator does not learn."""
        if not self.parameters["discriminator"]:
            return self._nothing()
        first, *others = self.seen_by_loss(s)
        with named("loss", self.parts.loss_name):
            loss = require_scalar(self.loss.discriminator(first), "loss", self.parts.loss_name)
            for view in others:
                loss = loss + require_scalar(self.loss.discriminator(view), "loss", self.parts.loss_name)
        self.log_scalar("loss/discriminator", loss)
        return self.add_penalties("discriminator", loss, s)

    def generator_loss(self, s: Scores) -> Tensor:
        """L_G: the loss on a round, with the penalties that are due; the penalties alone without an adversary."""
        if not self.learning.adversarial:
            return self._penalties_alone(s)
        loss = self.bare_generator_loss(s)
        self.log_scalar("loss/generator", loss)
        return self.add_penalties("generator", loss, s)

    def bare_generator_loss(self, s: Scores) -> Tensor:
        """The generator's loss without penalties, on the samples that regularizers select."""
        for name, regularizer in self.with_hook["select_samples"].items():
            with named("regularizer", name):
                s = s.at(regularizer.select_samples(s))
        first, *others = self.seen_by_loss(s)
        with named("loss", self.parts.loss_name):
            loss = require_scalar(self.loss.generator(first), "loss", self.parts.loss_name)
            for view in others:
                loss = loss + require_scalar(self.loss.generator(view), "loss", self.parts.loss_name)
        return loss

    def seen_by_loss(self, s: Scores) -> list[Scores]:
        """The round as the loss sees the round: scores of patches, scale by scale, where the loss can take these."""
        return [s.patches(k) for k in range(self.architecture.logit_scales)] if self.loss.takes_patches else [s]

    def _penalties_alone(self, s: Scores) -> Tensor:
        loss = self.add_penalties("generator", self._nothing(), s)
        if not loss.requires_grad:
            raise errors.Incompatible(
                f"architecture {self.parts.architecture_name} begins without an adversary, and no penalty of this run "
                "teaches the generator then: add a regularizer that compares pairs"
            )
        return loss

    def _nothing(self) -> Tensor:
        return torch.zeros((), device=self.environment.device, dtype=self.environment.dtype)

    def bare_losses(self, s: Scores) -> tuple[Tensor, Tensor]:
        """Both players' losses by the scores of images, without penalties and without a selection of samples."""
        with named("loss", self.parts.loss_name):
            discriminator = require_scalar(self.loss.discriminator(s), "loss", self.parts.loss_name)
            generator = require_scalar(self.loss.generator(s), "loss", self.parts.loss_name)
        if self.loss.takes_patches and s.patches().fake.shape != s.fake.shape:
            raise errors.Incompatible(
                f"architecture {self.parts.architecture_name} scores patches, and a backward pass shared by both "
                "players needs one score an image: leave shared=true out"
            )
        self.log_scalar("loss/discriminator", discriminator)
        self.log_scalar("loss/generator", generator)
        return discriminator, generator

    # -- the penalties -------------------------------------------------------------------------------------------

    def add_penalties(self, player: Player, loss: Tensor, s: Scores) -> Tensor:
        """The loss plus each penalty that is due: ``interval * penalty`` in every ``interval``-th update (lazy)."""
        self._log_scores(player, s)
        for name, regularizer in () if self.is_looking_ahead else self.with_hook["observe"].items():
            with torch.no_grad(), named("regularizer", name):
                regularizer.observe(player, s)
        for name, regularizer in self.penalties[player].items():
            if self.due(player, regularizer):
                with named("regularizer", name):
                    if name in self.with_hook["joint_penalty"]:
                        penalty = self.joint_penalties(s)[name]
                    else:
                        penalty = getattr(regularizer, f"{player}_penalty")(s)
                    require_scalar(penalty, "regularizer", name)
                self.log_scalar(f"penalty/{name}", penalty)
                loss = loss + (penalty * regularizer.every if regularizer.every > 1 else penalty)
        return loss

    def joint_penalties(self, s: Scores) -> dict[str, Tensor]:
        """The penalties on both players' gradients at once, by name: see ``second_order``."""
        return joint_penalties(self, s)

    def due(self, player: Player, regularizer: Regularizer) -> bool:
        """Whether a lazy penalty is paid in the player's coming update."""
        count = self.state.counters.updates[player]
        if regularizer.every > 1:
            offset = count - self.host.counters_at_start.updates[player]
            self.lazy_queries.add((player, regularizer.every, offset))
        return count % regularizer.every == 0

    def slopes_due(self) -> frozenset[str]:
        """By which of real, fake and styles the loss or a penalty that is due differentiates the scores."""
        due = (r for player in PLAYERS for r in self.penalties[player].values() if self.due(player, r))
        return self.loss.needs_grad_of.union(*(r.needs_grad_of for r in due))

    # -- the update ----------------------------------------------------------------------------------------------

    def update(
        self,
        *,
        discriminator: Tensor | None = None,
        generator: Tensor | None = None,
        start: Snapshot | None = None,
        trial: bool = False,
    ) -> None:
        """Take the gradients of the given losses at the old point, then move the players along the gradients."""
        losses: dict[Player, Tensor] = {}
        if discriminator is not None and self.parameters["discriminator"]:
            losses["discriminator"] = discriminator
        if generator is not None and self.parameters["generator"]:
            losses["generator"] = generator
        if losses:
            self.apply(self.gradients(losses), start, trial)
        else:  # the player that was to move does not learn in this phase
            self.close()

    def gradients(self, losses: Mapping[Player, Tensor]) -> dict[Player, Gradients]:
        """grad_psi L_D and grad_theta L_G, each loss by the parameters of one player alone.

        ``inputs=`` of ``autograd.grad`` prunes the rest of the graph. So the generator's gradient passes through the
        discriminator (d), and never into the discriminator's weights.
        """
        under_way: dict[Player, Callable[[], Gradients]] = {}
        for number, (player, loss) in enumerate(losses.items(), start=1):
            # Both losses share the graph of the round; the last gradient frees it.
            taken = Gradients.of(player, loss, self.parameters[player], number < len(losses))
            # The all-reduce of one player runs while the gradient of the next is computed.
            under_way[player] = taken.mean(self.environment.process_group)
        return {player: averaged() for player, averaged in under_way.items()}

    def apply(self, gradients: Mapping[Player, Gradients], start: Snapshot | None = None, trial: bool = False) -> None:
        """Move players along gradients, from the present weights or from a snapshot."""
        self.parametrizations.close()  # the weights are about to change
        lengths = norms(gradients)
        losses = [taken.loss for taken in gradients.values()]
        self.nonfinite = raise_flag(self.nonfinite, [*lengths.values(), *losses])
        if start is not None:
            # Extragradient: the gradients are of the point ahead, the update starts from the old point.
            self.restore(start)
        for player, taken in gradients.items():
            self.log_scalar(f"grad/{player}", lengths[player])
            if self.environment.watch_gradients is not None:
                self.environment.watch_gradients(player, taken.grads)
            along: Sequence[Tensor] = taken.grads
            for name, regularizer in self.with_hook["modify_gradients"].items():
                with named("regularizer", name):
                    along = regularizer.modify_gradients(player, along)
            self._move(player, along, trial)

    def _move(self, player: Player, along: Sequence[Tensor], trial: bool) -> None:
        optimizer = self.state.optimizers[player]
        for parameter, gradient in zip(self.parameters[player], stop_on(self.nonfinite, optimizer, along), strict=True):
            parameter.grad = with_layout_of(parameter, gradient)
        self.step_optimizer(player)
        for parameter in self.parameters[player]:
            parameter.grad = None  # no part ever finds a gradient there
        if not trial:  # moves on trial count for no lazy penalty and no average
            self.on_host(self.host.count_update, player)
        for name, regularizer in self.with_hook["after_update"].items():
            with torch.no_grad(), named("regularizer", name):
                regularizer.after_update(player, self.modules[player])
        if player == "generator" and not trial and self.state.ema is not None:
            self.average_generator()

    def step_optimizer(self, player: Player) -> None:
        """One step of a player's optimizer along the gradients in ``.grad``."""
        with named("optimizer of the", player):
            self.state.optimizers[player].step()

    def average_generator(self) -> None:
        """Move the average of the generator's weights towards the new weights."""
        self.state.average(self.on_host(self.host.ema_weight))

    # -- other ways to a gradient --------------------------------------------------------------------------------

    def update_both(self, s: Scores, weight: float = 1.0) -> None:
        """Move both players, with both gradients from one backward pass: see ``shared_backward``."""
        if self.learning != Learning():
            # A part of a network learns, or one player alone: the two gradients are not those of one pass.
            discriminator, generator = self.discriminator_loss(s), weight * self.generator_loss(s)
            return self.update(discriminator=discriminator, generator=generator)
        group = self.environment.process_group
        under_way = {player: taken.mean(group) for player, taken in shared_gradients(self, s, weight).items()}
        self.apply({player: averaged() for player, averaged in under_way.items()})

    def differentiate(self, s: Scores) -> dict[Player, Sequence[Tensor]]:
        """grad_psi L_D and grad_theta L_G on one round, as functions of all parameters: see ``second_order``."""
        return differentiate(self, s)

    def move(self, along: Mapping[Player, Sequence[Tensor]]) -> None:
        """Move players along directions, as along gradients: one number that is not finite stops the move."""
        none = self._nothing()
        self.apply({player: Gradients([*some], none) for player, some in along.items() if self.parameters[player]})

    def learning_rate(self, player: Player) -> float | Tensor:
        """The learning rate of a player's optimizer in the step."""
        rate: float | Tensor = self.state.optimizers[player].param_groups[0]["lr"]
        return rate

    def unrolled_generator_loss(self, steps: int, rate: float | None = None) -> Tensor:
        """The generator's loss against the discriminator of some gradient steps ahead: see ``lookahead``."""
        return unrolled_generator_loss(self, steps, rate)

    def replace_discriminator(self, network: nn.Module) -> None:
        """Judge by another network from now on. ``modules["discriminator"]`` is the game's own."""
        self.parametrizations.close()  # the cached weights are not the ones of this network
        self._discriminator = network

    def snapshot(self, *players: Player, memory: bool = False) -> Snapshot:
        """Copies of the parameters of some players (both unless named), with the optimizers' ``memory`` on request."""
        return take_snapshot(self, players or PLAYERS, memory)

    def restore(self, snapshot: Snapshot) -> None:
        """Put the players of a snapshot back, bit for bit."""
        self.parametrizations.close()  # the weights are about to change
        restore_snapshot(self, snapshot)
