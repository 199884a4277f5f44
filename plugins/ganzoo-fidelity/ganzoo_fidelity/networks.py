"""The networks whose features metrics compare."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

import torch
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import DataError, Incompatible

Compute = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Images (N, C, H, W) in [-1, 1] to features (N, D) and logits (N, K). Logits may be None."""

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""The name of torch-fidelity's file with the weights of Inception, under which torch's hub caches the file."""

DINOV2_FILE = "dinov2_vitl14_pretrain.pth"
"""The name of the file with the weights of DINOv2 ViT-L/14, under which torch's hub caches the file."""


class Network(ganzoo.Part):
    """A network whose features a metric compares. A plugin registers more with the hook ``register_networks``."""

    kind: ClassVar[str] = "network"

    @property
    def title(self) -> str:
        """The name of the network in the names of figures."""
        return str(self.kind)

    @property
    def dim(self) -> int | None:
        """The number of features of an image. None: known after the first batch."""
        return None

    @property
    def identity(self) -> str:
        """A text that tells the network, its weights and its preprocessing from all others."""
        raise NotImplementedError

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse samples that are no images of 1 or 3 channels.

        Args:
            shape: the shape of a sample.

        Raises:
            Incompatible: the network takes no such samples.
        """
        if len(shape) != 3 or shape[0] not in (1, 3):
            found = "x".join(map(str, shape))
            raise Incompatible(
                f"network {self.title} takes images of 1 or 3 channels, and samples of {found} are given: use images, "
                "or a metric such as modes or swd"
            )

    def load(self, device: torch.device) -> Compute:
        """Load the network.

        Args:
            device: the device to compute on.

        Returns:
            The function that computes features.

        Raises:
            DataError: the weights are missing. The message says which file, and where to put the file.
        """
        raise NotImplementedError


class Inception(Network):
    """Inception-v3 of 2015 (InceptionV3, TensorFlow-identical): the network of FID, KID and IS, by torch-fidelity.

    Args:
        weights: the file of torch-fidelity's weights. none takes the file from torch's hub cache, or downloads the file
            (91 MiB).

    Raises:
        DataError: the weights are missing and cannot be downloaded, or the file holds another network.

    Notes:
        Images become uint8, grey images get three equal channels, and torch-fidelity resizes to 299x299 by the
        bilinear interpolation of TensorFlow 1, without antialiasing, as the published FID does. Features are the 2048
        of the last pooling, and logits those of ``logits_unbiased``.

    Source: https://github.com/toshas/torch-fidelity (``inception-v3-compat``)
    """

    weights: Path | None = None

    @property
    def title(self) -> str:
        """``inception``."""
        return "inception"

    @property
    def dim(self) -> int:
        """2048."""
        return 2048

    @property
    def identity(self) -> str:
        """The network with the digest of the file."""
        return f"torch-fidelity inception-v3-compat, tensorflow1 bilinear, {_identity(self.file)}"

    @property
    def file(self) -> Path:
        """The file of the weights, which may be missing."""
        return self.weights or Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE

    def load(self, device: torch.device) -> Compute:
        """Load the network.

        Args:
            device: the device to compute on.

        Returns:
            The function that computes features and logits.

        Raises:
            DataError: see above.
        """
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        if self.weights is not None and not self.weights.is_file():
            raise DataError(f"weights={self.weights} is no file: give torch-fidelity's {INCEPTION_FILE}")
        path = str(self.file) if self.file.is_file() else None
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                net = FeatureExtractorInceptionV3(
                    "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=path
                )
        except (URLError, OSError) as error:
            raise _absent(self.file, "inception", error) from error
        except Exception as error:  # a damaged file raises errors of many classes
            raise DataError(
                f"{self.file} does not hold torch-fidelity's Inception ({_first(error)}): download {INCEPTION_FILE} "
                "again"
            ) from error
        return _of_bytes(net, device)


class DINOv2(Network):
    """DINOv2 ViT-L/14 (fd-dinov2): features of a self-supervised vision transformer, by torch-fidelity and torch's hub.

    Raises:
        DataError: code or weights are missing and cannot be downloaded (1.1 GiB).

    Notes:
        Images become uint8 and are resized to 224x224 by the bilinear interpolation of TensorFlow 1.

    Source: Oquab et al., DINOv2, 2023, arXiv:2304.07193; Stein et al., Exposing flaws of generative model evaluation
        metrics, 2023, arXiv:2306.04675
    """

    @property
    def title(self) -> str:
        """``dinov2``."""
        return "dinov2"

    @property
    def dim(self) -> int:
        """1024."""
        return 1024

    @property
    def identity(self) -> str:
        """The network with the digest of the file of the weights."""
        return f"torch-fidelity dinov2-vit-l-14, {_identity(Path(torch.hub.get_dir()) / 'checkpoints' / DINOV2_FILE)}"

    def load(self, device: torch.device) -> Compute:
        """Load the network.

        Args:
            device: the device to compute on.

        Returns:
            The function that computes features.

        Raises:
            DataError: see above.
        """
        from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

        hub = Path(torch.hub.get_dir())
        try:
            with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                net = FeatureExtractorDinoV2("dinov2-vit-l-14", ["dinov2"])
        except (URLError, OSError, RuntimeError, ValueError) as error:
            raise DataError(
                f"network dinov2 cannot be had ({_first(error)}): put the repository facebookresearch/dinov2 into "
                f"{hub}/facebookresearch_dinov2_main, and its {DINOV2_FILE} into {hub}/checkpoints"
            ) from error
        return _of_bytes(net, device)


class File(Network):
    """A network of your own: a Python file with a function ``network(device)`` that returns a module.

    The module maps images (N, C, H, W) in [-1, 1] to features (N, D), or to a pair of features and logits (N, K).

    Args:
        path: the Python file. The name of the file, without its ending, is the name of the figures.

    Raises:
        DataError: the file is missing, fails, or has no function ``network``.
    """

    path: Path

    @property
    def title(self) -> str:
        """The name of the file, without its ending."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """The digest of the file. Weights that the file reads are not part of the digest."""
        return f"{self.path.name} {_identity(self.path)}"

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept samples of any shape.

        Args:
            shape: the shape of a sample.
        """

    def load(self, device: torch.device) -> Compute:
        """Import the file and make the network.

        Args:
            device: the device to compute on.

        Returns:
            The function that computes features.

        Raises:
            DataError: see above.
        """
        if not self.path.is_file():
            raise DataError(f"network file:path={self.path} is no file: give a Python file with network(device)")
        name = f"ganzoo_fidelity_file_{hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:12]}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
            net: nn.Module = module.network(device).to(device).eval().requires_grad_(False)
        except Exception as error:  # code of the user
            raise DataError(
                f"{self.path} gives no network ({_first(error)}): define network(device), which returns a module"
            ) from error

        def compute(images: Tensor) -> tuple[Tensor, Tensor | None]:
            found = net(images)
            return found if isinstance(found, tuple) else (found, None)

        return compute


@lru_cache(maxsize=4)
def loaded(network: Network, device: torch.device) -> Compute:
    """Load a network once in a process.

    Args:
        network: the network.
        device: the device to compute on.

    Returns:
        The function that computes features.
    """
    return network.load(device)


def to_bytes(images: Tensor) -> Tensor:
    """Convert images as a PNG file would hold them, with three channels.

    Args:
        images: (N, 1 or 3, H, W) in [-1, 1].

    Returns:
        (N, 3, H, W) uint8.

    Example:
        >>> to_bytes(torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3))[0, 2].tolist()
        [[0, 128, 255]]
    """
    rounded = ((images.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
    return rounded.expand(-1, 3, -1, -1) if images.shape[1] == 1 else rounded


def _of_bytes(net: Any, device: torch.device) -> Compute:
    """Adapt an extractor of torch-fidelity, which takes bytes and gives a tuple."""
    net = net.to(device).eval()

    def compute(images: Tensor) -> tuple[Tensor, Tensor | None]:
        found = net(to_bytes(images).contiguous())
        return found[0], found[1] if len(found) > 1 else None

    return compute


@lru_cache(maxsize=16)
def _digest(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _identity(file: Path) -> str:
    """The digest of a file, or the name of a file that will be downloaded."""
    try:
        facts = file.stat()
        return _digest(file, facts.st_size, facts.st_mtime_ns)
    except OSError:
        return file.name


def _absent(file: Path, name: str, error: BaseException) -> DataError:
    return DataError(
        f"the weights of network {name} cannot be downloaded ({_first(error)}): put {INCEPTION_FILE} of "
        f"torch-fidelity's release v0.2.0 at {file}, or give weights=PATH"
    )


def _first(error: BaseException) -> str:
    """The first line of an error."""
    lines: Iterator[str] = iter(str(error).splitlines())
    return f"{type(error).__name__}: {next(lines, '')}"[:200]
