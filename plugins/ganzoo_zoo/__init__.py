"""The parts that ship with ganzoo, brought in by the same door as anyone's."""

from __future__ import annotations

import ganzoo
from ganzoo.hookspecs import Register, RegisterPreset
from ganzoo_zoo.presets import PRESETS


@ganzoo.hookimpl
def register_architectures(register: Register) -> None:
    """The architectures."""
    register("dcgan", "ganzoo_zoo.architectures.dcgan:DCGAN")
    register("mlp", "ganzoo_zoo.architectures.mlp:MLP")
    register("resnet", "ganzoo_zoo.architectures.resnet:ResNet")


@ganzoo.hookimpl
def register_losses(register: Register) -> None:
    """The losses."""
    register("hinge", "ganzoo_zoo.losses.hinge:Hinge")
    register("lsgan", "ganzoo_zoo.losses.lsgan:LSGAN")
    register("rpgan", "ganzoo_zoo.losses.rpgan:RpGAN")
    register("sgan", "ganzoo_zoo.losses.sgan:SGAN")
    register("sgan-saturating", "ganzoo_zoo.losses.sgan_saturating:SGANSaturating")
    register("wgan", "ganzoo_zoo.losses.wgan:WGAN")


@ganzoo.hookimpl
def register_regularizers(register: Register) -> None:
    """The regularizers."""
    register("instance-noise", "ganzoo_zoo.regularizers.instance_noise:InstanceNoise")
    register("label-smoothing", "ganzoo_zoo.regularizers.label_smoothing:LabelSmoothing")
    register("r1", "ganzoo_zoo.regularizers.r1:R1")
    register("sn", "ganzoo_zoo.regularizers.sn:SpectralNorm")
    register("weight-clip", "ganzoo_zoo.regularizers.weight_clip:WeightClip")
    register("wgan-gp", "ganzoo_zoo.regularizers.wgan_gp:WGANGP")


@ganzoo.hookimpl
def register_schedules(register: Register) -> None:
    """The schedules."""
    register("alternating", "ganzoo_zoo.schedules.alternating:Alternating")
    register("onestep", "ganzoo_zoo.schedules.onestep:OneStep")


@ganzoo.hookimpl
def register_data(register: Register) -> None:
    """The data."""
    register("cifar10", "ganzoo_zoo.data.cifar10:CIFAR10")
    register("digits", "ganzoo_zoo.data.digits:Digits")
    register("fashion-mnist", "ganzoo_zoo.data.fashion_mnist:FashionMNIST")
    register("folder", "ganzoo_zoo.data.folder:Folder")
    register("grid", "ganzoo_zoo.data.grid:Grid")
    register("mnist", "ganzoo_zoo.data.mnist:MNIST")
    register("ring", "ganzoo_zoo.data.ring:Ring")


@ganzoo.hookimpl
def register_metrics(register: Register) -> None:
    """The metrics."""
    register("modes", "ganzoo_zoo.metrics.modes:Modes")


@ganzoo.hookimpl
def register_optimizers(register: Register) -> None:
    """The optimizers."""
    register("adam", "ganzoo_zoo.optimizers.adam:Adam")
    register("rmsprop", "ganzoo_zoo.optimizers.rmsprop:RMSprop")
    register("sgd", "ganzoo_zoo.optimizers.sgd:SGD")


@ganzoo.hookimpl
def register_presets(register: RegisterPreset) -> None:
    """The presets."""
    for name, settings in PRESETS.items():
        register(name, settings)
