"""Diversity by multiscale structural similarity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The weights of the scales, the finest scale first."""

KERNEL = 11
"""The side of the Gaussian window. The image at the coarsest scale must hold the window."""


class MSSSIM(ganzoo.Metric):
    """Diversity by MS-SSIM (multiscale structural similarity): how alike are two samples? Low is diverse.

    Formula:
        ms_ssim = mean over pairs of MS-SSIM(G(z_1), G(z_2)),  real = the same for pairs of real samples

    Args:
        pairs_of: the number of pairs, at least 1.

    Raises:
        Incompatible: the samples are no images of at least 11 pixels a side.

    Notes:
        A generator that has collapsed scores near 1. A score below ``real`` is no merit: noise scores near 0. The
        published figure has five scales, for which images need 176 pixels. Smaller images are compared on as many of
        the finest scales as hold the window of 11 pixels, and the weights of these scales are brought to the sum of
        all five. The figure is that of the library torchmetrics, which asks for 99 pixels at four scales, and which
        reads the coarsest scale beyond the border too. Wang's code takes whole windows alone: a pair of 16x16 that
        scores 0.984 here scores 0.988 there, and a pair of 176x176 scores 0.988 in both.
        Samples of conditional generators are compared within a class.

    Source: Odena et al., Conditional image synthesis with auxiliary classifier GANs, 2017, arXiv:1610.09585,
        section 4.2; Wang et al., Multiscale structural similarity for image quality assessment, 2003

    Example:
        >>> import ganzoo, torch
        >>> x = torch.rand(8, 1, 16, 16) * 2 - 1
        >>> samples = ganzoo.Samples(real=x, fake=x[:1].repeat(8, 1, 1, 1), data=ganzoo.part("data", "digits"))
        >>> figures = ganzoo.part("metric", "ms-ssim:pairs_of=4").evaluate(samples)
        >>> round(figures["ms_ssim"], 3), figures["real"] < 0.5
        (1.0, True)
    """

    pairs_of: Annotated[int, Ge(1)] = 500

    figures: ClassVar[Mapping[str, bool | None]] = {"ms_ssim": None, "real": None}

    @property
    def samples(self) -> int:
        """Two samples for each pair."""
        return 2 * self.pairs_of

    def check(self, spec: ganzoo.Spec, reals: int) -> None:
        """Refuse samples that are no images, or too small.

        Args:
            spec: the shape of a sample.
            reals: the number of real samples.

        Raises:
            Incompatible: see above.
        """
        _scales(spec.shape)

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figures ``ms_ssim`` and ``real``.

        Args:
            samples: the real and the generated samples.
        """
        real, fake = (torch.cat([x.cpu() for x in batches]) for batches in (samples.real(), samples.fake()))
        return {
            "ms_ssim": _similarity(fake, samples.fake_labels),
            "real": _similarity(real, samples.real_labels if samples.fake_labels is not None else None),
        }


def _similarity(images: Tensor, labels: Tensor | None) -> float:
    """The mean similarity of image 2 i and image 2 i + 1, of one class where there are labels."""
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    if labels is not None:
        images = images[labels.argsort(stable=True)]  # neighbours are of one class, but for one pair a class
    images = images[: len(images) // 2 * 2]
    scales = _scales(images.shape[1:])
    share = sum(WEIGHTS[:scales]) / sum(WEIGHTS)
    weights = [weight / share for weight in WEIGHTS[:scales]]
    found = [
        multiscale_structural_similarity_index_measure(
            (piece[::2] + 1) / 2,
            (piece[1::2] + 1) / 2,
            kernel_size=KERNEL,
            betas=tuple(weights),
            data_range=1.0,
            normalize="relu",
            reduction="sum",
        )
        for piece in torch.split(images.double(), 256)
    ]
    return float(sum(found)) / (len(images) // 2)


def _scales(shape: tuple[int, ...]) -> int:
    """The number of scales for images of a shape."""
    if len(shape) != 3 or min(shape[1:]) < KERNEL:
        found = "x".join(map(str, shape))
        raise Incompatible(
            f"metric ms-ssim compares images of at least {KERNEL} pixels a side, and samples of {found} are given: use "
            "larger images, or swd"
        )
    side = min(shape[1:])
    # The library asks for the second condition too, which is the stricter one at four scales: 99 pixels and not 88.
    return max(
        n for n in range(1, len(WEIGHTS) + 1) if side // 2 ** (n - 1) >= KERNEL and side // max(1, n - 1) ** 2 >= KERNEL
    )
