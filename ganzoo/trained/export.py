"""Export the networks of a run for use without ganzoo.

Every export is a network as a function of tensors, traced by ``torch.export``. The file holds a description of inputs
and output. Each export is read again by the printed loader's steps, and the result is compared with ganzoo's own.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganzoo import errors
from ganzoo.names import one_line
from ganzoo.parts import Batch
from ganzoo.step.round import logits
from ganzoo.trained.loaders import loader, module_path, weights_module
from ganzoo.training.evaluating import evaluating
from ganzoo.training.run import Run

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Format = Literal["safetensors", "torch", "onnx", "state-dict"]
"""The file formats of ``export``."""

Network = Literal["generator", "discriminator", "encoder"]
"""The networks that ``export`` can write."""

ENDINGS: Mapping[Format, str] = {
    "safetensors": ".safetensors",
    "torch": ".pt2",
    "onnx": ".onnx",
    "state-dict": ".pt",
}
"""The ending of the file of each format."""

CHECKED = 5
"""Samples by which an exported file is compared with ganzoo's own network."""

TRACED = 3
"""Samples that a network is traced with. The number differs from ``CHECKED``, so that the check meets a new size."""

TOLERANCE: Mapping[Format, float] = {"safetensors": 1e-5, "torch": 1e-5, "onnx": 1e-3, "state-dict": 1e-5}
"""The largest difference, relative to the largest value, that an export may show. ONNX Runtime sums in another order.
"""


@dataclass(frozen=True)
class Exported:
    """A file that was written by ``export``.

    Args:
        path: the file.
        description: the inputs and the output of the network, and the run that the network comes from. Plain data.
        difference: the largest absolute difference to ganzoo's own result, or None where both draw noise of their own.
        loader: a Python program of about ten lines that reads the file without ganzoo.
        files: every file that the loader needs.
    """

    path: Path
    description: Mapping[str, Any]
    difference: float | None
    loader: str
    files: tuple[Path, ...]


class Exportable(nn.Module):
    """A network of a run as a function of tensors in a fixed order.

    Args:
        run: the run.
        network: ``generator``, ``discriminator`` or ``encoder``.
        module: the weights to use, in evaluation mode.
        names: the names of the input tensors in order.
    """

    def __init__(self, run: Run, network: Network, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.architecture, self.network, self.names = run.parts.architecture, network, tuple(names)
        self.module = module

    def forward(self, *given: Tensor) -> Tensor:
        """Call the network as the architecture does.

        Args:
            given: the tensors, (N, ...) each, in the order of ``names``.

        Returns:
            Samples (N, *shape), scores (N,) or latents (N, latent_dim).
        """
        batch = Batch(**dict(zip(self.names, given, strict=True)))
        if self.network == "generator":
            return self.architecture.generate(self.module, batch)
        images, rest = batch.images, batch.replace(images=None)
        if self.network == "encoder":
            return self.architecture.encode(self.module, images, rest)
        return logits(self.architecture.judge(self.module, images, rest))


def export(
    run: Run,
    to: Format,
    *,
    network: Network = "generator",
    source: str = "auto",
    out: Path | None = None,
) -> Exported:
    """Write a network of a run to a file that other programs read without ganzoo.

    Args:
        run: a trained run.
        to: the format. ``torch`` is a program of ``torch.export``, ``onnx`` an ONNX model. ``safetensors`` and
            ``state-dict`` hold the weights, with the network as a Python file beside the weights.
        network: ``generator``, ``discriminator`` or ``encoder``.
        source: the generator's weights: ``ema``, ``generator``, or ``auto`` for the average if there is one.
        out: the file. None writes ``exports/NETWORK`` in the run directory, with the ending of the format.

    Returns:
        The file, its description and the loader.

    Raises:
        Incompatible: the network cannot be traced, or the run has no encoder.
        SettingsError: an argument is outside the range above.
        RunError: the file cannot be written, or the file does not give ganzoo's own result.
    """
    if to not in get_args(Format):
        raise errors.SettingsError(f"format {to!r} is not one of {', '.join(get_args(Format))}")
    if network not in get_args(Network):
        raise errors.SettingsError(f"network {network!r} is not one of {', '.join(get_args(Network))}")
    if to == "onnx":
        _require_onnx()
    out = out if out is not None else run.dir / "exports" / f"{network}{ENDINGS[to]}"
    batch = _batch(run, network, CHECKED)
    names = list(batch)
    module = plain_weights(run.weights(source) if network == "generator" else run.discriminator)
    net = Exportable(run, network, module, names).eval()
    given = tuple(batch.values())
    with evaluating(net), torch.no_grad():
        due, again = _seeded(net, given), net(*given)
        noisy = not torch.equal(due, again)
    program, any_size = _program(net, tuple(each[:TRACED] for each in given), given)
    if not any_size:
        program = _fixed(net, given)
    description = _description(run, network, source, batch, due, any_size, noisy)
    files, read = _write(program, net, given, to, out, description, any_size)
    difference = None
    if not (noisy and to == "onnx"):
        made = _seeded(read, given)
        difference = float((made.double() - due.double()).abs().max())
        if not difference <= TOLERANCE[to] * max(1.0, float(due.abs().max())):
            raise errors.RunError(
                f"{out} gives other numbers than ganzoo: they differ by up to {difference:.2g}; the file was kept for "
                "inspection; export with another --to"
            )
    return Exported(out, description, difference, loader(to, out, description), files)


def plain_weights(module: nn.Module) -> nn.Module:
    """Copy a network, with the weights that a pass in evaluation mode uses as plain parameters.

    Args:
        module: a network, possibly with parametrizations such as spectral normalization.

    Returns:
        The copy, on the CPU and in evaluation mode.

    Example:
        >>> from torch.nn.utils.parametrizations import weight_norm
        >>> [name for name, _ in plain_weights(weight_norm(nn.Linear(2, 2))).named_parameters()]
        ['bias', 'weight']
    """
    plain = copy.deepcopy(module).cpu().eval()
    with torch.no_grad():
        for part in plain.modules():
            if not parametrize.is_parametrized(part):
                continue
            # torch's remove_parametrizations would change the class of the module, which the original shares.
            found = {name: getattr(part, name) for name in dict(part.parametrizations)}  # type: ignore[arg-type]
            del part.parametrizations
            part.__class__ = type(part).__bases__[0]
            for name, value in found.items():
                part.register_parameter(name, nn.Parameter(value.detach().clone(), requires_grad=False))
    return plain


def _batch(run: Run, network: Network, count: int) -> Batch:
    """The tensors that a network takes, drawn at random, on the CPU."""
    noise = torch.Generator().manual_seed(0)
    inputs = {}
    for name, spec in run.spec.inputs.items():
        shape = (count, *spec.shape)
        low, high = spec.range or (-1.0, 1.0)
        if spec.dtype == "float":
            value = torch.rand(shape, generator=noise, dtype=torch.float64).to(run.dtype) * (high - low) + low
        else:
            value = torch.randint(int(low), int(high) + 1, shape, generator=noise).to(getattr(torch, spec.dtype))
        inputs[name] = value.to(run.device)
    batch = run.latents(count, inputs=inputs)
    if network != "generator":
        images = torch.rand((count, *run.spec.shape), generator=noise, dtype=torch.float64) * 2 - 1
        batch = batch.replace(latent=None, images=images.to(run.dtype))
        batch = Batch(images=batch.images, **{name: batch[name] for name in batch if name != "images"})
    return batch.map(Tensor.cpu)


def _seeded(net: Callable[..., Tensor], given: Sequence[Tensor]) -> Tensor:
    """The result of a network, with torch's own noise from seed 0. The random state of the caller is restored."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return net(*given)


def _program(net: nn.Module, few: tuple[Tensor, ...], given: tuple[Tensor, ...]) -> tuple[ExportedProgram, bool]:
    """Trace a network for batches of any size. The second value is False where only one size works."""
    auto = {0: torch.export.Dim.AUTO}
    try:
        with _silent():
            program = torch.export.export(net, few, dynamic_shapes={"given": tuple(auto for _ in few)})
            _seeded(program.module(), given)
    except Exception:  # exporters raise errors of many classes; the fixed size below is tried next
        return _fixed(net, given), False
    return program, True


def _fixed(net: nn.Module, given: tuple[Tensor, ...]) -> ExportedProgram:
    try:
        with _silent():
            return torch.export.export(net, given)
    except Exception as error:
        raise errors.Incompatible(
            f"the network cannot be traced by torch.export ({one_line(error)}): its architecture uses Python that "
            "depends on the values of tensors"
        ) from error


class _silent(warnings.catch_warnings):
    """A context without warnings: exporters warn that a later torch will replace the exporter."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")


def _description(
    run: Run,
    network: Network,
    source: str,
    batch: Batch,
    made: Tensor,
    any_size: bool,
    noisy: bool,
) -> dict[str, Any]:
    """Describe the inputs and the output of a network as plain data."""
    size: str | int = "N" if any_size else batch.size
    inputs = []
    for name, value in batch.items():
        entry = {"name": name, "shape": [size, *value.shape[1:]], "dtype": str(value.dtype).removeprefix("torch.")}
        if name == "latent":
            entry["range"] = "drawn from N(0, 1)"
        elif name == "images":
            entry["range"] = [-1.0, 1.0]
        elif name == "labels" and run.spec.classes:
            entry["range"] = [0, run.spec.classes - 1]
            if run.class_names:
                entry["classes"] = list(run.class_names)
        elif (spec := run.spec.inputs.get(name)) is not None and spec.range is not None:
            entry["range"] = list(spec.range)
        inputs.append(entry)
    output = {"generator": "samples", "discriminator": "scores", "encoder": "latent"}[network]
    ranges = {"samples": [-1.0, 1.0], "scores": "a higher score means more real", "latent": "as drawn from N(0, 1)"}
    # What -1 and 1 stand for in the files of the data, for programs that scale samples back.
    units = {"data_range": list(run.data_range)} if output == "samples" and run.data_range is not None else {}
    averaged = network == "generator" and source != "generator" and run.ema is not None
    return {
        "format": "ganzoo export 1",
        "network": network,
        "weights": ("average" if averaged else "generator") if network == "generator" else "discriminator",
        "run": run.dir.name,
        "step": run.step,
        "recipe": {key: run.parts.labels[key] for key in ("arch", "loss", "regularizers", "schedule", "data")},
        "inputs": inputs,
        "output": {
            "name": output,
            "shape": [size, *made.shape[1:]],
            "dtype": str(made.dtype).removeprefix("torch."),
            "range": ranges[output],
            **units,
        },
        "noise": "drawn by the network itself" if noisy else "none beside the inputs",
    }


def _write(
    program: ExportedProgram,
    net: Exportable,
    given: tuple[Tensor, ...],
    to: Format,
    out: Path,
    description: Mapping[str, Any],
    any_size: bool,
) -> tuple[tuple[Path, ...], Callable[..., Tensor]]:
    """Write the files of a format, and read them again.

    Returns:
        The files, and the network that was read.
    """
    text = json.dumps(description)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if to == "torch":
            with _silent():
                torch.export.save(program, out, extra_files={"ganzoo.json": text})
                module: Callable[..., Tensor] = torch.export.load(out).module()
            return (out,), module
        if to == "onnx":
            return (out,), _onnx(net, given, out, description, any_size)
        source, tensors = weights_module(program, net.names, description, to, out)
        if to == "safetensors":
            from safetensors.torch import save_file

            save_file(tensors, out, {"ganzoo": text})
        else:
            torch.save({"weights": tensors, "ganzoo": text}, out)
        code = module_path(out)
        if code.exists() and not code.read_text(encoding="utf-8", errors="replace").startswith(
            f'"""A {net.network} in'
        ):
            raise errors.RunError(f"{code} exists and is no export of ganzoo: give another --out")
        code.write_text(source, encoding="utf-8")
    except OSError as error:
        raise errors.RunError(f"{out} cannot be written ({error.strerror or error}): give another --out") from error
    page: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, str(code), "exec"), page)  # our own text, run as the loader runs it
    weights = page["load"](str(out))

    def read(*tensors: Tensor) -> Tensor:
        found: Tensor = page[description["network"]](weights, *tensors)
        return found

    return (out, code), read


def _require_onnx() -> None:
    """Raise an error where the packages for ONNX are missing."""
    from importlib.util import find_spec

    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise errors.RunError(f"--to onnx needs the package {package}: python3 -m pip install onnx onnxruntime")


def _onnx(
    net: Exportable, given: tuple[Tensor, ...], out: Path, description: Mapping[str, Any], any_size: bool
) -> Callable[..., Tensor]:
    """Write an ONNX model with the description as metadata, and read the model again."""
    import onnx
    import onnxruntime

    axes = {name: {0: "N"} for name in (*net.names, description["output"]["name"])}
    sample = tuple(each[:TRACED] for each in given) if any_size else given
    try:
        with _silent(), torch.no_grad():
            # The exporter that traces takes 0.1 s a network and gives one file. The newer exporter takes 5 s.
            torch.onnx.export(
                net,
                sample,
                str(out),
                dynamo=False,
                input_names=list(net.names),
                output_names=[description["output"]["name"]],
                dynamic_axes=axes if any_size else None,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise errors.Incompatible(
            f"ONNX has no operator for this network ({one_line(error)}): export with --to torch"
        ) from error
    model = onnx.load(str(out))
    onnx.helper.set_model_props(model, {"ganzoo": json.dumps(description)})
    onnx.save(model, str(out))
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    # The graph lacks an input that the network does not use, such as the noise of a segmentor.
    used = {entry.name for entry in session.get_inputs()}

    def read(*tensors: Tensor) -> Tensor:
        inputs = {name: each.numpy() for name, each in zip(net.names, tensors, strict=True) if name in used}
        return torch.from_numpy(session.run(None, inputs)[0])

    return read
