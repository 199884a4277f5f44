"""Losses that are wrong in a known way fail the exam."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
import torch
from annotated_types import Ge
from right_parts import Good, refused
from torch.nn.functional import relu, softplus

from ganzoo.testing import check_part, parametrize_with_checks


def test_the_right_one_passes():
    check_part(Good)
    check_part(Good())


@parametrize_with_checks([Good, Good()])
def test_the_decorator_asks_everything(part, check):
    check(part)


class Unsaid(Good):
    margin: float = 1.0


class Undocumented(Good):
    """A loss with a parameter that nobody explains."""

    margin: Annotated[float, Ge(0)] = 1.0


class Overdocumented(Good):
    """A loss that explains a parameter which it has not.

    Args:
        margin: of nothing.
    """


class Unvalidated(Good):
    """A loss whose parameter takes anything.

    Args:
        margin: of anything.
    """

    margin: Any = 1.0


class Flipped(Good):
    """A loss for which low is real."""

    def discriminator(self, s):
        return softplus(s.real).mean() + softplus(-s.fake).mean()


class Leaking(Good):
    """A loss whose discriminator's side moves the generator too."""

    def discriminator(self, s):
        if s.fake.requires_grad:
            torch.nn.functional.softplus(-s.fake).mean().backward(retain_graph=True)
        return super().discriminator(s)


class FlippedGenerator(Good):
    """A loss whose generator makes worse fakes."""

    def generator(self, s):
        return softplus(s.fake).mean()


class Dead(Good):
    """A loss that dies where the generator is worst."""

    def generator(self, s):
        return -(s.fake.sigmoid() + 1e-8).log().mean()


class Infinite(Good):
    """A loss whose logarithm overflows."""

    def discriminator(self, s):
        return -s.real.float().sigmoid().log().mean() - (1 - s.fake.float().sigmoid()).log().mean()


class Detached(Good):
    """A loss whose generator learns nothing."""

    def generator(self, s):
        return softplus(-s.fake.detach()).mean() + 0 * s.real.sum()


class OneEyed(Good):
    """A loss whose discriminator sees no fakes."""

    def discriminator(self, s):
        return softplus(-s.real).mean()


class Summed(Good):
    """A loss that grows with the batch."""

    def discriminator(self, s):
        return softplus(-s.real).sum() + softplus(s.fake).sum()


class Unreduced(Good):
    """A loss for each sample."""

    def generator(self, s):
        return softplus(-s.fake)


class Broadcast(Good):
    """A paired loss that does not look at shapes."""

    def discriminator(self, s):
        return softplus(s.fake - s.real).mean()


class InPlace(Good):
    """A loss that spoils the scores for who comes next."""

    def discriminator(self, s):
        if not s.real.requires_grad:
            s.real.clamp_(max=1.0)
        return super().discriminator(s)


class Casting(Good):
    """A loss that comes in another precision."""

    def generator(self, s):
        return softplus(-s.fake.float()).mean()


class HalfDetached(Good):
    """A loss whose gradient is not that of its value."""

    def generator(self, s):
        return (softplus(-s.fake) * (1 + s.fake.detach().abs())).mean()


class DetachedMean(Good):
    """A relativistic average loss whose batch means carry no gradient."""

    def discriminator(self, s):
        real, fake = s.real - s.fake.mean().detach(), s.fake - s.real.mean().detach()
        return softplus(-real).mean() + softplus(fake).mean()


class Unbounded(Good):
    """A loss that says that it is bounded."""

    def discriminator(self, s):
        return s.fake.mean() - s.real.mean()


class SecretTargets(Good):
    """A loss that reads targets and does not say so."""

    def discriminator(self, s):
        return super().discriminator(s) + (1 - s.real_target) * s.real.mean()


class NoTargets(Good):
    """A loss that says it has targets."""

    has_targets: ClassVar[bool] = True


class FlatSharing(Good):
    """A hinge that says that its players' gradients are one up to a factor."""

    supports_shared_backward: ClassVar[bool] = True

    def discriminator(self, s):
        return relu(1 - s.real).mean() + relu(1 + s.fake).mean()


class LookingSharing(Good):
    """A loss that says so, and looks at the images."""

    supports_shared_backward: ClassVar[bool] = True

    def generator(self, s):
        return super().generator(s) + s.fake_images.abs().mean()


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (Unsaid, "says_what_it_is", "no docstring"),
        (Undocumented, "parameters_are_documented", "'margin' has no line"),
        (Overdocumented, "parameters_are_documented", "describes margin, which is no parameter"),
        (Unvalidated, "parameters_are_validated", "'margin' accepts any object"),
        (Flipped, "pulls_the_right_way", "discriminator's loss .* sign flipped"),
        (FlippedGenerator, "pulls_the_right_way", "generator's loss .* sign flipped"),
        (Dead, "learns_where_it_is_wrong", "generator's gradient is .* at fake scores of -50"),
        (Infinite, "is_a_finite_scalar", r"not finite at \+-50"),
        (Detached, "gradients_flow", "no gradient of the generator's loss reaches the fake scores"),
        (OneEyed, "gradients_flow", "no gradient of the discriminator's loss reaches the fake scores"),
        (Summed, "is_a_mean_over_the_batch", "is it a sum"),
        (Unreduced, "is_a_finite_scalar", r"not \(\): take the mean"),
        (Broadcast, "never_pairs_all_with_all", "N x N pairs"),
        (Leaking, "leaks_no_gradient", "a gradient leaks: backward"),
        (InPlace, "changes_nothing", "changed in place"),
        (Casting, "keeps_dtype_and_device", "generator's loss of torch.float64 on cpu is torch.float32"),
        (HalfDetached, "derivatives_are_right", "GradcheckError"),
        (DetachedMean, "derivatives_are_right", "GradcheckError"),
        (Unbounded, "facts_are_true", "say bounded = False"),
        (SecretTargets, "facts_are_true", "declare has_targets = True"),
        (NoTargets, "facts_are_true", "changes nothing"),
        (
            FlatSharing,
            "facts_are_true",
            "supports_shared_backward, and the discriminator's loss is flat at fake scores of -19.3",
        ),
        (LookingSharing, "facts_are_true", "supports_shared_backward, and it reads more of fakes than their scores"),
    ],
)
def test_wrong_losses_are_refused(part, check, message):
    refused(part, check, message)


class Saturating(Good):
    """A loss that is meant to die."""

    saturates: ClassVar[bool] = True

    def generator(self, s):
        return -softplus(s.fake).mean()


def test_a_loss_may_say_that_it_saturates():
    check_part(Saturating)
