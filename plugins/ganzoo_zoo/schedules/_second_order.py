"""Products of the players' second derivatives with vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Vectors = Sequence[Tensor]
"""A vector in the space of some parameters: a tensor for each parameter."""


def dot(a: Vectors, b: Vectors) -> Tensor:
    """The inner product, ().

    Args:
        a: a vector.
        b: a vector of equal shapes.
    """
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


def plus(a: Vectors, factor: float | Tensor, b: Vectors) -> list[Tensor]:
    """The vector a + factor b.

    Args:
        a: a vector.
        factor: a number, or ().
        b: a vector of equal shapes.
    """
    return [x + factor * y for x, y in zip(a, b, strict=True)]


def transposed(gradient: Vectors, by: Vectors, vector: Vectors, *, graph: bool = False) -> list[Tensor]:
    """J^T v, where J is the derivative of a gradient by some parameters.

    Args:
        gradient: the gradient, with a graph.
        by: the parameters to differentiate by.
        vector: v, in the space of the gradient.
        graph: whether the product is to be differentiated again.

    Example:
        The gradient (x y, y) has the derivatives (y, 0) by x: J^T (2, 5) = 2 y.

        >>> import torch
        >>> x, y = torch.tensor(3.0, requires_grad=True), torch.tensor(7.0)
        >>> transposed([torch.stack([x * y, y])], [x], [torch.tensor([2.0, 5.0])])
        [tensor(14.)]
        >>> transposed([x * y, torch.ones(2)], [x], [torch.tensor(2.0), torch.ones(2)])
        [tensor(14.)]
    """
    # Some parts of a gradient are constant, such as that of the last bias under a linear loss. They have no graph, and
    # add nothing to the product.
    followed = [(g, v) for g, v in zip(gradient, vector, strict=True) if g.requires_grad]
    if not followed:
        return [torch.zeros_like(each) for each in by]
    found = torch.autograd.grad(
        [g for g, _ in followed],
        [*by],
        [v for _, v in followed],
        retain_graph=True,
        create_graph=graph,
        materialize_grads=True,
        allow_unused=True,
    )
    return [*found]


def product(gradient: Vectors, by: Vectors) -> Callable[[Vectors], list[Tensor]]:
    """The function v -> J v, where J is the derivative of a gradient by some parameters.

    J^T u is linear in u, so that the derivative of the inner product of J^T u and v by u is J v.

    Args:
        gradient: the gradient, with a graph.
        by: the parameters to differentiate by.

    Example:
        The gradient (x y, y) has the derivatives (y, 0) by x: J 2 = (2 y, 0).

        >>> import torch
        >>> x, y = torch.tensor(3.0, requires_grad=True), torch.tensor(7.0)
        >>> product([torch.stack([x * y, y])], [x])([torch.tensor(2.0)])
        [tensor([14.,  0.])]
    """
    anywhere = [torch.zeros_like(g, requires_grad=True) for g in gradient]
    linear = transposed(gradient, by, anywhere, graph=True)

    def applied(vector: Vectors) -> list[Tensor]:
        if not any(part.requires_grad for part in linear):  # the gradient does not depend on the parameters
            return [torch.zeros_like(g) for g in gradient]
        return transposed(linear, anywhere, vector)

    return applied
