"""A small classifier of MNIST, trained once, for figures on digits."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

import ganzoo
from ganzoo_fidelity.networks import Compute, Network

_log = logging.getLogger("ganzoo")
SIDE = 28
WIDTHS = (1, 32, 64, 128)
RECIPE = f"{WIDTHS}, {SIDE} px, 3 epochs of Adam(1e-3, cosine), batch 128, seed 0"


class MNISTCNN(Network):
    """A classifier of MNIST (mnist-cnn): 128 features of a small convolutional network, trained on the first use.

    Args:
        root: the folder of MNIST's files, as for ``--data mnist``.

    Raises:
        DataError: MNIST's files are missing.

    Notes:
        Training takes a minute or two, and the network is kept in the user's cache. The accuracy on the test images is
        logged. Other sizes are resized to 28x28 by bilinear interpolation. The recipe has a fixed seed, and the bits of
        the weights depend on the machine: figures compare within one machine, or with a copy of the file.
    """

    root: str | None = None

    @property
    def title(self) -> str:
        """``mnist-cnn``."""
        return "mnist-cnn"

    @property
    def dim(self) -> int:
        """128."""
        return WIDTHS[-1]

    @property
    def identity(self) -> str:
        """The recipe, with the digest of the weights."""
        net, accuracy = classifier(self.root)
        digest = hashlib.sha256()
        for value in net.state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return f"mnist-cnn {RECIPE}, accuracy {accuracy}, {digest.hexdigest()}"

    def load(self, device: torch.device) -> Compute:
        """Read the classifier from the cache, or train the classifier.

        Args:
            device: the device to compute on.

        Returns:
            The function that computes features and logits.
        """
        net = classifier(self.root)[0].to(device)

        def compute(images: Tensor) -> tuple[Tensor, Tensor | None]:
            x = images.mean(1, keepdim=True)
            if x.shape[-2:] != (SIDE, SIDE):
                x = interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
            features = net[:-1](x)
            return features, net[-1](features)

        return compute


_held: dict[str, tuple[nn.Sequential, float]] = {}


def classifier(root: str | None) -> tuple[nn.Sequential, float]:
    """The classifier and its accuracy on the test images.

    Args:
        root: the folder of MNIST's files. None takes the default of the data part.

    Returns:
        The network (N, 1, 28, 28) -> (N, 10) in evaluation mode, and the share of test images that are read rightly.
    """
    own = {} if root is None else {"root": root}
    parts: list[Any] = [ganzoo.part("data", f"mnist:size={SIDE}", split=split, **own) for split in ("train", "test")]
    train, test = (part.dataset() for part in parts)
    content = hashlib.sha256(RECIPE.encode())
    for images in (*train.tensors, *test.tensors):
        content.update(images.numpy().tobytes())
    key = content.hexdigest()[:16]
    if key not in _held:
        _held[key] = _kept(ganzoo.cache_folder() / f"mnist-cnn-{key}.safetensors", train.tensors, test.tensors)
    return _held[key]


def _kept(file: Path, train: tuple[Tensor, ...], test: tuple[Tensor, ...]) -> tuple[nn.Sequential, float]:
    net = _net()
    unusable = (OSError, SafetensorError, ValueError, KeyError, RuntimeError)  # missing, torn, or of another network
    with contextlib.suppress(*unusable), safe_open(file, "pt") as kept:
        net.load_state_dict({key: kept.get_tensor(key) for key in kept.keys()})  # noqa: SIM118  # no mapping
        return net.eval(), float(kept.metadata()["accuracy"])
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        net = _net()
        _train(net, train[0], train[1])
    net.eval().requires_grad_(False)
    with torch.no_grad():
        read = torch.cat([net(part.float() / 127.5 - 1).argmax(1) for part in torch.split(test[0], 512)])
    accuracy = float((read == test[1]).double().mean())
    _log.warning("mnist-cnn: trained a classifier of MNIST, %.2f %% right on the test images", 100 * accuracy)
    with contextlib.suppress(OSError):  # the figures do not need the cache
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, draft, {"accuracy": repr(accuracy)})
        draft.replace(file)
    return net, accuracy


def _net() -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(WIDTHS):
        layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 10))


def _train(net: nn.Module, images: Tensor, labels: Tensor, epochs: int = 3, batch: int = 128) -> None:
    steps = epochs * max(1, len(images) // batch)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.cat([torch.randperm(len(images)) for _ in range(epochs)])
    for rows in torch.split(order[: steps * batch], batch):
        loss = cross_entropy(net(images[rows].float() / 127.5 - 1), labels[rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        decay.step()
