"""The laboratory: which compositions converge, on the smallest GAN that there is (the Dirac-GAN).

The data is one point, 0; the generator has one parameter, G(z) = theta; the discriminator is linear, D(x) = psi x. The
players, the data and the bookkeeping below are the laboratory's own. Everything else is what trains pictures too: the
parts, the game, the schedules, the loop's step. Who wants to see why a penalty helps, or whether a new one does, looks
at two numbers here: where the players end, and the eigenvalues of one step at the equilibrium theta = psi = 0.

    result = ganzoo.lab.dirac(loss="sgan", regularizers=["r1:gamma=1"])
    result.verdict, result.radius[-1], result.eigenvalues

Source: Mescheder, Geiger and Nowozin 2018, Which training methods for GANs do actually converge?, arXiv:1801.04406,
sections 2 and 3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ganzoo import errors, plugins, words
from ganzoo.parts import Architecture, Data, Loss, Part, Scores, Spec
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.settings import resolve
from ganzoo.step.build import build_game
from ganzoo.step.game import Game
from ganzoo.training.parts import Parts
from ganzoo.training.steps import advance

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from ganzoo.plugins import Catalogue

Verdict = Literal["converged", "orbits", "diverges", "refused"]

CONVERGED = 0.05
"""Converged: over the last tenth of the run, never farther from (0, 0) than this share of the first distance."""

DIVERGED = 1.5
"""Diverges: in the last tenth of the run, once farther than so many times the farthest of the first half; or the run
ended early, out of sight (``FAR``). What neither converges nor diverges orbits, or rests at a distance."""

FAR = 1e4
"""At so many times the first distance, or where a number is not finite, a run is over."""

LOSSES = ("sgan-saturating", "sgan", "hinge", "wgan")
REGULARIZERS = (
    "none",
    "weight-clip:value=0.5",
    "wgan-gp:weight=1",
    "instance-noise:sigma=1",
    "r1:gamma=1",
    "r2:gamma=1",
    "consensus:weight=1",
)
SCHEDULES = ("onestep", "alternating", "extragradient")
"""What ``table`` lays out unless told: those of them that the catalogue has."""


# -- the game: one point, one parameter a player -----------------------------------------------------------------


class _Theta(nn.Module):
    """G(z) = theta, whatever z."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([theta], dtype=torch.float64))

    def forward(self, latent: Tensor) -> Tensor:
        return self.theta.expand(len(latent), 1)


class DiracPlayers(Architecture):
    """The players of the Dirac-GAN: G(z) = theta and D(x) = psi x, without a bias.

    Args:
        theta: where the generator's point begins.
        psi: slope that the discriminator begins with.
    """

    theta: float = 1.0
    psi: float = 1.0

    def generator(self, spec: Spec) -> nn.Module:
        """Make the point."""
        return _Theta(self.theta)

    def discriminator(self, spec: Spec) -> nn.Module:
        """Make the line through 0."""
        discriminator = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        nn.init.constant_(discriminator.weight, self.psi)
        return discriminator


class DiracPoint(Data):
    """The data of the Dirac-GAN: the point 0 on the line, many times over.

    Args:
        points: how many times.
    """

    points: int = 1024

    def dataset(self) -> Dataset[tuple[Tensor, ...]]:
        """(points, 1) zeros."""
        return TensorDataset(torch.zeros(self.points, 1, dtype=torch.float64))

    def modes(self) -> Tensor:
        """(1, 1): the point."""
        return torch.zeros(1, 1)


# -- what is found -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dirac:
    """What a composition does on the Dirac-GAN.

    Attributes:
        loss, regularizers, schedule, optimizer: the parts, as words.
        lr: learning rate at the first step.
        theta, psi: where the players were, at the start and after each step.
        verdict: converged, orbits, diverges (see ``CONVERGED`` and ``DIVERGED``), or refused: it cannot be assembled.
        eigenvalues: of the derivative of ``period`` steps of plain gradient descent with this loss, these regularizers
            and this schedule, at (0, 0) and the start of the run, measured on the training code itself; None where a
            step has no derivative there (wgan-gp's root) or (0, 0) does not stay put.
        theory: the same eigenvalues from the derivatives of the loss, for the regularizers and schedules whose closed
            form ``closed_form`` knows; else None.
        period: steps until every lazy penalty has been paid once, and a schedule that counts steps (its ``k``) is at
            its beginning again.
        notes: what was questionable at assembly, or why it was refused, a line each.
    """

    loss: str
    regularizers: str
    schedule: str
    optimizer: str
    lr: float
    theta: tuple[float, ...] = ()
    psi: tuple[float, ...] = ()
    verdict: Verdict = "refused"
    eigenvalues: tuple[complex, complex] | None = None
    theory: tuple[complex, complex] | None = None
    period: int = 1
    notes: tuple[str, ...] = field(default=())

    @property
    def radius(self) -> list[float]:
        """Distance from the equilibrium, sqrt(theta^2 + psi^2), at the start and after each step."""
        return [math.hypot(theta, psi) for theta, psi in zip(self.theta, self.psi, strict=True)]

    @property
    def steps(self) -> int:
        """Steps made."""
        return max(0, len(self.theta) - 1)

    @property
    def last(self) -> float:
        """Largest radius of the last tenth, which the verdict is about; NaN where nothing was run."""
        return _tail(self.radius) if self.theta else math.nan

    def plain(self) -> dict[str, object]:
        """The figures, as plain data; an eigenvalue is its real and its imaginary part."""
        pairs = {
            key: None if found is None else [[value.real, value.imag] for value in found]
            for key, found in (("eigenvalues", self.eigenvalues), ("theory", self.theory))
        }
        return {
            "loss": self.loss,
            "regularizers": self.regularizers,
            "schedule": self.schedule,
            "optimizer": self.optimizer,
            "lr": self.lr,
            "steps": self.steps,
            "verdict": self.verdict,
            "radius": self.last if math.isfinite(self.last) else None,
            "modulus": None if self.eigenvalues is None else max(map(abs, self.eigenvalues)),
            **pairs,
            "period": self.period,
            "notes": list(self.notes),
        }


def dirac(
    *,
    loss: str | Part = "sgan",
    regularizers: Iterable[str | Part] = (),
    schedule: str | Part = "onestep",
    optimizer: str | Part = "sgd",
    lr: float = 0.1,
    steps: int = 1000,
    start: tuple[float, float] = (1.0, 1.0),
    batch_size: int = 1024,
    seed: int = 0,
    catalogue: Catalogue | None = None,
) -> Dirac:
    """Train the Dirac-GAN with any parts, in float64 on the CPU, and say whether it converges.

    Args:
        loss: a part, as ``ganzoo.run`` takes it.
        regularizers: any number of parts.
        schedule: a part.
        optimizer: a part.
        lr: learning rate of both players, unless the optimizer's words give one.
        steps: steps of the schedule.
        start: theta and psi at first.
        batch_size: samples in a batch. All reals are 0 and all fakes are theta, so it matters for parts that draw
            random numbers alone: the mean over a batch of instance noise stands for its expectation, and what is left
            of the noise keeps the players at a distance of about sqrt(lr / batch_size).
        seed: of everything random.
        catalogue: the parts that can be named, as ``ganzoo.catalogue()`` gives them.

    Raises:
        GanzooError: a part or a value is wrong, or the parts cannot go together, in one line.
    """
    known = catalogue if catalogue is not None else plugins.load_catalogue()
    moving = known.specify("optimizer", optimizer)
    if isinstance(moving, words.PartSpec):
        moving = moving.with_parameters(**{"lr": lr, **moving.parameters})
    given = {
        "loss": loss,
        "regularizers": tuple(regularizers),
        "schedule": schedule,
        "steps": steps,
        "seed": seed,
        "batch_size": batch_size,
        "data": DiracPoint(points=max(batch_size, 2)),
    }
    experiment = _assembled({**given, "optimizer": moving, "arch": DiracPlayers(theta=start[0], psi=start[1])}, known)
    cast = experiment.run.parts
    rate = float(getattr(cast.optimizers["generator"], "lr", lr))
    theta, psi = _trajectory(experiment, steps)
    plain = _assembled({**given, "optimizer": {"name": "sgd", "lr": rate}, "arch": DiracPlayers()}, known)
    period = math.lcm(getattr(cast.schedule, "k", 1), *(part.every for part in cast.regularizers.values()))
    return Dirac(
        loss=cast.labels["loss"],
        regularizers=cast.labels["regularizers"],
        schedule=cast.labels["schedule"],
        optimizer=cast.labels["optimizer"],
        lr=rate,
        theta=theta,
        psi=psi,
        verdict=_verdict(theta, psi, steps),
        eigenvalues=_measured(plain, period),
        theory=closed_form(plain.run.parts, rate),
        period=period,
        notes=tuple(experiment.run.warnings),
    )


def table(
    losses: Sequence[str | Part] | None = None,
    regularizers: Sequence[str | Part] | None = None,
    schedules: Sequence[str | Part] | None = None,
    *,
    catalogue: Catalogue | None = None,
    **how: Any,
) -> Iterator[Dirac]:
    """Every loss with every regularizer and every schedule, one after another.

    Args:
        losses: parts; those of ``LOSSES`` that the catalogue has, unless told.
        regularizers: a part each, or ``none``, or several as ``"r1:gamma=1 + instance-noise:sigma=1"``; those of
            ``REGULARIZERS``, unless told.
        schedules: parts; those of ``SCHEDULES``, unless told.
        catalogue: the parts that can be named.
        how: the rest, as ``dirac`` takes it.
    """
    known = catalogue if catalogue is not None else plugins.load_catalogue()
    losses = losses or _present(known, "loss", LOSSES)
    schedules = schedules or _present(known, "schedule", SCHEDULES)
    regularizers = regularizers or _present(known, "regularizer", REGULARIZERS)
    for loss in losses:
        for schedule in schedules:
            for several in regularizers:
                named = [several] if not isinstance(several, str) else several.split(" + ")
                some = [each for each in named if each != "none"]
                try:
                    yield dirac(loss=loss, regularizers=some, schedule=schedule, catalogue=known, **how)
                except errors.Incompatible as error:
                    yield Dirac(
                        loss=str(loss),
                        regularizers=str(several),
                        schedule=str(schedule),
                        notes=(str(error),),
                        optimizer=str(how.get("optimizer", "sgd")),
                        lr=float(how.get("lr", 0.1)),
                    )


def _present(catalogue: Catalogue, kind: str, named: Sequence[str]) -> list[str]:
    known = {entry.name for entry in catalogue.entries(kind)}
    return [each for each in named if each == "none" or words.PartSpec.parse(each).name in known]


# -- running it --------------------------------------------------------------------------------------------------


def _assembled(given: Mapping[str, object], catalogue: Catalogue) -> Experiment:
    fixed = {"latent_dim": 1, "ema": 0.0, "device": "cpu", "precision": "fp64", "metrics": ()}
    return assemble(resolve(catalogue, given={**given, **fixed}), catalogue)


def _weights(experiment: Experiment) -> tuple[nn.Parameter, nn.Parameter]:
    """Theta and psi themselves; what spectral norm, say, makes of psi is computed from it."""
    generator, discriminator = experiment.run.state.networks
    return next(generator.parameters()), next(discriminator.parameters())


def _where(experiment: Experiment) -> tuple[float, float]:
    theta, psi = _weights(experiment)
    return float(theta.detach()), float(psi.detach())


def _trajectory(experiment: Experiment, steps: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Where the players are, at first and after each step."""
    places = [_where(experiment)]
    far = FAR * max(1e-9, math.hypot(*places[0]))
    with _stepping(experiment):
        for _ in range(steps):
            advance(experiment.run, experiment.game, steps)
            experiment.game.pop_scalars()
            places.append(_where(experiment))
            if bool(experiment.game.nonfinite) or not math.hypot(*places[-1]) < far:
                places[-1] = math.inf, math.inf
                break
    theta, psi = zip(*places, strict=True)
    return theta, psi


@contextmanager
def _stepping(experiment: Experiment) -> Iterator[None]:
    """Steps that leave the caller's random numbers, and torch's process-wide switches, as they were."""
    with torch.random.fork_rng(devices=()):
        try:
            yield
        finally:
            experiment.game.close()


def _tail(radius: Sequence[float]) -> float:
    return max(radius[-max(1, len(radius) // 10) :])


def _verdict(theta: Sequence[float], psi: Sequence[float], steps: int) -> Verdict:
    radius = [math.hypot(*place) for place in zip(theta, psi, strict=True)]
    last = _tail(radius)
    if len(radius) <= steps or last > DIVERGED * max(radius[: len(radius) // 2 + 1]):
        return "diverges"
    return "converged" if last <= CONVERGED * radius[0] else "orbits"


# -- eigenvalues of a step at the equilibrium --------------------------------------------------------------------

STREAMS = 16
"""Seeds that the derivative of a step is averaged over: an expectation, where parts draw random numbers."""


def _measured(experiment: Experiment, period: int) -> tuple[complex, complex] | None:
    """Eigenvalues of the derivative of a period's steps at (0, 0), by central differences on the training code."""
    run = experiment.run
    state, schedule = run.state, run.parts.schedule
    tensors = {group: {name: t.clone() for name, t in found.items()} for group, found in state.tensors().items()}
    numbers = copy.deepcopy(state.numbers())

    def moved(game: Game, theta: float, psi: float) -> Tensor:
        state.load(tensors, numbers)
        with torch.no_grad():
            for parameter, value in zip(_weights(experiment), (theta, psi), strict=True):
                parameter.fill_(value)
        if (own := schedule.prepare(state.networks, run.spec)) is not None:  # it remembers where it began: here
            schedule.module.load_state_dict(own.state_dict())
        for _ in range(period):
            advance(run, game, 1 << 40)  # so far from the end that courses are at their start
            game.pop_scalars()
        return torch.tensor(_where(experiment), dtype=torch.float64)

    def derivative(game: Game, h: float) -> Tensor:
        columns = [(moved(game, *at) - moved(game, *(-x for x in at))) / (2 * h) for at in ((h, 0.0), (0.0, h))]
        return torch.stack(columns, dim=1)

    found: list[Tensor] = []
    rests: list[Tensor] = []
    with _stepping(experiment):
        if not torch.allclose(
            derivative(experiment.game, 1e-4), derivative(experiment.game, 1e-3), rtol=1e-3, atol=1e-4
        ):
            return None  # there is none
        for seed in range(STREAMS):
            # A game of its own for each seed: the random numbers of a step are a function of the seed and the step.
            game = build_game(experiment.game.parts, replace(experiment.game.environment, seed=seed))
            found.append(derivative(game, 1e-4))
            rests.append(moved(game, 0.0, 0.0))
            game.close()
            if len(found) == 2 and found[0].equal(found[1]):
                break  # nothing is drawn at random
    if float(torch.stack(rests).mean(0).norm()) > 0.02:  # (0, 0) does not stay put
        return None
    return _eigenvalues(torch.stack(found).mean(0))


def _eigenvalues(matrix: Tensor) -> tuple[complex, complex]:
    """Of a 2x2 matrix, the one with the larger imaginary, then real part first."""
    half, determinant = float(matrix.trace()) / 2, float(matrix.det())
    inside = half * half - determinant
    if abs(inside) < 1e-12:  # a double root: rounding must not part it
        inside = 0.0
    root = complex(math.sqrt(inside)) if inside >= 0 else complex(0.0, math.sqrt(-inside))
    return half + root, half - root


def closed_form(parts: Parts, lr: float) -> tuple[complex, complex] | None:
    """The eigenvalues that theory gives a step of gradient descent at theta = psi = 0.

    The loss gives a = dL_D/df and b = dL_G/df at scores of 0. Each regularizer gives its term by
    ``Regularizer.linear_term``, and the schedule gives the matrix of the step by ``Schedule.linear_step``.

    Formula:
        J = [[0, b], [a, 0]] + sum of the regularizers' terms      the Jacobian of the gradients in (theta, psi)

    Args:
        parts: the parts of a run.
        lr: the learning rate of both players.

    Returns:
        Two eigenvalues, or None where one of the parts has no closed form.
    """
    regularizers = parts.regularizers.values()
    joint = any(part.defines("joint_penalty") for part in regularizers)
    if any(part.every != 1 for part in regularizers) or (joint and len(regularizers) > 1):
        # a lazy penalty makes steps of two kinds; a joint penalty also takes the gradients of the other penalties
        return None
    try:
        a, b, curvature = _slopes(parts.loss)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return None  # a loss that reads more of a round than its scores
    losses = torch.tensor([[0.0, b], [a, 0.0]], dtype=torch.float64)
    terms = [part.linear_term(losses, curvature) for part in regularizers]
    jacobian = losses.clone()
    for term in terms:
        if term is None:
            return None
        jacobian += term
    matrix = parts.schedule.linear_step(jacobian, lr)
    return None if matrix is None else _eigenvalues(matrix)


def _slopes(loss: Loss) -> tuple[float, float, float]:
    """At scores of 0: dL_D/df and dL_G/df of all fakes together, and the trace of the Hessian of L_D."""
    scores = torch.zeros(2, 32, dtype=torch.float64, requires_grad=True)
    s = Scores(real=scores[0], fake=scores[1])
    (slope,) = torch.autograd.grad(loss.discriminator(s), scores, create_graph=True)
    (pull,) = torch.autograd.grad(loss.generator(s), scores)
    if not slope.requires_grad:  # linear in the scores
        return float(slope[1].sum()), float(pull[1].sum()), 0.0
    bend = sum(
        float(torch.autograd.grad(one, scores, retain_graph=True)[0].flatten()[i])
        for i, one in enumerate(slope.flatten())
    )
    return float(slope[1].detach().sum()), float(pull[1].sum()), bend
