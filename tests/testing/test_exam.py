"""The exam: every part in the catalogue sits it, and parts that are wrong in a known way fail it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import torch
from annotated_types import Ge
from PIL import Image
from torch import nn
from torch.nn.functional import relu, softplus
from torch.utils.data import TensorDataset

import ganzoo
from ganzoo.errors import DataError
from ganzoo.parts import KINDS
from ganzoo.testing import check_part, checks_for, parametrize_with_checks

# -- the catalogue -----------------------------------------------------------------------------------------------------

SMALLER = {
    "dcgan": "dcgan:width=4",
    "resnet": "resnet:width=8",
    "mlp": "mlp:width=16,depth=2",
    "segan": "segan:width=4",
}
VARIANTS = {
    "architecture": [
        "dcgan:width=4,conditional=concat,upsample=pixel-shuffle,d_norm=batch",
        "mlp:width=16,conditional=concat",
        "dcgan:width=4,conditional=projection,downsample=pool",
        "resnet:width=8,conditional=projection,upsample=transposed",
        "mlp:width=16,conditional=projection",
        "dcgan:width=4,equalised=true,attention=4,upsample=binomial,downsample=binomial",
        "dcgan:width=4,embedding=latent",
        "dcgan:width=4,auxiliary=true",
        "dcgan:width=4,auxiliary=true,joint=true,d_norm=batch",
        "resnet:width=8,auxiliary=true",
        "resnet:width=8,auxiliary=true,joint=true",
        "mlp:width=16,embedding=3",
        "segan:width=4,norm=instance,d_norm=none",
    ],
    "loss": [
        "hinge:margin=2",
        "lsgan:fake=-1,real=1,aim=0",
        "rpgan:form=zero-sum",
        "ogan:form=lsgan",
        "segan:layers=concatenated,dice=1,l1=1",
        "hinge:targets=margin",
        "ragan:scale=0.5",
        "gan-qp:distance=l2",
        "wgan-div:p=2",
        "acgan:fake_weight=0,generator_weight=0.1",
    ],
    "regularizer": [
        "r1:gamma=1,every=4",
        "sn:players=both",
        "label-smoothing:mode=random",
        "instance-noise:sigma=0.5",
        "gradient-penalty:points=real,on=probability",
        "gradient-penalty:points=both,power=3,centre=1,sides=one",
        "gradient-penalty:points=around,power=1.5",
        "dragan:noise=uniform",
        "lecam:form=one-sided",
        "orthogonal:players=both",
        "clip-gradient:by=value",
        "ada:start=0.9",
        "feature-matching:form=paired",
    ],
    "schedule": [
        "alternating:discriminator_steps=3",
        "alternating:generator_steps=2",
        "onestep:weight=2",
        "unrolled:steps=1",
        "unrolled:steps=3,order=second",
        "lookahead:k=2,discriminator_steps=0",
    ],
    "optimizer": ["adam:betas=0.5,0.999", "sgd:momentum=0.9,nesterov=true", "rmsprop:momentum=0.5"],
}
ABSENT = {"mnist", "fashion-mnist", "cifar10", "stacked-mnist"}  # real files are needed, which tests do not download
ELSEWHERE = {"stacked-modes"}  # reads digits, which no sample of the exam is; see tests/zoo/test_stacked.py


def catalogue() -> list[tuple[str, str]]:
    brought = [e for e in ganzoo.catalogue().entries() if e.provider == "zoo"]
    small = [(e.kind, SMALLER.get(e.name, e.name) if e.kind == "architecture" else e.name) for e in brought]
    return [(kind, words) for kind, words in small if words not in ABSENT | ELSEWHERE] + [
        (kind, words) for kind, variants in VARIANTS.items() for words in variants
    ]


@cache
def pictures(folder: Path) -> Path:
    for i in range(6):
        place = folder / "pictures" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30 + i), (40 * i, 90, 255 - 40 * i)).save(place / f"{i}.png")
    return folder / "pictures"


@cache
def pairs(folder: Path) -> Path:
    for i in range(6):
        for kind, colour in (("images", (40 * i, 90, 255 - 40 * i)), ("masks", 2 * [0] + [255 * (i % 2)])):
            place = folder / "pairs" / kind
            place.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30 + i), tuple(colour)).save(place / f"{i}.png")
    return folder / "pairs"


@pytest.mark.parametrize(
    ("kind", "words", "check"),
    [
        pytest.param(kind, words, check, id=f"{kind}-{words}-{check.name}")
        for kind, words in catalogue()
        for check in checks_for(kind)
    ],
)
def test_every_part_passes(kind, words, check, tmp_path_factory):
    if words == "folder":
        words = f"folder:path={pictures(tmp_path_factory.getbasetemp())},size=16"
    if words == "pairs":
        words = f"pairs:path={pairs(tmp_path_factory.getbasetemp())},size=16"
    check(ganzoo.part(kind, words))


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_data_that_is_not_there_says_so(name, tmp_path):
    part = ganzoo.part("data", name, root=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"\A[^\n]+\Z"):
        part.dataset()
    for check in checks_for("data")[:4]:  # what does not read the files
        check(part)


def test_every_kind_has_an_exam_and_every_check_says_what_it_asks():
    for kind in KINDS:
        own = [check for check in checks_for(kind) if check.kind == kind]
        assert own, kind
        names = [check.name for check in checks_for(kind)]
        assert len(set(names)) == len(names)
        assert all(check.summary.endswith((".", ":")) or len(check.summary) > 40 for check in own)
    with pytest.raises(ValueError, match="'lose' is no kind of part"):
        checks_for("lose")


# -- what it must not let pass -----------------------------------------------------------------------------------------


def refused(part: Any, check: str, message: str) -> None:
    """The exam stops at that check with that message."""
    with pytest.raises(AssertionError, match=message) as caught:
        check_part(part)
    assert f" {type(part).__name__ if not isinstance(part, type) else part.__name__}, {check}: " in str(caught.value)
    assert "\n" not in str(caught.value)


class Good(ganzoo.Loss):
    """A loss that is right."""

    def discriminator(self, s):
        return softplus(-s.real).mean() + softplus(s.fake).mean()

    def generator(self, s):
        return softplus(-s.fake).mean()


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


class Penalty(ganzoo.Regularizer):
    """A gradient penalty that is right."""

    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real"})

    def slope(self, s, create_graph=True):
        return torch.autograd.grad(s.real.sum(), s.real_images, create_graph=create_graph)[0]

    def discriminator_penalty(self, s):
        return self.slope(s).flatten(1).square().sum(1).mean()


class Dropped(Penalty):
    """A penalty that is nothing."""

    def discriminator_penalty(self, s):
        return torch.zeros((), dtype=s.real.dtype)


class FirstOrder(Penalty):
    """A penalty without create_graph."""

    def discriminator_penalty(self, s):
        return self.slope(s, create_graph=False).flatten(1).square().sum(1).mean()


class Rooted(Penalty):
    """A penalty with a root at zero."""

    def discriminator_penalty(self, s):
        return self.slope(s).flatten(1).square().sum(1).sqrt().mean()


class SummedPenalty(Penalty):
    """A penalty that grows with the batch."""

    def discriminator_penalty(self, s):
        return self.slope(s).square().sum()


class PartlyDetached(Penalty):
    """A penalty with half a gradient."""

    def discriminator_penalty(self, s):
        slope = self.slope(s).flatten(1)
        return (slope * slope.detach()).sum(1).mean()


class Backward(Penalty):
    """A penalty that calls backward."""

    def discriminator_penalty(self, s):
        s.judge(s.real_images).sum().backward(retain_graph=True)
        return super().discriminator_penalty(s)


class NeedsTheGraph(ganzoo.Regularizer):
    """A penalty on interpolates that are no leaf."""

    per_sample_gradients: ClassVar[bool] = True

    def discriminator_penalty(self, s):
        e = torch.rand(len(s.real_images), 1, 1, 1, dtype=s.real_images.dtype)
        between = e * s.real_images + (1 - e) * s.fake_images
        (slope,) = torch.autograd.grad(s.judge(between).sum(), between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()


class Unseeded(ganzoo.Regularizer):
    """Noise of its own making."""

    source: ClassVar[torch.Generator] = torch.Generator()

    def images(self, images, s):
        return images + torch.randn(images.shape, generator=self.source, dtype=images.dtype).to(images.device)


class Shrinking(ganzoo.Regularizer):
    """A transform that crops."""

    def images(self, images, s):
        return nn.functional.pad(images[..., 1:], (1, 0)).float()


class Opaque(ganzoo.Regularizer):
    """A transform that hides the generator."""

    def images(self, images, s):
        return images.detach() * 0.5


class Spoiling(ganzoo.Regularizer):
    """A transform in place."""

    def images(self, images, s):
        return images.mul_(0.5)


class LongTargets(ganzoo.Regularizer):
    """Targets of the wrong shape."""

    def targets(self, s, real, fake):
        return torch.full((len(s.real), 1), 0.9), fake


class Forgetful(ganzoo.Regularizer):
    """A penalty that follows an average, and keeps it where no checkpoint looks."""

    def discriminator_penalty(self, s):
        past = self.__dict__.setdefault("past", [torch.zeros((), dtype=s.real.dtype)])
        past[0] = 0.9 * past[0] + 0.1 * s.real.detach().mean()
        return (s.real.mean() - past[0]).square()


class Idle(ganzoo.Regularizer):
    """A regularizer that defines nothing."""


class Pruning(ganzoo.Regularizer):
    """A change of the wrong player's weights."""

    def prepare(self, networks, spec):
        vars(self)["networks"] = networks

    def after_update(self, player, module):
        for p in self.networks.generator.parameters():
            p.zero_()


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (Idle, "does_something", "defines none of"),
        (Dropped, "penalty_teaches_its_player", "no gradient"),
        (FirstOrder, "penalty_teaches_its_player", "create_graph"),
        (Rooted, "penalty_survives_a_flat_discriminator", "not finite"),
        (SummedPenalty, "penalty_is_a_mean_over_the_batch", "is it a sum"),
        (PartlyDetached, "second_derivatives_are_right", "part is detached"),
        (Backward, "penalty_leaves_no_trace", r"fills \.grad"),
        (Forgetful, "keeps_its_state_in_its_module", "past changes from round to round, and is not saved"),
        (NeedsTheGraph, "penalty_needs_no_graph_of_the_generator", "does not require grad"),
        (Unseeded, "is_random_only_by_the_seed", "differs under one torch.manual_seed"),
        (Shrinking, "images_stay_images", "float32 on cpu of .*float64"),
        (Opaque, "images_stay_images", "no gradient through"),
        (Spoiling, "images_stay_images", "in place"),
        (LongTargets, "targets_are_targets", r"shape \(6, 1\)"),
        (Pruning, "after_update_keeps_to_the_player", "changes the generator"),
    ],
)
def test_wrong_regularizers_are_refused(part, check, message):
    refused(part, check, message)


def test_a_right_regularizer_passes():
    check_part(Penalty)


class Nets(ganzoo.Architecture):
    """Two small nets that are right."""

    def build(self, spec):
        size = torch.Size(spec.shape).numel()
        make = nn.Sequential(nn.Linear(spec.latent_dim, size), nn.Tanh(), nn.Unflatten(1, spec.shape))
        return ganzoo.Networks(make, nn.Sequential(nn.Flatten(), nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, 1)))


class Misshapen(Nets):
    """Samples without their shape."""

    def generate(self, generator, batch):
        return generator(batch.latent).flatten(1)[:, None]


class Forgotten(Nets):
    """A layer that forward() forgets."""

    def build(self, spec):
        nets = super().build(spec)
        nets.generator.spare = nn.Linear(2, 2)
        nets.generator.forward = lambda z: nets.generator[2](nets.generator[1](nets.generator[0](z)))
        return nets


class Mixing(Nets):
    """A discriminator that compares samples and does not say so."""

    def judge(self, discriminator, images, batch):
        logits = discriminator(images)
        return logits + logits.mean()


class Unnoised(Nets):
    """A generator that always makes the same."""

    def generate(self, generator, batch):
        return generator(torch.ones_like(batch.latent)) + 0 * batch.latent.sum()


class SinglePrecision(Nets):
    """A generator that knows float32 only."""

    def generate(self, generator, batch):
        return generator(batch.latent).float()


class Piecewise(Nets):
    """A discriminator with no second derivative in its weights."""

    def judge(self, discriminator, images, batch):
        return discriminator(images).sum(1) * 0 + images.flatten(1).sum(1)


class Summing(Nets):
    """Divides by an option of average pooling that ONNX does not have."""

    def generate(self, generator, batch):
        samples = generator(batch.latent)
        return nn.functional.avg_pool2d(samples.flatten(1)[:, None, None], 1, divisor_override=2).view_as(samples)


class Baked(Nets):
    """A number that is read while the network is traced, and stays what it was then."""

    def generate(self, generator, batch):
        return generator(batch.latent) * (1 if torch.jit.is_tracing() else 2)


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (Baked, "exports_mean_the_same", "torch.jit.trace makes other samples"),
        (Misshapen, "makes_and_judges_samples", "samples of shape"),
        (Forgotten, "every_parameter_learns", "spare.weight"),
        (Mixing, "samples_do_not_mix", "mixes_samples"),
        (Unnoised, "noise_matters", "does not heed its noise"),
        (SinglePrecision, "runs_in_any_precision_and_layout", "float32"),
        (Piecewise, "every_parameter_learns", "every gradient of the discriminator is zero"),
    ],
)
def test_wrong_architectures_are_refused(part, check, message):
    refused(part, check, message)


def test_an_architecture_that_onnx_changes_is_refused():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    refused(Summing, "exports_mean_the_same", "the exported ONNX model makes other samples")


def test_a_right_architecture_passes():
    check_part(Nets)


class Lazy(ganzoo.Schedule):
    """A schedule in which the generator never moves."""

    def step(self, game):
        game.update(discriminator=game.discriminator_loss(game.round()))


class Reused(ganzoo.Schedule):
    """A schedule that takes one round twice."""

    def step(self, game):
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s))
        game.update(generator=game.generator_loss(s))


class Kept(ganzoo.Schedule):
    """A schedule that keeps a loss for later."""

    def step(self, game):
        s = game.round()
        discriminator, generator = game.discriminator_loss(s), game.generator_loss(s)
        game.update(discriminator=discriminator)
        game.update(generator=generator)


class Blind(ganzoo.Schedule):
    """A schedule whose generator has nothing to learn from."""

    def step(self, game):
        s = game.round("discriminator")
        game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s))


class Wasteful(ganzoo.Schedule):
    """A schedule that makes a round for nothing."""

    def step(self, game):
        game.round()
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s))


class Swapped(ganzoo.Schedule):
    """A schedule that gives each the other's loss."""

    def step(self, game):
        s = game.round()
        game.update(discriminator=game.generator_loss(s), generator=game.discriminator_loss(s))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Lazy, "the generator does not move"),
        (Reused, "used after an update"),
        (Kept, "a loss of before the last update"),
        (Blind, "the generator's loss is asked of a round for the other player alone"),
        (Wasteful, "made and not used"),
        (Swapped, r"not game\.discriminator_loss"),
    ],
)
def test_wrong_schedules_are_refused(part, message):
    refused(part, "plays_by_the_rules", message)


class Doubled(ganzoo.Schedule):
    """A schedule that scales a loss, which it may."""

    def step(self, game):
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s) * 2, generator=game.generator_loss(s))


def test_a_schedule_may_weigh_losses():
    check_part(Doubled)


class TooBright(ganzoo.Data):
    """Images in [0, 255], floating."""

    def dataset(self):
        return TensorDataset(torch.full((4, 1, 8, 8), 255.0))


class Ragged(ganzoo.Data):
    """Images of several sizes."""

    def dataset(self):
        return [torch.zeros(1, 8, 8 + i) for i in range(4)]


class Unpicklable(ganzoo.Data):
    """A dataset that no worker can be sent."""

    def dataset(self):
        rows = TensorDataset(torch.zeros(4, 2))
        rows.transform = lambda x: x
        return rows


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (TooBright, "items_are_samples", r"reaches 255: samples lie in \[-1, 1\]"),
        (Ragged, "items_are_samples", "of different kinds"),
        (Unpicklable, "goes_to_workers", "pickle"),
    ],
)
def test_wrong_data_is_refused(part, check, message):
    refused(part, check, message)


class Lingering(ganzoo.Schedule):
    """A look ahead that nobody comes back from."""

    def step(self, game):
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s), trial=True)
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s))


def test_a_trial_move_that_is_kept_is_refused():
    refused(Lingering, "plays_by_the_rules", "a trial move of the discriminator is kept")


class HalfDeaf(ganzoo.Regularizer):
    """A consensus that hears one player."""

    def joint_penalty(self, gradients):
        return sum(g.square().sum() for g in gradients["generator"])


class Twice(ganzoo.Regularizer):
    """A choice with one sample twice."""

    def select_samples(self, s):
        return torch.zeros(2, dtype=torch.long)


class Dividing(ganzoo.Regularizer):
    """Gradients of length one, and no eps."""

    def modify_gradients(self, player, gradients):
        return [g / g.norm() for g in gradients]


class Loud(ganzoo.Regularizer):
    """Reports of whole tensors."""

    def images(self, images, s):
        return images * 2

    def report(self):
        return {"weights": torch.zeros(3)}


class Unpaid(ganzoo.Regularizer):
    """A penalty whose graph is cut."""

    def generator_penalty(self, s):
        return (s.fake_images.detach().square().mean() + 0 * s.fake.mean()).detach()


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (HalfDeaf, "joint_penalty_is_a_finite_scalar", "does not depend on each gradient"),
        (Twice, "rows_are_rows", "each once"),
        (Dividing, "gradients_stay_gradients", "are not finite"),
        (Loud, "reports_scalars", "no scalar tensor for weights"),
        (Unpaid, "penalty_teaches_its_player", "no gradient of the generator's penalty"),
    ],
)
def test_wrong_uses_of_the_further_methods_are_refused(part, check, message):
    refused(part, check, message)


class UpsideDown(ganzoo.Metric):
    """A distance that says higher is better."""

    samples: ClassVar[int] = 256
    figures: ClassVar[dict[str, bool]] = {"distance": True}

    def score(self, real, fake, data):
        return {"distance": float((real.std(0) - fake.std(0)).square().sum())}


class Constant(ganzoo.Metric):
    """A figure that sees nothing."""

    samples: ClassVar[int] = 256
    figures: ClassVar[dict[str, bool]] = {"one": True}

    def score(self, real, fake, data):
        return {"one": 1.0}


class Undeclared(Constant):
    """A figure that nobody was told of."""

    def score(self, real, fake, data):
        return {"two": 1.0}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (UpsideDown, "which way is up"),
        (Constant, "no figure tells real samples from noise"),
        (Undeclared, "gives two, and the class declares figures = {'one': True}"),
    ],
)
def test_wrong_metrics_are_refused(part, message):
    refused(part, "tells_good_from_bad", message)


class Uphill(ganzoo.Optimizer):
    """An ascent."""

    def build(self, parameters):
        return torch.optim.SGD(parameters, lr=0.1, maximize=True)


class Deaf(ganzoo.Optimizer):
    """A rate of its own.

    Args:
        lr: not heeded.
    """

    lr: float = 0.1

    def build(self, parameters):
        return torch.optim.SGD(parameters, lr=0.2)


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (Uphill, "moves_downhill", "takes? a quadratic"),
        (Deaf, "follows_its_learning_rate", "do not begin at the part's lr"),
    ],
)
def test_wrong_optimizers_are_refused(part, check, message):
    refused(part, check, message)


# -- state that would be lost on resume --------------------------------------------------------------------------------


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

    def build(self, spec):
        nets = super().build(spec)
        for name, module in getattr(nets, self.player).named_modules():
            if isinstance(module, nn.Linear):
                where, last = getattr(nets, self.player).get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
                where._modules[last] = nn.Sequential(module, Statistic(self.kept))
                break
        return nets


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
