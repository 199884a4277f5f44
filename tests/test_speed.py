"""How a step runs: on how many threads, in what precision, on which device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ganzoo
from ganzoo import errors, speed


def counted(made: Any) -> int:
    run = made.run
    return speed.flops(run.cast.architecture, run.state.networks, run.spec, run.settings.batch_size)


@pytest.mark.parametrize(
    "settings",
    [
        {"data": "digits:size=32", "arch": "dcgan:width=8"},
        {"arch": "dcgan:width=8,conditional=true", "regularizers": ["sn"]},
        {"arch": "resnet:width=8", "data": "digits:size=16"},
        {"arch": "mlp", "data": "ring"},
    ],
    ids=str,
)
def test_a_step_is_counted_without_being_made(experiment: Any, settings: dict[str, Any]) -> None:
    """The estimate is that of a real step, up to the first layers' input gradients, which nobody needs."""
    made = experiment(**settings)
    before = [v.clone() for net in made.run.state.networks for v in net.state_dict().values()]
    estimate = counted(made)
    after = [v for net in made.run.state.networks for v in net.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    made.game.begin(0, 0.0)
    with speed.Flops() as real:
        ganzoo.part("schedule", "onestep").step(made.game)
    assert 0.7 * estimate <= real.total <= 1.05 * estimate


@pytest.mark.parametrize(("number", "step", "chosen"), [(None, 1e9, 1), (None, 1e10, 3), (2, 1e9, 2), (2, 1e10, 2)])
def test_small_steps_take_one_thread(
    monkeypatch: pytest.MonkeyPatch, number: int | None, step: float, chosen: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(3)
    with speed.threads(number, lambda: int(step)) as threads:
        assert threads == torch.get_num_threads() == chosen
    assert torch.get_num_threads() == 3


def test_who_sets_the_environment_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    with speed.threads(None, lambda: 1) as threads:
        assert threads == 3


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:x", ""])
def test_a_device_that_is_none_is_said(name: str) -> None:
    with pytest.raises(errors.SettingsError, match="not one of auto, cpu, cuda, cuda:N"):
        speed.device(name)


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.float32), ("fp64", torch.float64)])
def test_weights_keep_their_precision(experiment: Any, name: str, dtype: torch.dtype) -> None:
    """bf16 is what the nets compute in: weights, losses, penalties and the optimizers' state stay float32."""
    made = experiment(precision=name, regularizers=["r1"], data="digits:size=16", arch="dcgan:width=8")
    made.game.begin(0, 0.0)
    s = made.game.round()
    assert s.real.dtype == s.fake.dtype == s.fake_images.dtype == dtype
    made.game.update(discriminator=made.game.discriminator_loss(s), generator=made.game.generator_loss(s))
    assert {p.dtype for net in made.run.state.networks for p in net.parameters()} == {dtype}
    moments = made.run.state.optimizers["generator"].state.values()
    assert {entry["exp_avg"].dtype for entry in moments} == {dtype}
    assert all(v.isfinite() for v in made.game.take_notes().values())
