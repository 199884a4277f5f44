"""Several processes, and a batch in pieces: the update is that of one process with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import final, state_of
from torch import nn

import ganzoo
from ganzoo import errors, launcher
from ganzoo.recipe.resume import begin
from ganzoo.training import distributed
from ganzoo.training.steps import advance

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SMALL = [
    "--device",
    "cpu",
    "--precision",
    "fp64",
    "--batch-size",
    "8",
    "--latent-dim",
    "4",
    "--data",
    "digits:size=8",
    "--steps",
    "6",
    "--log-every",
    "2",
    "--samples",
    "4",
    "-q",
]
PLAIN = ["--arch", "dcgan:width=4,norm=none", "-r", "sn", "-r", "r1:every=2", "--schedule", "alternating"]
NORMED = ["--arch", "dcgan:width=4,norm=batch,d_norm=batch,conditional=concat", "-r", "none", "--batch-norm", "sync"]

GROWING = ["--arch", "pggan:channel_max=4,minibatch_stddev=false", "-r", "r1", "--optimizer", "sgd:lr=0.01"]


def run(command: list[str], *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, on one thread a process."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **environment}
    return subprocess.run([*command, *words], capture_output=True, text=True, env=env, timeout=600, check=False)


def close(found: torch.Tensor, expected: torch.Tensor, by: float, name: str) -> None:
    torch.testing.assert_close(found, expected, atol=by, rtol=0, msg=lambda message: f"{name}: {message}")


@pytest.mark.parametrize(
    "words",
    [[*PLAIN, "--accumulate", "2"], NORMED, GROWING],
    ids=["plain-in-pieces", "sync-batch-norm", "growing"],
)
def test_two_processes_make_the_update_of_one(tmp_path: Path, words: list[str]) -> None:
    """Weights and optimizers to 1e-12, records too, and one process alone writes."""
    together = run([*TORCHRUN, "-m", "ganzoo", "run", *SMALL, *words], "--logdir", str(tmp_path / "two"))
    assert together.returncode == 0, together.stderr
    whole = [word for word in words if word not in ("--accumulate", "2")]
    alone = run([sys.executable, "-m", "ganzoo", "run", *SMALL, *whole], "--logdir", str(tmp_path / "one"))
    assert alone.returncode == 0, alone.stderr
    (two,), (one,) = (tmp_path / "two").iterdir(), (tmp_path / "one").iterdir()
    ours, theirs = final(two), final(one)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        close(ours[name].double(), value.double(), 1e-12, name)
    mine, other = ganzoo.load(two).metrics, ganzoo.load(one).metrics
    assert mine.keys() == other.keys()
    for tag in mine.keys() - {"speed/images_per_second"}:
        assert mine[tag] == pytest.approx(other[tag], abs=1e-9), tag
    assert together.stdout.count("picture") == 1


ACCUMULATED = [
    "onestep",
    "onestep:weight=0.5",
    "alternating:discriminator_steps=2",
    "extragradient",
    "lookahead:k=2",
    "lookahead:k=2,of=extragradient",
    "unrolled:steps=2",
]


@pytest.mark.parametrize("schedule", ACCUMULATED)
def test_a_batch_in_pieces_gives_the_update_of_the_whole(experiment: Any, schedule: str) -> None:
    """With spectral norm, a lazy R1, a path-length penalty of the generator's own, labels."""
    settings: dict[str, Any] = {
        "precision": "fp64",
        "schedule": schedule,
        "regularizers": ["sn", "r1:every=2"],
        "arch": "dcgan:width=4,norm=none,conditional=concat",
        "loss": "sgan",
    }
    whole, pieces = experiment(**settings), experiment(**settings, accumulate=4)
    for _ in range(3):
        advance(whole.run, whole.game, 3)
        advance(pieces.run, pieces.game, 3)
        seen, other = whole.game.pop_scalars(), pieces.game.pop_scalars()
        assert seen.keys() == other.keys()
        for tag, value in seen.items():
            close(other[tag], value, 1e-11, tag)
    expected = state_of(whole)
    for name, value in state_of(pieces).items():
        close(value, expected[name], 1e-12, name)
    assert whole.run.state.counters == pieces.run.state.counters


def test_what_a_part_keeps_moves_once_an_update(experiment: Any) -> None:
    """Power iterations, running means, ADA's steps and its probability: not once a piece."""
    settings: dict[str, Any] = {
        "precision": "fp64",
        "loss": "sgan",
        "arch": "dcgan:width=4,norm=none",
        "regularizers": ["sn-penalty", "lecam:weight=0", "ada:interval=2,kimg=1,target=-1"],
    }
    whole, pieces = experiment(**settings), experiment(**settings, accumulate=4)
    for made in (whole, pieces):
        advance(made.run, made.game, 9)
    expected, found = state_of(whole), state_of(pieces)
    parts = [name for name in expected if name.startswith("part-")]
    assert len(parts) > 8
    for name in parts:
        close(found[name], expected[name], 1e-12, name)
    for made in (whole, pieces):
        advance(made.run, made.game, 9)
    reported = [
        next(r.report()["p"] for name, r in made.run.parts.regularizers.items() if name.startswith("ada"))
        for made in (whole, pieces)
    ]
    assert reported[1] == reported[0] > 0


def test_batch_norms_statistics_move_once_an_update(experiment: Any) -> None:
    whole, pieces = (experiment(precision="fp64", arch="dcgan:width=4,norm=batch", accumulate=k) for k in (1, 4))
    begun = state_of(whole)
    for made in (whole, pieces):
        advance(made.run, made.game, 9)
    expected, found = state_of(whole), state_of(pieces)
    counts = [name for name in expected if name.endswith("num_batches_tracked")]
    assert counts
    for name in counts:
        assert found[name] == expected[name] == 1, name
    first = next(name for name in expected if name.startswith("generator") and name.endswith("running_mean"))
    close(found[first], expected[first], 1e-12, first)  # the others see what it normalised, piece by piece
    assert not torch.equal(found[first], begun[first])


class Held:
    """What the graph keeps, counted while it does."""

    alive = most = 0

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor.detach()  # an output with its graph would keep itself
        Held.alive += tensor.nbytes
        Held.most = max(Held.most, Held.alive)

    def __del__(self) -> None:
        Held.alive -= self.tensor.nbytes


def test_pieces_hold_one_graph_at_a_time(experiment: Any) -> None:
    """The most activations alive at once are those of a piece."""

    def peak(**settings: Any) -> int:
        made = experiment(batch_size=32, data="digits:size=16", **settings)
        weights = {p.untyped_storage().data_ptr() for net in made.run.state.networks for p in net.parameters()}

        def pack(tensor: torch.Tensor) -> torch.Tensor | Held:
            return tensor if tensor.untyped_storage().data_ptr() in weights else Held(tensor)

        Held.alive = Held.most = 0
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor if type(held) is Held else held):
            advance(made.run, made.game, 1)
        assert Held.alive == 0
        return Held.most

    assert peak(accumulate=4) < 0.3 * peak()


class Peeks(ganzoo.Schedule):
    """Looks into a round."""

    def step(self, game: ganzoo.Game) -> None:
        s = game.round()
        game.update(discriminator=s.real.mean())


class Foreign(ganzoo.Schedule):
    """Moves by a loss of its own."""

    def step(self, game: ganzoo.Game) -> None:
        game.discriminator_loss(game.round())
        game.update(discriminator=torch.zeros((), requires_grad=True) * 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schedule": Peeks()}, "reads a round's real cannot be trained with --accumulate"),
        ({"schedule": Foreign()}, "a loss that is not the game's"),
        (
            {"schedule": "unrolled:steps=2,order=second"},
            "order=second differentiates the whole batch.s gradient: train it in one process",
        ),
        ({"schedule": "onestep:shared=true", "loss": "wgan"}, "leave out its shared=true, or --accumulate"),
        ({"regularizers": ["consensus"]}, "the size of a whole batch's gradient"),
        ({"batch_size": 9}, r"a batch of 9 cannot be cut into 2 equal pieces .*: give --batch-size 8 or 10"),
    ],
)
def test_what_cannot_be_cut_is_said(experiment: Any, settings: dict[str, Any], said: str) -> None:
    def step() -> None:
        made = experiment(accumulate=2, **settings)
        advance(made.run, made.game, 1)

    with pytest.raises(errors.GanzooError, match=said):
        step()


def test_processes_that_do_not_divide_the_batch(experiment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "3", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.SettingsError, match=r"\(3 processes, --accumulate 1\): give --batch-size 6 or 9$"):
        experiment(batch_size=8)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_sync_batch_norm_alone_is_batch_norm(momentum: float | None) -> None:
    """The same names, the same numbers: a run may go on in one process."""
    plain = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum).double())
    net = distributed.synchronised(nn.Sequential(nn.BatchNorm2d(3, momentum=momentum).double()))
    assert isinstance(net[0], distributed.SyncBatchNorm)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    for _ in range(2):
        torch.testing.assert_close(net(x), plain(x))
    torch.testing.assert_close(net.state_dict(), plain.state_dict())


def test_only_statistics_of_samples_are_shared(experiment: Any) -> None:
    """Not spectral norm's vectors, which are a function of the weights."""
    made = experiment(arch="dcgan:width=4,norm=batch", regularizers=["sn", "ada"])
    state = made.run.state
    found = distributed.statistics({**made.game.modules, **state.modules})
    expected = [b for n, b in state.networks.generator.named_buffers() if "running_" in n or "num_batches" in n]
    expected += [b for module in state.modules.values() for b in module.buffers()]
    assert [v.data_ptr() for v in found] == [v.data_ptr() for v in expected if v.data_ptr()]


def test_a_launch_is_known_again(tmp_path: Path, experiment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart by torchrun goes on in the directory that its first start made; another call makes its own."""
    assert launcher.launch_id() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    first = experiment()
    assert begin(first) == 10
    first.lock.release()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    again = experiment()
    begin(again)
    assert again.run.dir == first.run.dir
    again.lock.release()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-8")
    other = experiment()
    begin(other)
    assert other.run.dir != first.run.dir
    other.lock.release()
