"""Open pages of TensorBoard in a headless Chromium, and take pictures of the pages.

``python tests/browser/board.py RUNS OUT`` trains the eight runs of docs/pictures in RUNS where they are missing, which
takes five minutes, and writes the pictures of all pages to OUT.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser, or None."""

SHOWN = {
    "hinge": "--steps 600 --metric swd",
    "hinge-seed-1": "--steps 600 --metric swd --seed 1",
    "rpgan-r1": "--steps 600 --metric swd --loss rpgan -r r1:gamma=1",
    "wgan-gp-mlp": "--steps 600 --metric swd --data digits:size=16 --arch mlp:width=64 --loss wgan -r wgan-gp",
    "sgan-alternating": "--steps 600 --metric swd --data digits:size=16 --arch dcgan:width=8 --loss sgan -r none "
    "--schedule alternating",
    "ring": "--steps 2000 --metric modes --data ring --arch mlp:width=64 --loss rpgan -r r1:gamma=1",
    "segan": "--steps 80 --preset segan",
    "too-fast": "--steps 600 --data digits:size=16 --arch mlp:width=64 --loss wgan -r none --optimizer sgd:lr=1000",
}
"""The runs of docs/pictures by name: different parts, two seeds of one recipe, and a run that diverges."""

PAGES = {
    "scalars": "timeseries",
    "custom-scalars": "custom_scalars",
    "images": "images",
    "hparams": "hparams",
    "text": "text",
    "histograms": "histograms",
    "projector": "projector",
}
"""The pages by name, and the plugin of TensorBoard that shows each page."""


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """A running TensorBoard on a free port, as ``ganzoo tensorboard`` starts it.

    Args:
        logdir: the runs.

    Yields:
        The address.
    """
    command = [sys.executable, "-m", "ganzoo", "tensorboard", str(logdir), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"http://[^/\s]+/", line):
                    yield found[0]
                    return
            raise AssertionError("TensorBoard gave no address")
        finally:
            process.terminate()


@contextmanager
def browser() -> Iterator[Any]:
    """A page of a headless Chromium, 1400 x 900 pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = opened.new_page(viewport={"width": 1400, "height": 900})
        yield page
        opened.close()


def train(logdir: Path) -> None:
    """Train the runs of ``SHOWN`` that are missing.

    Args:
        logdir: the folder of the runs.
    """
    for name, words in SHOWN.items():
        if not (logdir / name).exists():
            steps = int(words.split()[1])
            often = ["--log-every", str(max(1, steps // 40)), "--sample-every", str(max(1, steps // 12))]
            command = [sys.executable, "-m", "ganzoo", "run", *words.split(), *often, "--logdir", str(logdir)]
            # the status of the run that diverges is not zero
            subprocess.run([*command, "--name", name, "--device", "cpu", "--threads", "1", "-q"], check=False)
    command = [sys.executable, "-m", "ganzoo", "sample", str(logdir / "hinge"), "--count", "500", "--projector"]
    subprocess.run(command, check=True)


def main(logdir: Path, out: Path) -> None:
    """Take a picture of every page.

    Args:
        logdir: the runs.
        out: the folder of the pictures.
    """
    train(logdir)
    out.mkdir(parents=True, exist_ok=True)

    def take(page: Any, name: str) -> None:
        page.wait_for_timeout(6000)
        file = out / f"board-{name}.png"
        page.screenshot(path=str(file))
        with Image.open(file) as image:  # the colours of runs are few pixels, and must stay apart
            fewer = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        fewer.save(file, optimize=True)
        print(file)

    alike = out / "alike"  # runs that have every column in common, for the parallel coordinates
    alike.mkdir(exist_ok=True)
    for name in ("hinge", "hinge-seed-1", "rpgan-r1", "wgan-gp-mlp", "sgan-alternating"):
        if not (alike / name).exists():
            shutil.copytree(logdir / name, alike / name)
    with tensorboard(alike) as address, browser() as page:
        page.goto(f"{address}#hparams")
        page.get_by_text("PARALLEL COORDINATES").first.click()
        take(page, "parallel")
    with tensorboard(logdir) as address, browser() as page:
        for name, plugin in PAGES.items():
            page.goto(f"{address}#{plugin}")
            page.reload()
            if name == "custom-scalars":
                page.wait_for_timeout(6000)
                take(page, name)
                page.mouse.move(900, 500)
                page.mouse.wheel(0, 1500)
                page.mouse.move(150, 850)
                take(page, f"{name}-good")
                continue
            take(page, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
