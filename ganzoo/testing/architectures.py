"""The checks of architectures.

The networks are built for a few sample shapes. An architecture refuses a shape with ``Incompatible``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm  # the base of all; torch has no public name for "any BatchNorm"
from torch.nn.modules.dropout import _DropoutNd

from ganzoo import parts
from ganzoo.errors import Incompatible
from ganzoo.parts import PLAYERS, Batch, Networks, Spec, Stage, TensorSpec
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    all_finite,
    available_devices,
    is_close,
    remembered_state,
    require,
    require_same_state,
)

_SHAPES = ((1, 8, 8), (3, 32, 32), (2,), (16,))
"""The shapes to build for, without the batch dimension: pictures, then points and vectors."""


def _built(part: parts.Architecture, only: int | None = None) -> list[tuple[Spec, Networks]]:
    """The networks for each of ``_SHAPES`` that the architecture accepts, or for the first ``only`` shapes."""
    built = []
    for shape in _SHAPES:
        for classes, condition in ((part.classes(3), None), (part.classes(3), shape)):
            spec = Spec(
                shape=shape,
                latent_dim=6,
                classes=classes,
                inputs={"condition": TensorSpec(condition)} if condition else {},
            )
            torch.manual_seed(0)
            try:
                built.append((spec, part.build(spec)))
            except Incompatible:
                continue
            if only is not None and len(built) == only:
                return built
            break  # A condition is tried only where the architecture refuses a spec without a condition.
    require(built, f"it builds for none of the shapes {', '.join(map(str, _SHAPES))}")
    return built


def _batch(spec: Spec, count: int = 3, dtype: torch.dtype = torch.float32, seed: int = 0) -> Batch:
    """Random images in [-1, 1], latents, labels and inputs of ``count`` samples."""
    g = torch.Generator().manual_seed(seed)
    return Batch(
        images=torch.rand(count, *spec.shape, generator=g, dtype=dtype) * 2 - 1,
        latent=torch.randn(count, spec.latent_dim, generator=g, dtype=dtype),
        labels=torch.arange(count) % spec.classes if spec.classes else None,
        **{n: torch.rand(count, *each.shape, generator=g, dtype=dtype) for n, each in spec.inputs.items()},
    )


def _stages(part: parts.Architecture, spec: Spec) -> list[Stage]:
    """A stage of each phase of growth, by phase, each in the middle of the phase. Empty where nets do not grow."""
    points = [(step / 256, 0) for step in range(257)] + [(0.0, int(1.05**n)) for n in range(600)]
    found = [stage for point in points if (stage := part.stage(spec, *point)) is not None]
    return [
        Stage(phase, 0.5 if any(s.blend != 1.0 for s in found if s.phase == phase) else 1.0)
        for phase in sorted({stage.phase for stage in found})
    ]


def _generated(part: parts.Architecture, nets: Networks, batch: Batch) -> Tensor:
    """Fakes, (N, *shape), from a batch without images, as a training run generates fakes."""
    return part.generate(nets.generator, batch.replace(images=None))


def _judged(part: parts.Architecture, nets: Networks, images: Tensor, batch: Batch) -> Tensor:
    """The scores of images, (N,), computed from the output of judge() as a training run computes scores."""
    output = part.judge(nets.discriminator, images, batch.replace(images=images, latent=None))
    require(not isinstance(output, Mapping) or "logits" in output, "judge() gives a mapping without 'logits'")
    logits = output["logits"] if isinstance(output, Mapping) else output
    scales = logits if isinstance(logits, (list, tuple)) else [logits]
    scores: list[Tensor] = []
    for each in scales:
        require(isinstance(each, Tensor), f"judge() gives a {type(each).__name__}: logits, or a mapping with 'logits'")
        found = tuple(each.shape)
        require(found[:1] == (len(images),), f"judge() gives logits of shape {found} for {len(images)} samples")
        scores.append(each.flatten(1).mean(1) if each.ndim > 1 else each)
    return torch.stack(scores).mean(0)


@asks("architecture")
def _makes_and_judges_samples(part: parts.Architecture) -> None:
    """The generator makes samples of the spec's shape, and the discriminator gives finite scores.

    Three samples are made in training mode, and a single sample in evaluation mode.
    """
    for spec, nets in _built(part):
        for count, training in ((3, True), (1, False)):
            for net in nets:
                net.train(training)
            batch = _batch(spec, count)
            fake = _generated(part, nets, batch)
            found, due = tuple(fake.shape), (count, *spec.shape)
            require(found == due, f"generate() makes samples of shape {found}, not {due}")
            score = _judged(part, nets, fake, batch)
            require(all_finite([fake, score]), f"samples or scores of shape {spec.shape} are not finite")


@asks("architecture")
def _returns_what_it_says(part: parts.Architecture) -> None:
    """judge() returns, beside logits, the tensors that outputs() declares, with the declared shapes."""
    for spec, nets in _built(part):
        batch = _batch(spec)
        assert batch.images is not None
        output = part.judge(nets.discriminator, batch.images, batch)
        extra = {key: value for key, value in output.items() if key != "logits"} if isinstance(output, Mapping) else {}
        found = {
            key: [tuple(t.shape[1:]) for t in ([value] if isinstance(value, Tensor) else value)]
            for key, value in extra.items()
        }
        said = {key: [tuple(shape) for shape in shapes] for key, shapes in part.outputs(spec).items()}
        require(found == said, f"judge() returns {found} beside logits, and outputs() says {said}")


@asks("architecture")
def _every_parameter_learns(part: parts.Architecture) -> None:
    """A gradient reaches every parameter of both players: forward() uses every parameter."""
    for spec, nets in _built(part):
        batch = _batch(spec)
        assert batch.images is not None
        fake = _generated(part, nets, batch)
        score = _judged(part, nets, fake, batch).sum() + _judged(part, nets, batch.images, batch).square().sum()
        output = part.judge(nets.discriminator, batch.images, batch)
        extra = [value for key, value in output.items() if key != "logits"] if isinstance(output, Mapping) else []
        score = score + sum(t.square().sum() for each in extra for t in ([each] if isinstance(each, Tensor) else each))
        for stage in _stages(part, spec):  # layers of nets that grow may be in use in some of the phases alone
            small = batch.replace(images=part.resize(batch.images, stage)).at(stage)
            for images in (_generated(part, nets, small), small.images):
                score = score + _judged(part, nets, images, small).square().sum()
        for player, net in nets._asdict().items():
            named = dict(net.named_parameters())
            require(named, f"the {player} has no parameters")
            slopes = torch.autograd.grad(score, list(named.values()), allow_unused=True, retain_graph=True)
            dead = [name for name, g in zip(named, slopes, strict=True) if g is None]
            require(not dead, f"no gradient reaches {', '.join(dead)} of the {player}")
            require(any(g.any() for g in slopes), f"every gradient of the {player} is zero")
            require(all_finite(slopes), f"a gradient of the {player} is not finite")


@asks("architecture")
def _grows_without_a_jump(part: parts.Architecture) -> None:
    """At each stage of growth, samples and resized real samples have one size, and a phase begins where one ended.

    A phase that blends gives, with blend 0, the samples of the phase before, upsampled. With blend 1 the phase gives
    the samples of the next phase. The last phase gives the samples and the scores of the whole networks. Networks that
    do not grow pass.
    """
    for spec, nets in _built(part):
        if not (stages := _stages(part, spec)):
            continue
        for net in nets:
            net.eval()
        batch = _batch(spec)

        def played(stage: Stage, blend: float, nets: Networks = nets, batch: Batch = batch) -> tuple[Tensor, Tensor]:
            """Fakes and the scores of fakes at a stage with another blend."""
            at = stage._replace(blend=blend)
            small = batch.replace(images=part.resize(batch.images, at)).at(at)
            fake = _generated(part, nets, small)
            found, due = tuple(fake.shape), tuple(small.images.shape)
            require(found == due, f"in phase {at.phase} samples have shape {found} and real samples have shape {due}")
            score = _judged(part, nets, fake, small)
            require(all_finite([fake, score]), f"samples or scores of phase {at.phase} are not finite")
            return fake, score

        for before, now, after in zip([None, *stages[:-1]], stages, [*stages[1:], None], strict=True):
            ends, end_scores = played(now, 1.0)
            if now.blend != 1.0 and before is not None:
                (begins, scores), (old, old_scores) = played(now, 0.0), played(before, 1.0)
                same = is_close(begins, F.interpolate(old, size=begins.shape[2:]), 1e-4, 1e-5)
                require(same, f"samples jump where phase {now.phase} begins")
                require(is_close(scores, old_scores, 1e-4, 1e-5), f"scores jump where phase {now.phase} begins")
            if now.blend != 1.0 and after is not None:
                new, new_scores = played(after, 1.0)
                same = is_close(ends, new, 1e-4, 1e-5) and is_close(end_scores, new_scores, 1e-4, 1e-5)
                require(same, f"samples or scores jump where phase {now.phase} ends")
        fake, score = played(stages[-1], 1.0)
        whole = _generated(part, nets, batch)
        shown = part.show(fake, spec)
        require(shown.equal(whole), "the last phase makes other samples than the whole networks")
        if fake.shape == whole.shape:
            require(score.equal(_judged(part, nets, whole, batch)), "the last phase gives other scores than whole nets")


@asks("architecture")
def _noise_matters(part: parts.Architecture) -> None:
    """Samples depend on the latents, and scores depend on the samples.

    An architecture with inputs beside the latents may ignore the latents, as a segmentor does.
    """
    for spec, nets in _built(part):
        one, two = (_batch(spec, seed=seed) for seed in (0, 1))
        a, b = _generated(part, nets, one), _generated(part, nets, one.replace(latent=two.latent))
        if not spec.inputs:
            require(not is_close(a, b, 1e-6, 1e-9), "the generator does not heed its noise")
        there, back = _judged(part, nets, a, one), _judged(part, nets, -a, one)
        require(not there.equal(back), "the discriminator does not heed its input")


@asks("architecture")
def _styles_make_the_samples(part: parts.Architecture) -> None:
    """generate() is synthesize() after styles(), and the samples can be differentiated by the styles.

    The networks are in evaluation mode, where a generator draws no random numbers. Samples whose inputs leave no use
    for noise have no derivative.
    """
    for spec, nets in _built(part):
        nets.generator.eval()
        batch = _batch(spec)
        styles = part.styles(nets.generator, batch).detach().requires_grad_()
        require(styles.ndim in (2, 3) and len(styles) == batch.size, f"styles() has the shape {tuple(styles.shape)}")
        made = part.synthesize(nets.generator, styles, batch)
        same = is_close(made, _generated(part, nets, batch), 1e-5, 1e-7)
        require(same, "generate() makes other samples than synthesize() makes from styles()")
        if not spec.inputs:
            (slope,) = torch.autograd.grad(made.square().sum(), styles)
            require(bool(slope.any()) and all_finite([slope]), "the samples have no finite slope in the styles")
        nearer = part.truncate(nets.generator, styles.detach(), 0.5)
        require(nearer.shape == styles.shape and all_finite([nearer]), "truncate() gives no points like its input")


@asks("architecture")
def _has_second_derivatives(part: parts.Architecture) -> None:
    """The gradient of the scores in the samples is differentiable in the weights, as gradient penalties require."""
    for spec, nets in _built(part):
        batch = _batch(spec)
        assert batch.images is not None
        images = batch.images.requires_grad_()
        score = _judged(part, nets, images, batch).sum()
        (slope,) = torch.autograd.grad(score, images, create_graph=True)
        weights = list(nets.discriminator.parameters())
        slopes = torch.autograd.grad(slope.square().sum(), weights, allow_unused=True)
        require(any(g is not None and g.any() for g in slopes), "no second derivative reaches the discriminator")
        require(all_finite(slopes), "a second derivative is not finite")


@asks("architecture")
def _samples_do_not_mix(part: parts.Architecture) -> None:
    """The output for a sample does not depend on the other samples of the batch.

    The generator is examined in evaluation mode. The discriminator is examined in training mode, unless a layer of the
    discriminator mixes samples: a BatchNorm, or a layer with the attribute ``mixes_samples = True``.
    """
    for spec, nets in _built(part):
        batch, other = _batch(spec), _batch(spec, seed=1)
        assert batch.images is not None
        assert batch.latent is not None
        assert other.images is not None
        assert other.latent is not None
        mixed = torch.cat([batch.images[:1], other.images[1:]])
        layers = list(nets.discriminator.modules())
        mixer = any(isinstance(m, _BatchNorm) or getattr(m, "mixes_samples", False) for m in layers)
        if not mixer:
            a, b = (_judged(part, nets, images, batch)[0] for images in (batch.images, mixed))
            same = is_close(a, b, 1e-4, 1e-5)
            require(same, "a sample's score depends on the others, and no layer says mixes_samples = True")
        nets.generator.eval()
        latent = torch.cat([batch.latent[:1], other.latent[1:]])
        a, b = (_generated(part, nets, given)[0] for given in (batch, batch.replace(latent=latent)))
        require(is_close(a, b, 1e-4, 1e-5), "in evaluation a sample depends on the noise of the others")


@asks("architecture")
def _starts_by_the_seed(part: parts.Architecture) -> None:
    """torch.manual_seed decides the initial weights, and another seed gives other weights."""
    spec, nets = _built(part, only=1)[0]
    torch.manual_seed(0)
    same = part.build(spec)
    torch.manual_seed(1)
    other = part.build(spec)
    for player in PLAYERS:
        first, again, different = (getattr(n, player).state_dict() for n in (nets, same, other))
        require(all(v.equal(again[k]) for k, v in first.items()), f"the {player} starts otherwise under one seed")
        require(any(not v.equal(different[k]) for k, v in first.items()), f"the {player} ignores torch.manual_seed")


@asks("architecture")
def _goes_to_disk_and_back(part: parts.Architecture) -> None:
    """Networks that load the state_dict of other networks give equal samples and scores in evaluation mode."""
    spec, nets = _built(part, only=1)[0]
    torch.manual_seed(1)
    again = part.build(spec)
    batch = _batch(spec)
    _judged(part, nets, _generated(part, nets, batch), batch)  # Running statistics change in training.
    outputs = []
    for pair in (nets, again):
        for mine, theirs in zip(pair, nets, strict=True):
            mine.load_state_dict(copy.deepcopy(theirs.state_dict()))
            mine.eval()
        fake = _generated(part, pair, batch)
        outputs.append((fake, _judged(part, pair, fake, batch)))
    same = all(a.equal(b) for a, b in zip(*outputs, strict=True))
    require(same, "nets that were loaded from a state_dict give other samples or scores")


@asks("architecture")
def _keeps_its_state_in_its_nets(part: parts.Architecture) -> None:
    """Networks that load the state_dict of trained networks continue with equal outputs, in training and evaluation.

    State that changes in a round belongs into a parameter or a persistent buffer. An attribute, or a buffer with
    ``persistent=False``, is lost on resume.
    """

    def play(nets: Networks, seed: int) -> list[Tensor]:
        """Fakes, the scores of real samples and the scores of the fakes, in a round with a seed."""
        torch.manual_seed(seed)
        batch = _batch(spec, seed=seed)
        assert batch.images is not None
        fake = _generated(part, nets, batch)
        return [fake, _judged(part, nets, batch.images, batch), _judged(part, nets, fake, batch)]

    def counted(nets: Networks) -> dict[str, object]:
        """The state of the part, and the plain attributes of every module, which no state_dict holds."""
        return remembered_state(part) | {
            f"{player} {type(module).__name__}.{key}": value
            for player, net in nets._asdict().items()
            for module in net.modules()
            for key, value in vars(module).items()
            if isinstance(value, (int, float, str))
        }

    for spec, nets in _built(part):
        play(nets, 1)  # The first round may compute constants.
        before = counted(nets)
        play(nets, 2)
        require_same_state(before, counted(nets), "keep it in a buffer of the net")
        torch.manual_seed(0)
        again = part.build(spec)
        for mine, theirs in zip(again, nets, strict=True):
            mine.load_state_dict(theirs.state_dict())
        for seed, training in ((3, True), (4, True), (5, False)):
            for net in (*nets, *again):
                net.train(training)
            same = all(a.equal(b) for a, b in zip(play(nets, seed), play(again, seed), strict=True))
            told = "what a round changes must be a buffer, and a persistent one"
            require(same, f"nets that were stopped and loaded do not go on as if they had not been: {told}")


@asks("architecture")
def _runs_in_any_precision_and_layout(part: parts.Architecture) -> None:
    """float64 networks give float64 samples and scores, equal in channels-last layout and on a GPU.

    The GPU is examined where CUDA is available, in evaluation mode: a GPU draws other random numbers than a CPU. Equal
    means equal up to rounding.
    """
    for spec, nets in _built(part):
        torch.manual_seed(0)
        double = Networks(*(copy.deepcopy(net).double() for net in nets))
        for layer in (*double.generator.modules(), *double.discriminator.modules()):
            if isinstance(layer, _DropoutNd):  # draws its zeros in the order of the memory
                layer.eval()
        batch = _batch(spec, dtype=torch.float64)
        fake = _generated(part, double, batch)
        require(fake.dtype == torch.float64, f"a float64 generator gives {fake.dtype} samples")
        score = _judged(part, double, fake, batch)
        require(score.dtype == torch.float64, f"a float64 discriminator gives {score.dtype} scores")
        if len(spec.shape) == 3:
            last = Networks(*(copy.deepcopy(net).to(memory_format=torch.channels_last) for net in double))
            torch.manual_seed(0)
            made = _generated(part, last, batch)
            seen = _judged(part, last, fake.contiguous(memory_format=torch.channels_last), batch)
            close = is_close(made, fake, 1e-6, 1e-8) and is_close(seen, score, 1e-6, 1e-8)
            require(close, "samples or scores of channels-last nets differ")
        for net in double:
            net.eval()
        for device in available_devices()[1:]:
            fake = _generated(part, double, batch)
            score = _judged(part, double, fake, batch)
            there = Networks(*(copy.deepcopy(net).to(device) for net in double))
            given = batch.replace(**{k: v.to(device) for k, v in batch.items()})
            made = _generated(part, there, given)
            seen = _judged(part, there, made, given)
            close = is_close(made.cpu(), fake, 1e-6, 1e-8) and is_close(seen.cpu(), score, 1e-6, 1e-8)
            require(close, f"samples or scores differ on {device}")
