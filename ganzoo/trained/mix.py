"""Samples whose first layers have the style of one sample and whose other layers have the style of another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganzoo import errors
from ganzoo.training.run import Run


def mixed_table(
    run: Run, layers: int, count: int, *, seed: int = 0, source: str = "auto", truncation: float | None = None
) -> tuple[Tensor, int]:
    """A table of mixed styles: a row gives the style of the first layers, a column gives the style of the others.

    The first column holds the samples of the rows, and the first row holds the samples of the columns. The corner is
    empty.

    Args:
        run: a trained run whose generator has a style for each layer.
        layers: how many layers have the style of the row: few for coarse features, many for all but the colours.
        count: the number of mixed samples. The table is a square with at most this number.
        seed: of the noise.
        source: as for ``Run.sample``.
        truncation: as for ``Run.sample``.

    Returns:
        (S, *shape) samples in [-1, 1], row by row, and the number of samples in a row.

    Raises:
        SettingsError: the generator has no style for each layer, or not so many layers.

    Source: T. Karras et al., A style-based generator architecture for GANs, 2019, arXiv 1812.04948, figure 3.
    """
    side = max(1, math.isqrt(count))
    batch = run.latents(2 * side, seed=seed)
    styles = run.styles(batch, source, truncation=truncation)
    if styles.ndim != 3:
        raise errors.SettingsError(
            f"--mix takes layers from two styles, and arch {run.parts.labels['arch']} has no style for each layer: "
            "leave --mix out"
        )
    if not 0 < layers < (depth := styles.shape[1]):
        raise errors.SettingsError(f"--mix {layers}: the generator has {depth} layers: give 1 to {depth - 1}")
    rows, columns = styles[:side], styles[side:]
    both = torch.cat(
        [
            rows[:, None, :layers].expand(-1, side, -1, -1),
            columns[None, :, layers:].expand(side, -1, -1, -1),
        ],
        2,
    ).flatten(0, 1)
    # The labels of the columns count: class and colour belong to the later layers or to neither.
    whole = torch.arange(side, 2 * side, device=styles.device).repeat(side)
    mixed = run.synthesized(both, batch.rows(whole), source)
    own = run.synthesized(styles, batch, source)
    table = mixed.reshape(side, side, *mixed.shape[1:])
    left = torch.cat([own[:side, None], table], 1)
    top = torch.cat([torch.full_like(own[:1], -1.0), own[side:]])
    return torch.cat([top, left.flatten(0, 1)]), side + 1
