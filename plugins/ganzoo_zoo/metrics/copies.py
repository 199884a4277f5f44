"""Copies of training samples, by nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le

import ganzoo

from ._counted import Counted

if TYPE_CHECKING:
    from torch import Tensor


class Copies(Counted):
    """Memorisation share: how many samples are copies of training samples, by nearest neighbours in pixels?

    Formula:
        copies   = share of samples x with |x - n_1(x)| < ratio |x - n_2(x)|,  n_k the k-th nearest training sample
        distance = mean |x - n_1(x)| / mean |y - n_1'(y)|,  y training samples, n_1' the nearest other training sample

    Args:
        count: the number of generated samples, at least 1.
        real_count: the number of training samples to search, at least 3. none searches all training samples.
        ratio: the ratio below which a sample is a copy, in (0, 1].

    Notes:
        Training samples that occur twice hide their copies, since both neighbours are equally near. A distance near 1
        is that of new samples. A distance near 0 is that of copies. The neighbours are found in the pixels: a copy that
        is shifted by a pixel can be missed.

    Source: Yoon et al., Diffusion probabilistic models generalize when they fail to memorize, 2023 (the ratio 1/3);
        Meehan et al., A non-parametric test to detect data-copying in generative models, 2020, arXiv:2004.05675

    Example:
        Of four samples, three are copies of training samples.

        >>> import ganzoo, torch
        >>> real = torch.eye(8)
        >>> fake = torch.cat([real[:3], torch.zeros(1, 8)])
        >>> samples = ganzoo.Samples(real=real, fake=fake, data=ganzoo.part("data", "ring"))
        >>> ganzoo.part("metric", "copies").evaluate(samples)["copies"]
        0.75
    """

    count: Annotated[int, Ge(1)] = 1000
    real_count: Annotated[int, Ge(3)] | None = None
    ratio: Annotated[float, Gt(0), Le(1)] = 1 / 3

    figures: ClassVar[Mapping[str, bool | None]] = {"copies": None, "distance": None}

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figures ``copies`` and ``distance``.

        Args:
            samples: the real and the generated samples.
        """
        fake = torch.cat([x.flatten(1).cpu().double() for x in samples.fake()])
        some = torch.cat([x.flatten(1).cpu().double() for x in _first(samples, self.count)])

        def nearest(x: Tensor, count: int) -> Tensor:
            """The distances of each row to its nearest training samples, in (N, count), the nearest first."""
            kept = torch.full((len(x), count), torch.inf, dtype=torch.float64)
            for batch in samples.real():
                found = torch.cdist(x, batch.flatten(1).cpu().double(), compute_mode="donot_use_mm_for_euclid_dist")
                kept = torch.cat([kept, found], 1).topk(count, largest=False, sorted=True).values
            return kept

        near, among = nearest(fake, 2), nearest(some, 2)[:, 1]  # the nearest of a training sample is the sample itself
        mean = float(among.mean())
        return {
            "copies": float((near[:, 0] < self.ratio * near[:, 1]).double().mean()),
            "distance": float(near[:, 0].mean()) / mean if mean else float(near[:, 0].mean() > 0),
        }


def _first(samples: ganzoo.Samples, count: int) -> list[Tensor]:
    """The first real samples, at most ``count`` and a batch."""
    kept, size = [], 0
    for batch in samples.real():
        kept.append(batch[: count - size])
        size += len(kept[-1])
        if size >= count:
            break
    return kept
