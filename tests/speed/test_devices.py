"""Devices: how they are named, which of them is asked, and what is left as it was."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from ganzoo import errors
from ganzoo.data import choose
from ganzoo.speed import hardware
from ganzoo.step.randomness import RandomStreams

LAUNCHER = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes this machine one with accelerators of a kind, as far as torch's generic interface tells."""
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)

    def make(kind: str, count: int) -> None:
        found = torch.device(kind) if count else None
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: found)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)

    return make


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_an_accelerator_is_found_by_its_name_and_by_auto(machine: Any, kind: str) -> None:
    machine(kind, 2)
    assert hardware.device("auto") == hardware.device(kind) == torch.device(kind, 0)
    assert hardware.device(f"{kind}:1") == torch.device(kind, 1)
    assert hardware.device("cpu") == torch.device("cpu")
    with pytest.raises(errors.SettingsError, match=f"device {kind}:2: there are 2, counted from 0"):
        hardware.device(f"{kind}:2")


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_an_accelerator_that_is_not_here_is_refused(machine: Any, kind: str) -> None:
    machine(kind, 0)
    assert hardware.device("auto") == torch.device("cpu")
    with pytest.raises(errors.SettingsError, match=f"sees no {kind.upper()} here; use --device cpu"):
        hardware.device(kind)


def test_one_kind_of_accelerator_is_no_other(machine: Any) -> None:
    machine("xpu", 1)
    with pytest.raises(errors.SettingsError, match="sees no CUDA here"):
        hardware.device("cuda")


def test_a_local_rank_takes_its_own_device(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("cuda", 4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert hardware.device("cuda") == torch.device("cuda", 3)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(errors.SettingsError, match="device cuda:1 is one GPU, and several processes run here"):
        hardware.device("cuda:1")


def test_a_launcher_may_show_each_process_one_device(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM's --gpus-per-task=1 does so: the local rank is 1, and the only visible device is number 0."""
    machine("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(errors.SettingsError, match=r"2 processes or more were started here, and there are 1 GPUs"):
        hardware.device("cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6")
    assert hardware.device("cuda") == torch.device("cuda", 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    with pytest.raises(errors.SettingsError, match="2 processes or more"):
        hardware.device("cuda")


def test_a_precision_that_a_device_lacks_is_refused() -> None:
    with pytest.raises(errors.SettingsError, match="precision fp64: mps has no float64"):
        hardware.precision("fp64", torch.device("mps"))
    assert not hardware.has_bf16(torch.device("mps"))
    assert not hardware.can_capture(torch.device("xpu"))


def test_bf16_is_asked_of_the_runs_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may have GPUs of several kinds, and torch asks the current one."""
    current = [0]

    class On:
        def __init__(self, device: torch.device) -> None:
            self.index = device.index

        def __enter__(self) -> None:
            current.append(self.index)

        def __exit__(self, *error: object) -> None:
            current.pop()

    monkeypatch.setattr(torch.cuda, "device", On)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: current[-1] == 1)
    assert hardware.has_bf16(torch.device("cuda:1"))
    assert not hardware.has_bf16(torch.device("cuda:0"))


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_each_step_seeds_the_generator_that_parts_draw_from_on_the_device(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A run on any accelerator goes on with the random numbers of the run that never stopped."""
    of_device = torch.Generator()
    module = SimpleNamespace(
        init=lambda: None, default_generators=[None, of_device], _get_default_mps_generator=lambda: of_device
    )
    monkeypatch.setattr(torch, "get_device_module", lambda where: module)
    monkeypatch.setattr(torch, "Generator", lambda where: of_device.clone_state())
    drawn = []
    with hardware.random_state_kept(torch.device("cpu")):
        streams = RandomStreams(torch.device(kind, 1))
        for step in (5, 6, 5):
            streams.seed_step(seed=3, step=step, rollbacks=0, rank=0)
            drawn.append(torch.rand(4, generator=of_device).tolist())
    assert drawn[0] == drawn[2] != drawn[1]


def test_random_numbers_are_left_as_they_were() -> None:
    before = torch.get_rng_state()
    with hardware.random_state_kept(torch.device("cpu")):
        hardware.seed_default_generators(torch.device("cpu"), 3)
        first = torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
    with hardware.random_state_kept(torch.device("cpu")):
        torch.manual_seed(3)
        assert torch.equal(torch.rand(2), first)


@pytest.mark.parametrize(("free", "kind"), [(1 << 30, "Resident"), (3 << 10, "Streamed")])
def test_data_stay_on_a_device_that_has_room(monkeypatch: pytest.MonkeyPatch, free: int, kind: str) -> None:
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda device: (free, 1 << 40))

    class Held:
        shape = (1,)
        images = torch.arange(2.0).view(2, 1)

        def __init__(self, *given: object) -> None:
            self.notes = list[str]()

    class Read(Held):
        def first(self, number: int) -> torch.Tensor:
            return self.images

    monkeypatch.setattr(choose, "Resident", held := type("Resident", (Held,), {}))
    monkeypatch.setattr(choose, "Streamed", read := type("Streamed", (Read,), {}))
    dataset = TensorDataset(torch.zeros(16, 1, 8, 8, dtype=torch.uint8))
    chosen: Any = choose.feed(dataset, "data", 4, 0, torch.device("cuda"), torch.float32)
    assert type(chosen) is {"Resident": held, "Streamed": read}[kind]


def test_a_run_on_the_cpu_leaves_cuda_alone(tmp_path: Any) -> None:
    """A context on a GPU takes hundreds of megabytes of the GPU."""
    script = f"""
import torch
torch.cuda._lazy_init = torch._C._cuda_init = lambda: 1 / 0
import ganzoo
ganzoo.run(arch="mlp", data="ring", device="cpu", steps=2, batch_size=8, logdir={str(tmp_path)!r}, quiet=True)
assert not torch.cuda.is_initialized()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize("deterministic", [True, False])
def test_cublas_is_told_before_the_networks_exist(
    experiment: Any, monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    """Spectral norm multiplies matrices at assembly, and cuBLAS reads the variable once."""
    import os

    import ganzoo

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seen = []

    class Prepares(ganzoo.Regularizer):
        def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> None:
            seen.append(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))

    experiment(arch="mlp", regularizers=[Prepares()], deterministic=deterministic)
    assert seen == [":4096:8" if deterministic else None]


def test_batches_do_not_depend_on_the_default_device() -> None:
    """``torch.set_default_device("meta")``: a permutation by a generator of the CPU is made on the CPU."""
    dataset = TensorDataset(torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).expand(16, 1, 8, 8).contiguous())
    made = choose.feed(dataset, "data", 4, 0, torch.device("cpu"), torch.float32)
    expected = made.reals(0)
    torch.set_default_device("meta")
    try:
        again = choose.feed(dataset, "data", 4, 0, torch.device("cpu"), torch.float32)
        assert torch.equal(again.reals(0).images, expected.images)
    finally:
        torch.set_default_device(None)
