"""Commands on runs that encode, and on runs with an energy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.cli import main

SMALL = ["--batch-size", "8", "--latent-dim", "4", "--samples", "4", "--steps", "2", "-q", "--logdir"]


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that was said on stderr."""
    said = capsys.readouterr().err.strip()
    assert "\n" not in said, said
    return said


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two steps: an encoder with held-out data, one without, and an energy."""
    logdir = tmp_path_factory.mktemp("runs")
    ogan = ["run", "--loss", "ogan", "--arch", "mlp:width=8,depth=1,embedding=latent", "-r", "none"]
    held = ["--data", "digits:size=8,hold_out=0.5", "--name", "held"]
    assert main([*ogan, *held, *SMALL, str(logdir)]) == 0
    assert main([*ogan, "--data", "digits:size=8", "--name", "all", *SMALL, str(logdir)]) == 0
    meg = ["run", "--loss", "meg", "--arch", "mlp:width=8,depth=1", "-r", "entropy:width=8", "--name", "meg"]
    assert main([*meg, *SMALL, str(logdir)]) == 0
    return logdir


def test_originals_stand_beside_their_reconstructions(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "r.png"
    assert main(["reconstruct", str(runs / "held"), "--count", "6", "--columns", "3", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out)
    assert said.err == ""
    with Image.open(out) as image:
        assert image.size == (3 * (2 + 2 * 64) + 2, 2 * (2 + 64) + 2)
        left = image.convert("L").crop((2, 2, 66, 66)).resize((8, 8), Image.Resampling.NEAREST)
    held = ganzoo.part("data", "digits:size=8,hold_out=0.5").held_out()  # type: ignore[attr-defined]
    assert any(torch.equal(torch.tensor(list(left.tobytes())).view(8, 8), x[0].long()) for x in held.tensors[0])


def test_the_training_images_are_shown_only_with_a_warning(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(runs / "all")]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(runs / "all/samples/reconstructed.png")
    assert "holds nothing out" in said.err


def test_images_of_ones_own_are_brought_to_the_runs_size(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        Image.new("RGB", (30, 40), (60 * i, 0, 0)).save(tmp_path / f"{i}.png")
    words = ["--images", f"folder:path={tmp_path}", "--out", str(tmp_path / "r.png"), "--columns", "3"]
    assert main(["reconstruct", str(runs / "held"), *words]) == 0
    assert capsys.readouterr().err == ""
    with Image.open(tmp_path / "r.png") as image:
        assert image.size[0] == 3 * (2 + 2 * 64) + 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reconstruct", "meg"], "loss meg does not teach the discriminator to encode images"),
        (["reconstruct", "held", "--images", "folder:path=nowhere"], "path=nowhere does not exist"),
        (["reconstruct", "held", "--images", "digits:size=16"], "images of 1x16x16 cannot be reconstructed"),
        (["reconstruct", "held", "--images", "digts"], "did you mean 'digits'?"),
        (["reconstruct", "held", "--out", "/proc/r.png"], "cannot be written"),
        (["sample", "held", "--mcmc", "mala"], "does not make the discriminator an energy"),
        (["sample", "meg", "--mcmc", "gibbs"], "gibbs"),
        (["sample", "meg", "--mcmc", "mala", "--step-size", "0"], "step-size"),
    ],
)
def test_a_mistake_is_one_line(runs: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([words[0], str(runs / words[1]), *words[2:]]) == 2
    assert said in refused(capsys)


def test_noise_moves_along_the_energy_before_it_is_drawn(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = []
    for i, words in enumerate(([], ["--mcmc", "langevin"], ["--mcmc", "mala"], ["--mcmc", "mala", "--prior"])):
        out = tmp_path / f"{i}.png"
        steps = ["--mcmc-steps", "5", "--step-size", "0.3"] if words else []
        assert main(["sample", str(runs / "meg"), "--count", "4", "--out", str(out), *words, *steps]) == 0
        pictures.append(out.read_bytes())
    assert len({*pictures}) == 4
    assert "% of the proposals were taken" in capsys.readouterr().err
