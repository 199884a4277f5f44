"""The contracts: the classes that a loss, a regularizer, an architecture, ... derives from.

A part is a class whose annotated fields are the parameters. The base class turns the class into a frozen, keyword-only
dataclass, so that ``class Hinge(Loss): margin: float = 1.0`` is a complete declaration. No part calls ``backward``,
``step`` or ``zero_grad``: the game owns gradients and optimizers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, field, fields
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


@dataclass(frozen=True)
class TensorSpec:
    """What is known of a named tensor of a batch before any batch is drawn.

    Args:
        shape: the shape of one sample, without the batch.
        dtype: ``"float"`` for the floating-point type of the run, otherwise torch's name, such as ``"int64"``.
        range: the smallest and the largest value, or None where both are unknown.

    Example:
        >>> TensorSpec((3,), "int64", (0, 99)).shape
        (3,)
    """

    shape: tuple[int, ...]
    dtype: str = "float"
    range: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What an architecture is built for.

    Args:
        shape: of one sample, without the batch: ``(C, H, W)`` for images, ``(2,)`` for points in the plane.
        latent_dim: size of the noise vector.
        classes: number of classes that the nets are given, 0 when they are given no labels.
        inputs: the tensors by name that the data part brings beside images and classes, such as ``condition``. The
            networks are given each of them. Labels that are no class numbers (several labels a sample, or continuous
            labels) are among them as ``labels``.
    """

    shape: tuple[int, ...]
    latent_dim: int
    classes: int = 0
    inputs: Mapping[str, TensorSpec] = field(default_factory=dict)


class Batch(Mapping[str, "Tensor"]):
    """Named tensors that the networks are fed, one row a sample: a frozen mapping.

    The engine draws three of the tensors itself: ``images``, ``latent`` and ``labels``. Every other name
    (``condition``, ``mask``, ``tokens``, ...) comes from the data part and passes untouched, with its dtype.

    Args:
        tensors: (N, ...) each, by name. A value of ``None`` stands for a name that the batch does not have.

    Example:
        >>> import torch
        >>> batch = Batch(latent=torch.zeros(4, 2), labels=None, tokens=torch.arange(12).reshape(4, 3))
        >>> list(batch), batch.size, batch.labels is None
        (['latent', 'tokens'], 4, True)
        >>> batch.rows(slice(2))["tokens"].tolist()
        [[0, 1, 2], [3, 4, 5]]
    """

    __slots__ = ("_tensors",)

    def __init__(self, **tensors: Tensor | None) -> None:
        self._tensors = {name: value for name, value in tensors.items() if value is not None}

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    # A mapping compares its values; the comparison of two tensors is a tensor, which has no single truth value.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Batch({', '.join(f'{name}: {tuple(value.shape)}' for name, value in self.items())})"

    @property
    def size(self) -> int:
        """N, the number of samples; 0 where the batch has no tensor."""
        return next((len(value) for value in self.values()), 0)

    @property
    def images(self) -> Tensor:
        """(N, *shape), real samples in [-1, 1].

        Raises:
            AttributeError: the batch is one that fakes are generated from, and has no images.
        """
        return self._required("images")

    @property
    def latent(self) -> Tensor:
        """(N, latent_dim), drawn from N(0, 1).

        Raises:
            AttributeError: the batch is one of real samples, and has no latent.
        """
        return self._required("latent")

    @property
    def labels(self) -> Tensor | None:
        """(N,) class numbers, or labels of another kind; ``None`` where the networks are given no labels."""
        return self._tensors.get("labels")

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """The tensors that the data part brought, by name: all but images, latent and labels."""
        return {name: value for name, value in self.items() if name not in DRAWN}

    def replace(self, **changes: Tensor | None) -> Batch:
        """The same batch with some tensors changed or added, and those removed that are given as ``None``."""
        return Batch(**{**self._tensors, **changes})

    def rows(self, index: Tensor | slice) -> Batch:
        """The samples of these numbers alone."""
        return self.map(lambda value: value[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The batch of what a function makes of each tensor."""
        return Batch(**{name: function(value) for name, value in self.items()})

    def split(self, size: int) -> Iterator[Batch]:
        """The batch in batches of at most ``size`` samples."""
        for first in range(0, self.size, size):
            yield self.rows(slice(first, first + size))

    def _required(self, name: str) -> Tensor:
        value = self._tensors.get(name)
        if value is None:
            raise AttributeError(f"this batch has no {name}; its tensors are {', '.join(self) or 'none'}")
        return value


DRAWN = frozenset({"images", "latent", "labels"})
"""The tensors of a batch that the engine draws itself; every other tensor is the data part's."""

Formula = Callable[["Scores"], Any]
"""How a value of ``Scores`` is computed from other values of the same ``Scores``."""

_SWAPPED = {
    **{f"real{rest}": f"fake{rest}" for rest in ("", "_images", "_output", "_target", "_batch")},
    "labels": "fake_labels",
}
_SWAPPED.update({fake: real for real, fake in _SWAPPED.items()})


class Scores:
    """One minibatch as losses and regularizers see it: real samples, fakes, and the discriminator's scores of both.

    A value is given, or it is a formula: a function of the ``Scores`` that is evaluated once, when the value is first
    read. So a loss that reads no real scores costs no pass of the discriminator over real samples. The game makes
    ``Scores`` of formulas; tests make them by hand from any subset of the values. To read a value that was neither
    given nor can be computed raises AttributeError. A name that is not among the attributes is looked up in
    ``real_batch``: ``s.tokens`` is ``s.real_batch["tokens"]``.

    Args:
        discriminator: a function from images to (N,) logits, for ``judge``.
        generator: a function from latents to images, for ``generate``.
        judge: the same as ``discriminator`` for an engine: called with the images, the ``Scores`` whose labels and
            inputs count, and the arguments ``fake`` and ``as_is`` of ``judge``.
        generate: the same as ``generator`` for an engine: called with the latents and the ``Scores``.
        values: the attributes below, each a value or a formula.

    Attributes:
        real, fake: (N,) raw logits, higher = more real.
        real_images, fake_images: (N, *shape), in [-1, 1], before any regularizer transforms them.
        latent: (N, latent_dim), that the fakes were generated from.
        labels, fake_labels: (N,) class numbers, or labels of another kind; None when the nets are given none.
        real_target, fake_target: 1 and 0 unless a regularizer moved them; a number or (N,). Only losses with targets
            read them.
        real_output, fake_output: the whole output of the discriminator: logits (N, ...) or a mapping that has
            ``logits``.
        real_batch, fake_batch: all that the networks were fed, labels and the data part's own tensors included.
        progress: 0 at the first step, 1 at the last.
        pieces: how many micro-batches the whole batch is cut into, of which this is one (``--accumulate``, several
            processes).

    Example:
        >>> import torch
        >>> s = Scores(real=torch.tensor([1.0, 2.0, 3.0]), fake=lambda s: -s.real)
        >>> s.at(torch.tensor([0, 2])).fake.tolist()
        [-1.0, -3.0]
        >>> s.negated().reversed().real.tolist()
        [1.0, 2.0, 3.0]
    """

    real: Tensor
    fake: Tensor
    real_images: Tensor
    fake_images: Tensor
    latent: Tensor
    labels: Tensor | None
    fake_labels: Tensor | None
    real_target: Tensor | float
    fake_target: Tensor | float
    real_output: Any
    fake_output: Any
    real_batch: Batch
    fake_batch: Batch
    progress: float
    pieces: int

    def __init__(
        self,
        *,
        discriminator: Callable[[Tensor], Tensor] | None = None,
        generator: Callable[[Tensor], Tensor] | None = None,
        judge: Callable[[Tensor, Scores, bool, bool], Tensor] | None = None,
        generate: Callable[[Tensor, Scores], Tensor] | None = None,
        **values: Any,
    ) -> None:
        if unknown := values.keys() - set(self.names()):
            raise TypeError(
                f"Scores has no {', '.join(sorted(unknown))}: give one of {', '.join(self.names())}, and tensors that "
                "the data part brings in real_batch=Batch(...)"
            )
        if discriminator is not None:
            judge = lambda images, s, fake, as_is: discriminator(images)  # noqa: E731
        if generator is not None:
            generate = lambda latent, s: generator(latent)  # noqa: E731
        self._judge, self._generate = judge, generate
        self._given = values.keys()
        self._formulas = dict(_DEFAULTS)
        for name, value in values.items():
            if callable(value):
                self._formulas[name] = value
            else:
                setattr(self, name, value)
        self._compute: Callable[[str], Any] | None = None  # of a view: how a value comes from the viewed Scores

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the attributes."""
        return tuple(Scores.__annotations__)

    def __getattr__(self, name: str) -> Any:  # Python calls this for names without a value only
        if name.startswith("_"):
            raise AttributeError(name)
        value = self._evaluate(name) if self._compute is None else self._compute(name)
        setattr(self, name, value)  # from now on an attribute like any other: a formula is evaluated once
        return value

    def judge(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Tensor:
        """Score other images.

        Args:
            images: (N, *shape) in [-1, 1], one for each sample of the minibatch.
            as_is: skip the regularizers' transforms of images.
            fake: condition on the labels and inputs of the fakes; otherwise on those of the real samples.

        Returns:
            (N,) logits.

        Raises:
            AttributeError: these ``Scores`` were made by hand, without ``discriminator=``.
        """
        if self._judge is None:
            raise AttributeError("these Scores were made without discriminator=, a function from images to logits")
        return self._judge(images, self, fake, as_is)

    def generate(self, latent: Tensor) -> Tensor:
        """Generate fakes from other latents, with the labels and inputs of this minibatch's fakes.

        Args:
            latent: (N, latent_dim), one for each sample of the minibatch.

        Returns:
            (N, *shape) images in [-1, 1].

        Raises:
            AttributeError: these ``Scores`` were made by hand, without ``generator=``.
        """
        if self._generate is None:
            raise AttributeError("these Scores were made without generator=, a function from noise to images")
        return self._generate(latent, self)

    def at(self, rows: Tensor) -> Scores:
        """A view of some samples: every tensor, real and fake, at these rows.

        Args:
            rows: (k,) numbers of samples, or (N,) booleans.
        """
        return self._view(lambda name: _rows(getattr(self, name), rows))

    def negated(self) -> Scores:
        """A view whose scores have the other sign, for a discriminator to which low means real."""
        judge = self._judge

        def value(name: str) -> Any:
            found = getattr(self, name)
            if name in ("real", "fake"):
                return -found
            if name in ("real_output", "fake_output"):
                return {**found, "logits": -found["logits"]} if isinstance(found, Mapping) else -found
            return found

        view = self._view(value)
        if judge is not None:
            view._judge = lambda images, s, fake, as_is: -judge(images, s, fake, as_is)
        return view

    def reversed(self) -> Scores:
        """A view in which real and fake have swapped their roles; the latents remain those of the generator."""
        generate = self._generate
        view = self._view(lambda name: getattr(self, _SWAPPED.get(name, name)))
        if generate is not None:
            # The generator is conditioned on the batch that its fakes were made from, which plays the real one here.
            view._generate = lambda latent, s: generate(latent, s.reversed())
        return view

    def _view(self, compute: Callable[[str], Any]) -> Scores:
        """``Scores`` whose values are computed from those of this one; ``judge`` and ``generate`` read the view."""
        view = Scores(judge=self._judge, generate=self._generate)
        view._compute = compute
        return view

    def _evaluate(self, name: str) -> Any:
        """A value that has not been computed yet."""
        if formula := self._formulas.get(name):
            return formula(self)
        if name in ("real_batch", "fake_batch"):  # made by hand: the batch of those of its tensors that were given
            own = {key: attribute for attribute, (batch, key) in _IN_BATCH.items() if batch == name}
            return Batch(**{key: getattr(self, own[key]) for key in own if own[key] in self._given})
        batch, key = _IN_BATCH.get(name, ("real_batch", name))
        known: Batch = getattr(self, batch) if name in _IN_BATCH or name not in self.names() else Batch()
        if key in known or key == "labels":
            return known.get(key)
        if name in self.names():
            raise AttributeError(f"these Scores were made without {name}=")
        raise AttributeError(
            f"Scores has no {name}, and the data brings none; it has {', '.join((*self.names(), *known.inputs))}"
        )


_DEFAULTS: Mapping[str, Formula] = {
    "real_target": lambda s: 1.0,
    "fake_target": lambda s: 0.0,
    "progress": lambda s: 0.0,
    "pieces": lambda s: 1,
}

_IN_BATCH = {
    "real_images": ("real_batch", "images"),
    "labels": ("real_batch", "labels"),
    "latent": ("fake_batch", "latent"),
    "fake_labels": ("fake_batch", "labels"),
}
"""The attributes of ``Scores`` that are tensors of a batch: the batch, and the name there."""


def _rows(value: Any, rows: Tensor) -> Any:
    """A value of ``Scores`` at some rows: each tensor in it that has rows."""
    if isinstance(value, Batch):
        return value.rows(rows)
    if isinstance(value, Mapping):
        return {key: _rows(each, rows) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rows(each, rows) for each in value]
    return value[rows] if hasattr(value, "shape") and value.shape else value


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
    for declared in fields(cls):
        if inherited.get(declared.name) is declared:
            continue
        if any(declared.name in vars(base) and declared.name not in inherited for base in contracts):
            kind = next((vars(base)["kind"] for base in contracts if "kind" in vars(base)), "part")
            raise TypeError(
                f"parameter {declared.name!r} of {cls.__qualname__} has the name of an attribute that every {kind} "
                f"has: rename the parameter, or give the attribute as a constant (without annotation) or a property"
            )


class Loss(Part):
    """Arithmetic on scores: the two numbers that the players minimise.

    The properties below are facts about the loss. A subclass gives another value as a constant (``bounded:
    ClassVar[bool] = False``) or, where the value depends on parameters, as a property.

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
        """A player's gradient may vanish, by design, at scores that are most wrong. The exam reads the fact."""
        return False

    @property
    def reads_scores(self) -> bool:
        """The loss is arithmetic on scores. A loss that reads other outputs alone is not examined on scores."""
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
        """Both losses read fakes only through the scores, and dL_D/df is nonzero wherever dL_G/df is nonzero.

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
        """Raise Incompatible, in one line, where the part cannot be used with the samples or the outputs.

        Args:
            spec: shape and type of samples, latents and the data part's other tensors.
            outputs: the discriminator's outputs beside logits, as ``Architecture.outputs`` gives the shapes.

        Raises:
            Incompatible: the part cannot be used.
        """

    def discriminator(self, s: Scores) -> Tensor:
        """The scalar that the discriminator minimises.

        Args:
            s: the round: real and fake scores, and all that belongs to the two.

        Returns:
            (): the loss.
        """
        raise NotImplementedError

    def generator(self, s: Scores) -> Tensor:
        """The scalar that the generator minimises.

        Args:
            s: the round.

        Returns:
            (): the loss.
        """
        raise NotImplementedError


class Regularizer(Part):
    """A penalty, a transform, a change of targets or of the nets. Only hooks that a subclass defines cost time.

    The properties below are facts about the regularizer. A subclass gives another value as a constant
    (``per_sample_gradients: ClassVar[bool] = True``) or, where the value depends on parameters, as a property.

    Args:
        every: lazy regularization: the penalty is applied every ``every`` updates of the player, multiplied by
            ``every``. Only a part with a penalty has the parameter.

    Example:
        >>> import torch
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

        The gradient then comes from the pass that judged the images. ``"latent"``: the penalty differentiates the fakes
        by the latents.
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

    def prepare(self, networks: Networks, spec: Spec) -> nn.Module | None:
        """Change the nets once, at assembly, and make the part's own state.

        Args:
            networks: the two players.
            spec: shape and type of samples and latents.

        Returns:
            A module with the part's state or networks, which the part reads as ``self.module``. None: the part has no
            state.
        """
        return None

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

    def check(self, spec: Spec, outputs: Mapping[str, Sequence[tuple[int, ...]]]) -> None:
        """Raise Incompatible, in one line, where the part cannot be used with the samples or the outputs.

        Args:
            spec: shape and type of samples, latents and the data part's other tensors.
            outputs: the discriminator's outputs beside logits, as ``Architecture.outputs`` gives the shapes.

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


class Architecture(Part):
    """The two networks, plain modules, and how the engine calls the modules."""

    kind: ClassVar[str] = "architecture"

    def classes(self, available: int) -> int:
        """The number of classes that the nets are given, 0 for no labels.

        Args:
            available: number of classes in the data, 0 where the data has no labels.
        """
        return 0

    def build(self, spec: Spec) -> Networks:
        """Make the two players.

        Args:
            spec: shape and type of samples and latents.
        """
        raise NotImplementedError

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        """Samples, (N, *shape), from a batch's latent, labels and the data part's other tensors.

        Unless overridden, the generator is called with the latent, with the labels if the batch has labels, and by
        keyword with each tensor of the data part: ``generator(latent, labels, tokens=tokens)``.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.
        """
        given = [batch.latent] if batch.labels is None else [batch.latent, batch.labels]
        return generator(*given, **batch.inputs)  # type: ignore[no-any-return]  # nn.Module is called untyped

    def judge(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Any:
        """The discriminator's output for images: logits (N, ...) or a mapping with ``logits`` and more.

        Unless overridden, the discriminator is called as the generator is by ``generate``, with images for the latent.

        Args:
            discriminator: the discriminator.
            images: (N, *shape).
            batch: all tensors by which the images are conditioned.
        """
        given = [images] if batch.labels is None else [images, batch.labels]
        return discriminator(*given, **batch.inputs)

    def outputs(self, spec: Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The outputs of ``judge`` beside ``logits``, by name: the shape of each tensor, without the batch.

        Args:
            spec: shape and type of samples and latents.
        """
        return {}

    def encode(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Tensor:
        """The latents that would make the images, (N, latent_dim), where the discriminator is an encoder.

        Args:
            discriminator: the discriminator.
            images: (N, *shape), in [-1, 1].
            batch: all tensors by which the images are conditioned.

        Raises:
            Incompatible: the discriminator is no encoder.
        """
        raise Incompatible(
            f"architecture {type(self).__name__} has no encoder: use an architecture that defines encode"
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

    def round(self, *players: Player) -> Scores:
        """Draw one real batch and generate fakes, for some players to learn from.

        What only the other player would need is not computed. Fakes of the discriminator's own round carry no gradient
        to the generator. A round of the generator alone draws a real batch only if its loss reads one.

        Args:
            players: the players whose losses will be asked of the round; both unless named.

        Returns:
            The scores of the round, for ``discriminator_loss`` and ``generator_loss``.
        """
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
    """The order of rounds and moves in a step of training."""

    kind: ClassVar[str] = "schedule"

    @property
    def uses_shared_backward(self) -> bool:
        """The schedule takes the players' gradients by ``game.update_both``, which not every recipe allows."""
        return False

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


class Data(Part):
    """A source of real samples."""

    kind: ClassVar[str] = "data"

    @property
    def path_parameter(self) -> str | None:
        """The parameter that holds a path, where a user may give an existing path instead of the part's name.

        A subclass gives a constant: ``path_parameter = "path"``. Listings read the constant without importing the part.
        """
        return None

    def dataset(self) -> Dataset[Any]:
        """A map-style dataset of samples.

        An item is a sample (a uint8 tensor, or a floating tensor in [-1, 1]), a ``(sample, label)`` pair, or a mapping
        with ``image`` and any of ``label``, ``condition``.
        """
        raise NotImplementedError

    def modes(self) -> Tensor | None:
        """(K, *shape) centres of the modes where the truth is known, else None."""
        return None

    def held_out(self) -> Dataset[Any] | None:
        """Samples that training never sees, in the form of ``dataset()``. None: the data holds none out."""
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
        """Compute the named figures.

        Args:
            real: (samples, *shape), in [-1, 1], on the CPU.
            fake: (samples, *shape), in [-1, 1], on the CPU.
            data: the data part of the run.

        Returns:
            A number for each name in ``figures``.
        """
        raise NotImplementedError


class Optimizer(Part):
    """The rule by which a player moves along the gradient.

    A field that is also a setting of torch's parameter groups, such as ``lr``, sets the groups at first. Where the
    field follows the run, each step sets the groups to the number of the step. Gradients have the memory layout of the
    weights.
    """

    kind: ClassVar[str] = "optimizer"

    def build(self, parameters: Sequence[nn.Parameter]) -> TorchOptimizer:
        """Make a torch optimizer.

        Args:
            parameters: one player's parameters.
        """
        raise NotImplementedError


_CONTRACTS = {cls.kind: cls for cls in Part.__subclasses__()}

KINDS: Mapping[str, type[Part]] = {kind.name: _CONTRACTS[kind.name] for kind in kinds.KINDS}
"""The contracts above, by kind; ``ganzoo.kinds`` declares what a run does with each."""
