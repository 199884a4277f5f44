"""Mixed styles: the layers of a mixed sample are those of its row and of its column."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.errors import SettingsError
from ganzoo.trained.mix import mixed_table

SMALL = {"data": "digits:size=8", "batch_size": 4, "latent_dim": 4, "samples": 4, "steps": 1, "device": "cpu"}


def test_rows_give_the_first_layers_and_columns_the_others(tmp_path: Path) -> None:
    run = ganzoo.run(arch="stylegan2:width=4,style=3,mapping=1", logdir=str(tmp_path), **SMALL)
    table, columns = mixed_table(run, 1, 5, seed=3)
    assert (columns, len(table)) == (3, 9)
    batch = run.latents(4, seed=3)
    styles, own = run.styles(batch), run.synthesized(run.styles(batch), batch)
    assert (table[0] == -1).all()
    torch.testing.assert_close(table[1:3], own[2:])
    torch.testing.assert_close(table[[3, 6]], own[:2])
    both = torch.cat([styles[1:2, :1], styles[2:3, 1:]], 1)
    torch.testing.assert_close(table[7:8], run.synthesized(both, batch.rows(slice(2, 3))))


def test_a_net_without_a_style_for_each_layer_is_refused(tmp_path: Path) -> None:
    run = ganzoo.run(arch="dcgan:width=4", logdir=str(tmp_path), **SMALL)
    with pytest.raises(SettingsError, match="has no style for each layer"):
        mixed_table(run, 1, 4)
