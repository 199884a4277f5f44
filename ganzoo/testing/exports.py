"""The check that an exported generator gives the samples of the eager generator."""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from ganzoo import parts
from ganzoo.parts import Batch, Spec
from ganzoo.testing.architectures import _batch, _built
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import is_close, require


class _Generate(nn.Module):
    """A generator as a function of tensors in a fixed order, called as the architecture calls the generator."""

    def __init__(self, part: parts.Architecture, generator: nn.Module, names: list[str]) -> None:
        """Keep the architecture, the generator and the names of the tensors in order."""
        super().__init__()
        self.part, self.generator, self.names = part, generator, names

    def forward(self, *given: Tensor) -> Tensor:
        """Fakes, (N, *shape), from tensors in the order of the names."""
        return self.part.generate(self.generator, Batch(**dict(zip(self.names, given, strict=True))))


def _run_onnx(net: _Generate, given: tuple[Tensor, ...]) -> Tensor:
    """The samples that ONNX Runtime makes from the exported network."""
    import onnxruntime

    file = io.BytesIO()
    # The exporter that traces takes 0.1 s a network. The newer exporter takes 5 s and gives the same operators.
    torch.onnx.export(net, given, file, dynamo=False, input_names=net.names)  # type: ignore[arg-type]  # files work
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    # The exported graph lacks an input that the network does not use, such as the noise of a segmentor.
    used = {entry.name for entry in session.get_inputs()}
    inputs = {name: tensor.numpy() for name, tensor in zip(net.names, given, strict=True) if name in used}
    return torch.from_numpy(session.run(None, inputs)[0])


@asks("architecture")
def _exports_mean_the_same(part: parts.Architecture) -> None:
    """torch.export, torch.jit.trace and, where onnx and onnxruntime are installed, ONNX give equal samples.

    Networks are examined in evaluation mode, on the smallest samples that the architecture makes.
    """
    spec, nets = _built(part, only=1)[0]
    names, given = _inputs(spec)
    net = _Generate(part, nets.generator, names)
    net.eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Exporters warn that a later torch will replace them.
        due = net(*given)
        exported = torch.export.export(net, given).module()(*given)
        require(is_close(exported, due, 1e-5, 1e-7), "the program of torch.export makes other samples")
        traced = torch.jit.trace(net, given)(*given)  # type: ignore[no-untyped-call]
        require(is_close(traced, due, 1e-5, 1e-7), "the program of torch.jit.trace makes other samples")
        if find_spec("onnx") and find_spec("onnxruntime"):
            # ONNX Runtime sums in another order. An operator that exporters drop changes samples by far more.
            require(is_close(_run_onnx(net, given), due, 1e-3, 1e-5), "the exported ONNX model makes other samples")


def _inputs(spec: Spec) -> tuple[list[str], tuple[Tensor, ...]]:
    """The names and values of the tensors that fakes are made from."""
    batch = _batch(spec).replace(images=None)
    return list(batch), tuple(batch.values())
