"""What the networks are fed: batches of named tensors, and what is known of a batch before the batch is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


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
        outputs: the discriminator's outputs beside logits, as ``Architecture.outputs`` gives the shapes. They are known
            where parts are checked and prepare the networks, and empty before.

    Example:
        >>> spec = Spec(shape=(3, 32, 32), latent_dim=64, inputs={"tokens": TensorSpec((8,), "int64", (0, 999))})
        >>> spec.inputs["tokens"].dtype
        'int64'
    """

    shape: tuple[int, ...]
    latent_dim: int
    classes: int = 0
    inputs: Mapping[str, TensorSpec] = field(default_factory=dict)
    outputs: Mapping[str, Sequence[tuple[int, ...]]] = field(default_factory=dict)


class Stage(NamedTuple):
    """The point of growth at which a step is played, where the networks grow during training.

    Attributes:
        phase: number of the phase, from 0. Python decides a step by the phase, so that each phase has a recording.
        blend: share of the newest layers in samples and scores, from 0 to 1. A tensor in a recorded step.
        fresh_optimizers: whether the optimizers forget their state before the first step of the phase.

    Example:
        >>> Stage(phase=3, blend=0.25).phase
        3
    """

    phase: int
    blend: float | Tensor = 1.0
    fresh_optimizers: bool = False


class Batch(Mapping[str, "Tensor"]):
    """Named tensors that the networks are fed, one row a sample: a frozen mapping.

    The engine draws three of the tensors itself: ``images``, ``latent`` and ``labels``. Every other name
    (``condition``, ``mask``, ``tokens``, ...) comes from the data part and passes untouched, with its dtype. The
    attribute ``stage`` is the point of growth of the networks, or None where the networks are used whole.

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

    __slots__ = ("_tensors", "stage")

    stage: Stage | None

    def __init__(self, **tensors: Tensor | None) -> None:
        self._tensors = {name: value for name, value in tensors.items() if value is not None}
        self.stage = None

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
        return {name: value for name, value in self._tensors.items() if name not in DRAWN}

    def replace(self, **changes: Tensor | None) -> Batch:
        """Change some tensors of the batch.

        Args:
            changes: the tensors to change or add, by name. ``None`` removes a tensor.

        Returns:
            Another batch.
        """
        return Batch(**{**self._tensors, **changes}).at(self.stage)

    def at(self, stage: Stage | None) -> Batch:
        """The same batch, for networks at a point of growth.

        Args:
            stage: the point of growth. ``None`` stands for the whole networks.
        """
        if stage is self.stage:  # as in every step of networks that do not grow
            return self
        batch = Batch(**self._tensors)
        batch.stage = stage
        return batch

    def rows(self, index: Tensor | slice) -> Batch:
        """Choose samples.

        Args:
            index: (k,) numbers of samples, (N,) booleans, or a slice.

        Returns:
            The batch of the chosen samples.
        """
        return self.map(lambda value: value[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to each tensor.

        Args:
            function: is given a tensor (N, ...) and returns a tensor.

        Returns:
            The batch of the results, under the same names.
        """
        return Batch(**{name: function(value) for name, value in self._tensors.items()}).at(self.stage)

    def split(self, size: int) -> Iterator[Batch]:
        """Cut the batch into smaller batches.

        Args:
            size: the largest number of samples in a batch, at least 1.
        """
        for first in range(0, self.size, size):
            yield self.rows(slice(first, first + size))

    def _required(self, name: str) -> Tensor:
        value = self._tensors.get(name)
        if value is None:
            raise AttributeError(f"this batch has no {name}; its tensors are {', '.join(self) or 'none'}")
        return value


DRAWN = frozenset({"images", "latent", "labels"})


"""The tensors of a batch that the engine draws itself; every other tensor is the data part's."""
