"""The state of a run: all that changes during training, as one value.

The networks, the average of the generator, the optimizers, the parts' own modules and the counters. Randomness is no
part of the state: random numbers are a function of (seed, stream, step), see ``randomness.derive_seed``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo import errors
from ganzoo.names import brief
from ganzoo.parts import PLAYERS, Networks, Player, Stage
from ganzoo.step.average import Averaging


@dataclass
class Counters:
    """How far training is.

    Attributes:
        step: steps of the schedule made.
        draws: real batches drawn from the data.
        images: real images drawn from the data.
        updates: moves that each player made.
        skipped: steps that were undone because of a loss or gradient that is not finite.
        rollbacks: returns to a checkpoint for that reason. Each return goes on with other random numbers.
        phase: phase of growth of the last step. None where the networks do not grow, and before the first step.
        blend: share of the newest layers in the last step, from 0 to 1.
    """

    step: int = 0
    draws: int = 0
    images: int = 0
    updates: dict[Player, int] = field(default_factory=lambda: dict.fromkeys(PLAYERS, 0))
    skipped: int = 0
    rollbacks: int = 0
    phase: int | None = None
    blend: float = 1.0

    def copy(self) -> Counters:
        """A copy of the counters."""
        return replace(self, updates=dict(self.updates))

    def set(self, other: Counters) -> None:
        """Copy the values of other counters.

        Args:
            other: the counters to copy.
        """
        vars(self).update(vars(other.copy()))


class TensorKey(NamedTuple):
    """The place of a tensor in the state.

    Attributes:
        group: group of tensors, such as ``generator`` or ``optimizer-discriminator``.
        kind: ``weights``, or the name of a buffer or of an optimizer's tensor.
        name: name in the group.
    """

    group: str
    kind: str
    name: str


class State:
    """The state of a run. ``tensors`` and ``numbers`` read the state, ``load`` restores the state bit for bit."""

    def __init__(
        self,
        networks: Networks,
        optimizers: Mapping[Player, Optimizer],
        modules: Mapping[str, nn.Module],
        averaging: Averaging,
    ) -> None:
        """Take over networks that are already on the device.

        Args:
            networks: the two players.
            optimizers: each player's, over ``parameters(player)``.
            modules: the parts' own modules, by the part's label.
            averaging: the rule of the average of the generator.
        """
        self.networks = networks
        self.optimizers = dict(optimizers)
        self.modules = dict(modules)
        self.averaging = averaging
        self.ema: nn.Module | None = None
        if averaging.is_kept:
            # deepcopy, not a second build: spectral norm and whatever else `prepare` did comes along
            self.ema = copy.deepcopy(networks.generator).requires_grad_(False).eval()
        self._averaged: tuple[list[list[Tensor]], list[list[Tensor]]] | None = None  # the lists, made once
        self.counters = Counters()
        self.loads = 0  # how often a saved value was put back: the optimizers have other tensors since
        self.best: dict[str, Any] | None = None  # step and value of the best checkpoint, where one is asked for

    @property
    def stage(self) -> Stage | None:
        """The point of growth of the last step. None where the networks do not grow, and before the first step."""
        return None if self.counters.phase is None else Stage(self.counters.phase, self.counters.blend)

    def enter(self, stage: Stage | None) -> Stage | None:
        """Note the point of growth of the coming step. Optimizers forget their state where the stage says so.

        Args:
            stage: the point of growth that the architecture asks for. None where the networks do not grow.

        Returns:
            The point of growth to play at. Growth never goes back: a run that is prolonged may be asked for a point
            behind, since the same step is a smaller share of the run then.
        """
        if stage is None:
            return None
        reached = self.counters.phase, self.counters.blend
        if reached[0] is not None and (stage.phase, float(stage.blend)) < reached:
            stage = stage._replace(phase=reached[0], blend=reached[1])
        if stage.fresh_optimizers and stage.phase != self.counters.phase:
            for optimizer in self.optimizers.values():
                optimizer.state.clear()
            self.loads += 1  # recordings hold the tensors of the state that is gone
        self.counters.phase, self.counters.blend = stage.phase, float(stage.blend)
        return stage

    def ema_weight(self) -> float | Tensor:
        """The generator's weight in the average, after the update that was just counted."""
        return self.averaging.weight(self.counters.updates["generator"])

    @torch.no_grad()
    def average(self, share: float | Tensor) -> None:
        """Move the average towards the generator: ema <- (1 - share) ema + share theta.

        The running statistics of batch norm are averaged with the weights that they belong to. All other buffers, such
        as the vectors of spectral norm, are copied: an averaged power-iteration vector would not have length 1. Costs
        one pass over the weights.

        Source: the code of A. Brock et al., Large scale GAN training (BigGAN), 2019, arXiv 1809.11096, which averages
            the running statistics too.

        Args:
            share: the generator's weight in the average, from 0 to 1. A tensor stays on the
                device.
        """
        if self.ema is None:
            return
        if self._averaged is None:
            nets = self.ema, self.networks.generator
            running = [_running_statistics(net) for net in nets]
            taken = {id(value) for each in running for value in each}
            averaged = [[*net.parameters(), *each] for net, each in zip(nets, running, strict=True)]
            self._averaged = averaged, [[b for b in net.buffers() if id(b) not in taken] for net in nets]
        (averages, weights), (mine, theirs) = self._averaged
        if isinstance(share, Tensor):  # as a number it would be fetched from the device
            torch._foreach_lerp_(averages, weights, [share] * len(weights))
        else:
            torch._foreach_lerp_(averages, weights, share)
        if mine:
            torch._foreach_copy_(mine, theirs)

    def held(self) -> dict[TensorKey, Tensor]:
        """The tensor objects that training reads and writes. ``tensors`` returns other objects over the same memory."""
        found: dict[TensorKey, Tensor] = {}
        for group, module in self.modules_by_group():
            found.update({TensorKey(group, "weights", name): value for name, value in module.named_parameters()})
            found.update({TensorKey(group, name, name): value for name, value in module.named_buffers()})
        for player, optimizer in self.optimizers.items():
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for index, parameter in enumerate(parameters):
                for key, value in optimizer.state.get(parameter, {}).items():
                    if isinstance(value, Tensor):
                        found[TensorKey(f"optimizer-{player}", key, f"{index}.{key}")] = value
        return found

    def modules_by_group(self) -> Iterator[tuple[str, nn.Module]]:
        """All modules, by the name of their group in ``tensors``."""
        yield "generator", self.networks.generator
        yield "discriminator", self.networks.discriminator
        if self.ema is not None:
            yield "ema", self.ema
        # The prefix keeps a part that is called "ema" apart from the average.
        for label, module in self.modules.items():
            yield f"part-{label}", module

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All tensors by group (``generator``, ``ema``, ``optimizer-discriminator``, ...) and name, without copies."""
        found = {group: dict(module.state_dict()) for group, module in self.modules_by_group()}
        for player, optimizer in self.optimizers.items():
            # ``state_dict`` numbers the parameters by place, so the names fit the same optimizer in another process.
            found[f"optimizer-{player}"] = {
                f"{index}.{key}": value
                for index, entry in optimizer.state_dict()["state"].items()
                for key, value in entry.items()
                if isinstance(value, Tensor)
            }
        return found

    def numbers(self) -> dict[str, Any]:
        """The numbers of the state as plain data: the counters, and the optimizers' numbers."""
        rest: dict[str, Any] = {"counters": asdict(self.counters), "best": self.best, "optimizers": {}}
        for player, optimizer in self.optimizers.items():
            # JSON has no tensors, so these stay out, and only text as keys, so parameters get their number as text.
            saved = optimizer.state_dict()
            rest["optimizers"][player] = {
                "groups": saved["param_groups"],
                "state": {
                    str(index): {key: value for key, value in entry.items() if not isinstance(value, Tensor)}
                    for index, entry in saved["state"].items()
                },
            }
        return rest

    def copies(self) -> dict[str, dict[str, Tensor]]:
        """``tensors``, copied to the CPU, so that a checkpoint can be written while training goes on."""
        return {
            group: {name: value.detach().to("cpu", copy=True) for name, value in named.items()}
            for group, named in self.tensors().items()
        }

    @torch.no_grad()
    def unsound(self) -> str | None:
        """A value that must not be saved, by group and name, or None. Waits for the device once.

        NaN is never right. An infinity is right in a module's buffer (a mask).
        """
        weights = {(group, name) for group, module in self.modules_by_group() for name, _ in module.named_parameters()}
        sound: dict[str, Tensor] = {}
        for group, named in self.tensors().items():
            for name, value in named.items():
                strict = (group, name) in weights or group.startswith("optimizer-")
                sound[f"{group} {name}"] = value.isfinite().all() if strict else ~value.isnan().any()
        where = next(self.networks.generator.parameters()).device
        # A single transfer. A question for each tensor would wait for the device as often.
        answers = torch.stack([answer.to(where) for answer in sound.values()]).tolist()
        return next((name for name, answer in zip(sound, answers, strict=True) if not answer), None)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], numbers: Mapping[str, Any]) -> None:
        """Put a saved value back.

        Args:
            tensors: the tensors by group and name, as ``tensors`` returns the tensors.
            numbers: the numbers, as ``numbers`` returns the numbers.

        Raises:
            CheckpointError: the value is of other networks, optimizers or parts.
        """
        for group, module in self.modules_by_group():
            load_module(module, tensors.get(group), group)
        for player, optimizer in self.optimizers.items():
            saved = numbers.get("optimizers", {}).get(player)
            named = tensors.get(f"optimizer-{player}")
            if saved is None or named is None:  # without this check the optimizer would begin anew in silence
                raise errors.CheckpointError(f"the checkpoint has no state of the {player}'s optimizer")
            state: dict[int, dict[str, Any]] = {int(i): dict(entry) for i, entry in saved["state"].items()}
            for name, value in named.items():
                index, _, key = name.partition(".")
                if not (index.isascii() and index.isdecimal() and key):
                    raise errors.CheckpointError(f"the checkpoint's {player} optimizer holds an odd tensor: {name}")
                state.setdefault(int(index), {})[key] = value
            groups = optimizer.state_dict()["param_groups"]
            if [g["params"] for g in groups] != [g["params"] for g in saved["groups"]] or (
                state and max(state) >= sum(len(g["params"]) for g in groups)
            ):
                raise errors.CheckpointError(f"the checkpoint's {player} optimizer is over other parameters")
            again = [
                {key: _like(own.get(key), value, f"{player} optimizer's {key}") for key, value in group.items()}
                for own, group in zip(groups, saved["groups"], strict=True)
            ]
            optimizer.load_state_dict({"state": state, "param_groups": again})
            ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for number, entry in state.items():  # torch gives all state the weights' type; it has one of its own
                parameter = ordered[number]
                for key, value in entry.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape and key != "step":
                        laid_out = torch.empty_like(parameter, dtype=value.dtype)  # in the weights' memory format
                        optimizer.state[parameter][key] = laid_out.copy_(value)
        counters = numbers.get("counters")
        if not counters:
            raise errors.CheckpointError("the checkpoint has no counters: it does not tell how far training was")
        if unknown := counters.keys() - vars(self.counters):
            raise errors.CheckpointError(
                f"the checkpoint counts {', '.join(sorted(unknown))}, which this ganzoo does not: it needs a newer one"
            )
        # In place: games and recordings hold this very object.
        self.counters.set(_counters(counters))
        self.loads += 1
        self.best = numbers.get("best")

    @torch.no_grad()
    def load_to_sample(
        self, tensors: Mapping[str, Mapping[str, Tensor]], numbers: Mapping[str, Any]
    ) -> dict[str, errors.CheckpointError]:
        """Put the networks and the counters of a saved value back, to sample and not to train.

        Args:
            tensors: the tensors by group and name.
            numbers: the plain data of the checkpoint.

        Returns:
            By the name of the group, why a module was not loaded. The generator and the average are always loaded.

        Raises:
            CheckpointError: the generator or the average is of another network.
        """
        failed: dict[str, errors.CheckpointError] = {}
        for group, module in self.modules_by_group():
            try:
                load_module(module, tensors.get(group), group)
            except errors.CheckpointError as error:
                # Samples come from these two networks. No sample is made by the others.
                if group in ("generator", "ema"):
                    raise
                failed[group] = error
        # A newer ganzoo may count more. To sample, the further counters are not needed.
        known = {key: value for key, value in numbers["counters"].items() if key in vars(self.counters)}
        self.counters.set(Counters(**known))
        self.best = numbers.get("best")
        return failed

    @torch.no_grad()
    def adopt(self, tensors: Mapping[str, Mapping[str, Tensor]], *, partial: bool = False) -> list[str]:
        """Start from another run's networks: the generator, the discriminator and the average alone.

        Args:
            tensors: the tensors of the other run by group.
            partial: whether to take only the tensors whose names and shapes fit.

        Returns:
            With ``partial``, a line a network with the tensors that were taken and were not taken.

        Raises:
            CheckpointError: the value is of other networks, or no tensor of a network fits.
        """
        nets = {"generator": self.networks.generator, "discriminator": self.networks.discriminator}
        if self.ema is not None:
            nets["ema"] = self.ema
        lines = []
        for group, net in nets.items():
            # The other run may have kept no average. The average then starts at the generator of that run.
            saved = tensors.get(group) or (tensors.get("generator") if group == "ema" else None)
            if not partial:
                load_module(net, saved, group)
            else:
                lines.append(load_fitting(net, saved or {}, group))
        return lines


def _running_statistics(net: nn.Module) -> list[Tensor]:
    """The running means and variances of the norms of a network, such as batch norm."""
    found = [getattr(module, name, None) for module in net.modules() for name in ("running_mean", "running_var")]
    return [value for value in found if isinstance(value, Tensor)]


def load_fitting(module: nn.Module, saved: Mapping[str, Tensor], group: str) -> str:
    """Copy the saved tensors whose names and shapes are the module's.

    Args:
        module: the network, changed in place.
        saved: the tensors of another network by name.
        group: the name of the network.

    Returns:
        A line with the number of tensors taken, and the names of the others with both shapes.

    Raises:
        CheckpointError: no tensor fits.

    Example:
        >>> load_fitting(nn.Linear(2, 1), {"weight": torch.zeros(1, 2), "bias": torch.zeros(3)}, "generator")
        'generator: 1 of 2 tensors taken, not bias (1 here, 3 there)'
    """
    own = module.state_dict()
    fitting = [name for name, value in own.items() if name in saved and saved[name].shape == value.shape]
    if not fitting:
        raise errors.CheckpointError(f"no tensor of the {group} has the name and the shape of one of this run's")
    for name in fitting:
        # ``state_dict`` returns tensors over the memory of the module, so the copy changes the module.
        own[name].copy_(saved[name])

    def shape(of: Mapping[str, Tensor], name: str) -> str:
        return "x".join(map(str, of[name].shape)) or "a number" if name in of else "none"

    rest = [n for n in dict.fromkeys([*own, *saved]) if n not in fitting]
    listed = ", ".join(f"{name} ({shape(own, name)} here, {shape(saved, name)} there)" for name in rest[:8])
    more = f" and {len(rest) - 8} more" if len(rest) > 8 else ""
    return f"{group}: {len(fitting)} of {len(own)} tensors taken{f', not {listed}{more}' if rest else ''}"


def _counters(saved: Mapping[str, object]) -> Counters:
    """Counters of plain data, of the types that the fields of ``Counters`` have."""
    try:
        found = TypeAdapter(Counters).validate_python(dict(saved), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise errors.CheckpointError(
            f"the checkpoint's counter {'.'.join(map(str, first['loc']))} is no counter: {first['msg'].lower()}"
        ) from error
    if set(found.updates) != set(PLAYERS) or min(found.step, found.draws, found.images, *found.updates.values()) < 0:
        raise errors.CheckpointError("the checkpoint's counters are no counters of a run")
    return found


def _like(own: object, saved: object, what: str) -> object:
    """A saved option of an optimizer, of the type that the option has. JSON has no tuples, and betas are a tuple."""
    if isinstance(own, tuple) and isinstance(saved, (list, tuple)) and len(own) == len(saved):
        return tuple(_like(mine, value, what) for mine, value in zip(own, saved, strict=True))
    number = isinstance(own, (int, float)) and not isinstance(own, bool)
    if number and isinstance(saved, (int, float)) and not isinstance(saved, bool):
        return saved
    # Without a value to compare with, any plain value is taken: torch's own options may be None, True or False.
    if own is None or (not number and not isinstance(own, tuple) and isinstance(saved, (type(own), type(None)))):
        return saved
    raise errors.CheckpointError(f"the checkpoint's {what} is {brief(saved)}, and not like {brief(own)}")


def load_module(module: nn.Module, saved: Mapping[str, Tensor] | None, group: str) -> None:
    """Copy saved tensors into a module.

    Args:
        module: the module to overwrite.
        saved: the tensors by name, or None where the checkpoint lacks the group.
        group: the name of the group, for messages.

    Raises:
        CheckpointError: names or shapes are not the module's.
    """
    own = module.state_dict()
    if saved is None or saved.keys() != own.keys():
        missing = sorted(own.keys() - (saved or {}).keys())[:3]
        extra = sorted((saved or {}).keys() - own.keys())[:3]
        raise errors.CheckpointError(
            f"the checkpoint's {group} is of another network (missing: {', '.join(missing) or 'none'}; "
            f"unknown: {', '.join(extra) or 'none'})"
        )
    for name, value in own.items():
        if value.shape != saved[name].shape:
            raise errors.CheckpointError(
                f"the checkpoint's {group} has {name} of shape {tuple(saved[name].shape)}, not {tuple(value.shape)}"
            )
        kinds = {(each.is_floating_point(), each.is_complex()) for each in (value, saved[name])}
        if len(kinds) > 1:
            raise errors.CheckpointError(
                f"the checkpoint's {group} has {name} of type {saved[name].dtype}, not {value.dtype}"
            )
        value.copy_(saved[name])
