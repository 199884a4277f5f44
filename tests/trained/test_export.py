"""Exported networks give ganzoo's own samples, in a process that cannot import ganzoo."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo import errors
from ganzoo.cli import main
from ganzoo.trained.export import CHECKED, ENDINGS, export, plain_weights
from ganzoo.trained.loaders import read_description

SMALL = ["--batch-size=8", "--latent-dim=4", "--samples=4", "--steps=2", "--device=cpu", "-q", "--logdir"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run with batch norm and an average, and a run whose discriminator encodes."""
    logdir = tmp_path_factory.mktemp("runs")
    digits = ["run", "--data", "digits:size=8"]
    conditional = ["--arch", "dcgan:width=4,conditional=projection", "-r", "sn:players=both", "--name", "classes"]
    assert main([*digits, *conditional, *SMALL, str(logdir)]) == 0
    ogan = ["--loss", "ogan", "--arch", "mlp:width=8,depth=1,embedding=latent", "-r", "none", "--name", "encoder"]
    assert main([*digits, *ogan, *SMALL, str(logdir)]) == 0
    return logdir


def alone(program: str, folder: Path, *hidden: str) -> str:
    """What a program prints in a process that can import neither ganzoo nor the hidden modules."""
    hide = "".join(f"sys.modules[{name!r}] = None\n" for name in ("ganzoo", "ganzoo_zoo", *hidden))
    code = f"import sys\n{hide}{program}"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("to", ENDINGS)
def test_the_printed_loader_gives_ganzoos_samples_without_ganzoo(to, runs, tmp_path):
    if to == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    run = ganzoo.load(runs / "classes")
    made = export(run, to, out=tmp_path / f"my-net{ENDINGS[to]}")
    assert made.difference is not None
    assert made.difference < 1e-4
    assert len(made.loader.splitlines()) <= 12
    batch = run.latents(16)
    assert batch.labels is not None
    # The program draws other noise: its own draw is replaced by the noise of the run, and nothing else.
    lines = made.loader.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("latent = "))
    values = batch.latent.tolist()
    lines[at] = f"latent = np.array({values}, np.float32)" if to == "onnx" else f"latent = torch.tensor({values})"
    program = "\n".join([*lines, "print(samples.tolist())"])
    said = alone(program, tmp_path, *(["torch"] if to == "onnx" else []))
    found, due = torch.tensor(json.loads(said)), run.generated(batch)
    assert found.shape == due.shape == (16, 1, 8, 8)
    assert torch.allclose(found, due, atol=1e-5)


@pytest.mark.parametrize("to", ENDINGS)
def test_the_file_describes_inputs_and_output(to, runs, tmp_path):
    if to == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    run = ganzoo.load(runs / "classes")
    said = read_description(export(run, to, out=tmp_path / f"g{ENDINGS[to]}").path)
    assert said["weights"] == "average"
    assert said["step"] == 2
    latent, labels = said["inputs"]
    assert latent == {"name": "latent", "shape": ["N", 4], "dtype": "float32", "range": "drawn from N(0, 1)"}
    assert labels["range"] == [0, 9]
    assert labels["classes"] == list("0123456789")
    assert said["output"] == {"name": "samples", "shape": ["N", 1, 8, 8], "dtype": "float32", "range": [-1.0, 1.0]}
    run.data_range = (0.0, 4095.0)
    again = read_description(export(run, to, out=tmp_path / f"h{ENDINGS[to]}").path)
    assert again["output"]["data_range"] == [0.0, 4095.0]


def test_discriminator_and_encoder(runs, tmp_path, capsys):
    scores = export(ganzoo.load(runs / "classes"), "torch", network="discriminator", out=tmp_path / "d.pt2")
    assert scores.description["output"]["shape"] == ["N"]
    assert [entry["name"] for entry in scores.description["inputs"]] == ["images", "labels"]
    assert main(["export", str(runs / "encoder"), "--network", "encoder", "--to", "safetensors"]) == 0
    out, err = capsys.readouterr()
    assert [Path(line).name for line in out.splitlines()] == ["encoder.safetensors", "encoder.py"]
    assert "the same as ganzoo's, up to" in err
    assert main(["export", str(runs / "classes"), "--network", "encoder"]) == 2
    assert "has no encoder" in capsys.readouterr().err


def test_an_export_leaves_the_run_as_it_was(runs):
    run = ganzoo.load(runs / "classes")
    before = [name for name, _ in run.discriminator.named_parameters()]
    given = torch.zeros(2, 1, 8, 8), torch.arange(2)
    for _ in range(2):
        plain = plain_weights(run.discriminator)
    assert [name for name, _ in run.discriminator.named_parameters()] == before
    assert any("parametrizations" in name for name in before)
    assert not any("parametrizations" in name for name, _ in plain.named_parameters())
    assert torch.allclose(plain(*given), run.discriminator.eval()(*given), atol=1e-6)


class Fixed(torch.nn.Module):
    """A generator that works for batches of CHECKED samples only."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, latent):
        return (self.scale * latent.reshape(CHECKED, 1, 2, 2)).tanh()


class Noisy(Fixed):
    """A generator with noise of its own."""

    def forward(self, latent):
        return (latent[:, :, None, None] + self.scale * torch.randn(len(latent), 4, 1, 1)).reshape(-1, 1, 2, 2).tanh()


class OfFixed(ganzoo.Architecture):
    """Nets for 2x2 images."""

    noisy: bool = False

    def generator(self, spec):
        return Noisy() if self.noisy else Fixed()

    def discriminator(self, spec):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1))


def of(noisy: bool, logdir: Path) -> ganzoo.Run:
    """An assembled run of the nets above, without training."""
    from ganzoo.parts import Spec
    from ganzoo.plugins import load_catalogue
    from ganzoo.recipe.assemble import build
    from ganzoo.recipe.gather import gather
    from ganzoo.recipe.settings import resolve

    catalogue = load_catalogue(no_plugins=True)
    given = {"arch": OfFixed(noisy=noisy), "device": "cpu", "latent_dim": 4, "ema": 0, "regularizers": []}
    settings = resolve(catalogue, given=given)
    run = build(settings, gather(settings, catalogue), Spec(shape=(1, 2, 2), latent_dim=4))
    run.directory = logdir
    return run


def test_a_network_of_one_batch_size_is_exported_for_that_size(tmp_path):
    made = export(of(False, tmp_path), "torch")
    assert made.description["inputs"][0]["shape"] == [CHECKED, 4]
    assert f"N = {CHECKED}" in made.loader


def test_a_network_with_noise_of_its_own_is_said_to_be_one(tmp_path):
    run = of(True, tmp_path)
    made = export(run, "state-dict")
    assert made.description["noise"] == "drawn by the network itself"
    assert made.difference == 0.0  # torch's noise is seeded for the comparison


def test_mistakes_are_one_line(runs, tmp_path, capsys):
    run = ganzoo.load(runs / "classes")
    with pytest.raises(errors.SettingsError, match="'jpeg' is not one of safetensors, torch"):
        export(run, "jpeg")  # type: ignore[arg-type]
    with pytest.raises(errors.SettingsError, match="'critic' is not one of generator"):
        export(run, "torch", network="critic")  # type: ignore[arg-type]
    (tmp_path / "mine.py").write_text("print('my own program')\n")
    with pytest.raises(errors.RunError, match="exists and is no export of ganzoo"):
        export(run, "safetensors", out=tmp_path / "mine.safetensors")
    assert main(["export", str(runs / "classes"), "--to", "torch", "--to", "onnx", "--out", "x.pt2"]) == 2
    assert "--out names one file, and 2 are exported" in capsys.readouterr().err
