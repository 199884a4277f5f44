"""The rules across parts: combinations that are refused, and combinations that give a warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn
from torch.optim import Optimizer as TorchOptimizer

from ganzoo import errors
from ganzoo.parts import Loss, Networks, Player, Regularizer, Spec
from ganzoo.training.diagnostics import such_as
from ganzoo.training.parts import Parts


def check(parts: Parts, networks: Networks, spec: Spec) -> list[str]:
    """Refuse parts that cannot go together, and collect warnings on parts that probably should not.

    Args:
        parts: the parts of the run.
        networks: the networks, prepared by the regularizers.
        spec: the shapes of samples, latents and inputs, and the number of classes.

    Returns:
        The warnings, a line each.

    Raises:
        Incompatible: two parts cannot go together. The message names the cause and an alternative.
    """
    loss = parts.spec("loss").label
    known = replace(spec, outputs=parts.architecture.outputs(spec))
    with errors.refusals_of("loss", loss):
        parts.loss.check(known)
    for label, regularizer in parts.regularizers.items():
        if regularizer.pairs and not spec.inputs:
            raise errors.Incompatible(
                f"{label} compares each fake with the real sample made for the same condition, and data "
                f"{parts.spec('data').label} gives no pairs: use data of pairs, or leave {label} out"
            )
        if missing := sorted(regularizer.reads_intermediates - {"images", *parts.architecture.intermediates(spec)}):
            has = ", ".join(["images", *parts.architecture.intermediates(spec)])
            raise errors.Incompatible(
                f"{label} reads the stage {missing[0]}, and architecture {parts.spec('arch').label} makes {has}: name "
                f"one of these"
            )
        with errors.refusals_of("regularizer", label):
            regularizer.check(known)
        if regularizer.defines("targets") and not parts.loss.has_targets:
            raise errors.Incompatible(
                f"{label} moves the targets of a loss, and loss {loss} has none: use a loss with targets"
                f"{such_as(parts.catalogue_names('loss', 'has_targets'))}, or leave {label} out"
            )
    sloped: list[tuple[str, Loss | Regularizer]] = [(f"loss {loss}", parts.loss), *parts.regularizers.items()]
    warnings = []
    for label, part in sloped:
        if not part.per_sample_gradients:
            continue
        if mixing := _mixing(networks.discriminator, "trained_with_penalties"):
            raise errors.Incompatible(
                f"{label} takes a gradient per sample, and {mixing} in the discriminator mixes samples: use a "
                "discriminator without such a layer (of normalisations: layer, instance or none), or leave "
                f"{label} out"
            )
        if mixing := _mixing(networks.discriminator):
            warnings.append(
                f"{label} takes a gradient per sample, and {mixing} in the discriminator mixes samples: the gradient "
                "of a sample counts the effect on the scores of the others too, as in published runs with this layer"
            )
    if parts.schedule.uses_shared_backward:
        _check_shared(parts, networks)
    if parts.schedule.differentiates_gradients:
        _check_third_derivatives(parts, networks)
    if not parts.loss.bounded and not any(r.constrains_discriminator for r in parts.regularizers.values()):
        names = parts.catalogue_names("regularizer", "constrains_discriminator")
        warnings.append(
            f"loss {loss} is unbounded below and no part constrains the discriminator, so the scores will grow without "
            f"end: add a regularizer that constrains the discriminator{such_as(names)}"
        )
    return warnings


def check_micro_batches(parts: Parts, micro_batches: int, accumulate: int) -> None:
    """Refuse a batch in pieces where a part cannot work with pieces.

    Args:
        parts: the parts of the run.
        micro_batches: into how many parts each batch is cut, over all processes.
        accumulate: the micro-batches of each process.

    Raises:
        Incompatible: a part needs the whole batch, or one backward pass of both players.
    """
    schedule, label = parts.schedule, f"schedule {parts.labels['schedule']}"
    if micro_batches > 1:
        instead = "train it in one process and without --accumulate"
        for name, regularizer in parts.regularizers.items():
            if regularizer.defines("joint_penalty"):
                raise errors.Incompatible(f"{name} is the size of a whole batch's gradient: {instead}")
        if schedule.needs_whole_batch:
            raise errors.Incompatible(f"{label} differentiates the whole batch's gradient: {instead}")
    if schedule.uses_shared_backward and accumulate > 1:
        raise errors.Incompatible(
            f"{label} takes both players' gradients from one backward pass, which --accumulate cannot make in pieces: "
            "leave out its shared=true, or --accumulate"
        )


def check_optimizers(parts: Parts, optimizers: Mapping[Player, TorchOptimizer]) -> None:
    """Refuse a scheduled number of an optimizer that torch's optimizer reads once, such as an argument of ``build``.

    Args:
        parts: the parts of the run.
        optimizers: the optimizer that each player's part has built.

    Raises:
        Incompatible: the parameter is no setting of the optimizer's parameter groups.
    """
    for player, optimizer in optimizers.items():
        setting = f"{player[0]}_optimizer"
        for name, number in parts.bound[setting].scheduled.items():
            if not all(name in group for group in optimizer.param_groups):
                raise errors.Incompatible(
                    f"optimizer {parts.spec(setting).label}: {name}={number} follows the run, and {name} is no setting "
                    "of torch's parameter groups, which alone change during a run: give a plain number"
                )


def _check_shared(parts: Parts, networks: Networks) -> None:
    """Refuse a shared backward pass where the two players' gradients are not proportional, sample by sample."""
    why = None
    if not parts.loss.supports_shared_backward:
        why = f"loss {parts.spec('loss').label} does not give both players one gradient up to a factor"
    if mixing := _mixing(networks.discriminator):
        why = f"{mixing} in the discriminator mixes samples"
    for label, regularizer in parts.regularizers.items():
        paid_by = regularizer.defines("generator_penalty") and "generator" in regularizer.paid_by
        if paid_by or regularizer.defines("joint_penalty") or regularizer.defines("select_samples"):
            why = f"{label} gives the generator a gradient of its own"
    if why is not None:
        raise errors.Incompatible(
            f"{why}, so schedule {parts.spec('schedule').label} cannot take both players' from one "
            "backward pass: leave out its shared=true"
        )


def _check_third_derivatives(parts: Parts, networks: Networks) -> None:
    """Refuse batch norm where a penalty on gradients of the network meets a schedule that differentiates again.

    The slopes of the discriminator's scores by images are not looked at: penalties on these refuse batch norm anyway.
    """
    for label, regularizer in parts.regularizers.items():
        joint = regularizer.defines("joint_penalty")
        through = [*networks] if joint else [networks.generator] if "styles" in regularizer.needs_grad_of else []
        if any(
            isinstance(module, nn.modules.batchnorm._BatchNorm) for network in through for module in network.modules()
        ):
            raise errors.Incompatible(
                f"{label} has a gradient in its penalty, and schedule {parts.spec('schedule').label} differentiates "
                "twice more, which torch's batch norm cannot: use another normalisation in the networks, another "
                f"schedule, or leave {label} out"
            )


def _mixing(network: nn.Module, excused: str = "") -> str | None:
    """Find a layer that mixes samples: the output for a sample depends on the other samples of the batch.

    Args:
        network: the network with the layers.
        excused: name of an attribute. Layers where the attribute is true are passed over.

    Returns:
        The name of the layer's class, or None.
    """
    for module in network.modules():
        if excused and getattr(module, excused, False):
            continue
        if isinstance(module, nn.modules.batchnorm._BatchNorm) or getattr(module, "mixes_samples", False):
            return type(module).__name__
    return None
