"""The work of a step on the host (the CPU), beside the arithmetic on the device."""

from __future__ import annotations

from torch import Tensor

from ganzoo.parts import Batch, Player
from ganzoo.step.environment import StepEnvironment
from ganzoo.step.randomness import RandomStreams, draw_latents
from ganzoo.step.state import State


class HostSide:
    """Draws latents, fetches real batches and counts.

    A step makes the calls through ``StepEnvironment.on_host``. Two steps differ in the results of the calls alone. So a
    recorded step can be replayed after the calls are made again and the results are copied into place.

    Args:
        state: the state of the run, whose counters are counted up.
        environment: the surroundings of the step.

    Attributes:
        streams: the random numbers of the step.
        counters_at_start: the counters when the step began.
    """

    def __init__(self, state: State, environment: StepEnvironment) -> None:
        self.state, self.environment = state, environment
        self.streams = RandomStreams(environment.device)
        self.counters_at_start = state.counters.copy()

    def renew_streams(self) -> None:
        """Make the random streams anew. The next step seeds the streams."""
        self.streams = RandomStreams(self.environment.device)

    def begin(self, step: int) -> None:
        """Start a step: keep the counters, and set the random numbers to the step's.

        Args:
            step: number of the step, from 0.
        """
        self.keep_counters()
        self.seed_step(step)

    def keep_counters(self) -> None:
        """Take the counters as they are for those at the start of the step."""
        self.counters_at_start = self.state.counters.copy()

    def seed_step(self, step: int) -> None:
        """Set the random numbers of a step.

        Args:
            step: number of the step, from 0.
        """
        environment = self.environment
        self.streams.seed_step(environment.seed, step, self.state.counters.rollbacks, environment.process_group.rank)

    def latents(self) -> Batch:
        """Draw the inputs of the generator: latents (N, latent_dim) and labels (N,).

        Every process draws the whole batch. So a sample has the same latent however the batch is cut.
        """
        environment = self.environment
        generator = self.streams.latents
        latent = draw_latents(
            (environment.batch_size, environment.latent_dim),
            environment.noise,
            generator,
            environment.device,
            environment.dtype,
        )
        # After the latents, from the same generator: the order is part of what a seed means.
        return Batch(latent=latent, labels=environment.feed.labels(environment.batch_size, generator))

    def reals(self, number: int, piece: int) -> Batch:
        """Fetch a real batch.

        Args:
            number: number of the batch in the step, from 0. A number in the run would differ in every replay.
            piece: the micro-batch of the process, from 0.
        """
        return self.environment.feed.reals(self.counters_at_start.draws + number, piece)

    def sample_numbers(self, number: int, piece: int) -> Tensor | None:
        """The numbers of the samples of a real batch, as ``Feed.sample_numbers`` gives.

        Args:
            number: number of the batch in the step, from 0.
            piece: the micro-batch of the process, from 0.
        """
        # The number in the run is counted from the start of the step, which every replay moves on.
        return self.environment.feed.sample_numbers(self.counters_at_start.draws + number, piece)

    def count_batch(self) -> None:
        """Count a real batch and the images in the batch."""
        self.state.counters.draws += 1
        self.state.counters.images += self.environment.batch_size

    def count_update(self, player: Player) -> None:
        """Count an update of a player.

        Args:
            player: the player that moved.
        """
        self.state.counters.updates[player] += 1

    def ema_weight(self) -> float | Tensor:
        """The generator's weight in the average of generator weights, after the update that was just counted."""
        return self.state.ema_weight()
