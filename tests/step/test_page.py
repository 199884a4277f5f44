"""The page that people read: how near it is, how long it is, and that nobody reaches into it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor

import ganzoo
from ganzoo.data.resident import Resident
from ganzoo.step.environment import StepEnvironment
from ganzoo.step.game import Game

ENGINE = Path(ganzoo.__file__).parent
OUTSIDE = sorted(file for file in ENGINE.rglob("*.py") if file.parent != ENGINE / "step")


def frames() -> list[str]:
    """The functions from ``ganzoo.run`` to the caller of this one, both included."""
    found: list[str] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found.insert(0, frame.f_code.co_name)
        if frame.f_code is ganzoo.run.__code__:
            return found
        frame = frame.f_back
    raise AssertionError("not called from ganzoo.run")


class Traced(ganzoo.Loss):
    """A loss that notes how it was reached."""

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        REACHED["loss"] = frames()
        return (s.fake - s.real).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        return -s.fake.mean()


REACHED: dict[str, list[str]] = {}


def test_the_loss_is_six_frames_and_a_batch_eight_from_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Resident.reals

    def reals(self: Any, draw: int, piece: int = 0) -> ganzoo.Batch:
        REACHED["batch"] = frames()
        return original(self, draw, piece)

    monkeypatch.setattr(Resident, "reals", reals)
    ganzoo.run(
        arch="dcgan:width=4",
        data="digits:size=8",
        loss=Traced(),
        schedule="onestep",
        regularizers=[],
        steps=1,
        batch_size=4,
        latent_dim=4,
        samples=4,
        device="cpu",
        threads=1,
        precision="fp32",
        logdir=str(tmp_path),
        quiet=True,
        no_plugins=True,
    )
    assert len(REACHED["loss"]) <= 6, REACHED["loss"]
    assert len(REACHED["batch"]) <= 8, REACHED["batch"]


def test_the_page_has_400_lines() -> None:
    assert len((ENGINE / "step" / "game.py").read_text().splitlines()) <= 400


def names_a_game(node: ast.expr) -> bool:
    """Whether an expression is a game by its name: ``game``, ``self.game``, ``experiment.game``, ``trial``, ..."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.strip("_") in {"game", "trial", "rehearsal", "timed_game"}


def targets(node: ast.AST) -> list[ast.expr]:
    """What a statement assigns to, tuples taken apart."""
    found: list[ast.expr] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        found = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For, ast.AsyncFor, ast.NamedExpr, ast.comprehension)):
        found = [node.target]
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        found = [node.optional_vars]
    flat: list[ast.expr] = []
    while found:
        target = found.pop()
        if isinstance(target, (ast.Tuple, ast.List)):
            found += target.elts
        else:
            flat.append(target.value if isinstance(target, ast.Starred) else target)
    return flat


def writes(tree: ast.AST) -> list[str]:
    """The places where code writes to an attribute of a game, or to what such an attribute holds."""
    found = []
    for node in ast.walk(tree):
        for target in targets(node):
            inner: ast.expr = target
            while isinstance(inner, (ast.Attribute, ast.Subscript)):
                if names_a_game(inner.value):
                    found.append(ast.unparse(target))
                inner = inner.value
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            touches = node.func.id in ("setattr", "delattr", "vars") and bool(node.args)
            if touches and names_a_game(node.args[0]):
                found.append(ast.unparse(node))
        if isinstance(node, ast.Attribute) and node.attr in ("__dict__", "__setattr__") and names_a_game(node.value):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", OUTSIDE, ids=lambda file: str(file.relative_to(ENGINE)))
def test_no_module_outside_the_step_writes_to_a_game(file: Path) -> None:
    assert writes(ast.parse(file.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        "game.feed = other",
        "self.game.feed, x = a, b",
        "for experiment.game.seed in seeds: pass",
        "vars(game)['progress'] = 1",
        "setattr(self.game, 'feed', other)",
        "game.scalars['loss'] = 1",
        "game.host.streams += 1",
        "with open(x) as game.file: pass",
        "game.__dict__.update(a)",
        "del game.feed",
    ],
)
def test_a_write_is_found(code: str) -> None:
    assert writes(ast.parse(code))


def test_an_environment_is_frozen(experiment: Any) -> None:
    game: Game = experiment().game
    assert isinstance(game.environment, StepEnvironment)
    with pytest.raises(AttributeError, match="cannot assign"):
        game.environment.seed = 3  # type: ignore[misc]


def test_a_batch_that_no_loss_reads_is_not_drawn(experiment: Any) -> None:
    """The generator's own round under a loss that reads fakes alone; a relativistic loss reads real samples too."""
    for loss, drawn in (("hinge", 1), ("rpgan", 2)):
        made = experiment(loss=loss, schedule="alternating")
        made.game.begin(0, 0.0)
        made.run.parts.schedule.step(made.game)
        assert made.run.state.counters.draws == drawn
        made.game.close()


def test_a_discriminators_round_draws_its_batch_at_once(experiment: Any) -> None:
    game = experiment().game
    game.begin(0, 0.0)
    s = game.round("discriminator")
    assert game.state.counters.draws == 1
    assert torch.equal(s.real_images, game.environment.feed.reals(0).images)
    game.close()
