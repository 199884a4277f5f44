"""The contract of data parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ganzoo.errors import Incompatible
from ganzoo.parts.part import Part

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Dataset


class Data(Part):
    """A source of real samples.

    Example:
        >>> import torch
        >>> from ganzoo import Data
        >>> class Corners(Data):
        ...     count: int = 8
        ...     def dataset(self):
        ...         corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        ...         return torch.utils.data.TensorDataset(corners.repeat(self.count // 4, 1))
        >>> len(Corners(count=12).dataset())
        12
    """

    kind: ClassVar[str] = "data"
    can_be_scheduled: ClassVar[bool] = False  # the dataset is made once, before the first step

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return (("dataset",),)

    @classmethod
    def adopt(cls, given: object) -> Data | None:
        """Make a data part of a dataset, a tensor, an array or a list of samples.

        Args:
            given: what ``dataset`` may return, a tensor with a row a sample, or samples and labels as a pair of arrays.

        Returns:
            A part of the name of the dataset's class. None for anything else.

        Example:
            >>> import torch
            >>> len(Data.adopt([torch.zeros(2), torch.ones(2)]).dataset())
            2
        """
        if isinstance(given, type) or not (hasattr(given, "__getitem__") or hasattr(given, "__iter__")):
            return None
        samples: Any = given
        if isinstance(given, Sequence) and any(isinstance(each, str) for each in given[:1]):
            return None  # names of parts
        if type(given).__name__ == "Tensor":
            from torch.utils.data import TensorDataset

            samples = TensorDataset(samples)
        elif isinstance(given, tuple | list) and len(given) == 2 and all(hasattr(each, "shape") for each in given):
            images, labels = given  # (X, y): two arrays of one length are samples and their labels
            if len(images.shape) > 1 and images.shape[0] == (labels.shape or (0,))[0] > 2:
                samples = list(zip(images, labels, strict=True))
        # A class of its own, since a part is made anew from class and parameters, and a dataset is no parameter.
        body = {"dataset": lambda self: samples, "__module__": type(given).__module__, "__doc__": "A given dataset."}
        made: type[Data] = type(type(given).__name__, (Data,), body)
        return made()

    @property
    def path_parameter(self) -> str | None:
        """The parameter that holds a path, where a user may give an existing path instead of the part's name.

        A subclass gives a constant: ``path_parameter = "path"``. Listings read the constant without importing the part.
        """
        return None

    def dataset(self) -> Dataset[Any]:
        """A map-style dataset of samples.

        An item is a sample (a uint8 tensor, or a floating tensor in [-1, 1]), a ``(sample, label)`` pair, or a mapping
        with ``image`` and any of ``label``, ``condition``. Where a dataset has the attribute ``classes``, a sequence of
        the names of the classes in order, pictures and exports show the names. The attribute ``data_range`` tells the
        two numbers of the user's files that became -1 and 1, where numbers were scaled. Exported arrays are scaled
        back, and pictures that the run is given later are scaled in the same way. The lines of the attribute ``notes``
        are said before training, such as what the dataset left out.

        An ``IterableDataset`` is read in its own order, again from its beginning where it ends.
        """
        raise NotImplementedError

    def modes(self) -> Tensor | None:
        """(K, *shape) centres of the modes where the truth is known, else None."""
        return None

    @property
    def random_numbers(self) -> int:
        """The number of random numbers that ``augment`` is given for each sample. 0 for data without augmentation."""
        return 0

    def augment(self, images: Tensor, random: Tensor | None) -> Tensor:
        """Samples as training sees them, such as mirrored, or cut out at a random place.

        Only data whose ``random_numbers`` is above 0 are augmented.

        Args:
            images: (N, *shape), bytes or floating-point numbers as ``dataset`` gives them, on the device of the run.
            random: (N, random_numbers) in [0, 1), a function of the seed of the run, the epoch and the sample. None for
                samples to look at, to measure or to compare: such samples are the same at every call.

        Returns:
            (N, *shape), of one shape with and without random numbers.
        """
        return images

    def held_out(self) -> Dataset[Any] | None:
        """Samples that training never sees, in the form of ``dataset()``. None: the data holds none out."""
        return None

    def inputs_for(self, pictures: Tensor, mask: Tensor | None = None) -> Mapping[str, Tensor]:
        """The inputs of the networks for a user's own pictures (``ganzoo apply``).

        Unless overridden, a picture is its condition.

        Args:
            pictures: (N, C, H, W) in [-1, 1], with the channels of the condition.
            mask: (N, 1, H, W), above 0 where the picture is to be changed. None where the user gave no mask.

        Returns:
            (N, ...) tensors by the names that the data part gives the networks.

        Raises:
            Incompatible: the networks take no mask, or more than a condition.
        """
        if mask is not None:
            raise Incompatible("a mask is given, and this run takes none: leave --mask (in Python mask=) out")
        return {"condition": pictures}
