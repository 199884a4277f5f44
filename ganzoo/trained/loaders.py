"""The Python text that goes with an export: the loader, and the network of a file of weights as plain torch code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.export import ExportedProgram

HEAD = '''"""A {network} in plain torch, written by ganzoo {version}. The weights are in {file}.

{text}
"""

import torch
{imports}
aten = torch.ops.aten


def load(path):
    """Read the weights: a mapping from names to tensors."""
    {read}


'''


def loader(to: str, out: Path, description: Mapping[str, Any]) -> str:
    """Write a program that reads an export without ganzoo.

    Args:
        to: the format of the file.
        out: the file.
        description: the description of the inputs and the output.

    Returns:
        The program, about ten lines. The program runs in the folder of the file.
    """
    network, output = description["network"], description["output"]["name"]
    names = [entry["name"] for entry in description["inputs"]]
    makers = [_maker(entry) for entry in description["inputs"]]
    shape = ", ".join(map(str, description["output"]["shape"]))
    what = description["output"]["range"]
    comment = f"# ({shape}), " + (f"values in [{what[0]:g}, {what[1]:g}]" if isinstance(what, list) else what)
    size = description["inputs"][0]["shape"][0]
    lines = [f"N = {16 if size == 'N' else size}", *makers]
    arguments = ", ".join(names)
    if to == "torch":
        lines = ["import torch", "", f'{network} = torch.export.load("{out.name}").module()', *lines]
        lines += ["with torch.no_grad():", f"    {output} = {network}({arguments})  {comment}"]
    elif to == "onnx":
        lines = ["import numpy as np", "import onnxruntime", "", *map(_numpy, lines)]
        feed = ", ".join(f'"{name}": {name}' for name in names)
        lines += [
            f'{network} = onnxruntime.InferenceSession("{out.name}")',
            f"given = {{{feed}}}",
            f"used = {{entry.name for entry in {network}.get_inputs()}}",
            f"{output} = {network}.run(None, {{k: v for k, v in given.items() if k in used}})[0]  {comment}",
        ]
    else:
        module = module_path(out).stem
        lines = ["import torch", "", f"import {module}", "", *lines, f'weights = {module}.load("{out.name}")']
        lines += ["with torch.no_grad():", f"    {output} = {module}.{network}(weights, {arguments})  {comment}"]
    return "\n".join(lines) + "\n"


def module_path(out: Path) -> Path:
    """Choose the Python file that goes with a file of weights.

    Args:
        out: the file of weights.

    Returns:
        The path, beside the weights, with a name that Python can import.

    Example:
        >>> str(module_path(Path("exports/my-digits.safetensors")))
        'exports/my_digits.py'
    """
    name = re.sub(r"\W", "_", out.stem)
    return out.with_name(f"{'_' if name[:1].isdigit() else ''}{name}.py")


def _maker(entry: Mapping[str, Any]) -> str:
    """The line of a loader that makes an input."""
    name, rest = entry["name"], ", ".join(map(str, entry["shape"][1:]))
    shape = f"N, {rest}" if rest else "N"
    bounds = entry.get("range")
    if name == "labels" and "int" in entry["dtype"] and not rest and isinstance(bounds, list):
        return f"labels = torch.arange(N) % {int(bounds[1]) + 1}"
    if name == "latent":
        return f"latent = torch.randn({shape}, dtype=torch.{entry['dtype']})"
    if "int" in entry["dtype"]:
        return f"{name} = torch.zeros({shape}, dtype=torch.{entry['dtype']})"
    low, high = bounds if isinstance(bounds, list) else (-1.0, 1.0)
    return f"{name} = torch.rand({shape}, dtype=torch.{entry['dtype']}) * {high - low:g} - {-low:g}"


def _numpy(line: str) -> str:
    """A line of a loader in numpy's words."""
    line = re.sub(r"torch\.randn\((.*), dtype=torch\.(\w+)\)", r"np.random.randn(\1).astype(np.\2)", line)
    line = re.sub(r"torch\.rand\((.*), dtype=torch\.(\w+)\) (.*)", r"(np.random.rand(\1) \3).astype(np.\2)", line)
    line = re.sub(r"torch\.zeros\((.*), dtype=torch\.(\w+)\)", r"np.zeros((\1,), np.\2)", line)
    return line.replace("torch.arange", "np.arange")


def weights_module(
    program: ExportedProgram, names: Sequence[str], description: Mapping[str, Any], to: str, out: Path
) -> tuple[str, dict[str, Tensor]]:
    """Write a traced network as a Python module that takes the weights from a mapping.

    Args:
        program: the traced network.
        names: the names of the network's inputs in order.
        description: the description of the inputs and the output.
        to: ``safetensors`` or ``state-dict``.
        out: the file of the weights.

    Returns:
        The text of the module, with the functions ``load`` and ``generator`` (or another network), and the weights by
        name.
    """
    from ganzoo import __version__

    module, signature = program.graph_module, program.graph_signature
    stored = {**program.state_dict, **program.constants}
    origin = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    lines, placeholders, tensors = [], [], {}
    for node in module.graph.nodes:
        if node.op != "placeholder":
            continue
        place = origin.get(node.name)
        if place is None:
            placeholders.append(node.name)
        elif node.users:
            short = place.removeprefix("module.")
            tensors[short] = stored[place].detach().contiguous().clone()
            lines.append(f'    {node.name} = weights["{short}"]')
    written = module.graph.python_code("self")
    body = written.src.split("\n")
    start = next(i for i, line in enumerate(body) if line.startswith("def forward("))
    code = [re.sub(r";  (\w+ = )+None *$", "", line) for line in body[start + 1 :]]
    code = [line.replace("torch.ops.aten.", "aten.") for line in code if line.strip()]
    code = [re.sub(r"return pytree\.tree_unflatten\(\[?(.*?)\]?, .*\)", r"return \1", line) for line in code]
    code = [re.sub(r"return \((\w+),\)", r"return \1", line) for line in code]
    renamed = [f"    {old} = {new}" for old, new in zip(placeholders, names, strict=True) if old != new]
    uses = "\n".join(code)
    needed = [n for n in ("device", "inf", "nan") if re.search(rf"\b{n}\b", uses)]
    imports = f"from torch import {', '.join(needed)}\n" if needed else ""
    if to == "safetensors":
        imports += "from safetensors.torch import load_file\n"
        read = "return load_file(path)"
    else:
        read = 'return torch.load(path, weights_only=True)["weights"]'
    inputs = "\n".join(_says(entry) for entry in description["inputs"])
    text = f"Inputs:\n{inputs}\nOutput:\n{_says(description['output'])}"
    head = HEAD.format(
        network=description["network"], version=__version__, file=out.name, text=text, imports=imports, read=read
    )
    arguments = ", ".join(["weights", *names])
    lines = [f"def {description['network']}({arguments}):", *lines, *renamed, *code]
    return head + "\n".join(lines) + "\n", tensors


def _says(entry: Mapping[str, Any]) -> str:
    """An input or output in one line of text."""
    shape = ", ".join(map(str, entry["shape"]))
    bounds = entry.get("range", "")
    if isinstance(bounds, list):
        bounds = f"values in [{bounds[0]:g}, {bounds[1]:g}]"
    classes = f", the classes {', '.join(entry['classes'])}" if "classes" in entry else ""
    return f"    {entry['name']}: ({shape}), {entry['dtype']}" + (f", {bounds}" if bounds else "") + classes


def read_description(path: Path) -> Mapping[str, Any]:
    """Read the description of an export.

    Args:
        path: a file that ``export`` wrote, in any format.

    Returns:
        The description.
    """
    import json

    if path.suffix == ".pt2":
        extra = {"ganzoo.json": ""}
        torch.export.load(path, extra_files=extra)
        text = extra["ganzoo.json"]
    elif path.suffix == ".onnx":
        import onnx

        text = next(prop.value for prop in onnx.load(str(path)).metadata_props if prop.key == "ganzoo")
    elif path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            text = file.metadata()["ganzoo"]
    else:
        text = torch.load(path, weights_only=True)["ganzoo"]
    found: Mapping[str, Any] = json.loads(text)
    return found
