"""The settings of a run as TensorBoard's hparams table shows them."""

from __future__ import annotations

from typing import Any

from ganzoo import words
from ganzoo.training.run import Run

PARTS_SHOWN = ("arch", "data", "loss", "regularizers", "schedule")
SETTINGS_SHOWN = ("batch_size", "d_arch", "d_optimizer", "ema", "g_optimizer", "latent_dim", "precision", "seed")
"""The columns of the hparams table. Every run has every column, so that runs of different parts share one table.
TensorBoard sorts the columns by name and shows the first five. The names of the settings therefore begin with a later
letter than the names of the kinds of parts."""


def hparams(run: Run) -> tuple[dict[str, Any], str, list[str]]:
    """Describe a run for TensorBoard.

    Args:
        run: the run.

    Returns:
        The hparams row by column, the settings as markdown, and the tags of the scalars that the table shows.
    """
    settings = {**words.plain(run.settings), **run.parts.labels}
    row: dict[str, Any] = {key: run.parts.labels[key] for key in PARTS_SHOWN}
    row.update({f"settings/{key}": settings[key] for key in SETTINGS_SHOWN})
    text = "\n".join(f"- **{key}**: `{value}`" for key, value in settings.items())
    results = ["loss/discriminator", "loss/generator", "speed/images_per_second"]
    return {key: "none" if value is None else value for key, value in row.items()}, text, results
