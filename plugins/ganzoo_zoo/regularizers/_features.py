"""Feature networks of torchvision with published weights, which judge pictures and never learn."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchmetrics.functional.image.lpips import _LPIPS

from ganzoo import user_path
from ganzoo.errors import BadParameter, DataError

NetworkName = Literal["vgg16", "vgg19", "alexnet"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's colours, in [0, 1], by which the networks' inputs are normalised."""


SMALLEST = 64
"""The side to which smaller pictures are enlarged."""

BACKBONES: Mapping[str, NetworkName] = {"alex": "alexnet", "vgg": "vgg16"}


class Frozen(nn.Module):
    """Holds a network that belongs to no optimizer and to no checkpoint, and follows the device of the run.

    The weights are read when ``load`` is called, or when the network is first used. A run that is loaded to draw
    samples needs no weights.

    Args:
        net: the network, whose parameters take no gradient.
        load: fills the weights of the network.
    """

    def __init__(self, net: nn.Module, load: Callable[[nn.Module], None]) -> None:
        super().__init__()
        # Beside the modules that torch knows: a checkpoint would hold a copy of the published weights.
        self.__dict__["net"] = net.requires_grad_(False).eval()
        self.__dict__["_load"] = load
        self.__dict__["_pending"] = [True]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Frozen:
        self.__dict__["net"]._apply(fn)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's
        return self

    def load(self) -> None:
        """Read the weights, unless they were read before.

        Raises:
            DataError: the weights are missing, unreadable, or those of another network.
        """
        pending: list[bool] = self.__dict__["_pending"]
        if pending:
            self.__dict__["_load"](self.__dict__["net"])
            pending.clear()

    def forward(self, *pictures: Tensor) -> Any:
        """Call the network.

        Args:
            pictures: what the network takes.
        """
        self.load()
        return self.__dict__["net"](*pictures)


class Features(nn.Module):
    """The first layers of a VGG of torchvision: (N, 3, H, W) in [-1, 1] -> the maps of the named layers.

    Args:
        network: vgg16 or vgg19.
        layers: names such as ``relu3_3`` or ``conv5_4`` (before the ReLU): block, then number of the convolution.

    Raises:
        BadParameter: the network has no layer of a name.

    Notes:
        Grey pictures are seen in three equal channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Literal["vgg16", "vgg19"], layers: Sequence[str]) -> None:
        super().__init__()
        from torchvision import models

        with torch.device("meta"):  # a network of 140 million numbers, most of which are never needed
            whole = getattr(models, network)(weights=None).features
        names = _names(whole)
        if unknown := [layer for layer in layers if layer not in names.values()]:
            known = ", ".join(name for name in names.values() if name.startswith("relu"))
            raise BadParameter(f"{network} has no layer {unknown[0]!r}; there are {known}, and conv1_1 and so on")
        last = max(number for number, name in names.items() if name in layers)
        self.layers = whole[: last + 1].to_empty(device="cpu")
        for number, layer in enumerate(self.layers):
            if isinstance(layer, nn.ReLU):
                self.layers[number] = nn.ReLU()  # torchvision's works in place, on the maps of the convolution
        self.wanted = {number: layers.index(name) for number, name in names.items() if name in layers}
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Compute the maps.

        Args:
            pictures: (N, 1 or 3, H, W) in [-1, 1].

        Returns:
            A map for each layer, in the order of the names.
        """
        x = ((pictures.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.std
        maps = list[Tensor]([x] * len(self.wanted))
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in self.wanted:
                maps[self.wanted[number]] = x
        return maps


def _names(layers: nn.Sequential) -> dict[int, str]:
    """The names of the layers of a VGG by their numbers: relu3_3 is the ReLU after the third convolution of block 3."""
    names, block, number = dict[int, str](), 1, 0
    for at, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            number += 1
            names[at] = f"conv{block}_{number}"
        elif isinstance(layer, nn.ReLU):
            names[at] = f"relu{block}_{number}"
        else:
            block, number = block + 1, 0
    return names


def side_needed(layers: Sequence[str]) -> int:
    """The smallest side of a picture for which each map has a pixel.

    Args:
        layers: the names of layers of a VGG.

    Example:
        >>> side_needed(["relu1_2", "relu3_3"]), side_needed(["relu5_1"])
        (4, 16)
    """
    return int(2 ** (max(int(name.partition("_")[0][-1]) for name in layers) - 1))


def read_weights(part: str, network: NetworkName, weights: str) -> dict[str, Tensor]:
    """Read the weights of a network's convolutions.

    Args:
        part: the name of the regularizer or metric, for messages.
        network: vgg16, vgg19 or alexnet.
        weights: ``auto`` for torchvision's published weights, or a file.

    Returns:
        The weights by name, such as ``0.weight``: the number of the layer in torchvision's ``features``.

    Raises:
        DataError: the weights cannot be fetched or read.
    """
    saved = _published(part, network) if weights == "auto" else _file(part, user_path(weights))
    found = {name.removeprefix("features."): value for name, value in saved.items()}
    return {name: value for name, value in found.items() if name[:1].isdigit() and isinstance(value, Tensor)}


def _published(part: str, network: NetworkName) -> Mapping[str, Tensor]:
    from torchvision import models

    published = models.get_model_weights(network).IMAGENET1K_V1
    name = published.url.rpartition("/")[2]
    place = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        found: Mapping[str, Tensor] = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        why = str(getattr(error, "reason", error)).splitlines()[:1]
        raise DataError(
            f"{part}: the weights of {network} are not at {place} and cannot be fetched ({', '.join(why)}): download "
            f"{published.url} there, or give weights=FILE"
        ) from error
    return found


def _file(part: str, file: Path) -> Mapping[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        # weights_only: a file from elsewhere runs no code.
        found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{part}: weights={file} does not exist: name a safetensors file or a state dict") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as error:
        raise DataError(
            f"{part}: weights={file} cannot be read ({type(error).__name__}): name a safetensors file, or a state dict "
            "of tensors alone, saved by torch.save"
        ) from error
    if not isinstance(found, Mapping):
        raise DataError(f"{part}: weights={file} holds a {type(found).__name__}, not a state dict: save state_dict()")
    return found


@torch.no_grad()
def fill(part: str, network: NetworkName, weights: str, layers: Mapping[str, nn.Module]) -> None:
    """Fill convolutions with weights.

    Args:
        part: the name of the regularizer or metric, for messages.
        network: vgg16, vgg19 or alexnet.
        weights: ``auto`` or a file.
        layers: the convolutions, by the number of the layer in torchvision's ``features``.

    Raises:
        DataError: the weights cannot be read, or are those of another network.
    """
    saved = read_weights(part, network, weights)
    for number, layer in layers.items():
        for name, own in layer.named_parameters():
            value = saved.get(f"{number}.{name}")
            if value is None or value.shape != own.shape:
                found = "lacks" if value is None else f"has {tuple(value.shape)} for"
                raise DataError(
                    f"{part}: weights={weights} {found} features.{number}.{name} of shape {tuple(own.shape)}: these "
                    f"are weights of another network than {network}"
                )
            own.copy_(value)


def vgg(part: str, network: Literal["vgg16", "vgg19"], layers: Sequence[str], weights: str) -> Frozen:
    """A frozen VGG whose weights are read later.

    Args:
        part: the name of the regularizer or metric, for messages.
        network: vgg16 or vgg19.
        layers: the names of the layers.
        weights: ``auto`` or a file.

    Raises:
        BadParameter: the network has no layer of a name.
    """

    def load(net: nn.Module) -> None:
        assert isinstance(net, Features)
        convolutions = {str(k): layer for k, layer in enumerate(net.layers) if isinstance(layer, nn.Conv2d)}
        fill(part, network, weights, convolutions)

    return Frozen(Features(network, layers), load)


def seen(pictures: Tensor) -> Tensor:
    """Pictures as the network takes them: of three channels, and of ``SMALLEST`` pixels a side at least.

    Args:
        pictures: (N, 1 or 3, H, W) in [-1, 1].

    Returns:
        (N, 3, H', W').

    Example:
        >>> import torch
        >>> seen(torch.zeros(1, 1, 8, 16)).shape
        torch.Size([1, 3, 64, 128])
    """
    colours = pictures.expand(-1, 3, -1, -1)
    height, width = pictures.shape[-2:]
    if min(height, width) >= SMALLEST:
        return colours
    times = SMALLEST / min(height, width)
    size = (round(times * height), round(times * width))
    return interpolate(colours, size, mode="bilinear", align_corners=False)


def distance_network(part: str, name: Literal["vgg", "alex"], weights: str, *, spatial: bool = False) -> Frozen:
    """Torchmetrics's network of LPIPS: two batches of pictures -> distances. The backbone's weights are read later.

    Args:
        part: the name of the regularizer or metric, for messages.
        name: vgg or alex.
        weights: ``auto`` or a file.
        spatial: whether the network gives a map of distances, and not the mean of each picture.
    """
    # torchmetrics can make the network without the backbone's weights through this class alone.
    net = _LPIPS(pretrained=True, net=name, pnet_rand=True, spatial=spatial)
    for slice_ in net.net.children():
        for key, layer in slice_.named_children():
            if isinstance(layer, nn.ReLU):
                setattr(slice_, key, nn.ReLU())  # torchvision's work in place

    def load(made: nn.Module) -> None:
        parts: Any = made
        layers = {
            key: layer
            for slice_ in parts.net.children()
            for key, layer in slice_.named_children()
            if isinstance(layer, nn.Conv2d)
        }
        fill(part, BACKBONES[name], weights, layers)

    return Frozen(net, load)
