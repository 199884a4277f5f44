"""Open pages of TensorBoard in a headless Chromium, and take pictures of the pages."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser, or None."""

PAGES = {
    "scalars": "timeseries",
    "custom-scalars": "custom_scalars",
    "images": "images",
    "hparams": "hparams",
    "text": "text",
    "histograms": "histograms",
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
def browser() -> Iterator[object]:
    """A page of a headless Chromium, 1400 x 900 pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = opened.new_page(viewport={"width": 1400, "height": 900})
        yield page
        opened.close()


def main(logdir: Path, out: Path) -> None:
    """Take a picture of every page.

    Args:
        logdir: the runs.
        out: the folder of the pictures.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tensorboard(logdir) as address, browser() as page:
        for name, plugin in PAGES.items():
            page.goto(f"{address}#{plugin}")  # type: ignore[attr-defined]
            page.reload()  # type: ignore[attr-defined]
            page.wait_for_timeout(6000)  # type: ignore[attr-defined]
            page.screenshot(path=str(out / f"{name}.png"))  # type: ignore[attr-defined]
            print(out / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
