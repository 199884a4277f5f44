"""Walks through the latent space, and the point of an image."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo import errors
from ganzoo.cli import main
from ganzoo.trained import project, walk

SMALL = ["--batch-size=8", "--latent-dim=4", "--samples=4", "--steps=2", "--device=cpu", "-q", "--logdir"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run, and runs without classes: images with an encoder, points, images made for a condition."""
    logdir = tmp_path_factory.mktemp("runs")
    small = [*SMALL, str(logdir)]
    dcgan = ["--arch", "dcgan:width=4,conditional=projection", "--data", "digits:size=8"]
    assert main(["run", *dcgan, "--name", "classes", *small]) == 0
    ogan = ["--loss", "ogan", "--arch", "mlp:width=8,depth=1,embedding=latent", "--data", "digits:size=8"]
    assert main(["run", *ogan, "-r", "none", "--name", "encoder", *small]) == 0
    assert main(["run", "--arch", "mlp:width=8", "--data", "ring", "--name", "points", *small]) == 0
    pairs = ["--data", "digits-masks:size=16", "--arch", "segan:width=4", "--loss", "segan", "-r", "none"]
    assert main(["run", *pairs, "--name", "inputs", *small]) == 0
    return logdir


def test_slerp_turns_and_keeps_the_length():
    a, b = torch.tensor([3.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 5.0], dtype=torch.float64)
    for t in (0.0, 0.25, 0.5, 1.0):
        made = walk.slerp(a, b, t)
        assert math.isclose(float(made.norm()), 3 + 2 * t)
        assert math.isclose(math.atan2(float(made[1]), float(made[0])), t * math.pi / 2)
    assert torch.allclose(walk.slerp(a, a, 0.3), a)


def test_the_path_goes_through_every_point():
    assert walk.positions(1, 5) == [(0, 0, 0.0)]
    assert len(walk.positions(3, 4)) == 9
    assert len(walk.positions(3, 4, loop=True)) == 12
    assert walk.positions(2, 1, loop=True) == [(0, 1, 0.0), (1, 0, 0.0)]


def test_mixed_labels_mix_whatever_looks_them_up():
    first, second = torch.tensor([0, 1]), torch.tensor([2, 2])
    labels = walk.MixedLabels.of(first, second, 0.25)
    table = torch.randn(3, 5)
    due = 0.75 * table[first] + 0.25 * table[second]
    for found in (
        torch.nn.functional.embedding(labels, table),
        torch.nn.Embedding.from_pretrained(table)(labels),
        table[labels],
        (labels.unsqueeze(1) == torch.arange(3)).to(table.dtype) @ table,
        torch.nn.functional.one_hot(labels, 3).float() @ table,
    ):
        assert type(found) is torch.Tensor
        assert torch.allclose(found, due, atol=1e-6)
    assert labels.shape == (2,)


def test_a_walk_begins_and_ends_at_the_samples_of_the_seeds(runs):
    run = ganzoo.load(runs / "classes")
    points = walk.seeded_points(run, [3, 7], count=2)
    made = walk.walk(run, points, frames=3, classes=[1, 4])
    assert made.shape == (4, 2, 1, 8, 8)
    for k, seed, label in ((0, 3, 1), (-1, 7, 4)):
        due = run.sample(2, seed=seed, labels=torch.full((2,), label))
        assert torch.allclose(made[k], due, atol=1e-6)
    # the frames between are none of the classes alone
    alone = walk.walk(run, [points[0]], frames=3, classes=[1])
    assert alone.shape[0] == 1
    between = walk.walk(run, [points[0]], frames=2, classes=[1, 4])
    assert not torch.allclose(between[1], between[0])
    assert not torch.allclose(between[1], between[2])


class Mapping(torch.nn.Module):
    """A generator with a mapping network, w = 2 z."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(4))

    def forward(self, latent):
        return ((2 * latent) @ self.weight).reshape(-1, 1, 2, 2)


class WithStyles(ganzoo.Architecture):
    """Nets for 2x2 images with a style space of its own."""

    style_space = "w"

    def generator(self, spec):
        return Mapping()

    def discriminator(self, spec):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1))

    def styles(self, generator, batch):
        return 2 * batch.latent

    def synthesize(self, generator, styles, batch):
        return generator(styles / 2)


def test_a_walk_in_w_is_straight(tmp_path):
    from ganzoo.parts import Spec
    from ganzoo.plugins import load_catalogue
    from ganzoo.recipe.assemble import build
    from ganzoo.recipe.gather import gather
    from ganzoo.recipe.settings import resolve

    catalogue = load_catalogue(no_plugins=True)
    given = {"arch": WithStyles(), "device": "cpu", "latent_dim": 4, "ema": 0, "regularizers": []}
    settings = resolve(catalogue, given=given)
    run = build(settings, gather(settings, catalogue), Spec(shape=(1, 2, 2), latent_dim=4))
    points = walk.seeded_points(run, [0, 1])
    made = walk.walk(run, points, frames=2)
    assert torch.allclose(made[1], (made[0] + made[2]) / 2, atol=1e-6)
    in_z = walk.walk(run, points, frames=2, space="z")
    assert torch.equal(in_z[0], made[0])
    assert not torch.allclose(in_z[1], made[1])
    given_styles = walk.walk(run, [2 * point for point in points], frames=2, space="styles")
    assert torch.allclose(given_styles, made, atol=1e-6)


def test_strip_gif_and_mp4(runs, tmp_path, capsys):
    name = str(runs / "classes")
    assert main(["walk", name, "--classes", "all", "--rows", "2", "--frames", "1"]) == 0
    assert capsys.readouterr().out.strip() == f"{name}/samples/walk.png"
    with Image.open(runs / "classes/samples/walk.png") as strip:
        assert strip.size == (10 * 66 + 2, 2 * 66 + 2)
    gif = tmp_path / "new/walk.gif"
    assert main(["walk", name, "--seeds", "0,1", "--loop", "--frames", "4", "--out", str(gif)]) == 0
    with Image.open(gif) as film:
        assert film.n_frames == 8
        assert film.width >= 128
    mp4 = tmp_path / "walk.mp4"
    code = main(["walk", name, "--seeds", "0,1", "--frames", "4", "--out", str(mp4)])
    if shutil.which("ffmpeg"):
        assert code == 0
        assert b"ftyp" in mp4.read_bytes()[:16]
    else:
        assert code == 2
        assert "ffmpeg, which is not installed" in capsys.readouterr().err


def test_points_and_conditions_can_be_walked(runs, tmp_path):
    assert main(["walk", str(runs / "points"), "--frames", "2", "--out", str(tmp_path / "p.png")]) == 0
    out = tmp_path / "i.png"
    assert main(["walk", str(runs / "inputs"), "--frames", "1", "--rows", "2", "--out", str(out)]) == 0
    assert out.exists()


def test_an_image_is_found_again(runs, tmp_path, capsys):
    run = ganzoo.load(runs / "classes")
    wanted = run.sample(1, seed=5, labels=torch.tensor([3]))[0]
    found = project.project(run, wanted, steps=60, label=3, prior=0.0)
    assert found.label == 3
    assert found.error < found.start_error / 2
    due = run.synthesized(found.styles[None], run.latents(1, labels=torch.tensor([3])))[0]
    assert torch.allclose(due, found.sample, atol=1e-5)


def test_project_writes_both_pictures_and_a_point_that_walk_takes(runs, tmp_path, capsys):
    Image.new("RGB", (20, 11), (200, 200, 200)).save(tmp_path / "grey.png")
    Image.new("L", (8, 8), 0).save(tmp_path / "black.png")
    for name in ("grey", "black"):
        out = tmp_path / f"{name}-found.png"
        given = [str(tmp_path / f"{name}.png"), "--steps", "2", "--out", str(out)]
        assert main(["project", str(runs / "classes"), *given]) == 0
        said = capsys.readouterr()
        assert said.out.split() == [str(out), str(out.with_suffix(".safetensors"))]
        assert said.err.startswith("error    ")
    with Image.open(out) as picture:
        assert picture.size == (2 * 66 + 2, 66 + 2)
    through = [f"--through={tmp_path}/{name}-found.safetensors" for name in ("grey", "black")]
    assert main(["walk", str(runs / "classes"), *through, "--out", str(tmp_path / "w.png")]) == 0
    assert main(["walk", str(runs / "points"), *through, "--out", str(tmp_path / "w.png")]) == 0  # the same latent size


def test_an_image_is_read_as_the_data_were(tmp_path):
    """Its white is the run's, transparent pixels are white, and it is cut to the run's shape."""
    levels = np.linspace(0, 4095, 200).round().astype(np.uint16).reshape(10, 20)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    found = project.read_image(tmp_path / "deep.png", (1, 10, 10), (0, 4095))
    assert torch.allclose(found.pixels[0], torch.from_numpy(levels[:, 5:15] / 4095 * 2 - 1).float(), atol=1e-5)
    assert found.note == ""
    assert "deep.png is dark" in project.read_image(tmp_path / "deep.png", (1, 10, 10)).note
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert project.read_image(tmp_path / "clear.png", (3, 4, 4)).pixels.unique().tolist() == [1.0]


def test_an_encoder_gives_the_start(runs):
    run = ganzoo.load(runs / "encoder")
    image = run.sample(1)[0]
    found = project.project(run, image, steps=0)
    due = run.reconstruct(image[None])[0]
    assert torch.allclose(found.sample, due, atol=1e-5)
    assert project.project(run, image, steps=0, encoder=False).label is None


@pytest.mark.parametrize(
    ("words", "due"),
    [
        (["walk", "classes", "--seeds", "1,x"], "give whole numbers >= 0"),
        (["walk", "classes", "--classes", "1,10"], "label 10 is no class: this run has the classes 0 to 9"),
        (["walk", "classes", "--classes", '"a, b",1'], "no class is named 'a, b'"),
        (["walk", "encoder", "--classes", "1"], "are given no classes"),
        (["walk", "classes", "--seeds", "0,1,2", "--classes", "0,1"], "3 points and 2 classes"),
        (["walk", "classes", "--out", "walk.jpg"], "ends in .png, .gif, .mp4"),
        (["walk", "classes", "--through", "none.safetensors"], "give a file that ganzoo project wrote"),
        (["project", "points", "IMAGE"], "samples of shape 2 are no images"),
        (["project", "inputs", "IMAGE"], "give a run without further inputs"),
        (["project", "classes", "missing.png"], "missing.png cannot be read (No such file"),
        (["project", "classes", "IMAGE", "--label", "10"], "label 10 is no class: this run has the classes 0 to 9"),
        (["project", "classes", "IMAGE", "--rate", "1e30", "--steps", "3"], "give a smaller rate"),
    ],
)
def test_mistakes_are_one_line(words, due, runs, tmp_path, capsys):
    Image.new("L", (8, 8), 0).save(tmp_path / "i.png")
    command, name, *rest = [str(tmp_path / "i.png") if word == "IMAGE" else word for word in words]
    assert main([command, str(runs / name), *rest]) == 2
    said = capsys.readouterr().err.strip()
    assert due in said
    assert "\n" not in said


def test_a_walk_wants_points():
    with pytest.raises(errors.SettingsError, match="frames >= 1"):
        walk.walk(None, [], frames=2)  # type: ignore[arg-type]
