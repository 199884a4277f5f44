"""The metrics, computed by torch-fidelity from the features of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_fidelity.networks import DINOv2, Inception, Network, loaded

Split = Literal["train", "held-out"]
"""The real samples to compare with."""

CHUNK = 4096
"""Rows of a matrix of distances that are computed at a time."""


class _Features(ganzoo.Metric):
    """A metric of features."""

    count: Annotated[int, Ge(2)] = 50_000

    @property
    def samples(self) -> int:
        """The number of generated samples."""
        return self.count

    @property
    def network(self) -> Network:
        """The network that computes the features."""
        raise NotImplementedError

    def named(self, figure: str) -> str:
        """The name of a figure. Only figures in the features of Inception bear the published names.

        Args:
            figure: the published name.
        """
        return figure if isinstance(self.network, Inception) else f"{self.network.title}-{figure}"

    def check(self, spec: ganzoo.Spec, reals: int) -> None:
        """Refuse samples that are no images for the network.

        Args:
            spec: the shape of a sample.
            reals: the number of real samples.

        Raises:
            Incompatible: the network takes no such samples.
        """
        self.network.check(spec.shape)

    def rows(self, samples: ganzoo.Samples, *, logits: bool = False) -> Callable[[Tensor], Tensor]:
        """The function that makes features, or logits, of a batch of images, in small pieces.

        Args:
            samples: the samples, for the device.
            logits: whether to return the logits instead of the features.
        """
        compute = loaded(self.network, samples.device)

        def features(images: Tensor) -> Tensor:
            found = []
            with torch.no_grad():
                for piece in torch.split(images, PIECE[samples.device.type != "cpu"]):
                    rows, classes = compute(piece)
                    wanted = classes if logits else rows
                    if wanted is None:
                        raise Incompatible(f"network {self.network.title} gives no logits: use inception")
                    found.append(wanted.float().cpu())
            return torch.cat(found)

        return features


PIECE = {False: 32, True: 128}
"""Images that a network takes at a time, on the CPU and on a GPU."""


class _Compared(_Features):
    """A metric that compares with real samples."""

    real_count: Annotated[int, Ge(2)] | None = None
    split: Split = "train"

    @property
    def reals(self) -> int | None:
        """The number of real samples."""
        return self.real_count

    @property
    def held_out(self) -> bool:
        """Whether the real samples are held out of training."""
        return self.split == "held-out"


class _Frechet(_Compared):
    """The Frechet distance in the features of a network."""

    def compare(self, samples: ganzoo.Samples) -> float:
        """The distance, from means and covariances that are summed batch by batch in float64.

        Args:
            samples: the real and the generated samples.

        Raises:
            Incompatible: there are fewer samples than features.
        """
        rows = self.rows(samples)

        def statistics(fake: bool) -> dict[str, Tensor]:
            batches = samples.fake(rows) if fake else samples.real(rows)
            found = samples.moments(batches)
            few = samples.count if fake else samples.reals
            _enough(few, len(found["mean"]), self.network.title)
            return found

        real = samples.reference(f"moments of {self.network.identity}", lambda: statistics(fake=False))
        pair = [
            {"mu": found["mean"].cpu().numpy(), "sigma": found["covariance"].cpu().numpy()}
            for found in (statistics(fake=True), real)
        ]
        return float(fid_statistics_to_metric(*pair, verbose=False)[KEY_METRIC_FID])

    def check(self, spec: ganzoo.Spec, reals: int) -> None:
        """Refuse samples that are no images, and numbers of samples that are too small for a covariance.

        Args:
            spec: the shape of a sample.
            reals: the number of real samples.

        Raises:
            Incompatible: see above.
        """
        super().check(spec, reals)
        if self.network.dim is not None:
            wanted = reals if self.reals is None else min(reals, self.reals)
            _enough(min(self.samples, wanted), self.network.dim, self.network.title)


def _enough(count: int, dim: int, network: str) -> None:
    if count <= dim:
        raise Incompatible(
            f"{count} samples are too few for a covariance of {dim} features of {network}: give count={2 * dim} or "
            "more and as much data, or use kid, which is unbiased at any count"
        )


class FID(_Frechet):
    """Frechet Inception distance (FID): the published figure, computed by torch-fidelity.

    Formula:
        fid = |m_r - m_f|^2 + tr (c_r + c_f - 2 (c_r c_f)^(1/2)),  m, c of the 2048 features of Inception-v3

    Args:
        count: the number of generated samples. The papers generate 50,000.
        real_count: the number of real samples. none takes all samples of the split.
        split: the real samples to compare with: train, or held-out.
        weights: the file of torch-fidelity's weights of Inception. none takes torch's hub cache, or downloads.

    Raises:
        Incompatible: the samples are no images, or fewer than 2049.
        DataError: the weights are missing, and cannot be downloaded.

    Notes:
        The distance of finite samples is too large by about a constant / count: compare equal counts only. The resizer
        is the bilinear interpolation of TensorFlow 1, as in the published code. A distance in other features is the
        metric ``fd``, whose figures bear the name of the network.

    Source: Heusel et al., GANs trained by a two time-scale update rule, 2017, arXiv:1706.08500, section 4
    """

    weights: Path | None = None

    figures: ClassVar[Mapping[str, bool | None]] = {"fid": False}

    @property
    def network(self) -> Network:
        """Inception."""
        return Inception(weights=self.weights)

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figure ``fid``.

        Args:
            samples: the real and the generated samples.
        """
        return {"fid": self.compare(samples)}


class FDDINOv2(_Frechet):
    """Frechet distance in DINOv2 features (fd-dinov2, FDD): closer to human judgement than FID.

    Formula:
        fd = |m_r - m_f|^2 + tr (c_r + c_f - 2 (c_r c_f)^(1/2)),  m, c of the 1024 features of DINOv2 ViT-L/14

    Args:
        count: the number of generated samples. The paper generates 50,000.
        real_count: the number of real samples. none takes all samples of the split.
        split: the real samples to compare with: train, or held-out.

    Raises:
        Incompatible: the samples are no images, or fewer than 1025.
        DataError: code or weights are missing, and cannot be downloaded.

    Notes:
        The resizer is the bilinear interpolation of TensorFlow 1. The paper's is bicubic, and figures differ slightly.

    Source: Stein et al., Exposing flaws of generative model evaluation metrics, 2023, arXiv:2306.04675, section 3
    """

    figures: ClassVar[Mapping[str, bool | None]] = {"fd": False}

    @property
    def network(self) -> Network:
        """DINOv2."""
        return DINOv2()

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figure ``fd``.

        Args:
            samples: the real and the generated samples.
        """
        return {"fd": self.compare(samples)}


class FD(_Frechet):
    """Frechet distance in the features of any network (fd): the figure bears the name of the network.

    Formula:
        fd = |m_r - m_f|^2 + tr (c_r + c_f - 2 (c_r c_f)^(1/2)),  m, c of the features

    Args:
        features: the network, such as mnist-cnn, or file with path=my_network.py.
        count: the number of generated samples.
        real_count: the number of real samples. none takes all samples of the split.
        split: the real samples to compare with: train, or held-out.

    Raises:
        Incompatible: the network takes no such samples, or there are fewer samples than features.
        DataError: the weights are missing.

    Notes:
        The figure of ``fd:features=mnist-cnn`` is recorded as ``fd/mnist-cnn``. Compare figures of one network, one
        count and one split only.
    """

    features: Network
    count: Annotated[int, Ge(2)] = 10_000

    @property
    def network(self) -> Network:
        """The network that was named."""
        return self.features

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """One figure, of the name of the network."""
        return {self.features.title: False}

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figure of the name of the network.

        Args:
            samples: the real and the generated samples.
        """
        return {self.features.title: self.compare(samples)}


class KID(_Compared):
    """Kernel Inception distance (KID): an unbiased squared distance, by torch-fidelity. Few samples suffice.

    Formula:
        kid = mean over subsets of MMD^2(X, Y),  k(x, y) = (x . y / d + 1)^3
        MMD^2 = mean_(i != j) k(x_i, x_j) + mean_(i != j) k(y_i, y_j) - 2 mean_ij k(x_i, y_j)

    Args:
        features: the network. Figures of another network than inception bear its name.
        count: the number of generated samples. The features of all samples are held in memory.
        real_count: the number of real samples. none takes all samples of the split.
        split: the real samples to compare with: train, or held-out.
        subsets: the number of random subsets, at least 1.
        size: the number of samples in a subset, at least 2.

    Raises:
        Incompatible: the network takes no such samples, or there are fewer samples than a subset has.
        DataError: the weights are missing.

    Notes:
        The estimate is unbiased: for two sets of one distribution the mean is 0, and single figures may be negative.

    Source: Binkowski et al., Demystifying MMD GANs, 2018, arXiv:1801.01401, section 4
    """

    features: Network = Inception()
    count: Annotated[int, Ge(2)] = 10_000
    real_count: Annotated[int, Ge(2)] | None = 10_000
    subsets: Annotated[int, Ge(1)] = 100
    size: Annotated[int, Ge(2)] = 1000

    @property
    def network(self) -> Network:
        """The network that was named."""
        return self.features

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """The mean over the subsets, and the standard deviation."""
        return {self.named("kid"): False, self.named("std"): None}

    def check(self, spec: ganzoo.Spec, reals: int) -> None:
        """Refuse samples that are no images, and counts below the size of a subset.

        Args:
            spec: the shape of a sample.
            reals: the number of real samples.

        Raises:
            Incompatible: see above.
        """
        super().check(spec, reals)
        few = min(self.count, reals if self.real_count is None else min(reals, self.real_count))
        if few < self.size:
            raise Incompatible(
                f"metric kid has {few} samples, and a subset has {self.size}: give kid:size={max(2, few // 2)}, or "
                "more samples"
            )

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figures ``kid`` and ``std``.

        Args:
            samples: the real and the generated samples.
        """
        rows = self.rows(samples)
        fake = torch.cat([batch.cpu() for batch in samples.fake(rows)])
        found = kid_features_to_metric(
            fake.double(),
            _real_features(samples, self.network, rows).double(),
            kid_subsets=self.subsets,
            kid_subset_size=self.size,
            kid_kernel="poly",
            kid_kernel_poly_degree=3,
            kid_kernel_poly_gamma=None,
            kid_kernel_poly_coef0=1,
            rng_seed=2020,
            verbose=False,
        )
        return {
            self.named("kid"): float(found[KEY_METRIC_KID_MEAN]),
            self.named("std"): float(found[KEY_METRIC_KID_STD]),
        }


class IS(_Features):
    """Inception score (IS): are single samples clear, and all samples together diverse? By torch-fidelity.

    Formula:
        is = mean over parts of exp mean_i KL(p(y | x_i) || mean_j p(y | x_j)),  p the softmax of the logits

    Args:
        features: a network with logits. Figures of another network than inception bear its name.
        count: the number of generated samples. The papers generate 50,000.
        parts: the number of equal parts.

    Raises:
        Incompatible: the network takes no such samples, or has no logits.
        DataError: the weights are missing.

    Notes:
        The score does not look at the real samples: a generator that copies one image a class scores the most. Parts
        are consecutive samples, which are independent by themselves, and only one part is held in memory.

    Source: Salimans et al., Improved techniques for training GANs, 2016, arXiv:1606.03498, section 4
    """

    features: Network = Inception()
    parts: Annotated[int, Ge(1)] = 10

    @property
    def reals(self) -> int:
        """One real sample: the score does not read the real samples."""
        return 1

    @property
    def network(self) -> Network:
        """The network that was named."""
        return self.features

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """The mean over the parts, and the standard deviation."""
        return {self.named("is"): True, self.named("std"): None}

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figures ``is`` and ``std``.

        Args:
            samples: the generated samples.
        """
        scores: list[float] = []
        held, size = torch.empty(0), math.ceil(samples.count / self.parts)
        for batch in samples.fake(self.rows(samples, logits=True)):
            held = torch.cat([held, batch.cpu()]) if len(held) else batch.cpu()
            while len(held) >= size:
                scores.append(_score(held[:size]))
                held = held[size:]
        if len(held):
            scores.append(_score(held))
        return {self.named("is"): float(np.mean(scores)), self.named("std"): float(np.std(scores))}


def _score(logits: Tensor) -> float:
    return float(isc_features_to_metric(logits, splits=1, shuffle=False)[KEY_METRIC_ISC_MEAN])


class PRDC(_Compared):
    """Improved precision and recall, density and coverage (PRDC): fidelity and diversity as separate figures.

    Formula:
        ball(x)   = the ball about x up to the k-th nearest sample of its own set
        precision = share of fakes in the ball of any real sample,  recall = share of reals in the ball of any fake
        density   = mean over fakes of (number of real balls that hold the fake) / k
        coverage  = share of real samples whose ball holds a fake

    Args:
        features: the network. Figures of another network than inception bear its name.
        count: the number of generated samples. The features of all samples are held in memory.
        real_count: the number of real samples. none takes all samples of the split.
        split: the real samples to compare with: train, or held-out.
        k: the neighbours, at least 1. The papers take 3 for precision and recall, and 5 for density and coverage.

    Raises:
        Incompatible: the network takes no such samples, or there are no k neighbours.
        DataError: the weights are missing.

    Notes:
        Precision and recall are torch-fidelity's, which takes VGG-16 in its own command, as the paper does. Their balls
        are closed. The balls of density and coverage are open, as in the code of their authors. The difference shows
        where samples are copies of one another. Figures depend on the counts: compare equal counts only.

    Source: Kynkaanniemi et al., 2019, arXiv:1904.06991; Naeem et al., 2020, arXiv:2002.09797
    """

    features: Network = Inception()
    count: Annotated[int, Ge(2)] = 10_000
    real_count: Annotated[int, Ge(2)] | None = 10_000
    k: Annotated[int, Ge(1)] = 3

    @property
    def network(self) -> Network:
        """The network that was named."""
        return self.features

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """Four figures."""
        return {self.named(name): True for name in ("precision", "recall", "density", "coverage")}

    def check(self, spec: ganzoo.Spec, reals: int) -> None:
        """Refuse samples that are no images, and counts without k neighbours.

        Args:
            spec: the shape of a sample.
            reals: the number of real samples.

        Raises:
            Incompatible: see above.
        """
        super().check(spec, reals)
        few = min(self.count, reals if self.real_count is None else min(reals, self.real_count))
        if few <= self.k:
            raise Incompatible(f"metric prdc has {few} samples, and looks for {self.k} neighbours: give more samples")

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figures ``precision``, ``recall``, ``density`` and ``coverage``.

        Args:
            samples: the real and the generated samples.
        """
        rows = self.rows(samples)
        fake = torch.cat([batch.cpu() for batch in samples.fake(rows)]).double()
        real = _real_features(samples, self.network, rows).double()
        found = prc_features_to_metric(
            fake, real, prc_neighborhood=self.k, prc_batch_size=CHUNK, save_cpu_ram=True, verbose=False
        )
        density, coverage = density_coverage(real, fake, self.k)
        values = (found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL], density, coverage)
        return dict(zip(self.figures, map(float, values), strict=True))


def density_coverage(real: Tensor, fake: Tensor, k: int) -> tuple[float, float]:
    """Compute density and coverage, which torch-fidelity lacks.

    Args:
        real: (N, D) features of real samples.
        fake: (M, D) features of generated samples.
        k: the neighbours.

    Returns:
        Density and coverage.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
        >>> density_coverage(real, torch.tensor([[0.5], [0.5]]), k=1)
        (2.0, 0.75)
    """
    hits, covered = 0.0, 0.0
    for piece in torch.split(real, CHUNK):
        radius = torch.cdist(piece, real).kthvalue(k + 1).values  # the nearest is the sample itself
        distance = torch.cdist(piece, fake)
        hits += float((distance < radius[:, None]).sum())  # an open ball, as in the authors' code
        covered += float((distance.min(1).values < radius).sum())
    return hits / (k * len(fake)), covered / len(real)


def _real_features(samples: ganzoo.Samples, network: Network, rows: Callable[[Tensor], Tensor]) -> Tensor:
    """The features of the real samples, from the cache if possible."""
    return samples.reference(
        f"features of {network.identity}",
        lambda: {"features": torch.cat([batch.cpu() for batch in samples.real(rows)])},
    )["features"]
