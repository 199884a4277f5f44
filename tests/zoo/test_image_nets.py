"""Networks from picture to picture: gates, composites, stages, patches, and training in phases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import ganzoo
from ganzoo import errors
from ganzoo.data import streamed
from ganzoo_zoo.architectures.layers.gated import ContextualAttention, GatedConv
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.patches import halved, receptive_field
from ganzoo_zoo.architectures.layers.resampling import SubpixelConv


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items are read in the process of the test: to start a process takes longer than a test."""
    monkeypatch.setattr(streamed, "WORTH_WORKERS", 1e9)


INPAINT: dict[str, Any] = {
    "arch": "gated:width=2,d_width=2,d_layers=2",
    "data": "inpaint:of=digits:size=8",
    "regularizers": ["l1:weight=1,stage=coarse,refined"],
}


def spec(shape: tuple[int, ...] = (3, 16, 16), **inputs: tuple[int, ...]) -> ganzoo.Spec:
    named = {name: ganzoo.TensorSpec(each) for name, each in inputs.items()}
    return ganzoo.Spec(shape=shape, latent_dim=1, inputs=named)


def holes(dtype: torch.dtype = torch.float64, count: int = 2) -> ganzoo.Batch:
    g = torch.Generator().manual_seed(0)
    mask = -torch.ones(count, 1, 16, 16, dtype=dtype)
    mask[:, :, 4:9, 5:12] = 1
    condition = torch.rand(count, 3, 16, 16, generator=g, dtype=torch.float64).to(dtype) * 2 - 1
    return ganzoo.Batch(condition=condition, mask=mask)


def gated(named: str = "gated:width=2,d_width=4,d_layers=2") -> tuple[Any, ganzoo.Networks]:
    torch.manual_seed(0)
    part = ganzoo.part("architecture", named)
    nets = part.build(spec(condition=(3, 16, 16), mask=(1, 16, 16)))
    return part, ganzoo.Networks(*(net.double() for net in nets))


def test_a_gate_is_open_or_shut_at_its_limits() -> None:
    layer, x = GatedConv(2, 3).double(), torch.randn(1, 2, 6, 6, dtype=torch.float64)
    plain = F.elu(F.conv2d(x, layer.both.weight[:3], layer.both.bias[:3], padding=1))
    with torch.no_grad():
        layer.both.bias[3:] = 1e4
        assert_close(layer(x), plain)
        layer.both.bias[3:] = -1e4
        assert not layer(x).any()


def test_pixel_shuffle_reads_neighbouring_channels_and_starts_without_a_checkerboard() -> None:
    x = torch.arange(12.0).view(1, 12, 1, 1)
    assert F.pixel_shuffle(x, 2)[0, 0].flatten().tolist() == [0, 1, 2, 3]
    layer = SubpixelConv(3, 5)
    initialise(layer, nn.init.normal_)
    made = layer(torch.randn(1, 3, 4, 4))
    assert_close(made, F.interpolate(made[:, :, ::2, ::2], scale_factor=2.0, mode="nearest"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_composite_is_the_input_bit_for_bit_outside_of_the_hole(dtype: torch.dtype) -> None:
    part, nets = gated()
    batch = holes(dtype)
    made = part.generate_all(nets.generator.to(dtype), batch)
    hole = (batch["mask"] > 0).expand(-1, 3, -1, -1)
    assert torch.equal(made["images"][~hole], batch["condition"][~hole])
    assert torch.equal(made["images"][hole], made["refined"][hole])
    assert not torch.equal(made["refined"][~hole], batch["condition"][~hole])


def slopes(net: nn.Module, value: torch.Tensor) -> dict[str, bool]:
    """Whether a gradient reaches each stage."""
    grads = torch.autograd.grad(value, list(net.parameters()), allow_unused=True, retain_graph=True)
    found: dict[str, bool] = {}
    for (name, _), grad in zip(net.named_parameters(), grads, strict=True):
        stage = name.partition(".")[0]
        found[stage] = found.get(stage, False) or bool(grad is not None and grad.any())
    return found


def test_gradients_reach_the_stages_that_they_should() -> None:
    batch = holes()
    hole = (batch["mask"] > 0).expand(-1, 3, -1, -1)
    part, nets = gated()
    made = part.generate_all(nets.generator, batch)
    assert slopes(nets.generator, made["coarse"].abs().mean()) == {"coarse": True, "refine": False}
    assert slopes(nets.generator, made["refined"].abs().mean()) == {"coarse": True, "refine": True}
    assert slopes(nets.generator, made["refined"][~hole].sum())["refine"]
    assert slopes(nets.generator, made["images"][~hole].sum() + 0 * made["images"].sum()) == {
        "coarse": False,
        "refine": False,
    }
    part, nets = gated("gated:width=2,d_width=4,d_layers=2,first=0.5")
    made = part.generate_all(nets.generator, batch)
    assert slopes(nets.generator, made["images"].sum()) == {"coarse": False, "refine": True}


def test_attention_copies_from_the_known_part() -> None:
    layer = ContextualAttention(fuse=False)
    x = torch.zeros(1, 2, 16, 16, dtype=torch.float64)
    x[:, 0, :, :8], x[:, 1, :, 8:] = 1.0, 1.0
    hole = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    hole[:, :, 6:10, 2:4] = 1.0
    made = layer(x, hole)
    assert made[0, 0, 7, 2] > 0.9  # patches of the left half are alike, patches of the right half are not
    assert made.isfinite().all()
    assert not layer(x, torch.ones_like(hole)).any()


@pytest.mark.parametrize(
    "named",
    [
        "gated:width=2,attention=true,d_width=2,d_layers=1",
        "unet:width=2,levels=2,d_width=2,d_layers=1",
        "unet:form=residual,width=2,blocks=1,d_width=2,d_layers=1",
    ],
)
def test_networks_are_applied_at_other_sizes(named: str) -> None:
    part = ganzoo.part("architecture", named)
    given = spec(condition=(3, 16, 16), mask=(1, 16, 16))
    nets, multiple = part.build(given), part.side_multiple(given)
    nets.generator.eval()
    size = 3 * multiple, 5 * multiple
    batch = ganzoo.Batch(condition=torch.zeros(1, 3, *size), mask=torch.ones(1, 1, *size))
    assert part.generate(nets.generator, batch).shape == (1, 3, *size)


def test_a_logit_sees_its_patch_and_no_more() -> None:
    part = ganzoo.part("architecture", "patch:d_layers=1,d_width=2,d_norm=none,width=2")
    net = part.build(spec((1, 32, 32))).discriminator
    images = torch.randn(1, 1, 32, 32, requires_grad=True)
    logits = net(images)["logits"]
    (slope,) = torch.autograd.grad(logits[0, 0, 7, 7], images)
    rows = slope[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == receptive_field("patch", 1) == 16


def test_scales_leave_a_constant_picture_constant() -> None:
    assert halved(torch.ones(1, 1, 7, 7)).unique().tolist() == [1.0]
    dim = F.avg_pool2d(torch.ones(1, 1, 8, 8), 3, 2, 1, count_include_pad=True)
    assert float(dim[0, 0, 0, 0]) < 1


@pytest.mark.parametrize(("scales", "loss"), [(1, "hinge"), (2, "hinge"), (2, "lsgan"), (1, "rpgan"), (2, "wgan")])
def test_a_loss_takes_each_patch_as_a_sample_and_sums_over_scales(experiment: Any, scales: int, loss: str) -> None:
    made = experiment(
        arch=f"patch:width=4,d_width=4,d_layers=1,d_scales={scales}", loss=loss, data="digits:size=16", precision="fp64"
    )
    game = made.game
    game.begin(0, 0.0)
    s = game.round()
    told = game.discriminator_loss(s)
    part, due = ganzoo.part("loss", loss), torch.zeros((), dtype=torch.float64)
    real, fake = s.real_output["logits"], s.fake_output["logits"]
    for r, f in zip(real, fake, strict=True) if scales > 1 else [(real, fake)]:
        due = due + part.discriminator(ganzoo.Scores(real=r.flatten(), fake=f.flatten()))
    assert_close(told, due)
    assert s.real.shape == (8,)


def test_other_losses_take_the_mean_of_an_images_logits(experiment: Any) -> None:
    game = experiment(arch="patch:width=4,d_width=4,d_layers=1", loss="gan-qp", data="digits:size=16").game
    game.begin(0, 0.0)
    assert game.discriminator_loss(game.round()).isfinite()


# -- phases ----------------------------------------------------------------------------------------------------------


def moved(run: Any, before: dict[str, torch.Tensor]) -> set[str]:
    now = run.state.networks.generator.state_dict()
    return {name.partition(".")[0] for name, value in before.items() if not torch.equal(value, now[name])}


def play(made: Any, steps: range, total: int) -> None:
    for step in steps:
        made.game.begin(step, step / (total - 1))
        made.run.parts.schedule.step(made.game)
        made.run.state.counters.step = step + 1


@pytest.mark.parametrize("schedule", ["onestep", "alternating", "extragradient", "unrolled:steps=1"])
@pytest.mark.parametrize(("then", "second"), [("frozen", {"refine"}), ("trained", {"coarse", "refine"})])
def test_the_stages_learn_one_after_the_other(experiment: Any, schedule: str, then: str, second: set[str]) -> None:
    arch = f"gated:width=2,d_width=2,d_layers=2,first=0.5,then={then}"
    made = experiment(**{**INPAINT, "arch": arch}, schedule=schedule, accumulate=2 if schedule == "onestep" else 1)
    net, judge = made.run.state.networks
    before = {name: value.clone() for name, value in net.state_dict().items()}
    judged = {name: value.clone() for name, value in judge.state_dict().items()}
    play(made, range(3), 6)
    assert moved(made.run, before) == {"coarse"}
    assert all(torch.equal(value, judged[name]) for name, value in judge.state_dict().items())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    play(made, range(3, 6), 6)
    assert moved(made.run, before) == second
    assert any(not torch.equal(value, judged[name]) for name, value in judge.state_dict().items())
    assert float(made.game.nonfinite) == 0


def test_the_first_stage_learns_by_its_own_term_alone(experiment: Any) -> None:
    def weights(regularizers: list[str]) -> torch.Tensor:
        arch = "gated:width=2,d_width=2,d_layers=2,first=0.9"
        made = experiment(**{**INPAINT, "arch": arch, "regularizers": regularizers})
        play(made, range(2), 4)
        return torch.cat([p.flatten() for p in made.run.generator.coarse.parameters()])

    alone = weights(["l1:weight=1,stage=coarse"])
    assert torch.equal(alone, weights(["l1:weight=1,stage=coarse", "l2:weight=5,stage=refined"]))


def test_a_run_without_a_term_has_nothing_to_learn_by(experiment: Any) -> None:
    made = experiment(**{**INPAINT, "arch": "gated:width=2,d_width=2,d_layers=2,first=0.5", "regularizers": []})
    with pytest.raises(
        errors.Incompatible, match=r"begins without an adversary, and no penalty .* compares pairs"
    ) as caught:
        play(made, range(1), 4)
    assert "\n" not in str(caught.value)


class Named(ganzoo.Architecture):
    """Trains what it is told."""

    names: tuple[str, ...] = ("nothing",)

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        return ganzoo.part("architecture", "mlp:width=4").generator(spec)

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        return ganzoo.part("architecture", "mlp:width=4").discriminator(spec)

    def learning(self, progress: float) -> ganzoo.Learning:
        return ganzoo.Learning(generator=self.names)


def test_a_phase_that_names_no_submodule_is_refused(experiment: Any) -> None:
    made = experiment(arch=Named())
    with pytest.raises(errors.Incompatible, match="trains 'nothing' of the generator, which has no such submodule"):
        made.game.begin(0, 0.0)


def test_phases_survive_a_resume(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **INPAINT,
        "arch": "gated:width=2,d_width=2,d_layers=2,first=0.5",
        "loss": "hinge",
        "schedule": "alternating",
        "batch_size": 4,
        "latent_dim": 2,
        "samples": 2,
        "sample_every": 100,
        "steps": 8,
        "device": "cpu",
        "quiet": True,
        "logdir": str(tmp_path),
        "precision": "fp32",
    }
    whole = ganzoo.run(**settings, name="whole")
    ganzoo.run(**{**settings, "checkpoint_every": 2, "keep": 9}, name="cut")
    for folder in sorted((tmp_path / "cut" / "checkpoints").iterdir())[1:]:
        for file in folder.iterdir() if folder.is_dir() else ():
            file.unlink()
        folder.rmdir() if folder.is_dir() else folder.unlink()
    again = ganzoo.resume(tmp_path / "cut", quiet=True)
    for mine, theirs in zip(whole.state.tensors().values(), again.state.tensors().values(), strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.mark.parametrize("loss", ["hinge", "rpgan", "lsgan", "wgan"])
@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
def test_every_loss_and_schedule_fills_holes(experiment: Any, loss: str, schedule: str) -> None:
    regularizers = [*INPAINT["regularizers"], "tv:where=hole", "ssim:where=hole"]
    regularizers += ["wgan-gp"] if loss == "wgan" else []
    made = experiment(**{**INPAINT, "regularizers": regularizers}, loss=loss, schedule=schedule, batch_size=4)
    play(made, range(20), 20)
    assert float(made.game.nonfinite) == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arch": "gated:width=2", "data": "digits:size=8"}, "gated makes a picture from a picture, .* no condition"),
        ({"arch": "unet:width=2,d_layers=1", "data": "superres:of=digits:size=8,factor=2"}, "use srresnet or rrdb"),
        ({"arch": "unet:width=2,levels=4", "data": "inpaint:of=digits:size=8"}, "multiples of 16"),
        ({"arch": "srresnet:width=2", "data": "inpaint:of=digits:size=8"}, "takes the condition alone"),
        ({"arch": "unet:width=2", "data": "inpaint:of=digits:size=8"}, "at least 24 pixels a side"),
        ({"arch": "gated:width=2,attention=true", "data": "inpaint:of=digits:size=12"}, "multiples of 8"),
        ({"arch": "patch", "data": "ring"}, r"\Aarchitecture patch: dcgan makes sequences .* samples of shape \(2,\)"),
        ({"arch": "mlp", "d_arch": "rrdb", "data": "ring"}, r"\Aarchitecture rrdb: the discriminator of SRGAN makes"),
    ],
)
def test_what_the_networks_cannot_take_is_refused(experiment: Any, settings: dict[str, str], said: str) -> None:
    with pytest.raises(errors.Incompatible, match=said) as caught:
        experiment(**settings)
    assert "\n" not in str(caught.value)
