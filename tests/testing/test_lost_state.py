"""Parts that keep state where no checkpoint looks fail the exam."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest
import torch
from right_parts import Good, Nets
from torch import nn

import ganzoo
from ganzoo.testing import checks_for

CALLS = [0]


class Growing(Good):
    """A loss that counts its calls where nobody looks, and grows with them now and then."""

    def generator(self, s):
        CALLS[0] += 1
        return super().generator(s) * (1 + CALLS[0] // 5)


class Shared(Good):
    """A loss whose class counts, and does nothing with it yet."""

    calls: ClassVar[list[int]] = [0]

    def generator(self, s):
        self.calls[0] += 1
        return super().generator(s)


class Averaging(Good):
    """A loss that compares with the scores of before, which it keeps in a module of its own making."""

    def __post_init__(self):
        vars(self)["before"] = nn.BatchNorm1d(1, affine=False).double()

    def discriminator(self, s):
        if s.real.dtype == torch.float64:
            self.before(s.real.detach()[:, None])
        return super().discriminator(s) + 0.1 * self.before.running_mean.mean().to(s.real)


class Counting(Good):
    """A loss that counts and does nothing with it yet."""

    def discriminator(self, s):
        vars(self)["calls"] = getattr(self, "calls", 0) + 1
        return super().discriminator(s)


class Dicing(Good):
    """A loss with a random stream of its own."""

    def __post_init__(self):
        vars(self)["stream"] = torch.Generator().manual_seed(0)

    def generator(self, s):
        torch.rand(1, generator=self.stream)
        return super().generator(s)


class Turns(ganzoo.Schedule):
    """A schedule that counts its steps itself."""

    def step(self, game):
        vars(self)["count"] = getattr(self, "count", 0) + 1
        for _ in range(1 + self.count % 2):
            game.update(discriminator=game.discriminator_loss(game.round("discriminator")))
        game.update(generator=game.generator_loss(game.round()))


class HiddenTurns(ganzoo.Schedule):
    """A schedule whose count is in its module, and no buffer of it."""

    def prepare(self, networks, spec):
        module = nn.Module()
        module.count = 0
        return module

    def step(self, game):
        self.module.count += 1
        s = game.round()
        factor = 2.0 if self.module.count % 5 == 0 else 1.0
        game.update(discriminator=factor * game.discriminator_loss(s), generator=game.generator_loss(s))


class KeptTurns(HiddenTurns):
    """A schedule that keeps its count as it should."""

    def prepare(self, networks, spec):
        module = nn.Module()
        module.register_buffer("count", torch.zeros((), dtype=torch.long))
        return module


class Statistic(nn.Module):
    """A running mean of what passes, subtracted; kept in one way or another."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept
        if kept == "attribute":
            self.mean = torch.zeros(())
        elif kept == "number":
            self.calls = 0
        else:
            self.register_buffer("mean", torch.zeros(()), persistent=kept == "buffer")

    def forward(self, x):
        if self.kept == "number":
            self.calls += self.training
            return x
        if self.training:
            self.mean = self.mean.lerp(x.detach().mean().to(self.mean), 0.1)
        return x - self.mean.to(x)


class Remembering(Nets):
    """Nets with a running mean.

    Args:
        kept: how.
        player: whose.
    """

    kept: Literal["attribute", "number", "transient", "buffer"] = "buffer"
    player: Literal["generator", "discriminator"] = "generator"

    def generator(self, spec):
        net = super().generator(spec)
        return self._with_mean(net) if self.player == "generator" else net

    def discriminator(self, spec):
        net = super().discriminator(spec)
        return self._with_mean(net) if self.player == "discriminator" else net

    def _with_mean(self, net):
        for name, module in net.named_modules():
            if isinstance(module, nn.Linear):
                where, last = net.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
                where._modules[last] = nn.Sequential(module, Statistic(self.kept))
                break
        return net


class HiddenStatistic(ganzoo.Regularizer):
    """A part that leaves a mean with the discriminator, where no checkpoint looks."""

    def prepare(self, networks, spec):
        networks.discriminator.append(Statistic("transient"))


class Comparing(ganzoo.Metric):
    """A metric that tells how much better this is than the last time."""

    samples: ClassVar[int] = 100
    figures: ClassVar[dict[str, bool]] = {"near": True}
    last: ClassVar[dict[str, float]] = {}

    def score(self, real, fake, data):
        far = float((real.mean() - fake.mean()).abs() + (real.std() - fake.std()).abs())
        self.last["far"] = far
        return {"near": -far}


class Drifting(Comparing):
    """A metric whose figures follow those of before."""

    def score(self, real, fake, data):
        memory = data.__dict__  # where nobody looks
        far = float((real.mean() - fake.mean()).abs() + (real.std() - fake.std()).abs())
        memory["worst"] = max(far, memory.get("worst", 0.0))
        return {"near": -far, "worst": -memory["worst"]}


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (Growing, "remembers_nothing", "generator's loss of one round is .* at first, and .* after a dozen others"),
        (Shared, "remembers_nothing", "Shared.calls changes from round to round, and is not saved"),
        (Averaging, "remembers_nothing", "discriminator's loss of one round is .* at first, and .* after"),
        (Counting, "remembers_nothing", "calls changes from round to round"),
        (Dicing, "remembers_nothing", "stream changes from round to round"),
        (Turns, "goes_on_where_it_stopped", "count changes from round to round, .* count by game.step_number"),
        (HiddenTurns, "goes_on_where_it_stopped", "does not go on as if it had not been"),
        (Remembering(kept="attribute"), "keeps_its_state_in_its_nets", "nets that were stopped and loaded do not go"),
        (Remembering(kept="transient"), "keeps_its_state_in_its_nets", "must be a buffer, and a persistent one"),
        (Remembering(kept="attribute", player="discriminator"), "keeps_its_state_in_its_nets", "that were stopped and"),
        (Remembering(kept="number"), "keeps_its_state_in_its_nets", "generator Statistic.calls changes"),
        (HiddenStatistic, "keeps_its_state_in_its_module", "not all in the state_dict of the nets"),
        (Comparing, "scores_without_memory", r"Comparing.last changes from round to round"),
        (Drifting, "scores_without_memory", "figures were .* once others were scored"),
    ],
)
def test_state_that_resume_would_lose_is_found(part, check, message):
    with pytest.raises(AssertionError, match=message):
        asked(part, check)


def asked(part, name):
    """That check alone: what changes from call to call fails others too."""
    (check,) = (check for check in checks_for(part.kind) if check.name == name)
    check(part() if isinstance(part, type) else part)


@pytest.mark.parametrize(
    ("part", "check"),
    [
        (Good, "remembers_nothing"),
        (KeptTurns, "goes_on_where_it_stopped"),
        (Remembering(), "keeps_its_state_in_its_nets"),
        (Remembering(player="discriminator"), "keeps_its_state_in_its_nets"),
    ],
)
def test_state_that_is_kept_passes(part, check):
    asked(part, check)
