"""The loops that are measured: the engine's own, and a plain script's over the same networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganzoo.parts import PLAYERS, Player, Scores
from ganzoo.recipe.assemble import Experiment
from ganzoo.speed.capture import RecordedSteps
from ganzoo.step.build import build_game
from ganzoo.step.environment import Clock
from ganzoo.step.game import Game
from ganzoo.step.round import round_scores
from ganzoo.training.run import Run
from ganzoo.training.steps import advance

UNTIL = 1_000_000_000
"""Steps of the run that the measured ones are the first of: numbers that follow a run stay at their start."""


class Steps:
    """The engine's step, with its scalars fetched as often as a run fetches them.

    Args:
        experiment: the run that is measured.
        game: another game over the run's state; the experiment's own unless given.
    """

    def __init__(self, experiment: Experiment, game: Game | None = None) -> None:
        self.experiment, self.run, self.game = experiment, experiment.run, game or experiment.game
        self.steps: RecordedSteps | None = None
        self.rows: list[dict[str, Tensor]] = []

    def __call__(self) -> None:
        """Make a step."""
        advance(self.run, self.game, UNTIL, self.steps)
        self.rows.append(self.game.pop_scalars())
        if len(self.rows) >= self.run.settings.log_every:
            torch.stack([value for row in self.rows for value in row.values()]).double().tolist()
            self.rows = []

    def without_penalties(self, clock: Clock | None = None) -> Steps:
        """Make the same steps without penalties. Penalties stay where the generator learns by penalties alone.

        Args:
            clock: times the phases of the steps. None costs no time.
        """
        alone = not self.game.learning.adversarial
        environment = replace(self.game.environment, with_penalties=alone, clock=clock)
        return Steps(self.experiment, build_game(self.game.parts, environment))


class Plain:
    """A script's loop over the networks and optimizers of an experiment.

    It makes as many updates of each player as a step of another run. The discriminator's are on detached fakes, the
    generator's go through a discriminator that then gathers gradients which no optimizer uses. Memory is laid out as
    torch does by default, and there is no average of the generator.

    Args:
        experiment: whose networks and optimizers are trained.
        model: the run whose numbers of updates are copied.
    """

    def __init__(self, experiment: Experiment, model: Run) -> None:
        run, self.game = experiment.run, experiment.game
        self.optimizers, self.loss, self.counters = run.state.optimizers, run.parts.loss, run.state.counters
        for net in run.state.networks:
            net.to(memory_format=torch.contiguous_format)
        steps, moves = model.state.counters.step, model.state.counters.updates
        self.moves = {player: max(1, round(moves[player] / steps)) for player in PLAYERS}
        hooks = self.game.with_hook
        self.penalties: dict[Player, list[Any]] = {
            player: [r for name, r in some.items() if name not in hooks["joint_penalty"]]
            for player, some in self.game.penalties.items()
        }
        unused = [*hooks["joint_penalty"], *hooks["modify_gradients"], *hooks["select_samples"]]
        self.left_out = tuple(dict.fromkeys(unused))

    def __call__(self) -> None:
        """Make the updates of a step."""
        game = self.game
        for _ in range(self.moves["discriminator"]):
            fakes, reals = game.on_host(game.host.latents), game.on_host(game.host.reals, game.next_batch(), 0)
            inputs = {name: reals[name] for name in game.environment.feed.inputs}
            fakes, slopes = fakes.replace(**inputs), game.slopes_due()
            styles = game.styles(fakes) if "styles" in slopes else None
            stages = game.generate_all(fakes) if styles is None else {"images": game.synthesize(styles, fakes)}
            seen = {name: value.detach() for name, value in stages.items()}
            seen["images"].requires_grad_("fake" in slopes)
            self.move("discriminator", round_scores(game, reals, fakes, seen, slopes))
        for i in range(self.moves["generator"]):
            if i:
                stages, styles = game.generate_all(fakes), None
            self.move("generator", round_scores(game, reals, fakes, stages, game.slopes_due(), styles))

    def move(self, player: Player, s: Scores) -> None:
        """Update a player on a round.

        Args:
            player: the player that moves.
            s: the scores of the round.
        """
        loss = getattr(self.loss, player)(s)
        for part in self.penalties[player]:
            if self.game.due(player, part):
                loss = loss + part.every * getattr(part, f"{player}_penalty")(s)
        self.optimizers[player].zero_grad()
        loss.backward()
        self.optimizers[player].step()
        self.counters.updates[player] += 1
        with torch.no_grad():
            for part in self.game.with_hook["after_update"].values():
                part.after_update(player, self.game.modules[player])
