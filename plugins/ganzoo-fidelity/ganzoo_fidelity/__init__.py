"""FID, KID, IS, PRDC and their family, computed by torch-fidelity."""

from __future__ import annotations

import ganzoo
from ganzoo.hookspecs import Register, RegisterKind

GANZOO_API = 1


@ganzoo.hookimpl
def register_kinds(register: RegisterKind) -> None:
    """The kind ``network``: the networks whose features metrics compare."""
    register(ganzoo.Kind("network", "ganzoo_fidelity.networks:Network", "the networks whose features metrics compare"))


@ganzoo.hookimpl
def register_networks(register: Register) -> None:
    """The networks."""
    register("inception", "ganzoo_fidelity.networks:Inception")
    register("dinov2", "ganzoo_fidelity.networks:DINOv2")
    register("file", "ganzoo_fidelity.networks:File")
    register("mnist-cnn", "ganzoo_fidelity.mnist_cnn:MNISTCNN")


@ganzoo.hookimpl
def register_metrics(register: Register) -> None:
    """The metrics."""
    register("fid", "ganzoo_fidelity.metrics:FID")
    register("fd-dinov2", "ganzoo_fidelity.metrics:FDDINOv2")
    register("fd", "ganzoo_fidelity.metrics:FD")
    register("kid", "ganzoo_fidelity.metrics:KID")
    register("is", "ganzoo_fidelity.metrics:IS")
    register("prdc", "ganzoo_fidelity.metrics:PRDC")
