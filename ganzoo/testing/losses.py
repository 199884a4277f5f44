"""The checks of losses.

Most checks call a loss with scores that are made by hand. A loss that reads other values than scores, with
``reads_scores = False``, is left out of the checks that need a formula of the scores.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

from ganzoo import parts, words
from ganzoo.parts import PLAYERS, Player, Scores
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    FAKE_SCORES,
    REAL_SCORES,
    all_finite,
    as_text,
    available_devices,
    fail,
    is_close,
    make_scores,
    make_tensors,
    remembered_state,
    require,
    require_same_state,
)

_LESSONS: tuple[tuple[Player, str], ...] = (("discriminator", "real"), ("discriminator", "fake"), ("generator", "fake"))
"""A player, and the scores that the player learns from."""


def _of_scores(ask: Callable[[parts.Loss], None]) -> Callable[[parts.Loss], None]:
    """Limit a check to losses that are a formula of the scores."""

    @wraps(ask)
    def asked(loss: parts.Loss) -> None:
        if loss.reads_scores:
            ask(loss)

    return asked


def _both(loss: parts.Loss, s: Scores) -> dict[Player, Tensor]:
    """The losses of both players, with a fixed seed."""
    torch.manual_seed(0)
    for side in loss.needs_grad_of:  # The loss differentiates scores in images: a gradient of zero.
        images = getattr(s, f"{side}_images").requires_grad_()
        setattr(s, side, getattr(s, side) + 0 * images.sum())
    return {"discriminator": loss.discriminator(s), "generator": loss.generator(s)}


@asks("loss")
@_of_scores
def _is_a_finite_scalar(loss: parts.Loss) -> None:
    """Both losses are 0-dimensional and finite, with finite gradients, at scores from -50 to 50."""
    for extreme in (1.0, 50.0):
        real, fake = make_tensors(*(extreme * torch.cartesian_prod(t := torch.tensor([-1.0, 0.0, 1.0]), t).T))
        for player, value in _both(loss, make_scores(real, fake)).items():
            require(isinstance(value, Tensor), f"the {player}'s loss is a {type(value).__name__}, not a tensor")
            require(value.shape == (), f"the {player}'s loss has shape {tuple(value.shape)}, not (): take the mean")
            require(value.requires_grad, f"the {player}'s loss carries no gradient")
            slopes = torch.autograd.grad(value, (real, fake), allow_unused=True, retain_graph=True)
            require(all_finite([value, *slopes]), f"the {player}'s loss or its gradient is not finite at +-{extreme:g}")


@asks("loss")
def _keeps_dtype_and_device(loss: parts.Loss) -> None:
    """A loss has the dtype and the device of the scores: float64, float32 and bfloat16."""
    for device in available_devices():
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            for player, value in _both(loss, make_scores(*make_tensors(dtype=dtype, device=device))).items():
                found = f"{value.dtype} on {value.device.type}"
                require(found == f"{dtype} on {device}", f"the {player}'s loss of {dtype} on {device} is {found}")


@asks("loss")
@_of_scores
def _gradients_flow(loss: parts.Loss) -> None:
    """The discriminator's loss has a gradient in real and fake scores, the generator's loss in fake scores.

    The usual cause of a failure is a call of ``detach``.
    """
    real, fake = make_tensors()
    values = _both(loss, make_scores(real, fake))
    for player, side in _LESSONS:
        scores = real if side == "real" else fake
        (slope,) = torch.autograd.grad(values[player], scores, allow_unused=True, retain_graph=True)
        require(slope is not None and slope.any(), f"no gradient of the {player}'s loss reaches the {side} scores")


@asks("loss")
@_of_scores
def _pulls_the_right_way(loss: parts.Loss) -> None:
    """A high score means real: a player's loss falls when wrong scores move in the right direction.

    Scores that are wrong by 2 move to wrong by 1.5. The step is so short that the check also holds for LSGAN's targets.
    """
    for player, side in _LESSONS:
        right = 1.0 if (player, side) != ("discriminator", "fake") else -1.0  # G raises scores of fakes, D lowers.
        values = []
        for wrong in (2.0, 1.5):
            scores = {"real": [0.0] * 4, "fake": [0.0] * 4, side: [-right * wrong] * 4}
            values.append(float(_both(loss, make_scores(*make_tensors(**scores)))[player].detach()))
        told = f"{side} scores that come half a step right take the {player}'s loss from {values[0]:g} to {values[1]:g}"
        require(values[1] < values[0], f"{told}: is a sign flipped?")


@asks("loss")
@_of_scores
def _learns_where_it_is_wrong(loss: parts.Loss) -> None:
    """The gradient does not vanish at scores that are wrong by 50, unless the loss declares ``saturates = True``.

    The usual cause of a failure is log(sigmoid(x) + eps). The value -softplus(-x) is log(sigmoid(x)) without the eps.
    """
    if getattr(loss, "saturates", False):
        return
    for player, side in _LESSONS:
        wrong = -50.0 if (player, side) != ("discriminator", "fake") else 50.0
        given = dict(zip(("real", "fake"), make_tensors([0.0] * 4, [0.0] * 4), strict=True))
        given[side] = torch.full((4,), wrong, dtype=torch.float64, requires_grad=True)
        value = _both(loss, make_scores(**given))[player]
        (slope,) = torch.autograd.grad(value, given[side], allow_unused=True)
        strength = 0.0 if slope is None else float(slope.abs().sum())
        told = f"the {player}'s gradient is {strength:.1e} at {side} scores of {wrong:g}"
        require(strength > 1e-3, f"{told}: it cannot learn where it is most wrong (or say saturates = True)")


@asks("loss")
def _is_a_mean_over_the_batch(loss: parts.Loss) -> None:
    """A batch that holds each sample twice has the loss of the batch, and the order of the pairs does not matter."""
    real, fake = make_tensors(REAL_SCORES[:4], FAKE_SCORES[:4])
    whole = _both(loss, make_scores(real, fake))
    for rows, what in (
        (torch.tensor([0, 1, 2, 3] * 2), "the batch twice over: is it a sum? take the mean"),
        (torch.tensor([2, 0, 3, 1]), "the same pairs in another order"),
    ):
        for player, value in _both(loss, make_scores(real[rows], fake[rows], rows)).items():
            require(
                is_close(value, whole[player]),
                f"the {player}'s loss is {as_text(value)} in place of {as_text(whole[player])} for {what}",
            )


@asks("loss")
def _never_pairs_all_with_all(loss: parts.Loss) -> None:
    """Scores of shape (N, 1) beside (N,) are refused or treated as (N,), never broadcast to (N, N)."""
    real, fake = make_tensors()
    flat = _both(loss, make_scores(real, fake))
    for r, f in ((real[:, None], fake), (real, fake[:, None])):
        for player in PLAYERS:
            try:
                value = _both(loss, make_scores(r, f))[player]
            except Exception:
                continue  # refused
            same = value.shape == () and is_close(value, flat[player])
            require(same, f"the {player}'s loss of (N, 1) and (N,) scores is that of N x N pairs: compare the shapes")


@asks("loss")
def _leaks_no_gradient(loss: parts.Loss) -> None:
    """A loss fills no ``.grad``: the game computes each gradient, for the player that the loss belongs to."""
    real, fake = make_tensors()
    _both(loss, make_scores(real, fake))
    require(real.grad is None and fake.grad is None, "a gradient leaks: backward() reaches both players")


@asks("loss")
def _changes_nothing(loss: parts.Loss) -> None:
    """A loss leaves scores unchanged, and equal scores have an equal loss in a second call."""
    real, fake = (t.detach().clone() for t in make_tensors())
    kept = real.clone(), fake.clone()
    first, second = (_both(loss, make_scores(real, fake)) for _ in range(2))
    require(real.equal(kept[0]) and fake.equal(kept[1]), "the scores were changed in place")
    for player in PLAYERS:
        require(first[player].equal(second[player]), f"the {player}'s loss changes from one call to the next")


@asks("loss")
def _remembers_nothing(loss: parts.Loss) -> None:
    """The loss of a round does not depend on earlier rounds: a count or an average would be lost on resume."""
    part = words.bind(loss).part
    real, fake = (t.detach() for t in make_tensors())
    kept: list[dict[str, object]] = []
    first = _both(part, make_scores(real, fake))
    for i in range(12):  # Other scores, at other times of the run.
        _both(part, make_scores(real * (1 + i), fake - i, progress=i / 12))
        kept.append(remembered_state(part))
    require_same_state(kept[0], kept[-1], "a regularizer may keep it, in a buffer of the module that prepare returns")
    for player, value in _both(part, make_scores(real, fake)).items():
        told = f"{as_text(first[player])} at first, and {as_text(value)} after a dozen others"
        require(value.equal(first[player]), f"the {player}'s loss of one round is {told}: it is lost on resume")


@asks("loss")
@_of_scores
def _derivatives_are_right(loss: parts.Loss) -> None:
    """First and second derivatives agree with finite differences of the loss in float64.

    Gradient penalties need second derivatives.
    """
    for player in PLAYERS:

        def value(real: Tensor, fake: Tensor, player: Player = player) -> Tensor:
            """The player's loss as a function of the scores."""
            return _both(loss, make_scores(real, fake))[player]

        torch.autograd.gradcheck(value, make_tensors())
        torch.autograd.gradgradcheck(value, make_tensors())


@asks("loss")
def _facts_are_true(loss: parts.Loss) -> None:
    """The facts ``has_targets``, ``bounded`` and ``supports_shared_backward`` agree with the computed losses.

    ``bounded`` is not examined for a loss with ``needs_grad_of``. The gradients in the images may bound such a loss,
    and scores that are made by hand have no gradients in the images.
    """
    real, fake = make_tensors()

    def moved(real_target: Tensor | float) -> Tensor:
        """The discriminator's loss with another target of real samples."""
        return _both(loss, make_scores(real, fake, real_target=real_target))["discriminator"]

    if loss.has_targets:
        require(not is_close(moved(0.9), moved(1.0)), "has_targets, and a real target of 0.9 changes nothing")
        each = moved(torch.full_like(real, 0.9))
        require(is_close(each, moved(0.9)), "targets of 0.9, one for each sample, are not the target 0.9")
    else:
        require(moved(0.9).equal(moved(1.0)), "it reads s.real_target: declare has_targets = True")
    if loss.bounded and not loss.needs_grad_of:
        apart = _both(loss, make_scores(*make_tensors([1e4] * 4, [-1e4] * 4)))["discriminator"]
        require(apart > -1e3, f"the discriminator's loss falls to {as_text(apart)}: say bounded = False")
    if loss.supports_shared_backward:
        real, fake = make_tensors([0.3] * 8, [-19.3, -7.1, -1.7, -0.4, 0.6, 1.9, 6.7, 20.3])
        try:
            d, g = loss.discriminator(s := Scores(real=real, fake=fake)), loss.generator(s)
        except AttributeError as error:
            fail(f"supports_shared_backward, and it reads more of fakes than their scores: {error}")
        # A shared backward scales the discriminator's gradient. A gradient of zero cannot be scaled to another.
        a, c = (torch.autograd.grad(value, fake, materialize_grads=True)[0] for value in (d, g))
        flat = (a == 0) & (c != 0)
        require(
            not flat.any(),
            "supports_shared_backward, and the discriminator's loss is flat at fake scores of "
            f"{', '.join(f'{f:g}' for f in fake[flat].tolist())}, where the generator's is not",
        )
