"""What the checks of several kinds use: assertions, scores by hand, what a part remembers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ganzoo import parts
from ganzoo.parts import Part, Scores


def fail(message: str) -> NoReturn:
    """Raise AssertionError with the message."""
    raise AssertionError(message)


def require(condition: object, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds."""
    if not condition:
        fail(message)


def is_close(a: Tensor, b: Tensor, rtol: float = 1e-9, atol: float = 1e-11) -> bool:
    """Whether two tensors have one shape and nearly the same values."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)


def all_finite(tensors: Iterable[Tensor | None]) -> bool:
    """Whether no tensor holds a NaN or an infinity; None counts as finite."""
    return all(bool(t.isfinite().all()) for t in tensors if t is not None)


def as_text(t: Tensor) -> str:
    """A 0-dimensional tensor as a short number for a message."""
    return f"{float(t.detach()):g}"


def available_devices() -> list[str]:
    """The types of device that a part is examined on."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


REAL_SCORES = (0.31, -0.73, 1.87, -2.41, 0.05, -0.22)  # scores that lie on the kink of no common loss


FAKE_SCORES = (-0.44, 0.62, -1.36, 2.17, 0.13, -0.09)


def make_scores(real: Tensor, fake: Tensor, rows: Tensor | None = None, **more: Any) -> Scores:
    """Scores by hand with images, latents and labels; ``rows`` picks whose they are."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.arange(len(real)) if rows is None else rows

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
        # two classes of one probability, whose logsumexp is the score
        output["class_logits"] = scores.reshape(-1, 1).expand(-1, 2) - math.log(2)
    if "judge" in more:  # the engine's form: the labels and inputs count too
        del made["discriminator"]
    return Scores(**{**made, **more})


def make_tensors(
    real: Iterable[float] = REAL_SCORES, fake: Iterable[float] = FAKE_SCORES, **how: Any
) -> tuple[Tensor, Tensor]:
    """Real and fake scores in float64 that require a gradient; ``how`` goes to ``torch.tensor``."""
    how = {"dtype": torch.float64, **how}
    return torch.tensor(list(real), **how).requires_grad_(), torch.tensor(list(fake), **how).requires_grad_()


def remembered_state(part: Part) -> dict[str, Any]:
    """What a part remembers, itself or in its class, beside the module that is saved with a run."""
    own = {name: value for name, value in vars(part).items() if name not in ("_frozen", "_values")}
    shared = {
        f"{cls.__name__}.{name}": value
        for cls in type(part).__mro__
        if cls.__module__ not in (parts.__name__, "builtins")
        for name, value in vars(cls).items()
        if not name.startswith("__")
    }
    return {name: comparable(value) for name, value in {**own, **shared}.items()}


def require_same_state(before: Mapping[str, Any], after: Mapping[str, Any], instead: str) -> None:
    """Raise AssertionError where an attribute of ``after`` is new or differs from ``before``."""
    changed = [name for name in after if name not in before or after[name] != before[name]]
    require(not changed, f"{', '.join(changed)} changes from round to round, and is not saved: {instead}")


def comparable(value: Any) -> Any:
    """What a value remembers, as something that can be compared; modules are the nets', or saved by themselves."""
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
    if hasattr(value, "__dict__"):
        return {name: comparable(each) for name, each in vars(value).items()}
    return repr(value)  # numbers, text, sets, queues, counters; an object's address where it says no more
