"""The large networks in every way to train: in pieces, resumed, recorded, compiled and in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Again, Bench, differences, final, state_of

from ganzoo.data import streamed
from ganzoo.speed import compilers
from ganzoo.training.steps import advance, compiled_steps

NOISE = "digits:size=16"
NETS: dict[str, dict[str, Any]] = {
    "sagan": {"arch": "sagan:width=2,attention=8", "data": NOISE},
    "biggan": {"arch": "biggan:width=2,shared=4,attention=8", "data": NOISE},
    "pggan": {"arch": "pggan:channel_max=4,minibatch_stddev=false", "data": NOISE},
    "stylegan2": {"arch": "stylegan2:width=4,style=3,mapping=1,minibatch_stddev=0,mixing=0", "data": NOISE},
    "r3gan": {"arch": "r3gan:width=4,blocks=1,group=2", "data": NOISE},
    "fastgan": {"arch": "fastgan:width=2,norm=layer,d_norm=layer,noise=false", "data": "digits:size=32"},
    "gat": {"arch": "gat:width=8,depth=2,heads=1,patch=4,levels=2", "data": NOISE},
    "inpaint": {"arch": "gated:width=2,d_width=2,d_layers=2,attention=true", "data": f"inpaint:of={NOISE}"},
    "superres": {"arch": "srresnet:width=4,blocks=1,d_width=2,norm=none,d_norm=none", "data": f"superres:of={NOISE}"},
    "unet": {
        "arch": "unet:width=2,d_width=2,d_layers=1,norm=instance,d_norm=none,dropout=0",
        "data": "digits-masks:size=16",
    },
}
"""The recipes, small, without most layers that mix samples or draw at random: a batch in pieces would differ."""

PAIRED = ("inpaint", "superres", "unet")
"""The recipes that make a picture from a picture."""

MIXED = {"sagan": "norm=instance", "biggan": "norm=instance", "stylegan2": "noise=constant"}
"""What else is off where the batch is cut into pieces."""


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "WORTH_WORKERS", 1e9)


def recipe(name: str, **settings: Any) -> dict[str, Any]:
    """The settings of a net: hinge, alternating, R1, spectral norm and, from picture to picture, L1."""
    term = "l1:weight=10" if name in PAIRED else "path-length"
    return {
        **{"loss": "hinge", "schedule": "alternating", "batch_size": 4, "latent_dim": 8, "optimizer": "adam:lr=1e-3"},
        **{"regularizers": ["sn:players=both", "r1:every=2", term, "ada:p=0.3"], "samples": 4},
        **NETS[name],
        **settings,
    }


def in_pieces(name: str, **settings: Any) -> dict[str, Any]:
    """The recipe without what differs between a batch and its pieces: random numbers and statistics of the batch."""
    terms = ["l1:weight=10"] if name in PAIRED else []
    arch = ",".join([NETS[name]["arch"], *filter(None, [MIXED.get(name)])])
    regularizers = ["sn:players=both", "r1:every=2", *terms]
    # Adam would divide a gradient that is 0 up to rounding, such as that of a bias before a norm, by itself.
    plain = {"optimizer": "sgd:lr=0.01", "precision": "fp64"}
    return recipe(name, regularizers=regularizers, arch=arch, **plain, **settings)


def play(made: Any, steps: int, recorder: Any = None) -> list[str]:
    """Make steps. The result is what was said about recordings."""
    said: list[str] = []
    recorded = None if recorder is None else compiled_steps(made.run, made.game, recorder, said.append)
    for _ in range(steps):
        advance(made.run, made.game, steps, recorded)
        assert all(bool(torch.isfinite(value)) for value in made.game.pop_scalars().values())
    return said


def require_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], by: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name].double(), value.double(), atol=by, rtol=by), name


@pytest.mark.parametrize("name", NETS)
def test_a_batch_in_pieces_gives_the_update_of_the_whole(experiment: Any, name: str) -> None:
    whole, pieces = (experiment(**in_pieces(name, accumulate=k)) for k in (1, 2))
    for made in (whole, pieces):
        play(made, 3)
    require_close(state_of(pieces), state_of(whole), 1e-9)


@pytest.mark.parametrize("name", NETS)
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, **recipe(name, precision="fp32", steps=4))
    resumed = bench.resumed(bench.stopped(2))
    assert differences(state_of(resumed), state_of(bench.whole())) == []


@pytest.mark.parametrize("name", NETS)
def test_recorded_steps_are_the_steps_in_python(experiment: Any, name: str) -> None:
    mine, theirs = experiment(**recipe(name, precision="fp32")), experiment(**recipe(name, precision="fp32"))
    recorder = Again()
    assert play(mine, 5, recorder) == []
    play(theirs, 5)
    assert recorder.recorded > 0
    assert differences(state_of(mine), state_of(theirs)) == []


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("name", [*PAIRED, "sagan", "biggan"])
def test_every_precision(experiment: Any, name: str, precision: str) -> None:
    play(experiment(**recipe(name, precision=precision)), 2)


@pytest.mark.soak
@pytest.mark.parametrize("name", NETS)
def test_compiled_steps_are_the_steps_in_python(experiment: Any, name: str) -> None:
    settings = in_pieces(name)
    mine, theirs = experiment(**settings), experiment(**settings)
    assert play(mine, 4, compilers.Compiled()) == []
    play(theirs, 4)
    require_close(state_of(mine), state_of(theirs), 1e-7)


@pytest.mark.soak
@pytest.mark.parametrize("name", NETS)
def test_two_processes_make_the_update_of_one(tmp_path: Path, name: str) -> None:
    settings = {**in_pieces(name), "steps": 4, "device": "cpu"}
    terms = [word for term in settings.pop("regularizers") for word in ("-r", term)]
    words = ["-m", "ganzoo", "run", "-q", *terms, *(f"--{k.replace('_', '-')}={v}" for k, v in settings.items())]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    found = []
    for command, folder in ((torchrun, "two"), ([sys.executable], "one")):
        done = subprocess.run(
            [*command, *words, "--logdir", str(tmp_path / folder)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (place,) = (tmp_path / folder).iterdir()
        found.append(final(place))
    require_close(*found, 1e-9)
