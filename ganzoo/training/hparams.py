"""The settings of a run as TensorBoard's hparams table shows them."""

from __future__ import annotations

from typing import Any

from ganzoo import words
from ganzoo.training.run import Run

PARTS_SHOWN = ("arch", "data", "loss", "regularizers", "schedule")
SETTINGS_SHOWN = ("batch_size", "d_optimizer", "ema", "g_optimizer", "latent_dim", "precision", "seed")
"""Columns of the hparams table. All runs have all of them, so runs of different parts share one table. TensorBoard
sorts them by name and shows the first five unless told, so the settings' names begin with a later letter."""


def hparams(run: Run) -> tuple[dict[str, Any], str, list[str]]:
    """The hparams row (the same columns for every run), the settings as markdown, and the columns for results."""
    settings = {**words.plain(run.settings), **run.parts.labels}
    row: dict[str, Any] = {key: run.parts.labels[key] for key in PARTS_SHOWN}
    row.update({f"settings/{key}": settings[key] for key in SETTINGS_SHOWN})
    text = "\n".join(f"- **{key}**: `{value}`" for key, value in settings.items())
    results = ["loss/discriminator", "loss/generator", "speed/images_per_second"]
    return {key: "none" if value is None else value for key, value in row.items()}, text, results
