"""The parts that ship with ganzoo, registered through the hooks that every plugin uses."""

from __future__ import annotations

import ganzoo
from ganzoo.hookspecs import Register, RegisterPreset
from ganzoo_zoo.presets import PRESETS


@ganzoo.hookimpl
def register_architectures(register: Register) -> None:
    """Register the architectures.

    Args:
        register: the function to call with each name.
    """
    register("biggan", "ganzoo_zoo.architectures.biggan:BigGAN")
    register("dcgan", "ganzoo_zoo.architectures.dcgan:DCGAN")
    register("fastgan", "ganzoo_zoo.architectures.fastgan:FastGAN")
    register("gated", "ganzoo_zoo.architectures.gated:Gated")
    register("gat", "ganzoo_zoo.architectures.gat:GAT")
    register("mlp", "ganzoo_zoo.architectures.mlp:MLP")
    register("multiscale", "ganzoo_zoo.architectures.multiscale:Multiscale")
    register("packed", "ganzoo_zoo.architectures.packed:Packed")
    register("pggan", "ganzoo_zoo.architectures.pggan:PGGAN")
    register("patch", "ganzoo_zoo.architectures.patch:Patch")
    register("r3gan", "ganzoo_zoo.architectures.r3gan:R3GAN")
    register("resnet", "ganzoo_zoo.architectures.resnet:ResNet")
    register("sagan", "ganzoo_zoo.architectures.sagan:SAGAN")
    register("rrdb", "ganzoo_zoo.architectures.enlarging:RRDB")
    register("segan", "ganzoo_zoo.architectures.segan:SegAN")
    register("srresnet", "ganzoo_zoo.architectures.enlarging:SRResNet")
    register("stylegan2", "ganzoo_zoo.architectures.stylegan2:StyleGAN2")
    register("unet", "ganzoo_zoo.architectures.unet:UNet")


@ganzoo.hookimpl
def register_losses(register: Register) -> None:
    """Register the losses.

    Args:
        register: the function to call with each name.
    """
    register("acgan", "ganzoo_zoo.losses.acgan:ACGAN")
    register("feature-matching", "ganzoo_zoo.losses.feature_matching:FeatureMatching")
    register("gan-qp", "ganzoo_zoo.losses.gan_qp:GANQP")
    register("hinge", "ganzoo_zoo.losses.hinge:Hinge")
    register("hinge-linear", "ganzoo_zoo.losses.hinge_linear:HingeLinear")
    register("lsgan", "ganzoo_zoo.losses.lsgan:LSGAN")
    register("meg", "ganzoo_zoo.losses.meg:MEG")
    register("ogan", "ganzoo_zoo.losses.ogan:OGAN")
    register("ragan", "ganzoo_zoo.losses.ragan:RaSGAN")
    register("rahinge", "ganzoo_zoo.losses.ragan:RaHinge")
    register("ralsgan", "ganzoo_zoo.losses.ragan:RaLSGAN")
    register("rpgan", "ganzoo_zoo.losses.rpgan:RpGAN")
    register("segan", "ganzoo_zoo.losses.segan:SegAN")
    register("sgan", "ganzoo_zoo.losses.sgan:SGAN")
    register("sgan-saturating", "ganzoo_zoo.losses.sgan_saturating:SGANSaturating")
    register("wgan", "ganzoo_zoo.losses.wgan:WGAN")
    register("wgan-div", "ganzoo_zoo.losses.wgan_div:WGANDiv")


@ganzoo.hookimpl
def register_regularizers(register: Register) -> None:
    """Register the regularizers.

    Args:
        register: the function to call with each name.
    """
    register("ada", "ganzoo_zoo.regularizers.ada:ADA")
    register("apa", "ganzoo_zoo.regularizers.apa:APA")
    register("approximate-r1r2", "ganzoo_zoo.regularizers.approximate_r1r2:ApproximateR1R2")
    register("auxiliary-classifier", "ganzoo_zoo.regularizers.auxiliary_classifier:AuxiliaryClassifier")
    register("bcr", "ganzoo_zoo.regularizers.consistency:BCR")
    register("clip-gradient", "ganzoo_zoo.regularizers.clip_gradient:ClipGradient")
    register("consensus", "ganzoo_zoo.regularizers.consensus:Consensus")
    register("cr", "ganzoo_zoo.regularizers.consistency:CR")
    register("diffaugment", "ganzoo_zoo.regularizers.diffaugment:DiffAugment")
    register("dragan", "ganzoo_zoo.regularizers.dragan:DRAGAN")
    register("drift", "ganzoo_zoo.regularizers.drift:Drift")
    register("entropy", "ganzoo_zoo.regularizers.entropy:Entropy")
    register("feature-matching", "ganzoo_zoo.regularizers.feature_matching:FeatureMatching")
    register("gradient-penalty", "ganzoo_zoo.regularizers.gradient_penalty:GradientPenalty")
    register("instance-noise", "ganzoo_zoo.regularizers.instance_noise:InstanceNoise")
    register("l1", "ganzoo_zoo.regularizers.l1:L1")
    register("l2", "ganzoo_zoo.regularizers.l1:L2")
    register("label-smoothing", "ganzoo_zoo.regularizers.label_smoothing:LabelSmoothing")
    register("lecam", "ganzoo_zoo.regularizers.lecam:LeCam")
    register("lpips", "ganzoo_zoo.regularizers.lpips:LPIPS")
    register("multi-level-noise", "ganzoo_zoo.regularizers.multi_level_noise:MultiLevelNoise")
    register("orthogonal", "ganzoo_zoo.regularizers.orthogonal:Orthogonal")
    register("path-length", "ganzoo_zoo.regularizers.path_length:PathLength")
    register("perceptual", "ganzoo_zoo.regularizers.perceptual:Perceptual")
    register("r1", "ganzoo_zoo.regularizers.r1:R1")
    register("r1r2", "ganzoo_zoo.regularizers.r1:R1R2")
    register("r2", "ganzoo_zoo.regularizers.r1:R2")
    register("reconstruction", "ganzoo_zoo.regularizers.reconstruction:Reconstruction")
    register("rotation", "ganzoo_zoo.regularizers.rotation:Rotation")
    register("sn", "ganzoo_zoo.regularizers.sn:SpectralNorm")
    register("sn-penalty", "ganzoo_zoo.regularizers.sn_penalty:SpectralNormPenalty")
    register("ssim", "ganzoo_zoo.regularizers.ssim:SSIM")
    register("style", "ganzoo_zoo.regularizers.perceptual:Style")
    register("top-k", "ganzoo_zoo.regularizers.top_k:TopK")
    register("tv", "ganzoo_zoo.regularizers.tv:TV")
    register("weight-clip", "ganzoo_zoo.regularizers.weight_clip:WeightClip")
    register("wgan-div", "ganzoo_zoo.regularizers.wgan_div:WGANDiv")
    register("wgan-gp", "ganzoo_zoo.regularizers.wgan_gp:WGANGP")
    register("wgan-lp", "ganzoo_zoo.regularizers.wgan_gp:WGANLP")
    register("zcr", "ganzoo_zoo.regularizers.consistency:ZCR")
    register("zero-gp", "ganzoo_zoo.regularizers.zero_gp:ZeroGP")


@ganzoo.hookimpl
def register_schedules(register: Register) -> None:
    """Register the schedules.

    Args:
        register: the function to call with each name.
    """
    register("alternating", "ganzoo_zoo.schedules.alternating:Alternating")
    register("cgd", "ganzoo_zoo.schedules.cgd:CGD")
    register("extragradient", "ganzoo_zoo.schedules.extragradient:Extragradient")
    register("lookahead", "ganzoo_zoo.schedules.lookahead:Lookahead")
    register("onestep", "ganzoo_zoo.schedules.onestep:OneStep")
    register("sga", "ganzoo_zoo.schedules.sga:SGA")
    register("unrolled", "ganzoo_zoo.schedules.unrolled:Unrolled")


@ganzoo.hookimpl
def register_data(register: Register) -> None:
    """Register the data parts.

    Args:
        register: the function to call with each name.
    """
    register("cifar10", "ganzoo_zoo.data.cifar10:CIFAR10")
    register("colorize", "ganzoo_zoo.data.colorize:Colorize")
    register("digits", "ganzoo_zoo.data.digits:Digits")
    register("digits-masks", "ganzoo_zoo.data.digits_masks:DigitsMasks")
    register("fashion-mnist", "ganzoo_zoo.data.fashion_mnist:FashionMNIST")
    register("folder", "ganzoo_zoo.data.folder:Folder")
    register("grid", "ganzoo_zoo.data.grid:Grid")
    register("inpaint", "ganzoo_zoo.data.inpaint:Inpaint")
    register("mnist", "ganzoo_zoo.data.mnist:MNIST")
    register("pairs", "ganzoo_zoo.data.pairs:Pairs")
    register("ring", "ganzoo_zoo.data.ring:Ring")
    register("stacked-mnist", "ganzoo_zoo.data.stacked_mnist:StackedMNIST")
    register("superres", "ganzoo_zoo.data.superres:Superres")


@ganzoo.hookimpl
def register_metrics(register: Register) -> None:
    """Register the metrics.

    Args:
        register: the function to call with each name.
    """
    register("class-accuracy", "ganzoo_zoo.metrics.class_accuracy:ClassAccuracy")
    register("copies", "ganzoo_zoo.metrics.copies:Copies")
    register("dice", "ganzoo_zoo.metrics.dice:Dice")
    register("fd-pixels", "ganzoo_zoo.metrics.fd_pixels:FDPixels")
    register("iou", "ganzoo_zoo.metrics.iou:IoU")
    register("l1", "ganzoo_zoo.metrics.psnr:L1")
    register("lpips", "ganzoo_zoo.metrics.lpips:LPIPS")
    register("modes", "ganzoo_zoo.metrics.modes:Modes")
    register("ms-ssim", "ganzoo_zoo.metrics.ms_ssim:MSSSIM")
    register("psnr", "ganzoo_zoo.metrics.psnr:PSNR")
    register("sharpness", "ganzoo_zoo.metrics.psnr:Sharpness")
    register("ssim", "ganzoo_zoo.metrics.psnr:SSIM")
    register("stacked-modes", "ganzoo_zoo.metrics.stacked_modes:StackedModes")
    register("swd", "ganzoo_zoo.metrics.swd:SWD")
    register("two-sample", "ganzoo_zoo.metrics.two_sample:TwoSample")


@ganzoo.hookimpl
def register_optimizers(register: Register) -> None:
    """Register the optimizers.

    Args:
        register: the function to call with each name.
    """
    register("adam", "ganzoo_zoo.optimizers.adam:Adam")
    register("optimistic-adam", "ganzoo_zoo.optimizers.optimistic_adam:OptimisticAdam")
    register("rmsprop", "ganzoo_zoo.optimizers.rmsprop:RMSprop")
    register("sgd", "ganzoo_zoo.optimizers.sgd:SGD")


@ganzoo.hookimpl
def register_trackers(register: Register) -> None:
    """Register the trackers.

    Args:
        register: the function to call with each name.
    """
    register("budget", "ganzoo_zoo.trackers.budget:Budget")
    register("csv", "ganzoo_zoo.trackers.csv:CSV")
    register("early-stop", "ganzoo_zoo.trackers.early_stop:EarlyStop")
    register("trouble", "ganzoo_zoo.trackers.trouble:Trouble")


@ganzoo.hookimpl
def register_engines(register: Register) -> None:
    """The engines.

    Args:
        register: the function to call with each name.
    """
    register("command", "ganzoo_zoo.engines.command:Command")
    register("local", "ganzoo_zoo.engines.local:Local")


@ganzoo.hookimpl
def register_presets(register: RegisterPreset) -> None:
    """Register the presets.

    Args:
        register: the function to call with each name.
    """
    for name, settings in PRESETS.items():
        register(name, settings)
