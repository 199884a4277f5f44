"""The commands that train and draw, as a person types them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from harness import DEFAULT_SIGNALS, NEEDS_FILES, shrunk
from PIL import Image

import ganzoo
from ganzoo.cli import main

SMALL = [
    "--arch",
    "dcgan:width=4",
    "--data",
    "digits:size=8",
    "--batch-size",
    "8",
    "--latent-dim",
    "4",
    "--samples",
    "4",
    "-q",
]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def run(runs: Path, *words: str) -> int:
    return main(["run", *SMALL, "--logdir", str(runs), *words])


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that was said on stderr."""
    said = capsys.readouterr().err.strip()
    assert "\n" not in said, said
    assert "Traceback" not in said
    return said


def test_a_run_leaves_everything_a_person_needs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--steps", "25", "--loss", "sgan", "-r", "r1:gamma=1,every=4", "-r", "instance-noise", "--seed", "3"]
    assert run(runs, *words) == 0
    folder = runs / "00000-dcgan-sgan-r1-instance-noise-onestep-digits"
    assert str(folder) in capsys.readouterr().out
    assert {p.name.split(".")[0] for p in folder.iterdir()} >= {
        "config",
        "command",
        "environment",
        "events",
        "metrics",
        "samples",
        "checkpoints",
    }
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["regularizers"][0] == {"name": "r1", "gamma": 1.0, "every": 4}
    assert config["regularizers"][1] == {"name": "instance-noise", "sigma": "0.1..0.0"}
    assert config["steps"] == 25
    assert config["seed"] == 3
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert environment["parts"]["loss sgan"].startswith("zoo (ganzoo")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 20, 25]
    tags = {tag for line in lines for tag in line}
    assert {
        "loss/discriminator",
        "loss/generator",
        "penalty/r1",
        "scores/real",
        "scores/fake",
        "grad/discriminator",
        "grad/generator",
        "lr/generator",
        "speed/images_per_second",
    } <= tags
    for picture in ("00000000-real", "00000025-ema", "00000025-generator"):
        with Image.open(folder / "samples" / f"{picture}.png") as image:
            assert image.size[0] > 100


def test_its_config_starts_the_same_run_again(runs: Path) -> None:
    assert run(runs, "--steps", "6", "-r", "sn", "-o", "adam.lr=1e-3", "--name", "first") == 0
    assert main(["run", "--config", str(runs / "first/config.yaml"), "--name", "second", "-q"]) == 0
    first, second = (ganzoo.load(runs / name) for name in ("first", "second"))
    for a, b in zip(first.generator.parameters(), second.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    configs = [yaml.safe_load((runs / name / "config.yaml").read_text()) for name in ("first", "second")]
    assert configs[0].pop("name") == "first"
    assert configs[1].pop("name") == "second"
    assert configs[0] == configs[1]
    assert configs[0]["optimizer"]["lr"] == 1e-3


def test_who_wins(runs: Path, tmp_path: Path) -> None:
    """Defaults < preset < config < words < -o."""
    file = tmp_path / "mine.yaml"
    file.write_text("loss: sgan\nregularizers: [r1]\nbatch_size: 16\nlatent_dim: 5\nsteps: 3\n")
    words = [
        "run",
        "--preset",
        "wgan",
        "--config",
        str(file),
        "--loss",
        "hinge:margin=2",
        "-o",
        "hinge.margin=3",
        "-o",
        "arch.width=4",
        "-o",
        "arch.d_norm=none",  # r1 of the config takes a gradient per sample, which wgan's batch norm mixes
        "--logdir",
        str(runs),
        "--samples",
        "4",
        "-q",
    ]
    assert main(words) == 0
    (folder,) = runs.iterdir()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["schedule"]["discriminator_steps"] == 5  # preset
    assert config["optimizer"]["name"] == "rmsprop"  # preset
    assert config["regularizers"][0]["name"] == "r1"  # config
    assert config["batch_size"] == 16  # config
    assert config["loss"]["name"] == "hinge"  # words
    assert config["loss"]["margin"] == 3.0  # -o on words
    assert config["arch"]["width"] == 4  # -o on a preset's part


def test_none_clears_what_a_preset_brings(runs: Path) -> None:
    assert run(runs, "--steps", "2", "--preset", "sngan", "-r", "none", "--arch", "dcgan:width=4") == 0
    assert next(runs.iterdir()).name == "00000-dcgan-hinge-alternating-digits"


@pytest.mark.parametrize("preset", sorted({*ganzoo.catalogue().presets()} - {"default"} - NEEDS_FILES))
def test_every_preset_trains(runs: Path, preset: str) -> None:
    small = itertools.chain(*(("-o", override) for override in shrunk(preset)))
    sizes = ["--batch-size", "4", "--samples", "4", "--latent-dim", "4"]
    assert main(["run", "--preset", preset, "--steps", "2", "--logdir", str(runs), "-q", *sizes, *small]) == 0


def test_dry_run_says_what_would_be_trained_and_leaves_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "-n", "--loss", "wgan", "-r", "none", "--images", "800") == 0
    said = capsys.readouterr()
    for fact in ("wgan", "zoo (ganzoo", "1,797 of 1x8x8, 10 classes", "parameters", "MiB", "100 of batch 8"):
        assert fact in said.out
    assert "unbounded" in said.err
    assert not runs.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--loss", "hinhe"], "did you mean 'hinge'?"),
        (["--loss", "hinge:margn=2"], "did you mean 'margin'?"),
        (["--loss", "hinge:margin=abc"], "margin=abc is not a number > 0, such as 1.0"),
        (["-r", "r1:gamma=-1"], "gamma=-1 is not a number >= 0"),
        (["-r", "r1:gamma=nan"], "gamma=nan is not a number"),
        (["-r", "instance-noise:every=4"], "has no parameter 'every'"),
        (["--arch", "dcgan:norm=bach"], "did you mean 'batch'?"),
        (["--arch", "dcgan:width"], "where key=value is expected"),
        (["--loss", "wgan", "-r", "label-smoothing"], "use a loss with targets"),
        (["--arch", "dcgan:d_norm=batch", "--data", "digits:size=16", "-r", "r1"], "takes a gradient per sample"),
        (["--data", "mnist:root=nowhere"], "nowhere"),
        (["--data", "folder"], "needs path"),
        (["--data", "folder:path=nowhere"], "nowhere"),
        (["--data", "ring"], "--arch mlp"),
        (["--batch-size", "2000"], "fewer than a batch of 2000"),
        (["--batch-size", "1"], "batch_size=1 is not a whole number >= 2"),
        (["--steps", "0"], "steps=0 is not a whole number >= 1"),
        (["--steps", "ten"], "steps=ten is not a whole number"),
        (["--steps", "5", "--images", "500"], "give one of them"),
        (["--seed", "-1"], "seed=-1"),
        (["--ema", "1"], "ema=1 is not a number"),
        (["--device", "gpu"], "not one of auto, cpu, cuda, cuda:N, xpu, xpu:N, mps"),
        (["--precision", "fp8"], "fp8"),
        (["--preset", "sngann"], "did you mean 'sngan'?"),
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["-o", "r2.gamma=1"], "r2 is no part of this run"),
        (["-o", "nonsense"], "is not part.key=value"),
        (["--name", "../escape"], "is not a name"),
        (["--logdir", "/proc/nowhere"], "cannot be written"),
        (["--stps", "5"], "--steps"),
        (["--arch", "none"], "cannot be none"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    runs: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(runs, *words) == 2
    assert said in refused(capsys)
    assert not [p for p in runs.glob("*") if p.is_dir()]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_asked_for_and_absent(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "--device", "cuda") == 2
    assert "use --device cpu" in refused(capsys)


def test_an_existing_run_is_never_overwritten(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "--steps", "2", "--name", "mine") == 0
    before = {p: p.stat().st_mtime_ns for p in (runs / "mine").rglob("*")}
    capsys.readouterr()
    assert run(runs, "--steps", "2", "--name", "mine") == 2
    assert "mine exists: give another --name, or go on with: ganzoo resume" in refused(capsys)
    assert before == {p: p.stat().st_mtime_ns for p in (runs / "mine").rglob("*")}


def test_runs_are_numbered_and_never_share_a_number(runs: Path) -> None:
    for _ in range(3):
        assert run(runs, "--steps", "1") == 0
    assert sorted(p.name[:5] for p in runs.iterdir()) == ["00000", "00001", "00002"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("loss: hinge\nloss: wgan\n", "'loss' is given twice"),
        ("loss: [unclosed\n", "is not YAML"),
        ("- a list\n", "is not a mapping of settings"),
        ("lss: hinge\n", "did you mean 'loss'?"),
        ("loss: {margin: 2}\n", "a mapping with a name"),
        ("loss: !!python/object/apply:os.system ['true']\n", "is not YAML"),
    ],
)
def test_a_config_that_cannot_be_used(
    runs: Path, tmp_path: Path, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(content)
    assert run(runs, "--config", str(file)) == 2
    assert said in refused(capsys)


def test_resume_trains_further_in_the_same_directory(runs: Path) -> None:
    assert run(runs, "--steps", "5", "--name", "a") == 0
    assert main(["resume", str(runs / "a"), "--steps", "9", "-q"]) == 0
    assert ganzoo.load(runs / "a").step == 9
    assert [p.name for p in runs.iterdir()] == ["a"]


def test_resume_of_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(tmp_path)]) == 2
    assert "is no run directory" in refused(capsys)


def test_sample_draws_the_same_for_a_seed(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "--steps", "20", "--name", "a") == 0
    a = str(runs / "a")
    capsys.readouterr()
    grids = [tmp_path / f"{i}.png" for i in range(4)]
    for path, words in zip(grids, ([], [], ["--seed", "1"], ["--source", "generator"]), strict=True):
        assert main(["sample", a, "--count", "9", "--out", str(path), *words]) == 0
    data = [path.read_bytes() for path in grids]
    assert data[0] == data[1]
    assert len({*data}) == 3
    assert main(["sample", a, "--count", "3", "--single", "--out", str(tmp_path / "s"), "--truncation", "0.5"]) == 0
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    with Image.open(tmp_path / "s/00000.png") as image:
        assert image.size == (8, 8)
    capsys.readouterr()
    assert main(["sample", a, "--label", "3"]) == 2
    assert "given no classes" in refused(capsys)
    assert main(["sample", a, "--truncation", "0"]) == 2
    assert "is not a number > 0" in refused(capsys)
    assert main(["sample", a, "--truncation", "0.5", "--mcmc", "mala"]) == 2
    assert "give one of the two" in refused(capsys)


def test_truncation_of_a_net_with_styles_is_psi(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "--steps", "2", "--name", "w", "--arch", "stylegan2:width=4,style=3,mapping=1") == 0
    trained = ganzoo.load(runs / "w")
    batch = trained.latents(3, seed=0)
    mean = trained.styles(batch, truncation=0.0)
    assert (mean == mean[:1]).all()
    assert torch.equal(trained.sample(3, truncation=1.0), trained.sample(3))
    assert torch.equal(trained.sample(3, truncation=0.0)[0], trained.sample(3, truncation=0.0)[2])
    capsys.readouterr()
    assert main(["sample", str(runs / "w"), "--truncation", "-0.5", "--out", str(tmp_path / "w.png")]) == 0
    assert main(["sample", str(runs / "w"), "--mix", "2", "--count", "9", "--out", str(tmp_path / "mix.png")]) == 0
    with Image.open(tmp_path / "mix.png") as image:
        assert image.size[0] == image.size[1]
    for layers in ("4", "9"):
        assert main(["sample", str(runs / "w"), "--mix", layers]) == 2
        assert f"--mix {layers}: the generator has 4 layers: give 1 to 3" in refused(capsys)
    assert main(["sample", str(runs / "w"), "--truncation", "1.5"]) == 2
    assert "no number from -1 to 1" in refused(capsys)


def test_any_kept_checkpoint_can_be_drawn_from(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", "ring", "--arch", "mlp:width=8", "--metric", "modes", "--best", "modes/high_quality"]
    assert run(runs, *words, "--steps", "6", "--sample-every", "2", "--checkpoint-every", "3", "--name", "a") == 0
    state = json.loads((sorted((runs / "a/checkpoints").iterdir())[-1] / "state.json").read_text())
    for which, step in (("newest", 6), ("3", 3), ("best", state["best"]["step"])):
        assert ganzoo.load(runs / "a", checkpoint=which).step == step
        out = tmp_path / f"{which}.png"
        assert main(["sample", str(runs / "a"), "--checkpoint", which, "--out", str(out)]) == 0
        assert out.exists()
    capsys.readouterr()
    assert main(["sample", str(runs / "a"), "--checkpoint", "4"]) == 2
    assert "has no checkpoint 4: give newest, best or one of its steps" in refused(capsys)


def test_class_conditional_nets_draw_the_class_that_is_asked_for(runs: Path, tmp_path: Path) -> None:
    assert run(runs, "--steps", "3", "--name", "c", "--arch", "dcgan:width=4,conditional=concat") == 0
    loaded = ganzoo.load(runs / "c")
    assert loaded.spec.classes == 10
    assert main(["sample", str(runs / "c"), "--label", "7", "--count", "4", "--out", str(tmp_path / "7.png")]) == 0
    threes, sevens = (loaded.sample(4, labels=torch.full((4,), k)) for k in (3, 7))
    assert not torch.equal(threes, sevens)
    assert loaded.class_names == list("0123456789")
    assert torch.equal(loaded.sample(4, labels=7), sevens)
    for same in (["7", 7, "7", 7], np.int64(7), np.full(4, 7), np.array(["7"] * 4)):
        assert torch.equal(loaded.sample(4, labels=same), sevens)
    for labels, why in (
        (10, "label 10 is no class: this run has the classes 0 to 9"),
        ([-1] * 4, "label -1 is no class"),
        (1.0, "label 1.0 is no class"),
        (np.array([0.5] * 4), "is no class"),
        (object(), "is no class"),
        ("seven", "no class is named 'seven'"),
        ([1, 2, 3], "3 labels were given for 4 samples"),
        (torch.ones(4), "labels of dtype torch.float32"),
        (torch.ones(4, 2, dtype=torch.long), "labels of shape .*: give a class number a sample"),
        (True, "label True is no class"),
    ):
        with pytest.raises(ganzoo.errors.SettingsError, match=why):
            loaded.sample(4, labels=labels)


def test_arguments_of_another_type_are_named(runs: Path) -> None:
    assert run(runs, "--steps", "1", "--name", "a") == 0
    loaded = ganzoo.load(runs / "a")
    assert loaded.sample(np.int64(2)).shape[0] == 2
    for given, why in (
        ({"count": "3"}, "count 3 is not a whole number >= 1"),
        ({"count": 2.5}, "count 2.5 is not a whole number >= 1"),
        ({"count": 0}, "count 0 is not a whole number >= 1"),
        ({"truncation": "a"}, "truncation a is not a number"),
    ):
        with pytest.raises(ganzoo.errors.SettingsError, match=why):
            loaded.sample(**given)


def test_the_ending_of_a_picture_says_png(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs, "--steps", "1", "--name", "a") == 0
    capsys.readouterr()
    for name, more, why in (
        ("x.jpg", [], "pictures are written as PNG, so end the name in .png"),
        ("x.txt", [], "pictures are written as PNG, so end the name in .png"),
        ("x.npy", ["--single"], "x.npy names a file: leave out --single, or name a folder"),
        ("x.png", ["--single"], "x.png names a file: leave out --single, or name a folder"),
    ):
        assert main(["sample", str(runs / "a"), "--count", "2", "--out", str(tmp_path / name), *more]) == 2
        assert why in refused(capsys)
        assert not (tmp_path / name).exists()


def test_single_samples_are_named_by_class_and_never_mixed(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(runs, "--steps", "1", "--name", "c", "--arch", "dcgan:width=4,conditional=auto") == 0
    monkeypatch.setattr("ganzoo.training.run.SAMPLE_BATCH", 4)
    out = tmp_path / "s"
    words = ["sample", str(runs / "c"), "--single"]
    assert main([*words, "--count", "11", "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == [f"{i:05d}-{i % 10}.png" for i in range(11)]
    capsys.readouterr()
    assert main([*words, "--count", "3", "--out", str(out)]) == 2
    assert "holds pictures already" in refused(capsys)
    for count in (5, 2):
        assert main([*words, "--count", str(count), "--label", "7"]) == 0
        assert sorted(p.name for p in (runs / "c/samples/seed0").iterdir()) == [f"{i:05d}-7.png" for i in range(count)]


def test_a_grid_of_classes_has_full_rows_and_a_head(runs: Path, tmp_path: Path) -> None:
    assert run(runs, "--steps", "1", "--name", "c", "--arch", "dcgan:width=4,conditional=auto", "--samples", "64") == 0
    for name in ("ema", "generator", "real"):
        with Image.open(runs / f"c/samples/{0 if name == 'real' else 1:08d}-{name}.png") as seen:
            assert seen.width == 10 * 66 + 2
            assert 7 * 66 + 2 < seen.height < 7 * 66 + 30
    out = tmp_path / "grid.png"
    assert main(["sample", str(runs / "c"), "--count", "70", "--out", str(out)]) == 0
    with Image.open(out) as drawn, Image.open(runs / "c/samples/00000001-ema.png") as seen:
        assert drawn.size == seen.size


def test_a_loss_that_is_not_finite_stops_before_the_update(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The part, the player and the step are named, the last checkpoint is kept, the exit code is 1."""
    part = tmp_path / "bad.py"
    part.write_text(
        "import ganzoo\n"
        "class Bad(ganzoo.Loss):\n"
        '    """Fails."""\n'
        "    def discriminator(self, s): return s.fake.mean() - s.real.mean()\n"
        "    def generator(self, s): return s.fake.mean() * (float('nan') if s.progress > 0.6 else -1.0)\n"
    )
    words = ["--loss", "bad", "--plugin", str(part), "--steps", "11", "--checkpoint-every", "4", "--name", "a"]
    assert run(runs, *words) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "step 8: the generator's loss (bad) is nan: the update was not made" in said
    assert "of step 4, is intact" in said
    assert ganzoo.load(runs / "a", plugins=[part]).step == 4


def test_plugins_hear_of_a_runs_life(runs: Path, tmp_path: Path) -> None:
    listener = tmp_path / "listener.py"
    listener.write_text(
        "import ganzoo\n"
        "@ganzoo.hookimpl\n"
        "def run_started(run): note('started', run)\n"
        "@ganzoo.hookimpl\n"
        "def step_recorded(run, step, values): note('recorded', run)\n"
        "@ganzoo.hookimpl\n"
        "def images_recorded(run, tag, images): note(tag, run)\n"
        "@ganzoo.hookimpl\n"
        "def checkpoint_saved(run, step, path): note('saved', run); 1 / 0\n"
        "@ganzoo.hookimpl\n"
        "def run_finished(run, error): note('finished', run)\n"
        "def note(what, run):\n"
        "    with (run.dir / 'heard.txt').open('a') as f: f.write(what + '\\n')\n"
    )
    words = ["--plugin", str(listener), "--steps", "6", "--checkpoint-every", "2", "--name", "a"]
    assert run(runs, *words) == 0
    heard = (runs / "a/heard.txt").read_text().splitlines()
    assert heard[0] == "samples/real" or heard[0] == "started"
    assert heard[-1] == "finished"
    assert {"started", "recorded", "samples/real", "samples/ema", "samples/generator"} <= {*heard}
    assert heard.count("saved") == 1, "a hook that failed is switched off"


def test_a_part_that_raises_is_named_and_keeps_its_traceback(runs: Path, tmp_path: Path) -> None:
    part = tmp_path / "bug.py"
    part.write_text(
        "import ganzoo\n"
        "class Bug(ganzoo.Loss):\n"
        '    """Fails."""\n'
        "    def discriminator(self, s): return s.reel.mean()\n"
        "    def generator(self, s): return -s.fake.mean()\n"
    )
    with pytest.raises(AttributeError, match="reel") as caught:
        run(runs, "--loss", "bug", "--plugin", str(part), "--steps", "2")
    assert any("in loss bug" in note for note in caught.value.__notes__)


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    words = [*DEFAULT_SIGNALS, sys.executable, "-m", "ganzoo", "run", *SMALL[:-1], "--steps", "1000000", "--name", "a"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*words, "--logdir", str(tmp_path)], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("training ")
    assert first.endswith(f", steps 0 to 1000000, on cpu, in {tmp_path / 'a'}\n")
    assert process.stderr.readline().startswith("step 1/")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "go on with: ganzoo resume" in said.splitlines()[-1]
    assert ganzoo.load(tmp_path / "a").step > 1


ODD = ["my photos", "a, b", "it's", 'so "called"', "näve 🐱", " edge", "k=v,size=3", "(open"]


@pytest.mark.parametrize("name", ODD)
def test_a_dry_run_takes_any_path(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The text is parsed once: no spelled text is parsed again for providers, records or names."""
    from PIL import Image

    folder = tmp_path / name
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (i, i, i)).save(folder / f"{i}.png")
    small = ["--batch-size", "2", "--arch", "mlp:width=4"]
    assert main(["run", "-n", "--data", str(folder), "-o", "data.size=8", *small]) == 0
    assert "3 of 3x8x8" in capsys.readouterr().out
    quote = "'" if '"' in name else '"'
    assert main(["run", "-n", "--data", f"folder:path={quote}{folder}{quote},size=8", *small]) == 0
    assert "3 of 3x8x8" in capsys.readouterr().out


def test_the_name_of_a_part_comes_before_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "mine").mkdir()
    found = ganzoo.catalogue(no_plugins=True)
    assert str(found.specify("data", "digits")) == "digits"
    assert str(found.specify("data", "./digits")) == "folder:path=./digits"
    assert str(found.specify("data", "mine/")) == "folder:path=mine/"


@pytest.mark.parametrize("name", ["cosine", "linear", "warmup", "Step"])
def test_a_learning_rate_schedule_is_answered(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["run", "-n", "--schedule", name]) == 2
    assert "-o 'optimizer.lr=cosine(2e-4,0)'" in capsys.readouterr().err


def test_help_has_groups_defaults_and_values_as_users_type_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    order = [text.index(f" {heading}: ") for heading in ("Parts", "Training", "Records", "Machine", "Options")]
    assert order == sorted(order)
    assert "[default: hinge]" in text
    assert "[default: 64]" in text
    assert " auto, cpu, cuda" in text
    assert "Auto" not in text
    assert "Fp32" not in text


def test_every_setting_that_names_no_part_has_a_group() -> None:
    from ganzoo import words
    from ganzoo.cli.run import GROUPS
    from ganzoo.recipe.settings import Settings

    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(words.parameters(Settings))


def test_a_finished_run_that_is_resumed_had_nothing_left_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "ring", "--arch", "mlp", "--steps", "2", "--device", "cpu"]
    assert main(["run", *words, "--logdir", str(tmp_path), "--name", "a", "-q"]) == 0
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "a"), "-q"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"ganzoo: {tmp_path / 'a'} is at step 2 already, nothing was left to do; --steps 3 or more goes on"
