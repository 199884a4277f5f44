"""PSNR, SSIM, the mean absolute difference and the relative sharpness of generated pictures, on held-out pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

import ganzoo

from ._pictures import pairs

MOST = 100.0
"""The PSNR of pictures that agree up to rounding, in dB."""


class _MeanOverPairs(ganzoo.Metric):
    """A figure that is the mean over pairs of pictures. Base of three of the metrics."""

    pairs: ClassVar[bool] = True
    least: ClassVar[int] = 1  # pixels of the shorter side

    def each(self, real: Tensor, fake: Tensor) -> Tensor:
        """The figure of each pair, (N,)."""
        raise NotImplementedError

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figure of the pairs.

        Args:
            real: (N, C, H, W) true pictures in [-1, 1].
            fake: (N, C, H, W) generated pictures, in the same order.
            data: the data part, which is not read.
        """
        (figure,) = self.figures
        found = [self.each(r, f) for r, f in pairs(figure, real, fake, self.least)]
        return {figure: float(torch.cat(found).double().mean())}


class PSNR(_MeanOverPairs):
    """PSNR (peak signal-to-noise ratio): how near generated pictures are to the true pictures, on held-out pairs.

    Formula:
        psnr = mean over pairs of 10 log10(4 / mean (x - x')^2), at most 100 dB

    Raises:
        Incompatible: the samples are no pictures, or the data holds no pairs out.

    Notes:
        The figure is the mean over pictures, in dB, by torchmetrics. Adversarial terms usually lower the PSNR: of all
        pictures that fit a condition, the mean picture has the highest PSNR, and is blurred.

    Example:
        >>> import ganzoo, torch
        >>> real, fake = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.2)
        >>> round(ganzoo.part("metric", "psnr").score(real, fake, ganzoo.part("data", "digits"))["psnr"], 2)
        20.0
    """

    figures: ClassVar[Mapping[str, bool | None]] = {"psnr": True}

    def each(self, real: Tensor, fake: Tensor) -> Tensor:
        """The PSNR of each pair."""
        psnr = peak_signal_noise_ratio(fake, real, data_range=2.0, dim=(1, 2, 3), reduction="none")
        return psnr.clamp(max=MOST)


class SSIM(_MeanOverPairs):
    """SSIM (structural similarity): how alike generated pictures and the true pictures are, on held-out pairs.

    Formula:
        ssim = mean over pairs of SSIM(x, x'), in a Gaussian window of deviation 1.5 and side 11

    Raises:
        Incompatible: the samples are no pictures of at least 6x6, or the data holds no pairs out.

    Notes:
        The figure is computed by torchmetrics, for pixels in [-1, 1] (a data range of 2).

    Source: Wang et al., Image quality assessment: from error visibility to structural similarity, 2004

    Example:
        >>> import ganzoo, torch
        >>> x = torch.rand(2, 1, 8, 8)
        >>> round(ganzoo.part("metric", "ssim").score(x, x, ganzoo.part("data", "digits"))["ssim"], 6)
        1.0
    """

    least: ClassVar[int] = 6
    figures: ClassVar[Mapping[str, bool | None]] = {"ssim": True}

    def each(self, real: Tensor, fake: Tensor) -> Tensor:
        """The SSIM of each pair."""
        alike = structural_similarity_index_measure(fake, real, data_range=2.0, reduction="none")
        assert isinstance(alike, Tensor)
        return alike.reshape(-1)


class L1(_MeanOverPairs):
    """L1: the mean absolute difference of generated pictures from the true pictures, on held-out pairs.

    Formula:
        l1 = mean |x - x'|, for pixels in [-1, 1]

    Raises:
        Incompatible: the samples are no pictures, or the data holds no pairs out.

    Example:
        >>> import ganzoo, torch
        >>> real, fake = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5)
        >>> ganzoo.part("metric", "l1").score(real, fake, ganzoo.part("data", "digits"))
        {'l1': 0.5}
    """

    figures: ClassVar[Mapping[str, bool | None]] = {"l1": False}

    def each(self, real: Tensor, fake: Tensor) -> Tensor:
        """The mean absolute difference of each pair."""
        return (fake - real).abs().flatten(1).mean(1)


class Sharpness(ganzoo.Metric):
    """Sharpness: the gradient energy of generated pictures relative to that energy of the truth, on held-out pairs.

    Formula:
        sharpness = sum |grad x'|^2 / sum |grad x|^2,  over all pixels of all pairs, by differences of neighbours

    Raises:
        Incompatible: the samples are no pictures, or the data holds no pairs out.

    Notes:
        Pictures as sharp as the truth have 1, blurred pictures less, and noise more. The figure does not say
        whether the edges are in the right places: read l1 or psnr too.

    Example:
        >>> import ganzoo, torch
        >>> x = torch.rand(2, 1, 8, 8)
        >>> round(ganzoo.part("metric", "sharpness").score(x, x / 2, ganzoo.part("data", "digits"))["sharpness"], 6)
        0.25
    """

    pairs: ClassVar[bool] = True
    figures: ClassVar[Mapping[str, bool | None]] = {"sharpness": None}

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figure ``sharpness``.

        Args:
            real: (N, C, H, W) true pictures in [-1, 1].
            fake: (N, C, H, W) generated pictures, in the same order.
            data: the data part, which is not read.
        """
        energies = [(_energy(r), _energy(f)) for r, f in pairs("sharpness", real, fake, 2)]
        due, found = (sum(each) for each in zip(*energies, strict=True))
        return {"sharpness": found / due if due else float(found > 0)}


def _energy(pictures: Tensor) -> float:
    return float(pictures.diff(dim=2).double().square().sum() + pictures.diff(dim=3).double().square().sum())
