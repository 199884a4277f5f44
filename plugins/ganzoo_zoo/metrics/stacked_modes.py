"""Modes of stacked digits, by a classifier of digits that is trained once."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.metrics.modes import jensen_shannon

_log = logging.getLogger("ganzoo")
_RECIPE = "32-64-64, 3 epochs of Adam(1e-3, cosine), batch 128, seed 0"


class StackedModes(ganzoo.Metric):
    """Stacked-MNIST modes (mode count and KL): how many of the 1000 digit triples are made, and how evenly.

    A small classifier of digits, trained on MNIST's training images the first time, reads each channel:

    Formula:
        q_k = share of the fakes whose channels read k, k = 000 ... 999
        modes   = number of k with q_k > 0
        kl      = sum_k q_k log(1000 q_k), 0 where all triples are equally many, log 1000 = 6.908 where one is all
        jsd     = 1/2 sum_k q_k log(q_k / m_k) + 1/2 sum_k (1/1000) log(1 / (1000 m_k)),  m_k = (q_k + 1/1000) / 2
        floor   = 999 / (2 count), the kl that a perfect sampler's count of fakes has by chance
        accuracy: of the classifier on MNIST's test images

    Args:
        count: number of fakes that are classified, at least 1. The papers classify 26,000.
        cache: folder that keeps the classifier. none stands for GANZOO_CACHE, or ganzoo in the user's cache.

    Raises:
        Incompatible: the data is no stack of digits.

    Notes:
        At 26,000 fakes the floor is 0.0192. Stacked MNIST itself has 0.0236, since MNIST's digits are not equally many,
        so that published figures such as 0.029 are close to the end of the scale. Figures that were made with another
        classifier differ in the last digits. Compare equal counts only.

    Source: Srivastava et al., VEEGAN, 2017, arXiv:1705.07761, section 4.2; Lin et al., PacGAN, 2017,
        arXiv:1712.04086, section 4.2

    Example:
        >>> import ganzoo
        >>> ganzoo.part("metric", "stacked-modes:count=500").samples
        500
    """

    count: Annotated[int, Ge(1)] = 26_000
    cache: str | None = None

    figures: ClassVar[Mapping[str, bool | None]] = {
        "modes": True,
        "kl": False,
        "jsd": False,
        "floor": None,
        "accuracy": None,
    }

    @property
    def samples(self) -> int:
        """The number of fakes that are classified."""
        return self.count

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figures ``modes``, ``kl``, ``jsd``, ``floor`` and ``accuracy``.

        Args:
            real: (N, 3, H, W) samples of the data, which this metric does not use.
            fake: (N, 3, H, W) samples of the generator in [-1, 1].
            data: the data part, with ``digits()``.

        Raises:
            Incompatible: the data is no stack of digits.
        """
        if not hasattr(data, "digits") or fake.dim() != 4 or fake.shape[1] != 3:
            raise Incompatible(
                f"metric stacked-modes reads three digits in an image, and {type(data).__name__} has none: use it with "
                "stacked-mnist"
            )
        net, accuracy = classifier(data, self.cache)
        with torch.no_grad():
            read = [net(part.float().flatten(0, 1)[:, None]).argmax(1).view(-1, 3) for part in torch.split(fake, 512)]
        triples = (torch.cat(read) * torch.tensor([100, 10, 1])).sum(1)
        share = torch.bincount(triples, minlength=1000).double() / len(fake)
        return {
            "modes": float((share > 0).sum()),
            "kl": float(torch.xlogy(share, 1000 * share).sum()),
            "jsd": jensen_shannon(share),
            "floor": 999 / (2 * len(fake)),
            "accuracy": accuracy,
        }


@cache
def classifier(data: Any, folder: str | None) -> tuple[nn.Module, float]:
    """A classifier of single digits, (N, 1, size, size) -> (N, 10), with its accuracy on MNIST's test images.

    Args:
        data: a data part with ``digits("train")`` and ``digits("test")``.
        folder: the folder that keeps the classifier. See ``StackedModes``.
    """
    train, test = data.digits("train"), data.digits("test")
    content = hashlib.blake2b(_RECIPE.encode(), digest_size=8)
    for part in (train, test):
        for tensor in part.tensors:
            content.update(tensor.numpy().tobytes())
    place = ganzoo.user_path(folder) if folder else ganzoo.cache_folder()
    file = place / f"digits-classifier-{content.hexdigest()}.safetensors"
    net = _net(train.tensors[0].shape[-1])
    unusable = (OSError, SafetensorError, ValueError, KeyError, RuntimeError)  # not there, torn, or of another net
    with contextlib.suppress(*unusable), safe_open(file, "pt") as kept:
        net.load_state_dict({key: kept.get_tensor(key) for key in kept.keys()})  # noqa: SIM118  # no mapping
        return net.eval(), float(kept.metadata()["accuracy"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = _net(train.tensors[0].shape[-1])
        _train(net, *train.tensors)
    accuracy = _accuracy(net.eval(), *test.tensors)
    _log.warning("stacked-modes: trained a classifier of digits, %.2f %% right on the test images", 100 * accuracy)
    try:  # a run goes on without the cache
        place.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, draft, {"accuracy": repr(accuracy)})
        draft.replace(file)
    except OSError as error:
        _log.warning("stacked-modes: the classifier cannot be kept in %s (%s)", place, error.strerror)
    return net, accuracy


def _net(size: int) -> nn.Module:
    widths, layers = [1, 32, 64, 64], list[nn.Module]()
    for a, b in pairwise(widths):
        layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * math.ceil(size / 8) ** 2, 10))


def _train(net: nn.Module, images: Tensor, labels: Tensor, epochs: int = 3, batch: int = 128) -> None:
    steps = epochs * len(images) // batch
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    order = torch.cat([torch.randperm(len(images)) for _ in range(epochs)])
    for rows in torch.split(order[: steps * batch], batch):
        loss = cross_entropy(net(images[rows].float() / 127.5 - 1), labels[rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        decay.step()


def _accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        read = torch.cat([net(part.float() / 127.5 - 1).argmax(1) for part in torch.split(images, 512)])
    return float((read == labels).double().mean())
