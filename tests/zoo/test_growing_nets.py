"""PGGAN and FastGAN: published sizes, what their layers compute, and that they train under all kinds of penalties."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Again, Bench, differences, state_of

import ganzoo
from ganzoo import errors
from ganzoo.training.steps import advance, compiled_steps
from ganzoo_zoo.architectures.growing import level_sizes
from ganzoo_zoo.architectures.layers.initial_weights import fan_in
from ganzoo_zoo.presets import PRESETS

SMALL = {
    "pggan": {"arch": "pggan:channel_max=4,minibatch_stddev=false", "data": "digits:size=8"},
    "fastgan": {"arch": "fastgan:width=2,norm=layer,d_norm=layer", "data": "digits:size=32"},
    "gat": {"arch": "gat:width=8,depth=2,heads=1,patch=4,levels=2", "data": "digits:size=8"},
}


def count(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def built(words: str, side: int, latent: int) -> ganzoo.Networks:
    with torch.device("meta"):
        return ganzoo.part("architecture", words).build(ganzoo.Spec(shape=(3, side, side), latent_dim=latent))


def test_pggan_has_the_published_number_of_parameters() -> None:
    """Table 2 of the paper: 23.1 million each at 1024x1024. The exact numbers are those of the authors' networks.py."""
    nets = built("pggan", 1024, 512)
    assert count(nets.generator) == 23_079_115
    assert count(nets.discriminator) == 23_087_249


def test_fastgan_has_the_number_of_parameters_of_the_authors_code() -> None:
    """models.py of odegeasslbc/FastGAN-pytorch for 256x256, without the 3 * 64 weights of ``to_128``."""
    nets = built("fastgan", 256, 256)
    assert count(nets.generator) == 29_127_654
    assert count(nets.discriminator) == 11_526_160


@pytest.mark.parametrize(
    ("sizes", "g", "d"),
    [
        ("width=384,depth=12,heads=6", 29_263_040, 32_556_160),  # GAT-S/2
        ("width=1152,depth=28,heads=16", 601_956_224, 459_252_544),  # GAT-XL/2: 602 M in the paper
    ],
)
def test_gat_has_the_number_of_parameters_of_the_authors_code(sizes: str, g: int, d: int) -> None:
    """models/generator.py and discriminator.py of hse1032/GAT, the D without the projections onto DINOv2's features."""
    part = ganzoo.part("architecture", f"gat:{sizes},conditional=projection")
    with torch.device("meta"):
        nets = part.build(ganzoo.Spec(shape=(4, 32, 32), latent_dim=64, classes=1000))
    assert count(nets.generator) + (2 * 2 * 4 + 1) * part.width == g  # with the patch embedding that is multiplied by 0
    assert count(nets.discriminator) == d


def test_gat_shows_all_levels_to_the_discriminator_and_the_last_to_people(experiment: Any) -> None:
    made = experiment(**SMALL["gat"], regularizers=["multi-level-noise:levels=2"])
    part, run = made.run.parts.architecture, made.run
    advance(run, made.game, 3)
    batch = run.latents(3)
    levels = part.generate(run.generator, batch.at(run.state.stage))
    assert levels.shape == (3, 2, 8, 8)
    assert run.sample(3, source="generator").equal(run.generated(batch, "generator"))
    with torch.no_grad():
        shown = run.generated(batch, "generator")
        run.generator.eval()
        torch.testing.assert_close(shown, part.generate(run.generator, batch.at(None)).float())
    assert part.resize(torch.ones(2, 1, 8, 8), ganzoo.Stage(0)).shape == (2, 2, 8, 8)


def test_the_width_sets_how_far_a_weight_moves() -> None:
    """One step of Adam moves each weight by the learning rate times base_width / width."""
    words = "gat:width=8,depth=1,heads=1,patch=4,levels=1,base_width="
    spec, moves = ganzoo.Spec(shape=(1, 8, 8), latent_dim=3), []
    for base in (0, 32):
        torch.manual_seed(0)
        net = ganzoo.part("architecture", f"{words}{base}").discriminator(spec)
        optimizer = ganzoo.part("optimizer", "adam:lr=1e-3,betas=0.0,0.99").build(list(net.parameters()))
        before = net.head.weight.detach().clone()
        net(torch.randn(2, 1, 8, 8)).sum().backward()
        optimizer.step()
        moves.append((net.head.weight.detach() - before).abs().max())
    assert float(moves[1] / moves[0]) == pytest.approx(4.0, rel=1e-3)


def test_the_noise_of_the_levels_is_nested() -> None:
    two = ganzoo.part("regularizer", "multi-level-noise:levels=2,least=0.25")
    assert two.shares() == pytest.approx([0.76, 0.01])
    part = ganzoo.part("regularizer", "multi-level-noise:levels=3,least=0.25")
    shares = [1 - 0.25 ** (1 - k / 2) + 0.01 for k in range(3)]
    assert part.shares() == pytest.approx(shares)
    x = torch.ones(4000, 3, 2, 2, dtype=torch.float64)
    torch.manual_seed(0)
    seen = part.images(x, ganzoo.Scores())
    assert seen.mean((0, 2, 3)).tolist() == pytest.approx([1 - share for share in shares], abs=0.02)
    assert seen.std((0, 2, 3)).tolist() == pytest.approx(shares, rel=0.03)
    noise = (seen - torch.tensor([1 - share for share in shares])[:, None, None]).transpose(0, 1).flatten(1)
    expected = (1 - shares[0]) / (1 - shares[1]) * shares[1] / shares[0]
    assert float(torch.corrcoef(noise)[0, 1]) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("terms", "loss"), [(["feature-matching"], "hinge"), (["rotation"], "hinge"), ([], "feature-matching")]
)
def test_features_are_there_from_the_first_phase(experiment: Any, terms: list[str], loss: str) -> None:
    made = experiment(
        arch="pggan:channel_max=4,conditional=none,auxiliary=true", data="digits:size=16", regularizers=terms, loss=loss
    )
    advance(made.run, made.game, 20)
    assert made.run.state.stage.phase == 0
    assert all(torch.isfinite(value) for value in made.game.pop_scalars().values())


def test_a_prolonged_run_keeps_what_has_grown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same step is a smaller share of the run then, and the networks do not shrink."""
    small = {"batch_size": 4, "latent_dim": 4, "samples": 4, "quiet": True, "precision": "fp32", "regularizers": None}
    run = ganzoo.run(arch="pggan:channel_max=4", data="digits:size=16", steps=12, logdir=tmp_path, **small)
    whole = run.state.stage
    assert whole.phase == 4
    longer = ganzoo.resume(run.dir, steps=24, quiet=True)
    assert longer.state.stage == whole
    assert "the growth of the networks, which never goes back" in capsys.readouterr().err


def test_growth_never_goes_back(experiment: Any) -> None:
    made = experiment(**SMALL["gat"])
    state = made.run.state
    assert state.enter(ganzoo.Stage(3, 0.5)) == (3, 0.5, False)
    assert state.enter(ganzoo.Stage(3, 0.25)) == (3, 0.5, False)
    assert state.enter(ganzoo.Stage(1, 0.9, True)) == (3, 0.5, True)
    assert state.enter(ganzoo.Stage(3, 0.75)) == (3, 0.75, False)
    assert state.enter(ganzoo.Stage(4, 1.0)) == (4, 1.0, False)


def test_pggan_says_from_which_size_it_grows() -> None:
    with pytest.raises(errors.Incompatible, match=r"images of 8 pixels a side or more.*this data gives 3x4x4"):
        level_sizes("pggan", (3, 4, 4))


def test_copies_of_a_real_image_get_one_noise() -> None:
    """R1 of K copies of an image is the squared slope along the image, and R2 is the sum over the levels' slopes."""
    slopes = torch.tensor([1.0, 2.0, 3.0])
    images = torch.zeros(40000, 3, 1, 1)
    s = ganzoo.Scores(
        real_images=images, fake_images=images, discriminator=lambda x: (x * slopes[:, None, None]).sum((1, 2, 3))
    )
    for levels, real in ((3, (1 + 2 + 3) ** 2), (1, 1 + 4 + 9)):
        torch.manual_seed(0)
        part = ganzoo.part("regularizer", f"approximate-r1r2:gamma=2,levels={levels}")
        assert float(part.discriminator_penalty(s)) == pytest.approx(real + 1 + 4 + 9, rel=0.03)


def test_every_weight_of_pggan_is_scaled_by_its_gain() -> None:
    nets = ganzoo.part("architecture", "pggan:channel_max=6").build(ganzoo.Spec(shape=(3, 16, 16), latent_dim=5))
    for net, last in zip(nets, (list(nets.generator.to_image), [nets.discriminator.head]), strict=True):
        for layer in net.modules():
            if torch.nn.utils.parametrize.is_parametrized(layer):
                gain = 1.0 if layer in last else math.sqrt(2.0)
                scale = layer.parametrizations.weight[0].scale
                assert scale == pytest.approx(gain / math.sqrt(fan_in(layer)))
    first = nets.generator.levels[0][0].parametrizations.weight[0].scale
    assert first == pytest.approx(math.sqrt(2) / 4 / math.sqrt(5))  # gain sqrt(2)/4 over the noise, as in the code


@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 24, 40), (2, 28, 28)])
def test_pggan_makes_other_sides_and_channels(shape: tuple[int, ...]) -> None:
    part, spec = ganzoo.part("architecture", "pggan:channel_max=4"), ganzoo.Spec(shape=shape, latent_dim=3)
    nets, sizes = part.build(spec), level_sizes("pggan", shape)
    for progress in (0.0, 1.0):
        batch = ganzoo.Batch(latent=torch.randn(2, 3)).at(part.stage(spec, progress, 0))
        images = part.generate(nets.generator, batch)
        assert images.shape == (2, shape[0], *sizes[-1 if progress else 0])
        assert part.judge(nets.discriminator, images, batch).shape == (2,)


@pytest.mark.parametrize("shape", [(3, 34, 34), (3, 33, 64), (2,), (3, 5, 5)])
def test_sides_that_cannot_be_halved_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(errors.Incompatible, match="pggan makes images"):
        ganzoo.part("architecture", "pggan").build(ganzoo.Spec(shape=shape, latent_dim=3))


def test_fastgan_reconstructs_real_images_alone() -> None:
    part, spec = ganzoo.part("architecture", "fastgan:width=2"), ganzoo.Spec(shape=(3, 32, 32), latent_dim=3)
    net, images = part.discriminator(spec), torch.randn(2, 3, 32, 32)
    assert isinstance(part.judge(net, images, ganzoo.Batch(latent=torch.randn(2, 3))), torch.Tensor)
    output = part.judge(net, images, ganzoo.Batch(images=images))
    whole, small, quarter = output["originals"]
    assert whole.equal(images[:, :, ::2, ::2])
    assert small.equal(whole)
    corners = [images[:, :, y : y + 16, x : x + 16] for y in (0, 16) for x in (0, 16)]
    assert any(quarter.equal(corner) for corner in corners)
    assert [tuple(made.shape[1:]) for made in output["reconstructions"]] == part.outputs(spec)["reconstructions"]


def test_the_reconstruction_penalty_is_the_sum_of_the_distances() -> None:
    output = {
        "reconstructions": [torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)],
        "originals": [torch.full((2, 1, 2, 2), 3.0), torch.full((2, 1, 2, 2), -1.0)],
    }
    s = ganzoo.Scores(real_output=output)
    assert float(ganzoo.part("regularizer", "reconstruction:weight=2").discriminator_penalty(s)) == 2 * (3 + 2)
    assert float(ganzoo.part("regularizer", "reconstruction:distance=l2").discriminator_penalty(s)) == 9 + 4


def test_reconstruction_is_refused_where_nothing_is_reconstructed(experiment: Any) -> None:
    with pytest.raises(errors.Incompatible, match="reconstruction compares images") as caught:
        experiment(regularizers=["reconstruction"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("regularizer", ["r1", "wgan-gp", "sn", "ada", "path-length"])
def test_the_nets_train_under_penalties_in_every_precision(
    experiment: Any, name: str, precision: str, regularizer: str
) -> None:
    made = experiment(**SMALL[name], regularizers=[regularizer], precision=precision, batch_size=4)
    for step in range(2):
        advance(made.run, made.game, 3)
        scalars = made.game.pop_scalars()
        assert all(torch.isfinite(value) for value in scalars.values()), (step, scalars)


@pytest.mark.parametrize("name", ["fastgan"])
def test_a_stopped_run_of_the_nets_goes_on_bit_for_bit(tmp_path: Path, name: str) -> None:
    regularizers = ["sn:players=both", "diffaugment", "reconstruction"]
    bench = Bench(tmp_path, **{**SMALL[name], "arch": "fastgan:width=2"}, regularizers=regularizers, steps=4)
    resumed = bench.resumed(bench.stopped(2))
    assert differences(state_of(resumed), state_of(bench.whole())) == []


def test_recorded_steps_of_fastgan_are_the_steps_in_python(experiment: Any) -> None:
    settings = {**SMALL["fastgan"], "regularizers": ["reconstruction", "sn:players=both"], "batch_size": 4}
    mine, theirs, said = experiment(**settings), experiment(**settings), list[str]()
    recorder = Again()
    steps = compiled_steps(mine.run, mine.game, recorder, said.append)
    for _ in range(4):
        advance(mine.run, mine.game, 4, steps)
        advance(theirs.run, theirs.game, 4)
    assert said == []
    assert recorder.recorded > 0
    assert differences(state_of(mine), state_of(theirs)) == []


def test_the_presets_hold_the_published_numbers() -> None:
    pggan, fastgan = PRESETS["pggan"], PRESETS["fastgan"]
    part = ganzoo.part("architecture", pggan["arch"])
    assert (part.phase_images, part.start, part.fresh_optimizers) == (600_000, 4, True)
    optimizer = ganzoo.part("optimizer", pggan["optimizer"])
    assert (optimizer.lr, optimizer.betas) == (1e-3, (0.0, 0.99))
    assert pggan["steps"] * pggan["batch_size"] == 12_000_000
    assert (pggan["latent_dim"], pggan["ema"]) == (512, 0.999)
    assert pggan["regularizers"] == ["wgan-gp:weight=10", "drift:weight=1e-3"]
    optimizer = ganzoo.part("optimizer", fastgan["optimizer"])
    assert (optimizer.lr, optimizer.betas) == (2e-4, (0.5, 0.999))
    assert (fastgan["steps"], fastgan["batch_size"], fastgan["latent_dim"]) == (50_000, 8, 256)
