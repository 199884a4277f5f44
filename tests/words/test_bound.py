"""Parts never change: what changes in a run stands in the values of a Bound."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.words import PartSpec, ScheduledNumber, bind, described, parameters, plain, scheduled, unbound


class Noisy(ganzoo.Regularizer):
    """A regularizer with a number that follows the run, and a module.

    Args:
        sigma: of the noise.
        power: of nothing.
    """

    sigma: float = 1.0
    power: int = 2

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        return nn.Linear(1, 1)

    def images(self, images: torch.Tensor, s: ganzoo.Scores) -> torch.Tensor:
        return images * self.sigma

    @property
    def trained_by(self) -> Any:
        return "generator" if self.power == 2 else "discriminator"


FALLING = ScheduledNumber("linear", 1.0, 0.0)


def test_what_a_run_changes_is_not_in_the_part() -> None:
    part = Noisy(sigma=FALLING)
    before = dict(vars(part))
    one, two = bind(part), bind(part)
    one.set_progress(0.25)
    one.values["module"] = nn.Linear(2, 2)
    assert (one.part.sigma, two.part.sigma, float(part.sigma)) == (0.75, 1.0, 1.0)
    assert one.part.module is one.values["module"]
    assert two.part.module is part.module is None
    assert vars(part) == before
    assert unbound(one.part) is one.frozen is part


def test_a_captured_tensor_is_read_in_place_of_a_number() -> None:
    bound = bind(Noisy(sigma=FALLING))
    bound.values["sigma"] = torch.tensor(3.0)
    assert bound.part.images(torch.tensor([2.0]), ganzoo.Scores()).tolist() == [6.0]


def test_the_part_of_a_run_is_one_of_its_class() -> None:
    bound = bind(Noisy(sigma=FALLING, power=3))
    bound.set_progress(0.5)
    assert isinstance(bound.part, Noisy)
    assert type(bound.part).__qualname__ == "Noisy"
    assert repr(bound.part) == "Noisy(every=1, sigma=0.5, power=3)"
    assert repr(bound.frozen) == "Noisy(every=1, sigma=1.0..0.0, power=3)"
    assert bound.part.defines("images")
    assert bound.part.trained_by == "discriminator"
    assert plain(bound.part) == plain(bound.frozen) == {"sigma": "1.0..0.0", "power": 3}
    assert str(described(PartSpec("noisy", kind="regularizer"), bound.part)) == "noisy:sigma=1.0..0.0,power=3"
    assert list(parameters(type(bound.frozen))) == ["sigma", "power"]
    assert scheduled(bound.part) == {"sigma": FALLING}
    assert type(bind(bound.part).part) is type(bound.part)
    assert bind(bound.part).frozen is bound.frozen


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda part: pickle.loads(pickle.dumps(part))])
def test_copies_and_pickles_keep_the_values_and_share_none(again: Any) -> None:
    bound = bind(Noisy(sigma=FALLING))
    bound.set_progress(0.5)
    bound.values["module"] = nn.Linear(2, 2)
    other = again(bound.part)
    assert (other.sigma, other.module.in_features) == (0.5, 2)
    assert plain(other) == plain(bound.part)
    bound.set_progress(1.0)
    assert (bound.part.sigma, other.sigma) == (0.0, 0.5)


def test_a_part_without_anything_to_bind_is_itself() -> None:
    part = ganzoo.part("loss", "hinge")
    assert bind(part).part is part


@pytest.mark.parametrize("kind", ["frozen", "of a run"])
def test_assigning_is_refused_and_the_way_named(kind: str) -> None:
    part: Any = Noisy() if kind == "frozen" else bind(Noisy(sigma=FALLING)).part
    for name in ("sigma", "count", "module"):
        with pytest.raises(FrozenInstanceError, match=rf"\ANoisy is frozen .*'{name}': [^\n]*prepare\(\)[^\n]*\Z"):
            setattr(part, name, 2.0)
    with pytest.raises(FrozenInstanceError, match="frozen"):
        del part.sigma
    with pytest.raises(FrozenInstanceError, match=r"\A(?!.*prepare).*property\Z"):  # a loss has no prepare
        ganzoo.part("loss", "hinge").margin = 2.0  # type: ignore[attr-defined,unused-ignore]
    assert replace(part, power=3).power == 3


@pytest.mark.parametrize(
    ("base", "name", "kind"),
    [
        (ganzoo.Regularizer, "module", "regularizer"),
        (ganzoo.Regularizer, "kind", "regularizer"),
        (ganzoo.Regularizer, "paid_by", "regularizer"),
        (ganzoo.Regularizer, "images", "regularizer"),
        (ganzoo.Loss, "bounded", "loss"),
        (ganzoo.Loss, "check", "loss"),
        (ganzoo.Schedule, "module", "schedule"),
        (ganzoo.Metric, "samples", "metric"),
    ],
)
def test_a_parameter_may_not_hide_what_the_engine_reads(base: type, name: str, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"\Aparameter '{name}' of [^\n]*Hiding [^\n]*every {kind} has[^\n]*\Z"):
        type("Hiding", (base,), {"__annotations__": {name: "bool"}, name: True})


def test_every_is_the_interval_of_a_penalty() -> None:
    with pytest.raises(TypeError, match=r"\Aparameter 'every' of [^\n]* no penalty: rename the parameter\Z"):

        class Often(ganzoo.Regularizer):
            every: int = 4

    class Lazy(ganzoo.Regularizer):
        every: int = 4

        def discriminator_penalty(self, s: ganzoo.Scores) -> torch.Tensor:
            return s.real.mean()

    class Quick(ganzoo.Metric):
        every: int = 4  # no word of a metric's contract

    assert Lazy().every == Quick().every == 4


def test_facts_are_constants_or_properties() -> None:
    class Annotated(ganzoo.Loss):
        bounded: ClassVar[bool] = False
        margin: float = 1.0

    class Bare(ganzoo.Loss):
        bounded = False

    class Computed(ganzoo.Loss):
        margin: float = 1.0

        @property
        def bounded(self) -> bool:
            return self.margin > 0

    class Tighter(Computed):
        bounded = True

    assert not Annotated().bounded
    assert not Bare().bounded
    assert [Computed(margin=m).bounded for m in (-1.0, 1.0)] == [False, True]
    assert Tighter(margin=-1.0).bounded
    assert ganzoo.Loss().bounded
    assert list(parameters(Annotated)) == ["margin"]


def test_a_fact_follows_a_scheduled_parameter() -> None:
    class Fading(ganzoo.Regularizer):
        sigma: float = 1.0

        @property
        def constrains_discriminator(self) -> bool:
            return self.sigma > 0

    bound = bind(Fading(sigma=FALLING))
    assert bound.part.constrains_discriminator
    bound.set_progress(1.0)
    assert not bound.part.constrains_discriminator
