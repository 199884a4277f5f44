"""The checks of regularizers.

The checks play rounds of a small GAN with the regularizer attached, without the training loop.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ganzoo import parts, words
from ganzoo.parts import PLAYERS, Networks, Player, Scores, Spec
from ganzoo.parts.regularizer import METHODS
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
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

_SPEC = Spec(
    shape=(3, 8, 8),
    latent_dim=8,
    classes=2,
    outputs={"features": [(1,)], "class_logits": [(2,)], "reconstructions": [(1,)], "originals": [(1,)]},
)
"""The spec of the small GAN: the shapes that `make_scores` draws, and the outputs that `_Round` makes."""


class _Round:
    """Rounds of a small smooth GAN in float64 with a regularizer, played without the training loop.

    Args:
        part: the regularizer.
        linear: use a linear discriminator, whose gradient in the images is constant.
    """

    def __init__(self, part: parts.Regularizer, *, linear: bool = False) -> None:
        """Build the networks with a fixed seed, and prepare the regularizer."""
        torch.manual_seed(0)
        # Tanh and Softplus have second derivatives everywhere, which finite differences of a gradient need.
        judge = (
            [nn.Flatten(), nn.Linear(192, 1)]
            if linear
            else [
                nn.Conv2d(3, 4, 3, stride=2, padding=1),
                nn.Tanh(),
                nn.Conv2d(4, 4, 3, stride=2, padding=1),
                nn.Softplus(),
                nn.Flatten(),
                nn.Linear(16, 1),
            ]
        )
        make = nn.Sequential(nn.Linear(8, 192), nn.Tanh(), nn.Unflatten(1, (3, 8, 8)))
        self.networks = Networks(make.double(), nn.Sequential(*judge, nn.Flatten(0)).double())
        bound = words.bind(part)
        self.part = bound.part
        module = self.part.prepare(self.networks, _SPEC)
        bound.values["module"] = module.double() if isinstance(module, nn.Module) else module

    def judge(self, images: Tensor, s: Scores) -> Tensor:
        """The scores of images, (N,), after the regularizer's images()."""
        logits: Tensor = self.networks.discriminator(self.part.images(images, s))
        return logits

    def output(self, logits: Tensor) -> dict[str, Any]:
        """The whole output of the discriminator, made of its logits."""
        return {
            "logits": logits,
            "features": [logits[:, None]],
            "class_logits": torch.stack([logits, -logits], 1),
            "reconstructions": [logits[:, None]],
            "originals": [logits[:, None].detach() + 1.0],
        }

    def scores(self, generator_learns: bool = True, rows: Tensor | None = None) -> Scores:
        """The scores of a round, of the samples with the numbers ``rows``."""
        rows = torch.arange(6) if rows is None else rows
        zeros = torch.zeros(len(rows), dtype=torch.float64)
        s = make_scores(
            zeros,
            zeros,
            rows,
            judge=lambda images, s, fake, as_is: self.judge(images, s),
            judge_all=lambda images, s, fake, as_is: self.output(self.judge(images, s)),
            generator=self.networks.generator,
        )
        if "styles" in self.part.needs_grad_of and generator_learns:
            s.latent.requires_grad_()
        with torch.set_grad_enabled(generator_learns):
            s.fake_images = self.networks.generator(s.latent)
        # Images require a gradient only where the regularizer declares the need, as in a training run.
        if "real" in self.part.needs_grad_of:
            s.real_images.requires_grad_()
        if "fake" in self.part.needs_grad_of and not generator_learns:
            s.fake_images.requires_grad_()
        s.real, s.fake = s.judge(s.real_images), s.judge(s.fake_images)
        s.real_output, s.fake_output = self.output(s.real), self.output(s.fake)
        s.real_target, s.fake_target = self.part.targets(s, 1.0, 0.0)
        return s

    def penalty(self, player: Player, seed: int = 0, **how: Any) -> Tensor:
        """The player's penalty in a round, after observe()."""
        torch.manual_seed(seed)
        s = self.scores(**how)
        with torch.no_grad():
            self.part.observe(player, s)
        value: Tensor = getattr(self.part, f"{player}_penalty")(s)
        return value

    def learners(self, player: Player) -> list[nn.Parameter]:
        """The player's parameters, and the parameters of a module that the player trains."""
        own = list(getattr(self.networks, player).parameters())
        if isinstance(self.part.module, nn.Module) and self.part.trained_by == player:
            own += self.part.module.parameters()
        return own

    def gradient(self, player: Player, **how: Any) -> list[Tensor | None]:
        """The gradient of the player's penalty in ``learners``, with None where the penalty does not depend."""
        value = self.penalty(player, **how)
        if not value.requires_grad:
            return [None]
        return list(torch.autograd.grad(value, self.learners(player), allow_unused=True))


def _penalties(part: parts.Regularizer) -> list[Player]:
    """The players that pay a penalty of the regularizer."""
    return [player for player in PLAYERS if part.defines(f"{player}_penalty") and player in part.paid_by]


@asks("regularizer")
def _does_something(part: parts.Regularizer) -> None:
    """The regularizer defines at least one method of the contract, and the facts of the class have valid values."""
    require(any(part.defines(hook) for hook in METHODS), f"it defines none of {', '.join(METHODS)}")
    watched = set(part.needs_grad_of)
    require(
        watched <= {"real", "fake", "styles"}, f"needs_grad_of is {watched}: it holds 'real', 'fake' and 'styles' only"
    )
    require(
        set(part.paid_by) <= {*PLAYERS},
        f"paid_by is {set(part.paid_by)}: it holds 'discriminator' and 'generator' only",
    )
    require(part.trained_by in PLAYERS, f"trained_by is {part.trained_by!r}: it is 'discriminator' or 'generator'")
    flags = part.per_sample_gradients, part.constrains_discriminator
    require(all(isinstance(flag, bool) for flag in flags), "per_sample and constrains are True or False")


@asks("regularizer")
def _penalty_is_a_finite_scalar(part: parts.Regularizer) -> None:
    """The penalty of each player that pays is a finite 0-dimensional tensor."""
    for player in _penalties(part):
        value = _Round(part).penalty(player)
        require(value.shape == (), f"the {player}'s penalty has shape {tuple(value.shape)}, not (): take the mean")
        require(all_finite([value]), f"the {player}'s penalty is {as_text(value)}")


@asks("regularizer")
def _penalty_teaches_its_player(part: parts.Regularizer) -> None:
    """A gradient of the penalty, finite and not zero, reaches the weights of the player that pays.

    The networks are small. Where the gradient is zero, the weights of the discriminator are multiplied by 5, because a
    penalty may be one-sided. A gradient penalty needs ``torch.autograd.grad(..., create_graph=True)``.
    """
    for player in _penalties(part):
        game = _Round(part)
        slopes = game.gradient(player)
        reached = any(g is not None and g.any() for g in slopes)
        if not reached:
            with torch.no_grad():
                for p in game.networks.discriminator.parameters():
                    p.mul_(5.0)
            slopes = game.gradient(player)
            reached = any(g is not None and g.any() for g in slopes)
        require(reached, f"no gradient of the {player}'s penalty reaches it: was create_graph=True left out?")
        require(all_finite(slopes), f"the gradient of the {player}'s penalty is not finite")


@asks("regularizer")
def _penalty_needs_no_graph_of_the_generator(part: parts.Regularizer) -> None:
    """The discriminator's penalty has an equal gradient on fakes without a graph of the generator.

    Fakes carry no such graph when the discriminator alone is updated.
    """
    if "discriminator" in _penalties(part):
        with_, without = (_Round(part).gradient("discriminator", generator_learns=learns) for learns in (True, False))
        for a, b in zip(with_, without, strict=True):
            same = a is b if a is None or b is None else is_close(a, b)
            require(same, "the discriminator's penalty differs when the fakes carry no gradient")


@asks("regularizer")
def _penalty_survives_a_flat_discriminator(part: parts.Regularizer) -> None:
    """Penalty and gradient are finite where the discriminator is constant: the derivative of sqrt at 0 is infinite."""
    for player in _penalties(part):
        game = _Round(part)
        if any(is_parametrized(m) for m in game.networks.discriminator.modules()):
            return  # The weights of a parametrization such as spectral normalization cannot all be 0.
        for p in game.networks.discriminator.parameters():
            nn.init.zeros_(p)
        if not all_finite([game.penalty(player), *game.gradient(player)]):
            fail(f"the {player}'s penalty or its slope is not finite at a constant discriminator: 1e-12 into the root")


@asks("regularizer")
def _penalty_is_a_mean_over_the_batch(part: parts.Regularizer) -> None:
    """A batch that holds each sample twice has the penalty of the batch, on a linear discriminator.

    The gradient of a linear discriminator is constant, so that random points between samples do not matter.
    A penalty that is random there has no such law and is not asked.
    """
    for player in _penalties(part):
        game = _Round(part, linear=True)
        once, again = game.penalty(player), game.penalty(player, seed=1)
        if is_close(once, again):
            twice = game.penalty(player, rows=torch.tensor([0, 1, 2, 3, 4, 5] * 2))
            said = f"{as_text(twice)} for the batch twice over, {as_text(once)} for the batch"
            require(is_close(twice, once), f"the {player}'s penalty is {said}: is it a sum? take the mean")


@asks("regularizer")
def _second_derivatives_are_right(part: parts.Regularizer) -> None:
    """The gradient of a gradient penalty agrees with finite differences along a random direction of the weights."""
    if not (part.needs_grad_of or part.per_sample_gradients):
        return
    for player in _penalties(part):
        game = _Round(part)
        weights = game.learners(player)
        slopes = game.gradient(player)
        generator = torch.Generator().manual_seed(2)
        way = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in weights]
        told = sum(float((g * v).sum()) for g, v in zip(slopes, way, strict=False) if g is not None)
        values = []
        for h in (1e-6, -2e-6):  # A step forward from w, then two steps back: values at w + h and at w - h.
            with torch.no_grad():
                for p, v in zip(weights, way, strict=True):
                    p.add_(v, alpha=h)
            values.append(float(game.penalty(player).detach()))
        found = (values[0] - values[1]) / 2e-6
        same = math.isclose(told, found, rel_tol=1e-4, abs_tol=1e-6)
        require(same, f"the {player}'s penalty has slope {found:g} where its gradient says {told:g}: part is detached")


@asks("regularizer")
def _penalty_leaves_no_trace(part: parts.Regularizer) -> None:
    """A penalty fills no ``.grad`` and changes no weight and no image: the game computes the gradients."""
    for player in _penalties(part):
        game = _Round(part)
        weights = [*game.learners("discriminator"), *game.learners("generator")]
        kept = [p.detach().clone() for p in weights]
        s = game.scores()
        images = s.real_images.detach().clone(), s.fake_images.detach().clone()
        getattr(game.part, f"{player}_penalty")(s)
        require(all(p.grad is None for p in weights), f"the {player}'s penalty fills .grad: use torch.autograd.grad")
        require(s.real_images.grad is None, f"the {player}'s penalty fills the images' .grad: use torch.autograd.grad")
        require(all(p.equal(k) for p, k in zip(weights, kept, strict=True)), f"the {player}'s penalty changes weights")
        same = s.real_images.equal(images[0]) and s.fake_images.equal(images[1])
        require(same, f"the {player}'s penalty changes images in place")


@asks("regularizer")
def _reals_stay_reals(part: parts.Regularizer) -> None:
    """reals() keeps names, shapes and dtypes, makes finite samples without a gradient, and leaves its input unchanged.

    The fakes of the round carry a graph to the generator, as in a round that the generator learns from.
    """
    if not part.defines("reals"):
        return
    game = _Round(part)
    for labelled in (True, False):
        s = game.scores()
        if not labelled:
            s.fake_labels = None
        given = parts.Batch(images=s.real_images.detach(), labels=s.labels if labelled else None)
        kept = {name: value.clone() for name, value in given.items()}
        with torch.no_grad():
            made = game.part.reals(given, s)
        was = {name: (value.shape, value.dtype) for name, value in given.items()}
        found = {name: (value.shape, value.dtype) for name, value in made.items()}
        require(found == was, f"reals() makes {found} of {was}")
        require(all_finite([made.images]), "reals() makes numbers that are not finite")
        require(not made.images.requires_grad, "reals() makes samples with a gradient: detach the fakes")
        require(all(kept[name].equal(value) for name, value in given.items()), "reals() changes its input in place")


@asks("regularizer")
def _images_stay_images(part: parts.Regularizer) -> None:
    """images() keeps shape, dtype and device, passes gradients on, and leaves the given images unchanged."""
    if not part.defines("images"):
        return
    game = _Round(part)
    s = make_scores(*make_tensors())
    for device in available_devices():
        for dtype in (torch.float32, torch.float64):
            given = s.real_images.detach().to(device, dtype)
            x = given.clone().requires_grad_()
            seen = game.part.images(x * 1, s)  # torch forbids changes in place of a leaf, and allows those of x * 1.
            was = f"{tuple(x.shape)} {dtype} on {device}"
            found = f"{tuple(seen.shape)} {seen.dtype} on {seen.device.type}"
            require(found == was, f"images() makes {found} of {was}")
            require(all_finite([seen]), "images() makes numbers that are not finite")
            slope = torch.autograd.grad(seen.sum(), x, allow_unused=True)[0] if seen.requires_grad else None
            alive = slope is not None and slope.any()
            require(alive, "images() lets no gradient through: the generator learns nothing")
            y = given.clone()
            game.part.images(y, s)
            require(y.equal(given), "images() changes its input in place")


@asks("regularizer")
def _is_random_only_by_the_seed(part: parts.Regularizer) -> None:
    """Penalties and images() are functions of the input and of torch's seed."""
    for player in _penalties(part):
        first, second = _Round(part).penalty(player), _Round(part).penalty(player)
        require(first.equal(second), f"the {player}'s penalty differs under one torch.manual_seed")
    if part.defines("images"):
        first, second = _Round(part).scores().real, _Round(part).scores().real
        require(first.equal(second), "images() differs under one torch.manual_seed")


@asks("regularizer")
def _targets_are_targets(part: parts.Regularizer) -> None:
    """targets() gives a number or a tensor (N,) for real and for fake samples, finite and without a gradient."""
    if not part.defines("targets"):
        return
    s = _Round(part).scores()
    moved = part.targets(s, 1.0, 0.0)
    require(isinstance(moved, tuple) and len(moved) == 2, "targets() does not give a pair: real and fake")
    for side, target in zip(("real", "fake"), moved, strict=True):
        require(isinstance(target, (int, float, Tensor)), f"the {side} target is a {type(target).__name__}")
        t = torch.as_tensor(target)
        require(t.shape in ((), s.real.shape), f"the {side} target has shape {tuple(t.shape)}, not () or (N,)")
        require(all_finite([t]) and not t.requires_grad, f"the {side} target is not finite, or carries a gradient")


@asks("regularizer")
def _joint_penalty_is_a_finite_scalar(part: parts.Regularizer) -> None:
    """joint_penalty() is finite, 0-dimensional, and differentiable in each gradient of both players."""
    if not part.defines("joint_penalty"):
        return
    for size in (0.0, 1.0):
        given: dict[Player, list[Tensor]] = {
            player: [(size * torch.randn(shape)).requires_grad_() for shape in ((3, 2), (4,))] for player in PLAYERS
        }
        value = part.joint_penalty(given)
        require(value.shape == (), f"joint_penalty() has shape {tuple(value.shape)}, not ()")
        slopes = torch.autograd.grad(value, [g for each in given.values() for g in each], allow_unused=True)
        require(all_finite([value, *slopes]), "joint_penalty() or its slope is not finite")
        alive = size == 0 or all(g is not None and g.any() for g in slopes)
        require(alive, "joint_penalty() does not depend on each gradient that it is given")


@asks("regularizer")
def _rows_are_rows(part: parts.Regularizer) -> None:
    """select_samples() gives the numbers of at least one sample of the round, each number once."""
    if part.defines("select_samples"):
        s = _Round(part).scores()
        rows = part.select_samples(s)
        require(rows.ndim == 1 and rows.dtype == torch.long, f"select_samples() gives {tuple(rows.shape)} {rows.dtype}")
        found = rows.tolist()
        whole = found and len({*found}) == len(found) and {*found} <= {*range(len(s.fake))}
        require(
            whole, f"select_samples() gives {found} for {len(s.fake)} samples: numbers from 0, each once, one at least"
        )


@asks("regularizer")
def _gradients_stay_gradients(part: parts.Regularizer) -> None:
    """modify_gradients() keeps number, shapes and dtypes, is finite at zero, and leaves the input unchanged."""
    if not part.defines("modify_gradients"):
        return
    for player in PLAYERS:
        for size in (0.0, 1e-3, 1e3):
            given = [size * torch.randn(shape, dtype=torch.float64) for shape in ((3, 2), (4,))]
            kept = [g.clone() for g in given]
            made = part.modify_gradients(player, given)
            same = [(g.shape, g.dtype) for g in made] == [(g.shape, g.dtype) for g in given]
            require(same, f"modify_gradients({player!r}) gives others than the parameters have")
            require(all_finite(made), f"modify_gradients({player!r}) are not finite")
            require(all(g.equal(k) for g, k in zip(given, kept, strict=True)), "gradients() are changed in place")


@asks("regularizer")
def _reports_scalars(part: parts.Regularizer) -> None:
    """report() gives finite 0-dimensional tensors by name, after a round."""
    if part.defines("report"):
        game = _Round(part)
        game.scores()
        for name, value in game.part.report().items():
            require(isinstance(value, Tensor) and value.shape == (), f"report() gives no scalar tensor for {name}")
            require(all_finite([value]), f"report() gives {as_text(value)} for {name}")


@asks("regularizer")
def _after_update_keeps_to_the_player(part: parts.Regularizer) -> None:
    """after_update() keeps the shapes and dtypes of the player's weights, and does not change the other player."""
    if not part.defines("after_update"):
        return
    for player, other in (PLAYERS, PLAYERS[::-1]):
        game = _Round(part)
        module, bystander = getattr(game.networks, player), getattr(game.networks, other)
        kept = copy.deepcopy(bystander.state_dict())
        before = {name: (p.shape, p.dtype, p.requires_grad) for name, p in module.named_parameters()}
        with torch.no_grad():
            game.part.after_update(player, module)
        after = {name: (p.shape, p.dtype, p.requires_grad) for name, p in module.named_parameters()}
        require(after == before, f"after_update() changes what parameters the {player} has")
        same = all(v.equal(kept[k]) for k, v in bystander.state_dict().items())
        require(same, f"after_update({player!r}) changes the {other}")
        s = game.scores()
        require(all_finite([s.real, s.fake]), f"scores are not finite after after_update({player!r})")


@asks("regularizer")
def _keeps_its_state_in_its_module(part: parts.Regularizer) -> None:
    """State that a round changes is in the module that prepare() returns: an attribute is lost on resume.

    The first round may compute constants. The second round must not change any attribute outside the module. A part
    that loads the state of another part, with the networks, continues with equal results.
    """

    def play(game: _Round, seed: int) -> list[Tensor]:
        """Scores, targets and penalties of a round with a seed."""
        torch.manual_seed(seed)
        s = game.scores()
        told = [s.real, s.fake, *map(torch.as_tensor, (s.real_target, s.fake_target))]
        for player in PLAYERS:
            with torch.no_grad():
                game.part.observe(player, s)
            if player in _penalties(part):
                told.append(game.penalty(player, seed))
            with torch.no_grad():
                game.part.after_update(player, getattr(game.networks, player))
        return told

    game, again = _Round(part), _Round(part)
    play(game, 1)
    before = remembered_state(game.part)
    play(game, 2)
    require_same_state(before, remembered_state(game.part), "keep it in a buffer of the module that prepare returns")
    for mine, theirs in zip((*again.networks, again.part.module), (*game.networks, game.part.module), strict=True):
        if isinstance(mine, nn.Module):
            mine.load_state_dict(theirs.state_dict())
    for seed in (3, 4):
        for a, b in zip(play(game, seed), play(again, seed), strict=True):
            told = "what it changes is not all in the state_dict of the nets, or of the module that prepare returns"
            require(a.equal(b), f"a part that was stopped and loaded does not go on as if it had not been: {told}")


@asks("regularizer")
def _prepared_nets_work(part: parts.Regularizer) -> None:
    """After prepare() both networks run and learn, and networks that load the state_dict give equal scores."""
    if not part.defines("prepare"):
        return
    game = _Round(part)
    for _ in range(3):  # Estimates such as the power iteration of spectral normalization change in each round.
        s = game.scores()
    require(all_finite([s.real, s.fake]), "scores are not finite after prepare()")
    for player, net in game.networks._asdict().items():
        slopes = torch.autograd.grad(s.fake.sum(), list(net.parameters()), allow_unused=True, retain_graph=True)
        require(any(g is not None and g.any() for g in slopes), f"after prepare() no gradient reaches the {player}")
    again = _Round(part)
    for module in (*game.networks, *again.networks):
        module.eval()
    for mine, theirs in zip(again.networks, game.networks, strict=True):
        mine.load_state_dict(theirs.state_dict())
    torch.manual_seed(0)
    first = game.scores()
    torch.manual_seed(0)
    second = again.scores()
    require(is_close(first.fake, second.fake), "prepared nets that were loaded from a state_dict score otherwise")
