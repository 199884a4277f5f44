"""What tasks share: pairs of a picture and of what is left of the picture, made from any data of images."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import TYPE_CHECKING, Annotated, Any, cast

import torch
from annotated_types import Ge, Lt
from torch.utils.data import Dataset

import ganzoo
from ganzoo import errors

from ._images import PairSet, parted

if TYPE_CHECKING:
    from torch import Tensor


class Task(ganzoo.Data):
    """Pairs that are made from the images of other data, while training reads the images.

    What is random is a function of the seed of the run, the number of the batch and the place in the batch, and so of
    seed, epoch and image. Held-out pairs are the same in every run.

    Args:
        of: the data of images.
        hold_out: share of the images that training never sees, from 0 to below 1, where ``of`` holds none out itself.
        flip: whether a picture is mirrored at random.
        crop: side of a square that is cut out of each picture at a random place, at least 1. none takes the whole
            picture. Held-out pictures are cut in the middle.
    """

    of: ganzoo.Data
    hold_out: Annotated[float, Ge(0), Lt(1)] = 0.1
    flip: bool = False
    crop: Annotated[int, Ge(1)] | None = None

    def dataset(self) -> Pairs:
        """The pairs for training.

        Raises:
            DataError: the data are missing, or hold no pictures that the task can use.
        """
        source = self._source()
        rows = None
        if self.of.held_out() is None and self.hold_out:
            rows = self._parted(source)[0]
        return self._made(source, rows, fixed=False)

    def held_out(self) -> Pairs | None:
        """The pairs that are held out, with the same holes, crops and noise in every run.

        Raises:
            DataError: the data are missing, or hold no pictures that the task can use.
        """
        held = self.of.held_out()
        if held is not None:
            return self._made(held, None, fixed=True)
        if not self.hold_out:
            return None
        source = self._source()
        return self._made(source, self._parted(source)[1], fixed=True)

    def _source(self) -> Dataset[Any]:
        source = self.of.dataset()
        if not hasattr(source, "__len__"):
            raise errors.DataError(
                f"{self.name}: of={type(self.of).__name__} is read as a stream, without numbers for its items: give a "
                "dataset with __len__ and __getitem__"
            )
        return source

    def _parted(self, source: Dataset[Any]) -> tuple[Tensor, Tensor]:
        count = len(cast("Sized", source))  # ``_source`` refuses what has no length
        rows = parted(count, self.hold_out)
        if min(map(len, rows)) < 1:
            raise errors.DataError(
                f"{self.name}: {count} images, of which hold_out={self.hold_out:g} leaves too few: give more images, "
                "or another hold_out"
            )
        return rows

    def _made(self, source: Dataset[Any], rows: Tensor | None, *, fixed: bool) -> Pairs:
        pairs = Pairs(self, source, None if rows is None else rows.tolist(), fixed)
        self.check(pairs.picture(0, torch.Generator().manual_seed(0)))
        return pairs

    @property
    def name(self) -> str:
        """The name of the part, for messages."""
        return type(self).__name__.lower()

    def check(self, picture: Tensor) -> None:
        """Refuse data whose pictures the task cannot use.

        Args:
            picture: (C, H, W) uint8, the first picture.

        Raises:
            DataError: the task cannot use such a picture.
        """

    def pair(self, picture: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        """A picture and what is left of the picture: the item of the dataset.

        Args:
            picture: (C, H, W) uint8.
            generator: gives the random numbers of the pair.

        Returns:
            ``image``, ``condition``, and what else the networks are given.
        """
        raise NotImplementedError


class Pairs(Dataset[Any]):
    """The pairs of a task.

    Args:
        task: the task.
        source: a dataset of images.
        rows: the rows of the dataset that are used, or None for all.
        fixed: whether a pair is the same each time it is read.
    """

    def __init__(self, task: Task, source: Dataset[Any], rows: list[int] | None, fixed: bool) -> None:
        self.task, self.source, self.rows, self.fixed = task, source, rows, fixed
        self.notes = list(getattr(source, "notes", ()))  # what the data of images noticed, for the run to say
        self.data_range = getattr(source, "data_range", None)

    def __len__(self) -> int:
        return len(cast("Sized", self.source) if self.rows is None else self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        # The feed seeds torch's own generator for each item of each batch.
        seed = index if self.fixed else int(torch.randint(2**62, ()))
        generator = torch.Generator().manual_seed(seed)
        return self.task.pair(self.picture(index, generator), generator)

    def picture(self, index: int, generator: torch.Generator) -> Tensor:
        """A picture, cut and mirrored, (C, H, W) uint8.

        Args:
            index: the number of the pair.
            generator: gives the random numbers.

        Raises:
            DataError: the item is no picture, or smaller than the square to cut.
        """
        row = index if self.rows is None else self.rows[index]
        inner = f"{self.task.name}: of={type(self.task.of).__name__}"
        item = ganzoo.read_item(self.source[row], f"{inner}: item {row}")
        if "condition" in item:
            raise errors.DataError(f"{inner} gives pairs: give images")
        picture = item["image"]
        if self.task.of.random_numbers and picture.dim() == 3:  # the options flip and crop of the data of images
            numbers = None if self.fixed else torch.rand(1, self.task.of.random_numbers, generator=generator)
            picture = self.task.of.augment(picture[None], numbers)[0]
        if picture.dim() != 3:
            raise errors.DataError(
                f"{inner} gives samples of shape {tuple(picture.shape)}, not pictures: name data of pictures, such as "
                "folder, cifar10 or mnist"
            )
        if picture.dtype != torch.uint8:
            picture = ((picture + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        random = None if self.fixed else generator
        if self.task.crop is not None:
            (picture,) = cropped(self.task.name, (self.task.crop, self.task.crop), random, picture)
        if self.task.flip and random is not None and torch.rand((), generator=random) < 0.5:
            picture = picture.flip(-1)
        return picture


def cropped(name: str, size: tuple[int, int], generator: torch.Generator | None, *pictures: Tensor) -> list[Tensor]:
    """The same piece of several pictures of one size.

    Args:
        name: of the part, for messages.
        size: height and width of the piece.
        generator: gives the place. None cuts in the middle.
        pictures: (C, H, W) each.

    Raises:
        DataError: the pictures are smaller than the piece.

    Example:
        >>> [x.shape for x in cropped("task", (2, 2), None, torch.zeros(3, 4, 4), torch.zeros(1, 4, 4))]
        [torch.Size([3, 2, 2]), torch.Size([1, 2, 2])]
    """
    height, width = pictures[0].shape[-2:]
    if height < size[0] or width < size[1]:
        raise errors.DataError(f"{name}: crop={size[0]} of a picture of {height}x{width}: give a smaller crop")
    top, left = (
        (n - m) // 2 if generator is None else int(torch.randint(n - m + 1, (), generator=generator))
        for n, m in ((height, size[0]), (width, size[1]))
    )
    return [x[:, top : top + size[0], left : left + size[1]] for x in pictures]


class Moved(Dataset[Any]):
    """Pairs, both sides of which are cut and mirrored at random, alike.

    Args:
        pairs: the pairs.
        name: of the part, for messages.
        size: height and width of the piece that is cut out.
        flip: whether both sides are mirrored at random.
    """

    def __init__(self, pairs: PairSet, name: str, size: tuple[int, int], flip: bool) -> None:
        self.pairs, self.name, self.size, self.flip = pairs, name, size, flip
        self.notes, self.data_range = pairs.notes, pairs.data_range

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))  # the feed seeds torch for each item
        item = self.pairs[index]
        both = cropped(self.name, self.size, generator, *item.values())
        if self.flip and torch.rand((), generator=generator) < 0.5:
            both = [each.flip(-1) for each in both]
        return dict(zip(item, both, strict=True))


def middle(name: str, size: tuple[int, int], pairs: PairSet) -> PairSet:
    """The middle of both sides of all pairs.

    Args:
        name: of the part, for messages.
        size: height and width of the piece that is cut out.
        pairs: the pairs.

    Raises:
        DataError: the pictures are smaller than the piece.
    """
    both = [cropped(name, size, None, *item.values()) for item in (pairs[i] for i in range(len(pairs)))]
    return PairSet(torch.stack([sample for sample, _ in both]), torch.stack([condition for _, condition in both]))
