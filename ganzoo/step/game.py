"""One round, one update: the page that people come for.

A schedule plays ``Game``: it asks for rounds (a real batch and its fakes, judged), for each player's loss on a round,
and for an update. Costs, in forward passes of the generator (g) and the discriminator (d): a round is g + 2d, the
discriminator's gradient 4d, the generator's 2g + d, so that both from one round are 3g + 7d.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from ganzoo import errors, parts
from ganzoo.parts import PLAYERS, Architecture, Batch, Loss, Player, Regularizer, Scores, Snapshot
from ganzoo.step.state import State, StepSnapshot, derive_seed

Given = TypeVar("Given")

MOST_SHARED = 1e20
"""The ratio of the two players' gradients by a score up to which the shared backward is exact: beyond it, float32 runs
out of small numbers."""


class HostCall(Protocol):
    """Who answers what a step asks of the host: ``now``, or whoever records steps to make them again."""

    def __call__(self, call: Callable[..., Given], /, *given: Any) -> Given: ...


def call_directly(call: Callable[..., Given], /, *given: Any) -> Given:
    """Ask, and give the answer."""
    return call(*given)


class Feed(Protocol):
    """Where real batches come from; the engine's own are in ``ganzoo.data.feed``."""

    def reals(self, draw: int, piece: int = 0) -> Batch:
        """The batch of that number, or this process's piece of it: the same one every time."""

    def labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Labels for fakes, in the proportions of the data; None when the nets are given none."""

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """Of what the generator is given besides noise; None when nothing."""


class ProcessGroup(Protocol):
    """The other processes that train the same nets; the engine's own are in ``ganzoo.training.distributed``."""

    rank: int
    world_size: int

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Start averaging over the processes; call what is returned to have the means."""


class SingleProcess:
    """No other processes."""

    rank = 0
    world_size = 1

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """The tensors themselves."""
        return lambda: list(tensors)


class RoundInputs:
    """What a round is drawn from: the noise of a whole batch, and the number of a batch of reals once it is read."""

    def __init__(self, game: Game, noise: Batch, learns: bool) -> None:
        self._game, self._noise, self.learns = game, noise, learns
        self._number: int | None = None

    def fakes(self, piece: int) -> Batch:
        """The noise of a piece."""
        game = self._game
        if game.pieces == 1:
            return self._noise
        size = game.batch_size // game.pieces
        first = (game.process_group.rank * game.accumulate + piece) * size
        given = {name: value[first : first + size] for name, value in vars(self._noise).items() if value is not None}
        return Batch(**given)

    def reals(self, piece: int) -> Batch:
        """The real samples of a piece; the first to be read takes the next batch of the data."""
        game = self._game
        if self._number is None:
            self._number = game.state.counters.draws - game.counters_at_start.draws  # of the step's
            game.on_host(game.count_draw)
        return game.on_host(game.drawn, self._number, piece)


class Round(Scores):
    """One real batch (or a piece of it) and its fakes, judged: each value is computed once, when it is first read."""

    def __init__(self, game: Game, draw: RoundInputs, piece: int, fakes: Batch, fake_images: Tensor) -> None:
        self._game, self._draw, self._piece = game, draw, piece
        self._fakes = fakes
        self.fake_images = fake_images
        self.progress, self.pieces = game.progress, game.pieces

    @cached_property
    def _reals(self) -> Batch:
        return self._draw.reals(self._piece)

    @cached_property
    def latent(self) -> Tensor | None:  # type: ignore[override]  # computed once; a plain attribute to readers
        return self._fakes.latent

    @cached_property
    def real_images(self) -> Tensor:  # type: ignore[override]
        images = self._reals.images
        assert images is not None
        return images.requires_grad_() if "real" in self._game.watched else images

    @cached_property
    def labels(self) -> Tensor | None:  # type: ignore[override]
        return self._reals.labels

    @cached_property
    def fake_labels(self) -> Tensor | None:  # type: ignore[override]
        return self._fakes.labels

    @cached_property
    def condition(self) -> Tensor | None:  # type: ignore[override]
        return self._reals.condition

    @cached_property
    def real_output(self) -> Any:
        return self._game.judge(self._game.transformed(self.real_images, self), self._reals)

    @cached_property
    def fake_output(self) -> Any:
        return self._game.judge(self._game.transformed(self.fake_images, self), self._fakes)

    @cached_property
    def real(self) -> Tensor:  # type: ignore[override]
        return logits(self.real_output)

    @cached_property
    def fake(self) -> Tensor:  # type: ignore[override]
        return logits(self.fake_output)

    @cached_property
    def _targets(self) -> tuple[Tensor | float, Tensor | float]:
        return self._game.targets(self)

    @cached_property
    def real_target(self) -> Tensor | float:  # type: ignore[override]
        return self._targets[0]

    @cached_property
    def fake_target(self) -> Tensor | float:  # type: ignore[override]
        return self._targets[1]

    def judge(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Tensor:
        seen = images if as_is else self._game.transformed(images, self)
        return logits(self._game.judge(seen, self._fakes if fake else self._reals))

    def generate(self, latent: Tensor) -> Tensor:
        return self._game.generate(self._fakes.replace(latent=latent))


class MicroBatches(Scores):
    """A round that is worked through piece by piece when the players move: to be handed to the game's losses alone."""

    def __init__(self, game: Game, draw: RoundInputs) -> None:
        self._game, self._draw = game, draw
        self._piece: int | None = None
        self._round: Round | None = None

    def now(self) -> Round:
        """The piece that is being worked through."""
        piece = self._game.piece
        assert piece is not None
        if self._round is None or self._piece != piece:
            self._round = None  # before the next is made: two would not fit where one does
            self._piece, self._round = piece, self._game.judged(self._draw, piece)
        return self._round

    def __getattr__(self, name: str) -> Any:
        raise errors.Incompatible(
            f"a schedule that reads a round's {name} cannot be trained with --accumulate, which makes a round piece by "
            "piece when the players move: leave --accumulate out, or use onestep or alternating"
        )

    def judge(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Tensor:
        return self.__getattr__("judge")  # type: ignore[no-any-return]  # it raises

    def generate(self, latent: Tensor) -> Tensor:
        return self.__getattr__("generate")  # type: ignore[no-any-return]  # it raises

    def at(self, rows: Tensor) -> Scores:
        return self.__getattr__("at")  # type: ignore[no-any-return]  # it raises


def logits(output: Any) -> Tensor:
    """(N,) scores from what a discriminator returned: its logits, averaged over patches so that images weigh the same.

    Losses and penalties are computed in float32 at least, whatever the nets ran in.
    """
    scores: Tensor = output["logits"] if isinstance(output, Mapping) else output
    if scores.dim() > 1:
        scores = scores.flatten(1).mean(1)
    return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores


class Game(parts.Game):
    """Two players, their losses, and who may learn from what."""

    def __init__(
        self,
        state: State,
        architecture: tuple[str, Architecture],
        loss: tuple[str, Loss],
        regularizers: Mapping[str, Regularizer],
        feed: Feed,
        *,
        batch_size: int,
        latent_dim: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        skips: bool = False,
        accumulate: int = 1,
        process_group: ProcessGroup | None = None,
    ) -> None:
        self.state = state
        self.architecture_name, self.architecture = architecture
        self.loss_name, self.loss = loss
        self.feed = feed
        self.batch_size, self.latent_dim, self.seed = batch_size, latent_dim, seed
        self.device, self.dtype = device, dtype
        self.autocast = autocast
        self.accumulate = accumulate
        self.process_group: ProcessGroup = process_group or SingleProcess()
        self.statistics: list[Tensor] = []  # those of the modules' buffers that differ from piece to piece
        self._buffers_at_start: list[Tensor] = []  # the same when the step began
        self.pieces = accumulate * self.process_group.world_size
        self.piece: int | None = None  # of this process's own, while they are worked through
        self._owed: list[tuple[Tensor, Callable[[], Tensor]]] = []  # with a leaf for each loss, how to compute it
        self.on_host: HostCall = (
            call_directly  # everything that a step takes from the host, or counts there, goes through here
        )
        self.lazy_queries: set[tuple[Player, int, int]] = set()  # what steps hang on: see `due`
        self.counters_at_start = state.counters.copy()
        self.step_number_was_read = False
        self._number, self.progress = 0, 0.0
        self.noise = torch.Generator(device)
        # what parts draw from; torch.manual_seed would look for every kind of device there is, at 0.2 ms a step
        self.streams = [torch.default_generator]
        if device.type == "cuda":
            torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's
            self.streams.append(torch.cuda.default_generators[device.index or 0])
        self.modules = {"generator": state.networks.generator, "discriminator": state.networks.discriminator}
        self.parameters: dict[Player, list[torch.nn.Parameter]] = {
            player: [p for group in state.optimizers[player].param_groups for p in group["params"]]
            for player in PLAYERS
        }
        self.transforms = {n: r for n, r in regularizers.items() if r.defines("images")}
        self.movers = {n: r for n, r in regularizers.items() if r.defines("targets")}
        self.clampers = {n: r for n, r in regularizers.items() if r.defines("after_update")}
        self.observers = {n: r for n, r in regularizers.items() if r.defines("observe")}
        self.selectors = {n: r for n, r in regularizers.items() if r.defines("select_samples")}
        self.steerers = {n: r for n, r in regularizers.items() if r.defines("modify_gradients")}
        self.joiners = {n: r for n, r in regularizers.items() if r.defines("joint_penalty")}
        self.reporters = {n: r for n, r in regularizers.items() if r.defines("report")}
        self.penalties: dict[Player, dict[str, Regularizer]] = {
            player: {
                n: r
                for n, r in regularizers.items()
                if (r.defines(f"{player}_penalty") and player in r.paid_by) or r.defines("joint_penalty")
            }
            for player in PLAYERS
        }
        self.scalars: dict[str, Tensor] = {}
        # 1 from the first update whose loss or gradient was not finite: nobody moves any more, and nobody waited for
        # the device to know it; whoever reads the records sees it in time.
        self.nonfinite = torch.zeros((), device=device)
        self.skips = skips  # ... or only until the step ends, which is then undone
        self._undo: StepSnapshot | None = None
        self._once = ExitStack()
        self._caching = False
        self._parametrized: dict[str, list[tuple[nn.Module, str]]] = {
            player: [
                (m, name)
                for m in net.modules()
                if parametrize.is_parametrized(m)
                for name in m.parametrizations  # type: ignore[union-attr]  # torch's, which is no module's in general
            ]
            for player, net in self.modules.items()
        }
        self._stand_in: _With | None = None

    # -- what a schedule plays with ------------------------------------------------------------------------------

    def round(self, generator_learns: bool = True) -> Scores:
        draw = RoundInputs(self, self.noise_batch(), generator_learns)
        return MicroBatches(self, draw) if self.accumulate > 1 else self.judged(draw, 0)

    def judged(self, draw: RoundInputs, piece: int) -> Round:
        """A round, or a piece of it: the fakes are made here, the rest when it is read."""
        fakes = draw.fakes(piece)
        if self.feed.condition_shape is not None:  # each fake is made for the condition of a real one: pairs
            fakes = fakes.replace(condition=draw.reals(piece).condition)
        joint = any(self.due("discriminator", r) for r in self.joiners.values())  # differentiates the generator too
        if draw.learns or joint:
            if "latent" in self.watched:
                assert fakes.latent is not None
                fakes.latent.requires_grad_()
            self._cache_parametrizations("generator", "discriminator")
            images = self.generate(fakes)
        else:
            with torch.no_grad():  # g, and no graph: outside the cache, whose weights must carry gradients
                images = self.generate(fakes)
            self._cache_parametrizations("discriminator")
            if "fake" in self.watched:
                images.requires_grad_()
        return Round(self, draw, piece, fakes, images)

    def discriminator_loss(self, s: Scores) -> Tensor:
        if isinstance(s, MicroBatches):
            return self._owe(lambda: self.discriminator_loss(s.now()))
        with named("loss", self.loss_name):
            loss = self.loss.discriminator(s)
        self.log_scalar("loss/discriminator", loss)
        return self._penalized("discriminator", loss, s)

    def generator_loss(self, s: Scores) -> Tensor:
        if isinstance(s, MicroBatches):
            return self._owe(lambda: self.generator_loss(s.now()))
        loss = self._generator_loss(s)
        self.log_scalar("loss/generator", loss)
        return self._penalized("generator", loss, s)

    def update(
        self,
        *,
        discriminator: Tensor | None = None,
        generator: Tensor | None = None,
        start: Snapshot | None = None,
        trial: bool = False,
    ) -> None:
        losses: dict[Player, Tensor] = {}
        if discriminator is not None:
            losses["discriminator"] = discriminator
        if generator is not None:
            losses["generator"] = generator
        # All gradients at the old point, each with respect to its own player: `inputs` prunes the rest of the graph,
        # so the generator's gradient passes through the discriminator (d) but never into its weights.
        if self.accumulate > 1:
            gradients = self._accumulated(losses)
        else:
            gradients = {}
            for player, loss in losses.items():
                last = len(gradients) == len(losses) - 1
                taken = torch.autograd.grad(
                    loss, self.parameters[player], retain_graph=not last, materialize_grads=True
                )
                # the mean over the processes is under way while the next player's gradient is computed
                gradients[player] = self.process_group.mean([*taken, loss.detach()])
        self._follow({player: means() for player, means in gradients.items()}, start, trial)

    def _accumulated(self, losses: Mapping[Player, Tensor]) -> dict[Player, Callable[[], list[Tensor]]]:
        """The gradients of losses that are owed, summed over the pieces of the batch; each ends with its loss.

        Costs no pass more; memory is that of one piece.
        """
        owed, self._owed = self._owed, []
        leaves = [leaf for leaf, _ in owed]
        shares: dict[Player, Sequence[Tensor | None]] = {}
        for player, loss in losses.items():
            shares[player] = torch.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else [None]
            if all(share is None for share in shares[player]):
                raise errors.Incompatible(
                    f"the {player} is to move by a loss that is not the game's: --accumulate cannot work through it"
                )
        sums: dict[Player, list[Tensor]] = {}
        before, means = self.scalars, dict[str, Tensor]()
        start = [value.clone() for value in self.statistics]
        moves = [torch.zeros_like(value) for value in self.statistics]
        try:
            for piece in range(self.accumulate):
                self.piece, self.scalars = piece, {}
                _put(self.statistics, start)  # what is kept of the samples moves once an update, whatever the pieces
                # in the order in which they were asked for, so that each round draws the data that it would have drawn
                found = [compute() for _, compute in owed]
                totals = {
                    player: torch.stack([w * f for w, f in zip(weights, found, strict=True) if w is not None]).sum()
                    for player, weights in shares.items()
                }
                del found
                for player in losses:
                    loss = totals.pop(player) / self.accumulate
                    # kept for the next: the other player, or the other pieces, which share what was made of the weights
                    more = bool(totals) or piece < self.accumulate - 1
                    taken = torch.autograd.grad(
                        loss, self.parameters[player], retain_graph=more, materialize_grads=True
                    )
                    if piece == 0:
                        sums[player] = [*taken, loss.detach()]
                    else:
                        torch._foreach_add_(sums[player], [*taken, loss.detach()])
                    del loss  # and with it the graph of this piece, before the next is made
                for tag, value in self.scalars.items():
                    means[tag] = means.get(tag, 0.0) + value / self.accumulate
                for move, value, first in zip(moves, self.statistics, start, strict=True):
                    move.add_(value - first)
            _put(self.statistics, [_moved(s, m / self.accumulate) for s, m in zip(start, moves, strict=True)])
        finally:
            self.piece, self.scalars = None, {**before, **means}
        return {player: self.process_group.mean(grads) for player, grads in sums.items()}

    def update_both(self, s: Scores, weight: float = 1.0) -> None:
        if isinstance(s, MicroBatches):
            raise errors.Incompatible(
                "the shared backward of both players and --accumulate do not go together: leave one of them out"
            )
        assert isinstance(s, Round)
        images = s.fake_images
        leaf = images.detach().requires_grad_()  # the backward pass stops here, and goes on for the generator alone
        s.fake_images = leaf
        with named("loss", self.loss_name):
            discriminator, generator = self.loss.discriminator(s), self.loss.generator(s)
        self.log_scalar("loss/discriminator", discriminator)
        self.log_scalar("loss/generator", generator)
        # per sample: a = dL_D/df, c = dL_G/df
        (a,) = torch.autograd.grad(discriminator, s.fake, retain_graph=True)
        (c,) = torch.autograd.grad(weight * generator, s.fake, retain_graph=True)
        own = self.parameters["discriminator"]
        penalized = self._penalized("discriminator", torch.zeros_like(discriminator), s)
        *taken, slope = torch.autograd.grad(
            discriminator, [*own, leaf], retain_graph=penalized.requires_grad, materialize_grads=True
        )  # slope = a df/dx
        if penalized.requires_grad:  # apart: what a penalty has to do with the fakes is not the generator's
            more = torch.autograd.grad(penalized, own, materialize_grads=True)
            taken = [g + p for g, p in zip(taken, more, strict=True)]
        ratio = torch.where(c == 0, 0.0, c / a)
        self.log_scalar("shared/ratio", ratio.abs().max())
        ratio = ratio.where(ratio.abs() <= MOST_SHARED, torch.nan)  # out of range: no move, rather than a wrong one
        along = slope * ratio.view(-1, *[1] * (slope.dim() - 1))
        gradients: dict[Player, list[Tensor]] = {
            "discriminator": [*taken, (discriminator + penalized).detach()],
            "generator": [
                *torch.autograd.grad(images, self.parameters["generator"], along, materialize_grads=True),
                generator.detach(),
            ],
        }
        means = {player: self.process_group.mean(grads) for player, grads in gradients.items()}
        self._follow({player: mean() for player, mean in means.items()}, None, False)

    def _owe(self, compute: Callable[[], Tensor]) -> Tensor:
        """A leaf that stands for a loss until the players move; what schedules may do with it is scale and add."""
        leaf = torch.zeros((), device=self.device, dtype=self.dtype, requires_grad=True)
        self._owed.append((leaf, compute))
        return leaf

    def _follow(self, gradients: Mapping[Player, list[Tensor]], start: Snapshot | None, trial: bool) -> None:
        """Move along gradients, each of which ends with its loss."""
        self._once.close()  # the weights are about to change: forget what was computed from them
        losses = {player: grads.pop() for player, grads in gradients.items()}
        norms = lengths(gradients)
        total = torch.stack([*norms.values(), *losses.values()]).sum()
        self.nonfinite = self.nonfinite.masked_fill(
            (total - total).isnan(), 1.0
        )  # x - x is 0, but for NaN and infinities
        if start is not None:
            self.restore(start)
        for player, taken in gradients.items():
            self.log_scalar(f"grad/{player}", norms[player])
            along: Sequence[Tensor] = taken
            for name, regularizer in self.steerers.items():
                with named("regularizer", name):
                    along = regularizer.modify_gradients(player, along)
            self._move(player, along, trial)

    def unrolled_generator_loss(self, steps: int, rate: float | None = None) -> Tensor:
        if self.pieces > 1:
            raise errors.Incompatible(
                "a schedule that differentiates through moves of the discriminator needs the whole batch for each: "
                "train it in one process and without --accumulate, or, if it is unrolled, with its order=first"
            )
        net = self.state.networks.discriminator
        rate = self.state.optimizers["discriminator"].param_groups[0]["lr"] if rate is None else rate
        weights: dict[str, Tensor] = dict(net.named_parameters())
        self._once.close()  # what was computed from the real weights is not what these passes see
        try:
            for _ in range(steps):  # psi_i+1 = psi_i - rate grad L_D(psi_i), kept as a function of the generator
                self._stand_in = _With(net, weights)
                loss = self.discriminator_loss(self.round())
                moves = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
                weights = {name: w - rate * g for (name, w), g in zip(weights.items(), moves, strict=True)}
            self._stand_in = _With(net, weights)
            return self.generator_loss(self.round())
        finally:
            self._stand_in = None

    @torch.no_grad()
    def snapshot(self, *players: Player, memory: bool = False) -> Snapshot:
        chosen = players or PLAYERS
        remembered: dict[Player, list[dict[str, Any]]] = {}
        if memory:
            for player in chosen:
                held = self.state.optimizers[player].state
                remembered[player] = [
                    {k: v.clone() if isinstance(v, Tensor) else v for k, v in held[p].items()} if p in held else {}
                    for p in self.parameters[player]
                ]
        return Snapshot(
            {player: [p.detach().clone() for p in self.parameters[player]] for player in chosen}, remembered
        )

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        self._once.close()
        for player, weights in snapshot.weights.items():
            for parameter, weight in zip(self.parameters[player], weights, strict=True):
                parameter.copy_(weight)
        for player, remembered in snapshot.memory.items():
            held = self.state.optimizers[player].state
            for parameter, memory in zip(self.parameters[player], remembered, strict=True):
                if held.get(parameter, {}).keys() == memory.keys():  # in place: a recording holds these tensors
                    for key, value in memory.items():
                        if isinstance(value, Tensor):
                            held[parameter][key].copy_(value)
                        else:
                            held[parameter][key] = value
                else:  # there was none yet: the optimizer begins it anew
                    held.pop(parameter, None)

    # -- what a round is made of ---------------------------------------------------------------------------------

    def noise_batch(self) -> Batch:
        """Noise and labels for a batch of fakes: all of it in every process, the same however it is cut."""
        return self.on_host(self.fresh_noise)

    # what the host does in a step, asked for through `host`

    def fresh_noise(self) -> Batch:
        """The next noise and labels."""
        latent = torch.randn(
            self.batch_size, self.latent_dim, generator=self.noise, device=self.device, dtype=self.dtype
        )
        return Batch(latent=latent, labels=self.feed.labels(self.batch_size, self.noise))

    def drawn(self, number: int, piece: int) -> Batch:
        """A real batch by its number in the step, or a piece of it."""
        return self.feed.reals(self.counters_at_start.draws + number, piece)

    def count_draw(self) -> None:
        """A batch was taken."""
        self.state.counters.draws += 1
        self.state.counters.images += self.batch_size

    def count_move(self, player: Player) -> None:
        """A player moved."""
        self.state.counters.updates[player] += 1

    # and what the device does

    def generate(self, batch: Batch) -> Tensor:
        """Fakes, (N, *shape)."""
        with self.autocast(), named("architecture", self.architecture_name):
            images = self.architecture.generate(self.state.networks.generator, batch)
        return images.to(self.dtype)

    def judge(self, images: Tensor, batch: Batch) -> Any:
        """What the discriminator says of images."""
        with self.autocast(), named("architecture", self.architecture_name):
            return self.architecture.judge(self._stand_in or self.state.networks.discriminator, images, batch)

    def transformed(self, images: Tensor, s: Scores) -> Tensor:
        """What the discriminator sees instead of these images."""
        for name, regularizer in self.transforms.items():
            with named("regularizer", name):
                images = regularizer.images(images, s)
        return images

    def targets(self, s: Scores) -> tuple[Tensor | float, Tensor | float]:
        """The targets of real and of fake samples."""
        real: Tensor | float = 1.0
        fake: Tensor | float = 0.0
        for name, regularizer in self.movers.items():
            with named("regularizer", name):
                real, fake = regularizer.targets(s, real, fake)
        return real, fake

    def joint(self, s: Scores) -> dict[str, Tensor]:
        """The penalties on both players' gradients at once, by part: computed once for a round."""
        known: dict[str, Tensor] | None = vars(s).get("_joint")
        if known is not None:
            return known
        gradients: dict[Player, Sequence[Tensor]] = {}
        with named("loss", self.loss_name):
            losses: dict[Player, Tensor] = {
                "discriminator": self.loss.discriminator(s),
                "generator": self._generator_loss(s),
            }
        for player in PLAYERS:
            gradients[player] = torch.autograd.grad(
                losses[player], self.parameters[player], create_graph=True, materialize_grads=True
            )
        known = {name: regularizer.joint_penalty(gradients) for name, regularizer in self.joiners.items()}
        vars(s)["_joint"] = known
        return known

    @property
    def watched(self) -> frozenset[str]:
        """Which images a penalty that is due in the coming update differentiates the scores by."""
        due = (r for player in PLAYERS for r in self.penalties[player].values() if self.due(player, r))
        return self.loss.needs_grad_of.union(*(r.needs_grad_of for r in due))

    def due(self, player: Player, regularizer: Regularizer) -> bool:
        """Whether a lazy penalty is paid in the player's coming update."""
        count = self.state.counters.updates[player]
        if regularizer.every > 1:
            self.lazy_queries.add((player, regularizer.every, count - self.counters_at_start.updates[player]))
        return count % regularizer.every == 0

    # -- housekeeping --------------------------------------------------------------------------------------------

    def begin(self, step: int, progress: float) -> None:
        """Get ready for a step: its randomness is a function of (seed, stream, step)."""
        self._number, self.progress, self.step_number_was_read = step, progress, False
        self.counters_at_start = self.state.counters.copy()
        self.set_random(step)
        if self.process_group.world_size > 1:
            self._buffers_at_start = [value.clone() for value in self.statistics]
        if self.skips:
            self.clear_nonfinite()
            self._undo = StepSnapshot(self.state)

    def set_random(self, step: int) -> None:
        """Set both streams of random numbers to a step's."""
        again = self.state.counters.rollbacks  # the same numbers would lead to the same NaN
        seed = derive_seed(self.seed, "rollback", again) if again else self.seed
        self.noise.manual_seed(derive_seed(seed, "latent", step))
        own = [self.process_group.rank] if self.process_group.rank else []
        number = derive_seed(seed, "parts", step, *own)
        for stream in self.streams:
            stream.manual_seed(number)  # what parts draw: noise, dropout, augmentation

    @property
    def step_number(self) -> int:  # type: ignore[override]  # a plain attribute to schedules
        """Of the step that is being made, from 0. That a schedule asked is remembered: such a step is not recorded."""
        self.step_number_was_read = True
        return self._number

    def log_scalar(self, tag: str, value: Tensor) -> None:
        """Keep a scalar for the records, on the device."""
        self.scalars[tag] = value.detach() if value.requires_grad else value

    def pop_scalars(self) -> dict[str, Tensor]:
        """The scalars of the step that was just made, which is undone here if it is to be skipped."""
        if self._undo is not None:
            self._undo.restore_if(self.nonfinite.bool())
            self._undo = None
            self.log_scalar("faults/skipped", self.nonfinite)
        seen, self.scalars = self.scalars, {}
        return seen

    def average_buffers(self) -> None:
        """Make what the modules keep of the samples they saw (batch norm's statistics) the same in all processes."""
        if self.statistics and self.process_group.world_size > 1:
            moves = [
                (now - before).double() for now, before in zip(self.statistics, self._buffers_at_start, strict=True)
            ]
            means = self.process_group.mean(moves)()  # of the moves: what did not move stays as it is, to the last bit
            _put(
                self.statistics,
                [_moved(before, mean) for before, mean in zip(self._buffers_at_start, means, strict=True)],
            )

    def report(self) -> None:
        """Note what the parts report of themselves: once in a while, when records are due."""
        with torch.no_grad():
            for name, regularizer in self.reporters.items():
                with named("regularizer", name):
                    for what, value in regularizer.report().items():
                        self.log_scalar(f"parts/{name}/{what}", value)

    def clear_nonfinite(self) -> None:
        """Let the players move again: the state is that of before the fault."""
        self.nonfinite = torch.zeros_like(self.nonfinite)

    def close(self) -> None:
        """Leave no process-wide switch behind, and nothing of a step that was not finished."""
        self._once.close()
        self._owed = []

    def _penalized(self, player: Player, loss: Tensor, s: Scores) -> Tensor:
        known = vars(s)
        for side in ("real", "fake"):
            if side in known and f"_noted_{side}" not in known:  # only what was read: nothing is judged for the records
                known[f"_noted_{side}"] = True
                self.log_scalar(f"scores/{side}", known[side].detach().mean())
        if player == "discriminator" and "real" in known and "fake" in known and s.real.shape == s.fake.shape:
            self.log_scalar("scores/accuracy", (s.real > s.fake).to(s.real.dtype).mean())  # pairs ranked right
        for name, regularizer in self.observers.items():
            with torch.no_grad(), named("regularizer", name):
                regularizer.observe(player, s)
        for name, regularizer in self.penalties[player].items():
            if self.due(player, regularizer):
                with named("regularizer", name):
                    both = name in self.joiners
                    penalty = self.joint(s)[name] if both else getattr(regularizer, f"{player}_penalty")(s)
                self.log_scalar(f"penalty/{name}", penalty)
                loss = loss + (penalty * regularizer.every if regularizer.every > 1 else penalty)
        return loss

    def _generator_loss(self, s: Scores) -> Tensor:
        for name, regularizer in self.selectors.items():
            with named("regularizer", name):
                s = s.at(regularizer.select_samples(s))
        with named("loss", self.loss_name):
            return self.loss.generator(s)

    def _move(self, player: Player, gradients: Iterable[Tensor], trial: bool) -> None:
        optimizer = self.state.optimizers[player]
        if optimizer.defaults.get("fused"):
            optimizer.found_inf = self.nonfinite  # type: ignore[attr-defined]  # fused steps look at it on the device
        else:
            stop = self.nonfinite.bool()
            gradients = [g.masked_fill(stop, 0.0) for g in gradients]
        for parameter, gradient in zip(self.parameters[player], gradients, strict=True):
            parameter.grad = laid_out_like(parameter, gradient)
        with named("optimizer of the", player):
            optimizer.step()
        for parameter in self.parameters[player]:
            parameter.grad = None
        if not trial:
            self.on_host(self.count_move, player)
        for name, regularizer in self.clampers.items():
            with torch.no_grad(), named("regularizer", name):
                regularizer.after_update(player, self.modules[player])
        if player == "generator" and not trial and self.state.ema is not None:
            self.state.average(self.on_host(self.state.share))

    def _cache_parametrizations(self, *players: Player) -> None:
        # One power iteration of spectral norm per update, and one sigma for all of its passes: both players' gradients
        # are then of the same function, and a third of the cost is saved.
        if self._stand_in is not None or not any(self._parametrized.values()):
            return
        if not self._caching:
            self._caching = True
            self._once.enter_context(parametrize.cached())
            self._once.callback(setattr, self, "_caching", False)
        for player in players:
            for module, name in self._parametrized[player]:  # here, where nothing is rounded to bf16
                getattr(module, name)


class _With(nn.Module):
    """A net that computes with other weights than its own."""

    def __init__(self, net: nn.Module, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.net, self.weights = net, weights

    def forward(self, *given: Any) -> Any:
        return functional_call(self.net, self.weights, given)


def _moved(start: Tensor, move: Tensor) -> Tensor:
    return start + (move if start.is_floating_point() else move.round()).to(start.dtype)


def _put(places: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for place, value in zip(places, values, strict=True):
        place.copy_(value)


def lengths(gradients: Mapping[Player, Sequence[Tensor]]) -> dict[Player, Tensor]:
    """The norm of each player's gradient: one kernel for all of them where there is one."""
    each = torch.stack(torch._foreach_norm([g for grads in gradients.values() for g in grads]))
    pieces = torch.split(each, [len(grads) for grads in gradients.values()])
    return {player: torch.linalg.vector_norm(piece) for player, piece in zip(gradients, pieces, strict=True)}


def laid_out_like(weight: Tensor, gradient: Tensor) -> Tensor:
    """A gradient in the memory order of its weight; most are already, and cost nothing.

    ``backward`` sees to it, ``autograd.grad`` does not; and torch's fused optimizer kernels walk weight and gradient by
    one order: where the two differ they move the wrong numbers, in silence.
    """
    return gradient if gradient.stride() == weight.stride() else torch.empty_like(weight).copy_(gradient)


class named:  # read as a word; a generator's context would cost a microsecond a part
    """Say in which part an exception was raised, without hiding where."""

    __slots__ = ("kind", "name")

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            error.add_note(f"in {self.kind} {self.name}")
