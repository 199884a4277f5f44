"""What is shown of a run in training leaves no trace in the training."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import differences, state_of

import ganzoo


@pytest.mark.parametrize("regularizer", ["sn", "sn:players=both", "ada:p=0.5"])
@pytest.mark.parametrize("arch", ["dcgan:width=4", "dcgan:width=4,norm=batch,d_norm=batch"])
def test_pictures_and_histograms_do_not_change_the_weights(tmp_path: Path, regularizer: str, arch: str) -> None:
    """A look at a spectrally normalised weight in training mode makes a power iteration."""

    def trained(sample_every: int) -> ganzoo.Run:
        return ganzoo.run(
            arch=arch,
            data="digits:size=8",
            regularizers=[regularizer],
            batch_size=4,
            latent_dim=4,
            samples=4,
            steps=3,
            sample_every=sample_every,
            device="cpu",
            precision="fp32",
            logdir=str(tmp_path),
            quiet=True,
        )

    assert differences(state_of(trained(1)), state_of(trained(100))) == []
