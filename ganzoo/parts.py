"""The contracts: what a loss, a regularizer, an architecture, ... is.

A part is a class. Its annotated fields are its parameters; the base class turns it into a frozen, keyword-only
dataclass, so ``class Hinge(Loss): margin: float = 1.0`` is all that there is to declare. No part calls ``backward``,
``step`` or ``zero_grad``: the game owns gradients and optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, dataclass_transform

from annotated_types import Ge

from ganzoo import kinds
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer as TorchOptimizer
    from torch.utils.data import Dataset

Player = Literal["discriminator", "generator"]
PLAYERS: tuple[Player, Player] = ("discriminator", "generator")


class Networks(NamedTuple):
    """The two players, plain modules."""

    generator: nn.Module
    discriminator: nn.Module


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What an architecture is built for.

    Args:
        shape: of one sample, without the batch: ``(C, H, W)`` for images, ``(2,)`` for points in the plane.
        latent_dim: size of the noise vector.
        classes: number of classes that the nets are given, 0 when they are given no labels.
        condition_shape: of what the generator is given besides noise, ``None`` when nothing.
    """

    shape: tuple[int, ...]
    latent_dim: int
    classes: int = 0
    condition_shape: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the nets are fed: real samples with their labels, or the noise and labels that fakes are made from.

    Args:
        images: (N, *shape), in [-1, 1]; ``None`` in a batch of fakes that are not made yet.
        latent: (N, latent_dim), drawn from N(0, 1); ``None`` in a batch of reals.
        labels: (N,) class numbers, ``None`` when the nets are given none.
        condition: (N, *condition_shape), ``None`` when the data has none.
    """

    images: Tensor | None = None
    latent: Tensor | None = None
    labels: Tensor | None = None
    condition: Tensor | None = None

    def replace(self, **changes: Tensor | None) -> Batch:
        """The same batch with some of it changed."""
        return replace(self, **changes)


class Scores:
    """A round as the loss sees it: one real batch and its fakes, judged.

    ``Scores(real=r, fake=f)`` makes one by hand, from any subset of the attributes, with ``discriminator=`` a function
    from images to logits where something is to be judged, and ``generator=`` one from noise to images; the game makes
    one whose attributes are computed once, when they are first read. Reading one that was not given raises
    AttributeError.

    Attributes:
        real, fake: (N,) raw logits, higher = more real.
        real_images, fake_images: (N, *shape), in [-1, 1], before any regularizer transforms them.
        latent: (N, latent_dim) noise that the fakes were made from.
        labels, fake_labels: (N,) class numbers, None when the nets are given none.
        condition: (N, *condition_shape), None when the data has none.
        real_target, fake_target: 1 and 0 unless a regularizer moved them; a number or (N,). Only losses with targets
            read them.
        real_output, fake_output: everything that the discriminator returned.
        progress: 0 at the first step, 1 at the last.
        pieces: into how many the batch was cut, of which this round is one (``--accumulate``, several processes).
    """

    real: Tensor
    fake: Tensor
    real_images: Tensor
    fake_images: Tensor
    latent: Tensor
    labels: Tensor | None
    fake_labels: Tensor | None
    condition: Tensor | None
    real_target: Tensor | float
    fake_target: Tensor | float
    real_output: Any
    fake_output: Any
    progress: float
    pieces: int

    _by_hand: ClassVar[Mapping[str, Any]] = {
        "labels": None,
        "fake_labels": None,
        "condition": None,
        "real_target": 1.0,
        "fake_target": 0.0,
        "progress": 0.0,
        "pieces": 1,
    }

    def __init__(self, **known: Any) -> None:
        unknown = known.keys() - set(self.names()) - {"discriminator", "generator"}
        if unknown:
            raise TypeError(f"Scores has no {', '.join(sorted(unknown))}; it has {', '.join(self.names())}")
        self.__dict__.update({**self._by_hand, **known})

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """What a round can be asked for."""
        return tuple(name for name in Scores.__annotations__ if not name.startswith("_"))

    def judge(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Tensor:
        """Score other images, (N,): through the regularizers' transforms, or ``as_is``; with the labels of the reals,
        or of the ``fake`` ones."""
        given = self.__dict__.get("discriminator")
        if given is None:
            raise AttributeError("these Scores were made without discriminator=, a function from images to logits")
        scores: Tensor = given(images)
        return scores

    def generate(self, latent: Tensor) -> Tensor:
        """Fakes of other noise, (N, *shape), with the labels and the condition of this round's."""
        given = self.__dict__.get("generator")
        if given is None:
            raise AttributeError("these Scores were made without generator=, a function from noise to images")
        images: Tensor = given(latent)
        return images

    def at(self, rows: Tensor) -> Scores:
        """The samples of these numbers alone, real and fake; what was not read yet is read when it is asked for."""
        return _Rows(self, rows)


class _Rows(Scores):
    def __init__(self, whole: Scores, rows: Tensor) -> None:
        self._whole, self._rows = whole, rows

    def __getattr__(self, name: str) -> Any:  # asked for what is not here yet
        if name not in self.names():
            raise AttributeError(f"Scores has no {name}; it has {', '.join(self.names())}")
        value = self._picked(getattr(self._whole, name))
        setattr(self, name, value)
        return value

    def _picked(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._picked(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._picked(each) for each in value]
        return value[self._rows] if hasattr(value, "shape") and value.shape else value

    def judge(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Tensor:
        return self._whole.judge(images, as_is=as_is, fake=fake)


class _Frozen:
    """Refuses assignments. It stands apart from Part, since ``dataclass(frozen=True)`` allows no class its own."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(_frozen_message(self, name))

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(_frozen_message(self, name))


def _frozen_message(part: object, name: str) -> str:
    instead = "compute what follows from parameters in a property"
    if hasattr(part, "prepare"):
        instead += ", and keep what changes in a buffer of the module that prepare() returns (self.module)"
    return f"{type(part).__name__} is frozen and cannot assign {name!r}: {instead}"


@dataclass_transform(kw_only_default=True, frozen_default=True)
@dataclass(frozen=True, kw_only=True)
class Part(_Frozen):
    """Base of every part: a frozen dataclass whose annotated fields are its parameters.

    A float that is given as ``0.1..0`` or ``cosine(1,0.1)`` follows the run. The part reads the number of the present
    step from the field.

    Raises:
        TypeError: a parameter has the name of an attribute of the contract (raised when the class is made).
        FrozenInstanceError: an attribute is assigned.

    Example:
        >>> from dataclasses import replace
        >>> class Margin(Loss):
        ...     margin: float = 1.0
        >>> replace(Margin(), margin=2.0).margin
        2.0
        >>> Margin().margin = 3.0
        Traceback (most recent call last):
        dataclasses.FrozenInstanceError: Margin is frozen and cannot assign 'margin': compute what follows from \
parameters in a property
    """

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True)(cls)
        _assign_as_the_base(cls)
        _check_names(cls)


def _assign_as_the_base(cls: type[Part]) -> None:
    # Each frozen dataclass has a __setattr__ that only says "cannot assign to field": _Frozen's says what to do.
    del cls.__setattr__, cls.__delattr__


_assign_as_the_base(Part)


def _check_names(cls: type[Part]) -> None:
    """Refuse a parameter that hides an attribute of the contract: the engine would read the parameter in its place."""
    inherited = {f.name: f for f in fields(cls.__mro__[1])}
    contracts = [base for base in cls.__mro__[1:] if base is Part or "kind" in vars(base)]
    for field in fields(cls):
        if inherited.get(field.name) is field:
            continue
        if any(field.name in vars(base) and field.name not in inherited for base in contracts):
            kind = next((vars(base)["kind"] for base in contracts if "kind" in vars(base)), "part")
            raise TypeError(
                f"parameter {field.name!r} of {cls.__qualname__} has the name of an attribute that every {kind} "
                f"has: rename the parameter, or give the attribute as a constant (without annotation) or a property"
            )


class Loss(Part):
    """Arithmetic on scores: what each player minimises.

    The properties below are facts about the loss. A subclass gives another value as a constant
    (``bounded: ClassVar[bool] = False``) or, where the value depends on parameters, as a property.

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
        """A player's gradient may vanish, by design, at scores that are most wrong. The exam reads this fact."""
        return False

    @property
    def reads_scores(self) -> bool:
        """The loss is arithmetic on scores. The exam asks nothing about scores of a loss that reads other outputs."""
        return True

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
        """Both losses read fakes through their scores alone, and dL_D/df is nonzero wherever dL_G/df is.

        The two gradients of a sample are then equal up to a factor, so that one backward pass gives both.
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

    def check(self, spec: Spec, outputs: Mapping[str, Sequence[tuple[int, ...]]]) -> None:
        """Raise Incompatible, in one line, where the loss cannot do with such samples, noise or condition (``spec``),
        or with what the discriminator returns beside logits (``Architecture.outputs``)."""

    def discriminator(self, s: Scores) -> Tensor:
        """The scalar that the discriminator minimises."""
        raise NotImplementedError

    def generator(self, s: Scores) -> Tensor:
        """The scalar that the generator minimises."""
        raise NotImplementedError


class Regularizer(Part):
    """A penalty, a transform, a change of targets or of the nets. Only what a subclass defines costs anything.

    The properties below are facts about the regularizer. A subclass gives another value as a constant
    (``per_sample_gradients: ClassVar[bool] = True``) or, where the value depends on parameters, as a property.

    Args:
        every: lazy regularization: the penalty is applied every ``every`` updates of the player, multiplied by
            ``every``. Only a part with a penalty has this parameter.
    """

    kind: ClassVar[str] = "regularizer"

    @property
    def needs_grad_of(self) -> frozenset[str]:
        """The images, of ``"real"`` and ``"fake"``, by which the penalty differentiates the scores.

        The gradient then comes from the pass that judged these images. ``"latent"``: the penalty differentiates the
        fakes by their latents.
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
    def module(self) -> Any:
        """The module that ``prepare`` returned in this run, saved and restored with the run. None outside a run."""
        return None

    every: Annotated[int, Ge(1)] = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "every" in vars(cls) and not cls.has_penalty():
            raise TypeError(
                f"parameter 'every' of {cls.__qualname__} is the interval of a penalty, and the class defines no "
                "penalty: rename the parameter"
            )

    def prepare(self, networks: Networks, spec: Spec) -> nn.Module | None:
        """Change the nets once, at assembly; return a module of the part's own (its state, its networks) or None."""
        return None

    def images(self, images: Tensor, s: Scores) -> Tensor:
        """What the discriminator sees instead of these images, for real and fake alike."""
        return images

    def targets(self, s: Scores, real: Tensor | float, fake: Tensor | float) -> tuple[Tensor | float, Tensor | float]:
        """The targets instead of these, of real and of fake samples."""
        return real, fake

    def discriminator_penalty(self, s: Scores) -> Tensor:
        """A scalar added to the discriminator's loss."""
        raise NotImplementedError

    def generator_penalty(self, s: Scores) -> Tensor:
        """A scalar added to the generator's loss."""
        raise NotImplementedError

    def linear_term(self, jacobian: Tensor, curvature: float) -> Tensor | None:
        """What the part adds to the Jacobian of the players' gradients at the equilibrium of the Dirac-GAN.

        Optional. ``ganzoo.lab`` compares the eigenvalues that follow with measured ones. In the Dirac-GAN the real
        sample is 0, the fake sample is theta and D(x) = psi x. The equilibrium is theta = psi = 0.

        Args:
            jacobian: (2, 2) float64: of the two losses without regularizers. Row 0 is the gradient of the generator's
                loss by theta, row 1 is the gradient of the discriminator's loss by psi.
            curvature: the sum of the second derivatives of the discriminator's loss by the real and the fake score.

        Returns:
            (2, 2): the term. None: there is no closed form.
        """
        return None

    def joint_penalty(self, gradients: Mapping[Player, Sequence[Tensor]]) -> Tensor:
        """A scalar added to both players' losses, from the gradient of each one's loss by its own parameters."""
        raise NotImplementedError

    def observe(self, player: Player, s: Scores) -> None:
        """See a round before the player's penalties, to keep statistics; called without gradients.

        Where a batch is cut into pieces, each piece begins with the module as the update found it, and the mean of what
        they left is kept: a statistic moves once an update.
        """

    def select_samples(self, s: Scores) -> Tensor:
        """(k,) numbers of the samples of a round that the generator's loss sees."""
        raise NotImplementedError

    def modify_gradients(self, player: Player, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """What a player moves along instead of these gradients."""
        return gradients

    def after_update(self, player: Player, module: nn.Module) -> None:
        """Change a player's weights in place, right after it moved; called without gradients."""

    def report(self) -> Mapping[str, Tensor]:
        """Scalars for the records, left on the device; asked for when records are due."""
        return {}

    def check(self, spec: Spec, outputs: Mapping[str, Sequence[tuple[int, ...]]]) -> None:
        """Raise Incompatible, in one line, where the part cannot do with such samples, noise or condition (``spec``),
        or with what the discriminator returns beside logits (``Architecture.outputs``)."""

    @classmethod
    def defines(cls, method: str) -> bool:
        """Whether the part brings that method itself."""
        return getattr(cls, method) is not getattr(Regularizer, method)

    @classmethod
    def has_penalty(cls) -> bool:
        """Whether the part defines a penalty of the discriminator, of the generator, or of both."""
        return any(cls.defines(f"{which}_penalty") for which in ("discriminator", "generator", "joint"))


class Architecture(Part):
    """The two networks, plain modules, and how they are fed."""

    kind: ClassVar[str] = "architecture"

    def classes(self, available: int) -> int:
        """How many classes the nets want to be given, where the data has ``available`` (0: no labels)."""
        return 0

    def build(self, spec: Spec) -> Networks:
        """Make the two players for samples of that shape."""
        raise NotImplementedError

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        """(N, *shape) samples from the latent (and labels, and condition) of a batch."""
        given = [x for x in (batch.latent, batch.labels, batch.condition) if x is not None]
        return generator(*given)  # type: ignore[no-any-return]  # nn.Module is called untyped

    def judge(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Any:
        """What the discriminator says of images: logits (N, ...) or a mapping with ``logits`` and more."""
        given = [x for x in (images, batch.labels, batch.condition) if x is not None]
        return discriminator(*given)

    def outputs(self, spec: Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """What ``judge`` returns beside ``logits``, by name: the shape of each of its tensors, without the batch."""
        return {}

    def encode(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Tensor:
        """(N, latent_dim): the noise that would make these images, where the discriminator is an encoder."""
        raise Incompatible(
            f"architecture {type(self).__name__} has no encoder: use one that has, such as dcgan:embedding=latent"
        )


@dataclass(frozen=True)
class Snapshot:
    """Where the players stand: copies of what each trains, and what their optimizers remember if that was asked for."""

    weights: Mapping[Player, list[Tensor]]
    memory: Mapping[Player, list[dict[str, Any]]]


class Game:
    """What a schedule plays with; the engine's own is in ``ganzoo.step.game``.

    Attributes:
        step_number: of the step that is being made, from 0.
    """

    step_number: int = 0

    def round(self, generator_learns: bool = True) -> Scores:
        """One real batch and its fakes. Without ``generator_learns`` the fakes carry no gradient."""
        raise NotImplementedError

    def discriminator_loss(self, s: Scores) -> Tensor:
        """The discriminator's loss on a round, with the penalties that are due."""
        raise NotImplementedError

    def generator_loss(self, s: Scores) -> Tensor:
        """The generator's loss on a round, with the penalties that are due."""
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
        discriminator's own gradient computes on its way. 3g + 6d, for losses that ``shares``; penalties on the
        discriminator come on top.

        Args:
            s: what ``round`` returned, not asked for scores before.
            weight: factor of the generator's loss.
        """
        raise NotImplementedError

    def unrolled_generator_loss(self, steps: int, rate: float | None = None) -> Tensor:
        """The generator's loss against the discriminator of some moves ahead, differentiable through these moves.

        Args:
            steps: plain gradient moves of the discriminator, each on a round of its own; it itself stays where it is.
            rate: of these moves; the discriminator's own learning rate unless given.
        """
        raise NotImplementedError

    def snapshot(self, *players: Player, memory: bool = False) -> Snapshot:
        """Copies of what these players train (both, if none is named), with their optimizers' ``memory`` if asked."""
        raise NotImplementedError

    def restore(self, snapshot: Snapshot) -> None:
        """Put the players of a point there, bit for bit."""
        raise NotImplementedError


class Schedule(Part):
    """Who moves when."""

    kind: ClassVar[str] = "schedule"

    @property
    def uses_shared_backward(self) -> bool:
        """The schedule takes the players' gradients by ``game.update_both``, which not every recipe allows."""
        return False

    @property
    def module(self) -> Any:
        """The module that ``prepare`` returned in this run, saved and restored with the run. None outside a run."""
        return None

    def prepare(self, networks: Networks, spec: Spec) -> nn.Module | None:
        """Once, at assembly, after the regularizers: a module of the schedule's own state, or None."""
        return None

    def step(self, game: Game) -> None:
        """One step of training: any number of rounds and updates."""
        raise NotImplementedError

    def linear_step(self, jacobian: Tensor, lr: float) -> Tensor | None:
        """The matrix of one step of plain gradient descent where the players' gradients are linear: J (theta, psi).

        Optional. ``ganzoo.lab`` compares the eigenvalues of the matrix with measured ones.

        Args:
            jacobian: (2, 2) float64, J: row 0 is the gradient of the generator's loss by theta, row 1 is the gradient
                of the discriminator's loss by psi.
            lr: the learning rate of both players.

        Returns:
            (2, 2): the matrix that one step multiplies (theta, psi) by. None: there is no closed form.
        """
        return None


class Data(Part):
    """Where real samples come from."""

    kind: ClassVar[str] = "data"

    @property
    def path_parameter(self) -> str | None:
        """The parameter that holds a path, where a user may give an existing path instead of the part's name.

        A subclass gives a constant: ``path_parameter = "path"``. Listings read the constant without importing the part.
        """
        return None

    def dataset(self) -> Dataset[Any]:
        """A map-style dataset. An item is a sample (a uint8 tensor, or a floating one in [-1, 1]), or a
        ``(sample, label)`` pair, or a mapping with ``image`` and any of ``label``, ``condition``."""
        raise NotImplementedError

    def modes(self) -> Tensor | None:
        """(K, *shape) centres of the modes where the truth is known, else None."""
        return None

    def held_out(self) -> Dataset[Any] | None:
        """Samples of the same kind that training never sees, as ``dataset()`` gives them; None where there are none."""
        return None


class Metric(Part):
    """A figure of merit, on samples."""

    kind: ClassVar[str] = "metric"

    @property
    def samples(self) -> int:
        """The number of real samples, and of fake samples, that ``score`` is given."""
        return 1000

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """The names that ``score`` gives, the headline figure first.

        The value is True where higher is better, False where lower is better, and None where neither is. A run keeps
        the best checkpoint by one of the figures (``--best``).
        """
        return {}

    @property
    def pairs(self) -> bool:
        """The metric compares fake i with real i, made for one condition: ``score`` is given held-out pairs."""
        return False

    def score(self, real: Tensor, fake: Tensor, data: Data) -> Mapping[str, float]:
        """Named figures, from (samples, *shape) reals and fakes in [-1, 1] on the CPU."""
        raise NotImplementedError


class Optimizer(Part):
    """How a player moves along its gradient.

    A field that is also a setting of torch's parameter groups, such as ``lr``, is theirs at first; where it follows the
    run, each step sets the groups' to today's number. Gradients come laid out in memory as their weights are.
    """

    kind: ClassVar[str] = "optimizer"

    def build(self, parameters: Sequence[nn.Parameter]) -> TorchOptimizer:
        """A torch optimizer over one player's parameters."""
        raise NotImplementedError


_CONTRACTS = {cls.kind: cls for cls in Part.__subclasses__()}

KINDS: Mapping[str, type[Part]] = {kind.name: _CONTRACTS[kind.name] for kind in kinds.KINDS}
"""The contracts above, by kind; ``ganzoo.kinds`` declares what a run does with each."""
