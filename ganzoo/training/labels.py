"""The classes of samples as the user writes them: numbers, names, a tensor, or a single class for all samples."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganzoo import errors
from ganzoo.names import brief, nearest

Labels: TypeAlias = Tensor | NDArray[Any] | Sequence[int | str] | int | str
"""Class numbers as a tensor or an array, numbers or names of classes, or a single class for all samples."""


def class_numbers(count: int, labels: Labels | None, classes: int, names: Sequence[str] = ()) -> Tensor | None:
    """Find the class numbers of samples.

    Args:
        count: the number of samples.
        labels: (count,) class numbers as a tensor or an array, a list of numbers or names of classes, or the number or
            the name of the only class. None gives all classes in turn.
        classes: the number of classes of a run, 0 where the networks are given no classes.
        names: the names of the classes in the order of their numbers. Empty where the classes have no names.

    Returns:
        (count,) int64. None where the networks are given no classes.

    Raises:
        SettingsError: a class does not exist, or the number of labels is not ``count``.

    Example:
        >>> class_numbers(3, None, 2).tolist(), class_numbers(2, ["cat", "1"], 2, ["ant", "cat"]).tolist()
        ([0, 1, 0], [1, 1])
    """
    if not classes:
        if labels is not None:
            raise errors.SettingsError("the networks of this run are given no classes: give no labels")
        return None
    if labels is None:
        return torch.arange(count) % classes
    has = f"this run has the classes 0 to {classes - 1}"
    if isinstance(labels, np.ndarray):  # of numbers or of names
        labels = labels.tolist() if labels.ndim else [labels.item()] * count
    if isinstance(labels, Tensor) and not labels.ndim:
        labels = labels.expand(count)
    if isinstance(labels, str) or not isinstance(labels, Tensor | Sequence):
        labels = [labels] * count  # anything but a number or a name is refused below
    if isinstance(labels, Tensor):
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise errors.SettingsError(f"labels of dtype {labels.dtype} are no class numbers: give whole numbers")
        if labels.ndim != 1:
            raise errors.SettingsError(
                f"labels of shape {tuple(labels.shape)}: give a class number a sample, ({count},)"
            )
        labels = labels.tolist()
    found = []
    for label in (_number(given, names) for given in labels):
        if isinstance(label, str):
            listed = f": {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}" if names else ""
            raise errors.SettingsError(f"no class is named {label!r}{nearest(label, names)}: {has}{listed}")
        whole = isinstance(label, SupportsIndex) and not isinstance(label, bool | np.bool_)  # numpy's integers too
        if not whole or not 0 <= index(label) < classes:
            raise errors.SettingsError(f"label {brief(label)} is no class: {has}")
        found.append(index(label))
    if len(found) != count:
        raise errors.SettingsError(f"{len(found)} labels were given for {count} samples: give one label a sample")
    return torch.tensor(found)


def _number(label: int | str, names: Sequence[str]) -> int | str:
    """The number of a class that is written as a name or, as on a command line, in digits. Other texts stay."""
    if isinstance(label, str) and label in names:
        return names.index(label)
    return int(label) if isinstance(label, str) and label.isascii() and label.isdecimal() else label
