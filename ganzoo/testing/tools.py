"""Helpers of the checks: assertions, scores that are made by hand, and the state of a part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ganzoo import parts
from ganzoo.parts import Part, Scores


def fail(message: str) -> NoReturn:
    """Raise AssertionError.

    Args:
        message: the text of the error.

    Raises:
        AssertionError: always.
    """
    raise AssertionError(message)


def require(condition: object, message: str) -> None:
    """Raise AssertionError unless a condition holds.

    Args:
        condition: any value. The truth of the value decides.
        message: the text of the error.

    Raises:
        AssertionError: the condition is false.

    Example:
        >>> require(1 < 2, "1 is not less than 2")
    """
    if not condition:
        fail(message)


def is_close(a: Tensor, b: Tensor, rtol: float = 1e-9, atol: float = 1e-11) -> bool:
    """Whether two tensors have equal shapes and nearly equal values.

    Args:
        a: a tensor of any shape.
        b: a tensor to compare with ``a``.
        rtol: the relative tolerance, as in ``torch.allclose``.
        atol: the absolute tolerance, as in ``torch.allclose``.

    Returns:
        False where the shapes differ, even if the tensors could be broadcast.

    Example:
        >>> is_close(torch.ones(2), torch.ones(2)), is_close(torch.ones(2), torch.ones(1))
        (True, False)
    """
    return a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)


def all_finite(tensors: Iterable[Tensor | None]) -> bool:
    """Whether no tensor holds a NaN or an infinity.

    Args:
        tensors: tensors of any shape. None stands for a gradient that does not exist, and counts as finite.

    Example:
        >>> all_finite([torch.zeros(2), None]), all_finite([torch.tensor(float("nan"))])
        (True, False)
    """
    return all(bool(t.isfinite().all()) for t in tensors if t is not None)


def as_text(t: Tensor) -> str:
    """A tensor of one element as a short number for a message.

    Args:
        t: a tensor of one element.

    Example:
        >>> as_text(torch.tensor(0.25))
        '0.25'
    """
    return f"{float(t.detach()):g}"


def available_devices() -> list[str]:
    """The types of device that a part is examined on.

    Returns:
        ``["cpu"]``, or ``["cpu", "cuda"]`` where CUDA is available.
    """
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


REAL_SCORES = (0.31, -0.73, 1.87, -2.41, 0.05, -0.22)
"""Scores of real samples. No score lies on the kink of a common loss, so that every derivative exists."""

FAKE_SCORES = (-0.44, 0.62, -1.36, 2.17, 0.13, -0.09)
"""Scores of fake samples, chosen as ``REAL_SCORES``."""


def make_scores(real: Tensor, fake: Tensor, rows: Tensor | None = None, **more: object) -> Scores:
    """Scores that are made by hand, with images (N, 3, 8, 8), latents (N, 8), labels and outputs.

    Args:
        real: the scores of the real samples, (N,).
        fake: the scores of the fake samples, (N,).
        rows: the number of each row's sample, (N,), from 0 to 15. The default is 0 to N - 1. Equal numbers give equal
            images, latents and labels.
        more: further values of ``Scores``, or values in place of the ones above. With ``judge`` among the values,
            ``discriminator`` is left out.

    Example:
        >>> s = make_scores(*make_tensors())
        >>> tuple(s.real_images.shape), s.labels.tolist()
        ((6, 3, 8, 8), [0, 1, 0, 1, 0, 1])
    """
    generator = torch.Generator().manual_seed(1)
    rows = torch.arange(len(real)) if rows is None else rows

    # All 16 samples are drawn, whatever the rows are. So sample k is the same in every call.
    def drawn(*shape: int) -> Tensor:
        return (2 * torch.rand(16, *shape, generator=generator, dtype=torch.float64) - 1)[rows].to(real)

    made: dict[str, Any] = {
        "real": real,
        "fake": fake,
        "real_images": drawn(3, 8, 8),
        "fake_images": drawn(3, 8, 8),
        "latent": drawn(8),
        "labels": (rows % 2).to(real.device),
        "fake_labels": ((rows + 1) % 2).to(real.device),
        "real_output": {"logits": real, "embedding": drawn(8), "features": [drawn(3, 8, 8), drawn(8)]},
        "fake_output": {"logits": fake, "embedding": drawn(8), "features": [drawn(3, 8, 8), drawn(8)]},
        "progress": 0.5,
        "discriminator": lambda images: images.flatten(1).mean(1),
        "generator": lambda latent: latent.repeat(1, 24).tanh().unflatten(1, (3, 8, 8)),
    }
    for output, scores in ((made["real_output"], real), (made["fake_output"], fake)):
        # Both classes have equal logits. The logsumexp of the logits is the score.
        output["class_logits"] = scores.reshape(-1, 1).expand(-1, 2) - math.log(2)
    if "judge" in more:  # A training run gives judge(), which also reads the labels and inputs of a batch.
        del made["discriminator"]
    return Scores(**(made | more))


def make_tensors(
    real: Iterable[float] = REAL_SCORES, fake: Iterable[float] = FAKE_SCORES, **how: Any
) -> tuple[Tensor, Tensor]:
    """Real and fake scores as tensors that require a gradient.

    Args:
        real: the scores of the real samples.
        fake: the scores of the fake samples.
        how: keyword arguments of ``torch.tensor``. The default dtype is float64.

    Returns:
        The real and the fake scores.

    Example:
        >>> make_tensors([1.0], [2.0])
        (tensor([1.], dtype=torch.float64, requires_grad=True), tensor([2.], dtype=torch.float64, requires_grad=True))
    """
    how = {"dtype": torch.float64, **how}
    return torch.tensor(list(real), **how).requires_grad_(), torch.tensor(list(fake), **how).requires_grad_()


def remembered_state(part: Part) -> dict[str, object]:
    """The attributes of a part and of the part's classes, without the module that a checkpoint holds.

    Args:
        part: a part of any kind.

    Returns:
        The value of each attribute in a form that can be compared, by name. The name of a class attribute is
        ``Class.name``.
    """
    own = _own(part)
    shared = {
        f"{cls.__name__}.{name}": value
        for cls in type(part).__mro__
        if not cls.__module__.startswith((f"{parts.__name__}.", "builtins"))
        for name, value in vars(cls).items()
        if not name.startswith("__")
    }
    return {name: comparable(value) for name, value in {**own, **shared}.items()}


def require_same_state(before: Mapping[str, object], after: Mapping[str, object], instead: str) -> None:
    """Raise AssertionError where an attribute is new or has another value than before.

    Args:
        before: the result of `remembered_state` before a round.
        after: the result of `remembered_state` after the round.
        instead: advice for the end of the message: where the part should keep the state.

    Raises:
        AssertionError: an attribute of ``after`` is not in ``before``, or has another value.
    """
    changed = [name for name in after if name not in before or after[name] != before[name]]
    require(not changed, f"{', '.join(changed)} changes from round to round, and is not saved: {instead}")


def _own(part: Part) -> dict[str, object]:
    """The attributes of a part, without the names that tie a part to a run."""
    return {name: value for name, value in vars(part).items() if name not in ("_frozen", "_values", "_path")}


def comparable(value: object) -> object:
    """The state of a value in a form that ``==`` compares by content.

    A module is compared by identity, because a checkpoint holds the state of every module.

    Args:
        value: any value, such as a tensor, a random number generator, a container or an object with attributes.

    Returns:
        Lists, dictionaries, numbers and text.

    Example:
        >>> comparable({"average": torch.ones(2)})
        {"'average'": [1.0, 1.0]}
    """
    if isinstance(value, Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, Mapping):
        return {repr(key): comparable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [comparable(each) for each in value]
    if isinstance(value, (nn.Module, type)):
        return id(value)
    if isinstance(value, Part):
        return {name: comparable(each) for name, each in _own(value).items()}
    if hasattr(value, "__dict__"):
        return {name: comparable(each) for name, each in vars(value).items()}
    return repr(value)  # Numbers, text, sets and queues show their content. Other objects show an address.
