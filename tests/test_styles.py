"""The style space of a generator: by default the noise, and the noise cut off where truncation is asked for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.errors import SettingsError


def test_truncation_moves_each_number_to_its_quantile() -> None:
    architecture = ganzoo.part("architecture", "mlp:width=4")
    z = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cut = architecture.truncate(nn.Identity(), z, 0.5)
    assert cut.abs().max() <= 0.5
    assert torch.equal(cut.flatten().argsort(), z.flatten().argsort())
    assert cut.var().item() == pytest.approx(0.080589, rel=0.02)
    quantile = math.erf(z[0].item() / math.sqrt(2)) * math.erf(0.5 / math.sqrt(2))
    assert math.erf(cut[0].item() / math.sqrt(2)) == pytest.approx(quantile)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan])
def test_a_bound_that_leaves_no_number_is_refused(bound: float) -> None:
    with pytest.raises(SettingsError, match="is not a number > 0"):
        ganzoo.part("architecture", "mlp").truncate(nn.Identity(), torch.zeros(2, 3), bound)


def test_the_styles_of_a_net_without_a_mapping_network_are_its_noise() -> None:
    architecture = ganzoo.part("architecture", "mlp:width=4")
    nets = architecture.build(ganzoo.Spec(shape=(3,), latent_dim=2))
    batch = ganzoo.Batch(latent=torch.randn(5, 2))
    styles = architecture.styles(nets.generator, batch)
    assert styles is batch.latent
    assert torch.equal(architecture.synthesize(nets.generator, styles, batch), nets.generator(batch.latent))
