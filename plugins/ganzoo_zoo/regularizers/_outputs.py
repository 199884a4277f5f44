"""What regularizers read of a discriminator beside the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import cross_entropy

from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


def require_class_logits(part: str, outputs: Mapping[str, object]) -> None:
    """Raise Incompatible where a discriminator gives no class logits.

    Args:
        part: the part that reads class logits, for the message.
        outputs: the outputs of the discriminator beside the logits, by name.
    """
    if "class_logits" not in outputs:
        raise Incompatible(
            f"{part} reads class logits, and this discriminator gives none: use nets that do on labelled data, such as "
            "dcgan:auxiliary=true"
        )


def class_error(output: Mapping[str, Tensor], labels: Tensor | None, scores: Tensor) -> Tensor:
    """The mean cross-entropy of class logits against labels, (), in float32 at least.

    Args:
        output: of the discriminator, with ``class_logits`` (N, classes).
        labels: (N,) class numbers.
        scores: (N,), whose type the cross-entropy is computed in.
    """
    assert labels is not None
    return cross_entropy(output["class_logits"].to(scores.dtype), labels)


def require_features(part: str, outputs: Mapping[str, object]) -> None:
    """Raise Incompatible where a discriminator gives no features.

    Args:
        part: the part that reads features, for the message.
        outputs: the outputs of the discriminator beside the logits, by name.
    """
    if not outputs.get("features"):
        raise Incompatible(
            f"{part} reads features, and this discriminator gives none: use nets that do, such as "
            f"dcgan:auxiliary=true, or leave {part} out"
        )


def last_features(output: Mapping[str, Sequence[Tensor]]) -> Tensor:
    """The mean of the last features over their places, (N, C).

    Args:
        output: of the discriminator, with ``features``, (N, C, ...) each.

    Example:
        >>> import torch
        >>> last_features({"features": [torch.tensor([[[1.0, 3.0], [2.0, 2.0]]])]})
        tensor([[2., 2.]])
    """
    features = output["features"][-1]
    return features.flatten(2).mean(2) if features.dim() > 2 else features
