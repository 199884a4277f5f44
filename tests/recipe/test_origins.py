"""What is trained is used: a run is sampled without parts that it does not need, and messages say what is missing."""

from __future__ import annotations

import shlex
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import ganzoo
from ganzoo import errors
from ganzoo.cli import main
from ganzoo.recipe.origins import Missing, digest

PLUGIN = '''
import torch
import ganzoo

class Own(ganzoo.Loss):
    """A loss of a file."""
    def discriminator(self, s):
        return (s.fake - s.real).mean()
    def generator(self, s):
        return -s.fake.mean()

class Points(ganzoo.Data):
    """Points of a file."""
    def dataset(self):
        return torch.utils.data.TensorDataset(torch.linspace(-1, 1, 64).reshape(32, 2))

class Halved(ganzoo.Regularizer):
    """Changes the discriminator's tensors."""
    constrains_discriminator = True
    def prepare(self, networks, spec):
        torch.nn.utils.parametrizations.spectral_norm(networks.discriminator.layers[0])

@ganzoo.hookimpl
def register_losses(register):
    register("own", Own)

@ganzoo.hookimpl
def register_data(register):
    register("points", Points)

@ganzoo.hookimpl
def register_regularizers(register):
    register("halved", Halved)
'''
SMALL: dict[str, Any] = {
    "arch": "mlp:width=4,depth=1",
    "batch_size": 4,
    "latent_dim": 3,
    "samples": 4,
    "steps": 3,
    "device": "cpu",
    "quiet": True,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my plug" / "own.py"
    path.parent.mkdir()
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def trained(tmp_path: Path, file: Path) -> Path:
    run = ganzoo.run(
        **SMALL, loss="own", data="points", regularizers=["halved"], plugins=[file], logdir=str(tmp_path / "my runs")
    )
    return run.dir


def test_a_run_is_sampled_without_the_file_of_its_loss_data_and_regularizer(trained: Path, file: Path) -> None:
    whole = ganzoo.load(trained, plugins=[file])
    alone = ganzoo.load(trained)
    assert torch.equal(alone.sample(5), whole.sample(5))
    assert isinstance(alone.parts.loss, Missing)
    with pytest.raises(errors.RunError, match=r"discriminator is not loaded: .*halved is not there; it came from"):
        alone.discriminator  # noqa: B018  # reading the attribute is the test
    with pytest.raises(errors.RunError, match="loss own/own is not there"):
        alone.walk(alone.latents(2))
    assert whole.discriminator is not None
    assert main(["sample", str(trained), "--count", "4"]) == 0


def test_resume_names_all_that_is_missing_and_the_advice_works(
    trained: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(errors.RunError) as caught:
        ganzoo.resume(trained, steps=5)
    said = str(caught.value)
    assert "\n" not in said
    for what in ("loss own/own", "data own/points", "regularizer own/halved"):
        assert f"{what} is not there; it came from {file} (sha256 {digest(file)[:12]}): give --plugin" in said
    advice = said.rpartition("give ")[2]
    assert main(["resume", str(trained), "--steps", "5", "-q", *shlex.split(advice)]) == 0
    file.write_text(PLUGIN + "# changed\n")
    with pytest.raises(errors.RunError, match="which has changed since"):
        ganzoo.resume(trained, steps=6)
    file.unlink()
    with pytest.raises(errors.RunError, match="which is not there now"):
        ganzoo.resume(trained, steps=6)


def test_an_architecture_that_is_missing_is_named(tmp_path: Path, file: Path) -> None:
    file.write_text(
        file.read_text()
        .replace(
            "class Own",
            'from ganzoo_zoo.architectures.mlp import MLP\nclass Net(MLP):\n    """Nets of a file."""\n\nclass Own',
        )
        .replace(
            "@ganzoo.hookimpl\ndef register_data",
            '@ganzoo.hookimpl\ndef register_architectures(register):\n    register("net", Net)\n\n'
            "@ganzoo.hookimpl\ndef register_data",
        )
    )
    settings = {**SMALL, "arch": "net:width=4", "data": "ring", "logdir": str(tmp_path / "runs")}
    run = ganzoo.run(**settings, plugins=[file])
    with pytest.raises(errors.RunError, match="cannot be loaded: architecture own/net is not there; it came from"):
        ganzoo.load(run.dir)
    assert ganzoo.load(run.dir, plugins=[file]).sample(2).shape == (2, 2)


class Mine(ganzoo.Loss):
    """A loss that was given as an object."""

    def discriminator(self, s: Any) -> torch.Tensor:
        return (s.fake - s.real).mean()

    def generator(self, s: Any) -> torch.Tensor:
        return -s.fake.mean()


def test_an_object_is_asked_for_by_its_class_and_file(tmp_path: Path) -> None:
    run = ganzoo.run(**SMALL, loss=Mine(), data="ring", logdir=str(tmp_path))
    assert ganzoo.load(run.dir).sample(2).shape == (2, 2)
    with pytest.raises(errors.RunError, match=r"object of the class Mine of .*test_origins.py: give loss=\.\.\. to"):
        ganzoo.resume(run.dir, steps=4)
    assert ganzoo.resume(run.dir, steps=4, loss=Mine(), quiet=True).step == 4


def test_a_run_directory_in_a_path_with_spaces_is_named_quoted(
    trained: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(errors.RunError) as caught:
        ganzoo.run(**SMALL, loss="own", data="points", plugins=[file], name=trained.name, logdir=str(trained.parent))
    command = str(caught.value).partition("go on with: ")[2]
    words = shlex.split(command)
    assert words == ["ganzoo", "resume", str(trained), "--plugin", str(file)]
    assert main([*words[1:], "--steps", "4", "-q"]) == 0


def test_a_loaded_run_is_in_evaluation_mode_and_sampling_changes_nothing(tmp_path: Path) -> None:
    run = ganzoo.run(
        **{**SMALL, "arch": "dcgan:width=4"}, data="digits:size=8", logdir=str(tmp_path), regularizers=["sn"]
    )
    loaded = ganzoo.load(run.dir)
    assert not any(m.training for net in (loaded.generator, loaded.discriminator, loaded.ema) for m in net.modules())
    before = {k: v.clone() for k, v in loaded.state.tensors()["generator"].items()}
    loaded.sample(8)
    assert all(torch.equal(v, before[k]) for k, v in loaded.state.tensors()["generator"].items())


@pytest.mark.parametrize("training", [False, True])
def test_samples_are_right_from_several_threads(tmp_path: Path, training: bool) -> None:
    run = ganzoo.run(**{**SMALL, "arch": "dcgan:width=4"}, data="digits:size=8", logdir=str(tmp_path))
    expected = [run.sample(4, seed=seed) for seed in range(4)]
    for net in (run.generator, run.ema):
        net.train(training)
    wrong = []

    def draw(seed: int) -> None:
        wrong.extend([seed] * (not all(torch.equal(run.sample(4, seed=seed), expected[seed]) for _ in range(10))))

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(m.training == training for m in run.ema.modules())


class TestInitFrom:
    def test_a_run_starts_from_the_settings_of_the_other_run(self, trained: Path, file: Path) -> None:
        other = ganzoo.run(init_from=str(trained), plugins=[file], steps=1, logdir=str(trained.parent), quiet=True)
        assert other.parts.labels["arch"] == "mlp:width=4,depth=1"
        assert (other.settings.batch_size, other.settings.samples, other.step) == (4, 4, 1)
        assert other.dir != trained

    def test_the_printed_command_works(self, trained: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from ganzoo.recipe.origins import command

        monkeypatch.chdir(trained.parent)
        assert main([*shlex.split(command("run --init-from", trained))[1:], "--steps", "1", "-q"]) == 0

    def test_partial_takes_what_fits_and_lists_the_rest(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = ganzoo.run(**SMALL, data="ring", logdir=str(tmp_path))
        wider = {"arch": "mlp:width=4,depth=1,conditional=none", "latent_dim": 5, "logdir": str(tmp_path)}
        with pytest.raises(errors.CheckpointError, match=r"of shape .* give --init-from .*:partial"):
            ganzoo.run(init_from=str(run.dir), steps=1, quiet=True, **wider)
        other = ganzoo.run(init_from=f"{run.dir}:partial", steps=1, quiet=True, **wider)
        generator = next(line for line in other.choices if "generator: " in line)
        assert "generator: 3 of 4 tensors taken, not layers.0.weight (4x5 here, 4x3 there)" in generator
        discriminator = next(line for line in other.choices if "discriminator: " in line)
        assert discriminator.endswith("tensors taken"), discriminator
        with pytest.raises(errors.CheckpointError, match="no tensor of the generator"):
            ganzoo.run(init_from=f"{run.dir}:partial", steps=1, quiet=True, **{**wider, "arch": "mlp:width=7"})


def test_data_in_another_place_and_another_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(8):
        Image.new("L", (8, 8), 20 * i).save(photos / f"{i}.png")
    settings = {**SMALL, "arch": "dcgan:width=4", "logdir": str(tmp_path / "runs")}
    run = ganzoo.run(**settings, data=f"folder:path={photos},size=8,channels=1")
    moved = tmp_path / "moved, and renamed"
    shutil.move(photos, moved)
    assert main(["sample", str(run.dir), "--device", "cpu"]) == 0
    with pytest.raises(errors.DataError, match="does not exist"):
        ganzoo.resume(run.dir, steps=4, quiet=True)
    capsys.readouterr()
    assert main(["resume", str(run.dir), "--steps", "4", "-q", "--data", str(moved), "--device", "cpu"]) == 0
    (moved / "0.png").unlink()
    assert main(["resume", str(run.dir), "--steps", "5", "-q", "--data", str(moved)]) == 2
    assert "was trained on other data: it had 8 samples, and has 7" in capsys.readouterr().err


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = ganzoo.run(**SMALL, data="ring", logdir="~/runs", name="a")
    assert run.dir == tmp_path / "runs" / "a"
    assert ganzoo.load("~/runs/a").step == 3
    assert main(["resume", "~/runs/a", "--steps", "4", "-q"]) == 0
    again = ganzoo.run(config="~/runs/a/config.yaml", name="b", init_from="~/runs/a", steps=1, quiet=True)
    assert again.dir == tmp_path / "runs" / "b"
    with pytest.raises(errors.RunError, match="~nosuchuser"):
        ganzoo.load("~nosuchuser/runs/a")
    assert not (tmp_path / "~").exists()
