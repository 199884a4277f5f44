"""The share of samples that look like the class they were generated for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge

import ganzoo

from ._counted import Counted


class ClassAccuracy(Counted):
    """Class accuracy: do samples look like the class they were generated for, to a classifier of the data?

    Formula:
        accuracy = share of generated samples whose class is the class that the nearest real samples vote for
        worst    = the smallest accuracy of a class that samples were generated for
        real     = the same share for real samples, each without itself

    Args:
        count: the number of generated samples, at least 1.
        real_count: the number of real samples that vote, at least 2. none takes all real samples.
        neighbours: the number of neighbours that vote, at least 1. The vote is scikit-learn's.
        classes: the number of classes with a figure each, at least 0: ``class_0``, ``class_1`` and so on. The figure of
            a class that no sample was generated for is NaN.

    Raises:
        Incompatible: the data has no classes, or the networks are given none.

    Notes:
        ``real`` is the end of the scale: a generator as good as the data scores the same. The accuracy does not see
        collapse within a class.

    Source: Odena et al., Conditional image synthesis with auxiliary classifier GANs, 2017, arXiv:1610.09585,
        section 4.1

    Example:
        >>> import ganzoo, torch
        >>> x, y = torch.eye(2).repeat(4, 1), torch.arange(8) % 2
        >>> samples = ganzoo.Samples(real=x, fake=x, data=None, real_labels=y, fake_labels=1 - y)
        >>> ganzoo.part("metric", "class-accuracy:neighbours=1").evaluate(samples)
        {'accuracy': 0.0, 'worst': 0.0, 'real': 1.0}
    """

    count: Annotated[int, Ge(1)] = 1000
    real_count: Annotated[int, Ge(2)] | None = 5000
    neighbours: Annotated[int, Ge(1)] = 5
    classes: Annotated[int, Ge(0)] = 0

    labels: ClassVar[bool] = True

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """The accuracy, its smallest value of a class, the accuracy of real samples, and that of single classes."""
        return {"accuracy": True, "worst": True, "real": None, **{f"class_{k}": True for k in range(self.classes)}}

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figures of ``figures``.

        Args:
            samples: the real and the generated samples, with the classes of both.
        """
        from sklearn.neighbors import KNeighborsClassifier

        assert samples.real_labels is not None
        assert samples.fake_labels is not None
        real, fake = (
            torch.cat([x.flatten(1).cpu().double() for x in batches]).numpy()
            for batches in (samples.real(), samples.fake())
        )
        y, wanted = samples.real_labels.numpy(), samples.fake_labels.numpy()
        model = KNeighborsClassifier(min(self.neighbours, len(real) - 1)).fit(real, y)
        # Without points, scikit-learn takes the neighbours of each training sample, the sample itself left out.
        votes = torch.from_numpy(y[model.kneighbors(return_distance=False)]).long()
        own = torch.nn.functional.one_hot(votes).sum(1).argmax(1).numpy()
        right = model.predict(fake) == wanted
        shares = {int(k): float(right[wanted == k].mean()) for k in set(wanted.tolist())}
        return {
            "accuracy": float(right.mean()),
            "worst": min(shares.values()),
            "real": float((own == y).mean()),
            **{f"class_{k}": shares.get(k, math.nan) for k in range(self.classes)},
        }
