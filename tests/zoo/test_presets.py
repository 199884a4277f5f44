"""The presets state what the papers and the authors' code state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import smallest

import ganzoo
from ganzoo.training.steps import set_scheduled_numbers
from ganzoo_zoo.presets import PRESETS


def optimizer(preset: str, setting: str = "optimizer") -> Any:
    return ganzoo.part("optimizer", PRESETS[preset][setting])


def test_ttur_has_the_betas_of_its_code_for_images() -> None:
    d, g = optimizer("ttur", "d_optimizer"), optimizer("ttur", "g_optimizer")
    assert d.betas == g.betas == (0.0, 0.9)
    assert (d.lr, g.lr) == (3e-4, 1e-4)


def test_acgan_has_the_maps_of_the_papers_generator_for_cifar10() -> None:
    """110 numbers of noise and class, then 384, 192 and 96 channels; Adam, batch and length of the same table."""
    part = ganzoo.part("architecture", PRESETS["acgan"]["arch"])
    with torch.device("meta"):
        spec = ganzoo.Spec(shape=(3, 32, 32), latent_dim=PRESETS["acgan"]["latent_dim"], classes=10)
        shapes = [tuple(p.shape) for p in part.build(spec).generator.parameters() if p.dim() > 1]
    assert shapes == [(384 * 4 * 4, 110), (384, 192, 4, 4), (192, 96, 4, 4), (96, 3, 4, 4)]
    assert (optimizer("acgan").lr, optimizer("acgan").betas) == (2e-4, (0.5, 0.999))
    assert (PRESETS["acgan"]["batch_size"], PRESETS["acgan"]["steps"]) == (100, 50_000)


def test_the_numbers_of_r3gan_share_a_cosine(experiment: Any) -> None:
    """At the start, in the middle and at the end: the values of cosine_decay_with_warmup of the authors' train.py."""
    words = {name: PRESETS["r3gan"][name] for name in ("optimizer", "regularizers", "loss", "ema_half_life", "course")}
    made = experiment(**words, arch="r3gan:width=4,blocks=1,group=4", data="digits:size=8")
    bound = made.run.parts.bound
    for progress, share in ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        set_scheduled_numbers(made.run, progress)
        rates = {key: made.run.state.optimizers["generator"].param_groups[0][key] for key in ("lr", "beta2")}
        assert rates == pytest.approx({"lr": 2e-4 - 1.5e-4 * share, "beta2": 0.9 + 0.09 * share})
        assert bound["regularizer r1r2"].part.gamma == pytest.approx(0.05 - 0.045 * share)
        assert bound["regularizer ada"].part.p == pytest.approx(0.55 * share)
        assert made.run.state.averaging.half_life == pytest.approx(5e6 * share)


PUBLISHED = {"sngan": 50_000, "wgan-gp": 200_000, "wgan-div": 200_000, "ttur": 100_000, "rsgan": 100_000}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_runs_for_its_published_length(name: str) -> None:
    assert PRESETS[name]["steps"] == PUBLISHED[name]


@pytest.mark.parametrize("steps", [3, 5])
def test_steps_scale_what_is_scheduled_over_the_run(tmp_path: Path, steps: int) -> None:
    """Fewer steps than published: the learning rate goes from the same start to the same end."""
    small = {"arch": "dcgan:width=2", "data": "digits:size=8", "batch_size": 4, "latent_dim": 4, "samples": 4}
    made = ganzoo.run(
        preset="sngan",
        **small,
        steps=steps,
        log_every=1,
        logdir=str(tmp_path),
        device="cpu",
        threads=1,
        precision="fp32",
    )
    assert made.dir is not None
    rows = [json.loads(line) for line in (made.dir / "metrics.jsonl").read_text().splitlines()]
    rates = [row["lr/generator"] for row in rows if "lr/generator" in row]
    assert rates == pytest.approx([2e-4 * (1 - i / (steps - 1)) for i in range(steps)])


def test_the_critic_of_wgan_keeps_its_slope_under_clipping_by_batch_norm() -> None:
    """After the first clip at 64x64, the slope of the scores is at least five times that of a critic without a norm."""
    slopes = {}
    for arch in (PRESETS["wgan"]["arch"], "dcgan:d_norm=none"):
        torch.manual_seed(0)
        nets = ganzoo.part("architecture", arch).build(ganzoo.Spec(shape=(3, 64, 64), latent_dim=100))
        clip = ganzoo.part("regularizer", PRESETS["wgan"]["regularizers"][0])
        with torch.no_grad():
            clip.after_update("discriminator", nets.discriminator)
        images = (2 * torch.rand(8, 3, 64, 64) - 1).requires_grad_()
        (slope,) = torch.autograd.grad(nets.discriminator(images).sum(), images)
        slopes[arch] = slope.flatten(1).norm(dim=1).mean().item()
    assert slopes[PRESETS["wgan"]["arch"]] > 5 * slopes["dcgan:d_norm=none"]


CONDITIONS = {
    "colorize": {"condition": 1},
    "digits-masks": {"condition": 1},
    "inpaint": {"condition": 1, "mask": 1},
    "superres": {"condition": 4},
}
"""What the data of a preset gives the networks, and how many times smaller than a sample."""

TOO_SMALL = {"colorize": 24, "fastgan": 32, "pix2pix": 24}
"""Presets whose networks are published with more levels than an image of 16 pixels has, and the least size."""


def small_architecture(preset: str) -> ganzoo.Architecture:
    """The architecture of a preset, with its own parameters but for those that take time."""
    name, _, parameters = str(PRESETS[preset]["arch"]).partition(":")
    given = [*filter(None, parameters.split(",")), *smallest(name).split(",")]
    merged = dict(parameter.split("=") for parameter in given)
    return ganzoo.part("architecture", f"{name}:{','.join(f'{key}={value}' for key, value in merged.items())}")


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"segan"}))
@pytest.mark.parametrize("size", [16, 32])
def test_the_networks_of_a_preset_make_images_of_16_and_of_32_pixels(name: str, size: int) -> None:
    small = small_architecture(name)
    data = str(PRESETS[name].get("data", "digits")).partition(":")[0]
    shapes = {key: (1, size // times, size // times) for key, times in CONDITIONS.get(data, {}).items()}
    inputs = {key: ganzoo.TensorSpec(shape) for key, shape in shapes.items()}
    spec = ganzoo.Spec(shape=(1, size, size), latent_dim=8, classes=small.classes(10), inputs=inputs)
    if size < TOO_SMALL.get(name, 0):
        with pytest.raises(ganzoo.errors.Incompatible, match=f"at least {TOO_SMALL[name]} pixels a side"):
            small.build(spec)
        return
    labels = torch.arange(2) if spec.classes else None
    given = {key: torch.randn(2, *shape) for key, shape in shapes.items()}
    batch = ganzoo.Batch(latent=torch.randn(2, 8), labels=labels, **given)
    images = small.generate(small.build(spec).generator, batch)
    assert images.shape == (2, 1, size, size)


def test_dragan_and_sagan_state_the_rates_of_their_papers() -> None:
    assert (optimizer("dragan").lr, optimizer("dragan").betas) == (1e-4, (0.5, 0.9))
    assert (optimizer("sagan", "d_optimizer").lr, optimizer("sagan", "g_optimizer").lr) == (4e-4, 1e-4)
    assert ganzoo.part("regularizer", PRESETS["lecam"]["regularizers"][1]).weight == 0.3  # type: ignore[attr-defined]


def test_the_critic_of_wgan_begins_with_100_moves_as_in_the_authors_code() -> None:
    part: Any = ganzoo.part("schedule", PRESETS["wgan"]["schedule"])
    assert (part.discriminator_steps, part.burst, part.burst_first, part.burst_every) == (5, 100, 25, 500)
