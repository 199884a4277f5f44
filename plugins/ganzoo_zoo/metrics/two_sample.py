"""The classifier two-sample test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class TwoSample(ganzoo.Metric):
    """Classifier two-sample test (C2ST): can a classifier that was trained on half of the samples tell the other half?

    Formula:
        accuracy = share of the n held-out samples that the classifier calls real or fake rightly
        p_value  = P(Z >= (accuracy - 1/2) / sqrt(1 / (4 n))),  Z ~ N(0, 1)

    Args:
        count: the number of real samples, and of generated samples, at least 4.
        classifier: knn, the nearest sqrt(n) neighbours, or logistic, a linear classifier. Both are scikit-learn's.

    Notes:
        An accuracy of 1/2 is the best: the classifier sees no difference. A p-value below 0.05 rejects that samples and
        data have one distribution. A linear classifier sees differences of the means, and neighbours see shapes too.

    Source: Lopez-Paz and Oquab, Revisiting classifier two-sample tests, 2017, arXiv:1610.06545, section 3

    Example:
        >>> import ganzoo, torch
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) / 10
        >>> test = ganzoo.part("metric", "two-sample")
        >>> test.score(x, x + 1, None)["accuracy"], test.score(x[:100], x[100:], None)["p_value"] > 0.05
        (1.0, True)
    """

    count: Annotated[int, Ge(4)] = 1000
    classifier: Literal["knn", "logistic"] = "knn"

    figures: ClassVar[Mapping[str, bool | None]] = {"accuracy": False, "p_value": None}

    @property
    def samples(self) -> int:
        """The number of real samples, and of generated samples."""
        return self.count

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figures ``accuracy`` and ``p_value``.

        Args:
            real: (N, *shape) samples of the data.
            fake: (M, *shape) samples of the generator.
            data: the data part, which this metric does not use.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier

        x = torch.cat([real, fake]).flatten(1).double().numpy()
        y = torch.cat([torch.zeros(len(real)), torch.ones(len(fake))]).long().numpy()
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).numpy()
        fit, test = order[: len(x) // 2], order[len(x) // 2 :]
        model = (
            KNeighborsClassifier(max(1, round(math.sqrt(len(fit)))))
            if self.classifier == "knn"
            else LogisticRegression(max_iter=1000)
        )
        accuracy = float(model.fit(x[fit], y[fit]).score(x[test], y[test]))
        deviation = (accuracy - 0.5) / math.sqrt(0.25 / len(test))
        return {"accuracy": accuracy, "p_value": 0.5 * math.erfc(deviation / math.sqrt(2))}
