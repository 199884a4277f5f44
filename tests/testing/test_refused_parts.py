"""Parts of the other kinds that are wrong in a known way fail the exam."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from right_parts import Nets, refused
from torch import nn
from torch.utils.data import IterableDataset, TensorDataset

import ganzoo
from ganzoo.testing import check_part


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


class Misshapen(Nets):
    """Samples without their shape."""

    def generate(self, generator, batch):
        return generator(batch.latent).flatten(1)[:, None]


class Forgotten(Nets):
    """A layer that forward() forgets."""

    def generator(self, spec):
        net = super().generator(spec)
        net.spare = nn.Linear(2, 2)
        net.forward = lambda z: net[2](net[1](net[0](z)))
        return net


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


class Unlike(ganzoo.Data):
    """Samples that are moved by random numbers of their own."""

    random_numbers = 1

    def dataset(self):
        return TensorDataset(torch.zeros(4, 1, 8, 8))

    def augment(self, images, random):
        return images if random is None else images + torch.rand_like(images)


class Cropping(Unlike):
    """Samples that are cut in training alone."""

    def augment(self, images, random):
        return images if random is None else images[..., :4]


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
        (Unlike, "augments_by_its_numbers", "equal random numbers give other samples"),
        (Cropping, "augments_by_its_numbers", "samples change shape or dtype"),
    ],
)
def test_wrong_data_is_refused(part, check, message):
    refused(part, check, message)


class Stream(IterableDataset):
    """Arrays with labels in their own order."""

    def __iter__(self):
        while True:
            yield np.zeros((8, 8, 3), np.uint8), np.int64(1)


class Streamed(ganzoo.Data):
    """An endless stream of arrays."""

    def dataset(self):
        return Stream()


def test_what_training_takes_passes_the_exam():
    check_part(Streamed)


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
