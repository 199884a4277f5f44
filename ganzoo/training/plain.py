"""What a checkpoint says of a run in plain data: the spec of the samples, and the sums of scalars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ganzoo.parts import Spec, TensorSpec


def read_sums(numbers: Mapping[str, Any]) -> dict[str, tuple[float, int]]:
    """Read the sums of a run from the numbers of a checkpoint.

    Args:
        numbers: the plain data of a checkpoint.

    Returns:
        By tag, the sum of a scalar and the number of terms.

    Example:
        >>> read_sums({"sums": {"loss/generator": [1.5, 2]}})
        {'loss/generator': (1.5, 2)}
    """
    return {tag: (float(total), int(count)) for tag, (total, count) in numbers.get("sums", {}).items()}


def plain_spec(spec: Spec) -> dict[str, object]:
    """Convert a spec to plain data.

    Args:
        spec: the spec.

    Returns:
        JSON data.
    """
    return {
        "shape": list(spec.shape),
        "latent_dim": spec.latent_dim,
        "classes": spec.classes,
        "inputs": {name: asdict(each) for name, each in spec.inputs.items()},
    }


def read_spec(plain: Mapping[str, Any]) -> Spec:
    """Read a spec from plain data: the inverse of ``plain_spec``.

    Args:
        plain: the spec in a checkpoint.

    Example:
        >>> read_spec({"shape": [1, 8, 8], "latent_dim": 4, "classes": 0, "inputs": {}}).shape
        (1, 8, 8)
    """
    return Spec(
        shape=tuple(plain["shape"]),
        latent_dim=plain["latent_dim"],
        classes=plain["classes"],
        inputs={
            name: TensorSpec(tuple(each["shape"]), each["dtype"], each["range"] and tuple(each["range"]))
            for name, each in plain.get("inputs", {}).items()
        },
    )
