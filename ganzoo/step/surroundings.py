"""The attributes of a game, and the begin and the end of a step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Self

import torch
from torch import Tensor, nn

from ganzoo import errors
from ganzoo import parts as contracts
from ganzoo.parts import PLAYERS, Learning, Player, Regularizer, Scores, Stage
from ganzoo.step.environment import GameParts, StepEnvironment
from ganzoo.step.gradients import copy_into, moved, put_back
from ganzoo.step.host import HostSide
from ganzoo.step.naming import named
from ganzoo.step.nonfinite import StepSnapshot
from ganzoo.step.parametrizations import ParametrizationCache

HOOKS = (
    "reals",
    "images",
    "targets",
    "observe",
    "select_samples",
    "joint_penalty",
    "modify_gradients",
    "after_update",
    "report",
)
"""The methods by which a regularizer takes part in a step, besides penalties."""


class Surroundings(contracts.Game):
    """The frame of a step, that ``Game`` fills: constructor, begin, end, scalars, rehearsals, looks ahead.

    Attributes:
        parts: architecture, loss, regularizers, and the state that the game changes.
        environment: the surroundings of the step.
        parameters: the tensors of each player that learn in the present phase, of those that the optimizer trains.
        phase: what learns at this point of the run, as the architecture says.
        with_hook: the regularizers that define a method of ``HOOKS``, by method and name. An undefined
            method costs no time.
        penalties: the regularizers with a penalty on a player's loss, by player and name.
        host: the work of the step on the CPU.
        scalars: the step's losses, scores and norms, on the device, by tag.
        nonfinite: (), on the device: 1 from the first update with a loss or gradients that are not finite. From then
            on updates change no weights, until ``clear_nonfinite``.
        lazy_queries: (player, interval, offset) of every question whether a lazy penalty is due. Python decides a
            step by the answers alone, so the answers tell recordings of steps apart.
        progress: 0 at the first step of the run, 1 at the last.
        stage: the point of growth of the networks in the step. None where the networks do not grow.
        is_untouched: whether no network was called since the begin of the step.
    """

    def __init__(self, parts: GameParts, environment: StepEnvironment) -> None:
        self.parts, self.environment = parts, environment
        self.state = parts.state
        self.loss, self.architecture = parts.loss, parts.architecture
        self.on_host = environment.on_host
        self.host = HostSide(self.state, environment)
        self.modules: dict[Player, nn.Module] = {
            "generator": self.state.networks.generator,
            "discriminator": self.state.networks.discriminator,
        }
        # Not the modules' own parameters: a regularizer's module may be trained along with a player.
        self.parameters: dict[Player, list[nn.Parameter]] = {
            player: [p for group in self.state.optimizers[player].param_groups for p in group["params"]]
            for player in PLAYERS
        }
        self._all_parameters = dict(self.parameters)
        self.learning = Learning()
        regularizers = parts.regularizers.items()
        self.with_hook = {hook: {name: r for name, r in regularizers if r.defines(hook)} for hook in HOOKS}
        self.penalties: dict[Player, dict[str, Regularizer]] = {player: {} for player in PLAYERS}
        if environment.with_penalties:
            for player in PLAYERS:
                for name, r in regularizers:
                    pays = r.defines(f"{player}_penalty") and player in r.paid_by
                    if pays or r.defines("joint_penalty"):
                        self.penalties[player][name] = r
        else:
            self.with_hook["joint_penalty"] = {}
        self.parametrizations = ParametrizationCache(self.modules)
        self.nonfinite = torch.zeros((), device=environment.device, dtype=torch.float32)  # as fused optimizers read it
        self.scalars: dict[str, Tensor] = {}
        self.lazy_queries: set[tuple[Player, int, int]] = set()
        self.progress = 0.0
        self.stage: Stage | None = None
        self.step_number_was_read = False
        self.is_looking_ahead = self.is_untouched = False
        self._step_number = 0
        self._before_step: StepSnapshot | None = None
        self._buffers_at_start: list[Tensor] = []
        self._discriminator: nn.Module = self.modules["discriminator"]
        if environment.clock is not None:
            self._time_phases(environment.clock.phase)

    # -- begin and end of a step ---------------------------------------------------------------------------------

    def begin(self, step: int, progress: float) -> None:
        """Get ready for a step: the random numbers of a step are a function of (seed, stream, step).

        Args:
            step: number of the step, from 0.
            progress: 0 at the first step of the run, 1 at the last.
        """
        self._step_number, self.progress, self.step_number_was_read = step, progress, False
        with named("architecture", self.parts.architecture_name):
            stage = self.architecture.stage(self.parts.spec, progress, self.state.counters.images)
        self.stage = self.state.enter(stage)
        self.host.begin(step)
        self.is_untouched = True
        self._begin_learning(self.architecture.learning(progress))
        if self.environment.process_group.world_size > 1:
            self._buffers_at_start = [value.clone() for value in self.environment.buffers]
        if self.environment.skip_nonfinite:
            self.clear_nonfinite()
            self._before_step = StepSnapshot(self.state)

    def _begin_learning(self, phase: Learning) -> None:
        """Choose the parameters that learn. What is frozen is in evaluation mode, so that its statistics stay too."""
        generator, discriminator = (None if names is None else tuple(names) for _, names in phase.players())
        # Tuples, because a list that the architecture changes in place would always be equal to itself.
        phase = Learning(generator, discriminator, phase.adversarial)
        if phase != self.learning:
            self.learning = phase
            for player, names in phase.players():
                self.parameters[player] = self._learning(player, names)
                self.modules[player].train()
            if not any(self.parameters.values()):
                raise errors.Incompatible(
                    f"architecture {self.parts.architecture_name} lets nothing learn: name a submodule"
                )
        for player, names in phase.players():
            if names is not None:  # in each step: sampling puts the whole network back into training mode
                self.modules[player].eval()
                for name in names:
                    self.modules[player].get_submodule(name).train()

    def _learning(self, player: Player, names: Collection[str] | None) -> list[nn.Parameter]:
        """The parameters of a player that learn: those of the submodules, and those of the parts' own modules."""
        everything = self._all_parameters[player]
        if names is None:
            return everything
        module = self.modules[player]
        if unknown := [name for name in names if name not in dict(module.named_modules())]:
            has = ", ".join(name for name, _ in module.named_children())
            raise errors.Incompatible(
                f"architecture {self.parts.architecture_name} trains {unknown[0]!r} of the {player}, which has no such "
                f"submodule; there are {has}"
            )
        if not names:
            return []
        # By identity, because `==` compares tensors number by number.
        wanted = {id(p) for name in names for p in module.get_submodule(name).parameters()}
        own = {id(p) for p in module.parameters()}
        return [p for p in everything if id(p) in wanted or id(p) not in own]

    @property
    def step_number(self) -> int:  # type: ignore[override]  # a plain attribute in the contract
        """Number of the step, from 0. A step is not recorded if the schedule reads the number."""
        self.step_number_was_read = True
        return self._step_number

    def take_back_begin(self) -> bool:
        """Return to the state before the step, where the step ended at its first batch, which could not be read.

        Returns:
            Whether the state is that of before the step. Otherwise nothing is changed.
        """
        start = self.host.counters_at_start
        moved = self.state.counters.updates != start.updates
        if moved or not self.is_untouched or self.environment.micro_batches > 1:
            return False
        self.state.counters.set(start)
        return True

    def average_buffers(self) -> None:
        """Average over the processes the buffers with statistics of samples, such as running means."""
        environment = self.environment
        if environment.buffers and environment.process_group.world_size > 1:
            # The changes are averaged, not the values: a buffer that did not change keeps its last bit.
            starts = self._buffers_at_start
            changes = [(now - start).double() for now, start in zip(environment.buffers, starts, strict=True)]
            means = environment.process_group.mean(changes)()
            copy_into(environment.buffers, [moved(s, mean) for s, mean in zip(starts, means, strict=True)])

    def log_scalar(self, tag: str, value: Tensor) -> None:
        """Keep a scalar for the records, on the device."""
        self.scalars[tag] = value.detach() if value.requires_grad else value

    def pop_scalars(self) -> dict[str, Tensor]:
        """The scalars of the step. With ``skip_nonfinite``, a step that is not finite is undone first."""
        if self._before_step is not None:
            self._before_step.restore_if(self.nonfinite.bool())
            self._before_step = None
            self.log_scalar("faults/skipped", self.nonfinite)
        scalars, self.scalars = self.scalars, {}
        return scalars

    def log_reports(self) -> None:
        """Log the reports of regularizers: called now and then, when records are due."""
        with torch.no_grad():
            for name, regularizer in self.with_hook["report"].items():
                with named("regularizer", name):
                    for tag, value in regularizer.report().items():
                        self.log_scalar(f"parts/{name}/{tag}", value)

    def clear_nonfinite(self) -> None:
        """Let updates change the weights again: the state is that of before the number that was not finite."""
        self.nonfinite = torch.zeros_like(self.nonfinite)  # a new tensor: the old one may be among the scalars

    def close(self) -> None:
        """Turn all process-wide switches off, also after an exception."""
        self.parametrizations.close()

    # -- steps that are made otherwise ---------------------------------------------------------------------------

    def rehearsal(
        self,
        environment: StepEnvironment,
        *,
        progress: float | Tensor,
        blend: float | Tensor = 1.0,
        nonfinite: Tensor | None = None,
    ) -> Self:
        """A game that makes the begun step in another environment.

        The rehearsal shares the state, the random streams and the counters, and starts with no scalars.

        Args:
            environment: differs in ``on_host`` and ``watch_gradients`` at most.
            progress: 0 to 1 as in ``begin``, or a tensor that a recording reads.
            blend: share of the newest layers where the networks grow, or a tensor that a recording reads.
            nonfinite: the flag to start from. The default is the present flag.
        """
        # A shallow copy, so that both games move the same state.
        other = copy.copy(self)
        other.environment, other.on_host = environment, environment.on_host
        other.parametrizations = ParametrizationCache(self.modules)
        other.scalars, other.step_number_was_read = {}, False
        other.progress = progress  # type: ignore[assignment]  # a tensor in a recording
        if self.stage is not None:
            other.stage = self.stage._replace(blend=blend)
        other.nonfinite = self.nonfinite if nonfinite is None else nonfinite
        return other

    @contextmanager
    def looking_ahead(self) -> Iterator[None]:
        """A context for rounds and moves that are taken back: the statistics of networks and parts stay as they are.

        Regularizers observe nothing inside. The running statistics of norms, power vectors and the like are copied at
        the begin and put back at the end. The parameters are left to ``snapshot`` and ``restore``.
        """
        modules = [module for group, module in self.state.modules_by_group() if group != "ema"]
        buffers = [value for module in modules for value in module.buffers()]
        kept = [value.clone() for value in buffers]
        before, self.is_looking_ahead = self.is_looking_ahead, True
        try:
            yield
        finally:
            self.is_looking_ahead = before
            self.parametrizations.close()  # weights that are cached belong to the power vectors of this context
            put_back(buffers, kept)

    def discard_trial(self, nonfinite: Tensor) -> None:
        """Forget the scalars of a trial, and put an earlier flag back."""
        self.scalars, self.nonfinite = {}, nonfinite

    def finish_with(self, scalars: Mapping[str, Tensor], nonfinite: Tensor) -> None:
        """Take over the scalars and the flag of the begun step from a rehearsal or a recording."""
        self.scalars.update(scalars)
        self.nonfinite = nonfinite

    @property
    def is_paired(self) -> bool:
        """Whether each fake is generated for the condition or the class of a real sample."""
        return bool(self.environment.feed.inputs) or self.pairs_classes

    @property
    def pairs_classes(self) -> bool:
        """Whether each fake is generated for the class of a real sample, because the loss compares the two."""
        return self.loss.pairs_samples and self.environment.feed.with_labels

    # -- small things --------------------------------------------------------------------------------------------

    def _log_scores(self, player: Player, s: Scores) -> None:
        known = vars(s)  # the values that were read so far: nothing is scored for the records alone
        for side in ("real", "fake"):
            if side in known and f"_logged_{side}" not in known:
                known[f"_logged_{side}"] = True
                self.log_scalar(f"scores/{side}", known[side].detach().mean())
        if player == "discriminator" and "real" in known and "fake" in known and s.real.shape == s.fake.shape:
            # The share of pairs (real i, fake i) that the discriminator ranks right.
            self.log_scalar("scores/accuracy", (s.real > s.fake).to(s.real.dtype).mean())

    def _time_phases(self, phase: Callable[[str], AbstractContextManager[None]]) -> None:
        # Wrapped here and not in the methods above: a step that nobody times pays nothing for the clock.
        def timed(name: str, function: Callable[..., object]) -> Callable[..., object]:
            def call(*given: object) -> object:
                with phase(name):
                    return function(*given)

            return call

        for owner, method, name in (
            (self.host, "reals", "data"),
            (self, "generate_all", "generator forward"),
            (self, "judge", "discriminator forward"),
            (self, "step_optimizer", "optimizer"),
            (self, "average_generator", "ema"),
        ):
            setattr(owner, method, timed(name, getattr(owner, method)))
