"""TensorBoard in a headless Chromium, on runs of different parts."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from ganzoo.cli import main

from . import board

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(board.CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
]

RUNS = {
    "hinge": ["--data=digits:size=8", "--arch=dcgan:width=4"],
    "seed-1": ["--data=digits:size=8", "--arch=dcgan:width=4", "--seed=1"],
    "rpgan": ["--data=digits:size=8", "--arch=dcgan:width=4", "--loss=rpgan", "-r", "r1:gamma=1"],
    "classes": ["--data=digits:size=8", "--arch=dcgan:width=4,conditional=projection"],
    "wgan-gp": ["--data=digits:size=8", "--arch=mlp:width=8", "--loss=wgan", "-r", "wgan-gp"],
    "ring": ["--data=ring", "--arch=mlp:width=8", "--metric=modes"],
    "grid": ["--data=grid", "--arch=mlp:width=8", "--metric=modes", "--batch-size=16"],
    "segan": ["--data=digits-masks:size=16", "--arch=segan:width=4", "--loss=segan", "-r", "none", "--metric=dice"],
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """TensorBoard on eight runs of different parts."""
    logdir = tmp_path_factory.mktemp("runs")
    short = ["--batch-size=8", "--latent-dim=4", "--samples=4", "--steps=6", "--device=cpu", "-q"]
    often = ["--log-every=1", "--sample-every=3", "--logdir", str(logdir)]
    for name, words in RUNS.items():
        assert main(["run", *short, *words, "--name", name, *often]) == 0
    with board.tensorboard(logdir) as found:
        yield found


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Any]:
    """A page of the browser."""
    with board.browser() as opened:
        yield opened


def text_of(page: Any, address: str, plugin: str, wanted: str) -> str:
    """The text of a page of TensorBoard, as soon as the page shows the wanted text."""
    page.goto(f"{address}#{plugin}")
    page.reload()
    page.get_by_text(wanted).first.wait_for(timeout=60_000)
    found: str = page.evaluate(
        """() => { const all = []; const walk = node => { if (node.shadowRoot) walk(node.shadowRoot);
        for (const child of node.childNodes) child.nodeType === 3 ? all.push(child.textContent) : walk(child) };
        walk(document.body); return all.join('\\n') }"""
    )
    return found


def test_scalars_begin_with_the_samples(page: Any, address: str) -> None:
    said = text_of(page, address, "timeseries", "1 samples")
    assert all(name in said for name in RUNS)
    assert said.index("1 samples") < said.index("2 quality") < said.index("3 balance") < said.index("4 stability")


def test_custom_scalars_ask_four_questions(page: Any, address: str) -> None:
    said = text_of(page, address, "custom_scalars", "1 is it balanced?")
    for question in ("1 is it balanced?", "2 is it stable?", "3 is it good?", "4 is it fast?"):
        assert question in said
    assert "accuracy of the discriminator, and the band to stay in" in said


def test_pictures_have_descriptions(page: Any, address: str) -> None:
    said = text_of(page, address, "images", "a side by side")
    assert "1 samples/a side by side" in said
    tags = page.request.get(f"{address}data/plugin/images/tags").json()
    assert "nobody can tell" in tags["hinge"]["1 samples/a side by side"]["description"]
    assert "1 samples/e field" in tags["ring"]
    assert "1 samples/a side by side" not in tags["ring"]


def test_runs_of_different_parts_share_one_table_and_seeds_are_one_row(page: Any, address: str) -> None:
    said = text_of(page, address, "hparams", "Trial ID")
    for column in ("1 arch", "3 loss", "4 regularizers", "5 status", "hinge", "rpgan", "segan", "finished"):
        assert column in said
    groups = page.request.post(
        f"{address}data/plugin/hparams/session_groups",
        data={
            "experimentName": "",
            "allowedStatuses": ["STATUS_SUCCESS"],
            "colParams": [],
            "startIndex": 0,
            "sliceSize": 100,
        },
    ).json()["sessionGroups"]
    sizes = sorted(len(group["sessions"]) for group in groups)
    assert sizes == [1, 1, 1, 1, 1, 1, 2]


def test_scalars_know_what_is_good(page: Any, address: str) -> None:
    tags = page.request.get(f"{address}data/plugin/scalars/tags").json()
    accuracy = tags["hinge"]["3 balance/score accuracy"]
    assert "the discriminator has won" in accuracy["description"]
    assert all(tag.count("/") <= 1 for found in tags.values() for tag in found)
    assert "2 quality/best modes modes" in tags["ring"] or "2 quality/best modes high quality" in tags["ring"]
