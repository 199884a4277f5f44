"""What surrounds a step: a state that is put back, a step that broke off, penalties left out, images judged as seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.utils import parametrize

from ganzoo import errors
from ganzoo.recipe.assemble import Experiment
from ganzoo.step.build import build_game
from ganzoo.step.gradients import moved

Make = Callable[..., Experiment]


def saved(made: Experiment) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Any]]:
    return {group: dict(tensors) for group, tensors in made.run.state.copies().items()}, made.run.state.numbers()


@pytest.mark.parametrize("group", ["generator", "ema"])
def test_samples_are_made_by_whole_networks_alone(experiment: Make, group: str) -> None:
    made = experiment(ema=0.9)
    tensors, numbers = saved(made)
    tensors[group].popitem()
    with pytest.raises(errors.CheckpointError, match=group):
        made.run.state.load_to_sample(tensors, numbers)


def test_a_discriminator_that_does_not_fit_is_told_and_samples_are_made(experiment: Make) -> None:
    made = experiment()
    tensors, numbers = saved(made)
    tensors["discriminator"].popitem()
    failed = made.run.state.load_to_sample(tensors, numbers)
    assert list(failed) == ["discriminator"]


def test_a_counter_in_a_buffer_moves_by_whole_numbers() -> None:
    """The mean of changes of 1 in three processes is 0.9999 in float32, and the counter grows by 1."""
    assert moved(torch.tensor(5), torch.tensor(0.9999)).tolist() == 6
    assert moved(torch.tensor(5.0), torch.tensor(0.25)).tolist() == 5.25


def test_a_game_without_penalties_pays_none(experiment: Make) -> None:
    game = experiment(regularizers=["r1", "consensus"]).game
    bare = build_game(game.parts, replace(game.environment, with_penalties=False))
    assert all(game.penalties.values())
    assert not any(bare.penalties.values())
    assert not bare.with_hook["joint_penalty"]
    bare.close()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_that_broke_off_leaves_nothing_behind(experiment: Make, accumulate: int) -> None:
    """The cache of spectral norm, a switch of the process, is off, and the next step does not compute old losses."""
    made = experiment(regularizers=["sn"], accumulate=accumulate)
    game, passes = made.game, []
    made.run.discriminator.register_forward_hook(lambda *_: passes.append(1))

    def step() -> int:
        passes.clear()
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s))
        return len(passes)

    whole = step()
    game.discriminator_loss(game.round())  # and here the step breaks off
    game.parametrizations.open("discriminator")
    game.close()
    assert not parametrize._cache_enabled
    assert step() == whole


def test_micro_batches_serve_a_round_that_both_players_learn_from(experiment: Make) -> None:
    """The loss of either player has no part of the other's: such a factor is none, and no error."""
    whole, cut = (experiment(accumulate=count, arch="mlp:width=8", precision="fp32").game for count in (1, 2))
    for game in (whole, cut):
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s))
    for player in ("discriminator", "generator"):
        assert whole.state.counters.updates[player] == cut.state.counters.updates[player] == 1


def test_patches_are_refused_where_one_backward_pass_serves_both_players(experiment: Make) -> None:
    game = experiment(
        arch="dcgan:width=4", d_arch="patch:d_width=4,d_layers=1", data="digits:size=16", loss="hinge-linear"
    ).game
    s = game.round()
    with pytest.raises(errors.Incompatible, match="scores patches"):
        game.bare_losses(s)


def test_other_images_are_judged_as_the_discriminator_sees_images(experiment: Make) -> None:
    made = experiment(regularizers=["instance-noise:sigma=0.5"], precision="fp32")
    s, seen = made.game.round(), []
    made.run.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = torch.zeros(8, 1, 8, 8)
    s.judge(images)
    assert seen[-1].std() > 0.3
    s.judge(images, as_is=True)
    assert torch.equal(seen[-1], images)
