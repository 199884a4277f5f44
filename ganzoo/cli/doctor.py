"""``ganzoo doctor``: what a bug report needs to say of a machine."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from ganzoo.cli import say
from ganzoo.cli._options import parts_options
from ganzoo.names import one_line
from ganzoo.plugins import Catalogue

PACKAGES = ("torch", "torchvision", "numpy", "tensorboard", "pydantic", "pluggy", "click", "rich", "safetensors")
"""The packages whose versions are printed."""

TRIAL = 10.0
"""Seconds of the training trial."""


@click.command()
@click.option("--trial/--no-trial", default=True, help="Train for ten seconds.")
@click.option(
    "--logdir", type=click.Path(path_type=Path), default="runs", show_default=True, help="The disk to look at."
)
@parts_options(report=False)
def command(catalogue: Catalogue, trial: bool, logdir: Path) -> None:
    """Print versions, devices, threads, precision, data, plugins and disk, and train for ten seconds.

    The output can be pasted into a bug report. Nothing is sent anywhere, and nothing is kept.
    """
    facts = [*_software(), *_hardware(), *_disk(logdir), *_plugins(catalogue)]
    for name, fact in facts:
        say(f"{name:<16} {fact}")
    if trial:
        for name, fact in _trial():
            say(f"{name:<16} {fact}")


def _software() -> Iterator[tuple[str, str]]:
    yield "ganzoo", version("ganzoo")
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "system", platform.platform()
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "missing"


def _hardware() -> Iterator[tuple[str, str]]:
    import torch

    from ganzoo.speed import hardware

    yield "processor", f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    yield "threads", f"{torch.get_num_threads()} of torch, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}"
    config = torch.__config__.show()
    yield "BLAS", "MKL" if "BLAS_INFO=mkl" in config else "OpenBLAS" if "BLAS_INFO=open" in config else "another one"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            capability = f"capability {facts.major}.{facts.minor}"
            yield f"cuda:{index}", f"{facts.name}, {facts.total_memory / 1e9:.0f} GB, {capability}"
        yield "CUDA", f"{torch.version.cuda}, bf16 {'yes' if torch.cuda.is_bf16_supported() else 'no'}"
    else:
        yield "CUDA", f"no device (torch was built for {torch.version.cuda or 'no CUDA'})"
    for name in ("xpu", "mps"):
        module = getattr(torch, name, None) or getattr(torch.backends, name, None)
        if module is not None and module.is_available():
            yield name, "there"
    yield "chosen device", str(hardware.device("auto"))


def _disk(logdir: Path) -> Iterator[tuple[str, str]]:
    place = next(each for each in (logdir.absolute(), *logdir.absolute().parents) if each.is_dir())
    usage = shutil.disk_usage(place)
    yield "disk", f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} GB, at {place}"
    yield "writable", "yes" if os.access(place, os.W_OK) else f"no: give another --logdir than {logdir}"
    data = Path("data")
    found = sorted(each.name for each in data.iterdir() if each.is_dir()) if data.is_dir() else []
    yield "data folders", ", ".join(found) or "none in data/"


def _plugins(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    for plugin in catalogue.plugins:
        yield "plugin", f"{plugin.name} {plugin.version} ({len(plugin.entries)} parts)"
    for problem in catalogue.problems:
        yield "plugin problem", str(problem)
    for name in ("GANZOO_PLUGINS", "GANZOO_STRICT_PLUGINS", "GANZOO_TRACEBACK"):
        if name in os.environ:
            yield name, os.environ[name]


def _trial() -> Iterator[tuple[str, str]]:
    """Train the default recipe for ten seconds in a temporary directory."""
    import ganzoo

    class Clock(ganzoo.Tracker):
        """Ends the run after ten seconds."""

        def run_started(self, run: ganzoo.Run) -> None:
            self.state.began = time.monotonic()

        def step_made(self, run: ganzoo.Run, step: int) -> None:
            if time.monotonic() - self.state.began > TRIAL:
                run.request_stop("ten seconds are over")

    with tempfile.TemporaryDirectory(prefix="ganzoo-doctor-") as folder:
        try:
            run = ganzoo.run(log=[Clock()], logdir=folder, steps=100_000, sample_every=100_000, quiet=True)
        except Exception as error:  # whatever is wrong with the machine is the answer
            yield "training trial", f"failed: {type(error).__name__}: {one_line(error)}"
            return
        speed = run.metrics.get("speed/images_per_second", 0.0)
        yield "training trial", f"{run.step} steps of the default recipe, {speed:.0f} images a second, on {run.device}"
        yield "precision", f"{run.settings.precision} was chosen"
