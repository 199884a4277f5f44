"""The contract of architectures."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, final

from ganzoo.errors import Incompatible, SettingsError
from ganzoo.parts.part import Networks, Part, Player

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.parts.batch import Batch, Spec, Stage


class Learning(NamedTuple):
    """What learns at a point of a run, see ``Architecture.phase``.

    Attributes:
        generator: names of the submodules of the generator that learn. None stands for the whole network, and an empty
            collection for nothing.
        discriminator: the same for the discriminator.
        adversarial: whether the loss counts. Without the loss the generator learns from its penalties alone.

    Example:
        >>> Learning(generator=("coarse",), discriminator=(), adversarial=False).generator
        ('coarse',)
    """

    generator: Collection[str] | None = None
    discriminator: Collection[str] | None = None
    adversarial: bool = True

    def players(self) -> tuple[tuple[Player, Collection[str] | None], ...]:
        """Each player, and the names of the submodules that learn."""
        return ("generator", self.generator), ("discriminator", self.discriminator)


class Architecture(Part):
    """The two networks, plain modules, and how the engine calls the modules.

    The discriminator of an architecture plays against the generator of any architecture (``d_arch``). The methods
    ``discriminator``, ``judge``, ``outputs`` and ``encode`` belong to the discriminator, the others to the generator.

    Path length penalties, truncation, style mixing and interpolation work in the style space of the generator. The
    style space is the space of the noise, unless the generator has a mapping network: then ``styles`` maps the noise,
    and ``synthesize`` is the rest of the generator. For every architecture, ``generate(g, batch)`` is
    ``synthesize(g, styles(g, batch), batch)``.

    Raises:
        TypeError: a subclass defines ``build`` (raised when the class is made).

    Example:
        >>> import math
        >>> import torch
        >>> from ganzoo import Architecture, Batch, Spec
        >>> class Linear(Architecture):
        ...     def generator(self, spec):
        ...         net = torch.nn.Linear(spec.latent_dim, math.prod(spec.shape))
        ...         return torch.nn.Sequential(net, torch.nn.Unflatten(1, spec.shape))
        ...     def discriminator(self, spec):
        ...         return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(math.prod(spec.shape), 1))
        >>> networks = Linear().build(Spec(shape=(1, 8, 8), latent_dim=4))
        >>> Linear().generate(networks.generator, Batch(latent=torch.randn(3, 4))).shape
        torch.Size([3, 1, 8, 8])
    """

    kind: ClassVar[str] = "architecture"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "build" in vars(cls):
            raise TypeError(
                f"{cls.__qualname__} defines build: define generator(spec) and discriminator(spec), of which the "
                "engine builds the one that is needed"
            )

    @property
    def style_space(self) -> str:
        """The name of the style space in the papers: ``z`` for the noise, ``w`` after a mapping network."""
        return "z"

    @property
    def logit_scales(self) -> int:
        """The number of scales of the discriminator. With more than one, ``logits`` is a sequence of tensors."""
        return 1

    def classes(self, available: int) -> int:
        """The number of classes that the nets are given, 0 for no labels.

        Args:
            available: number of classes in the data, 0 where the data has no labels.
        """
        return 0

    def generator(self, spec: Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape and type of samples and latents.
        """
        raise NotImplementedError

    def discriminator(self, spec: Spec) -> nn.Module:
        """Make the discriminator, which may judge the samples of another architecture's generator.

        Args:
            spec: shape and type of samples and latents.
        """
        raise NotImplementedError

    @final
    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return ("generator",), ("discriminator",)

    def build(self, spec: Spec) -> Networks:
        """Make the two players, the generator first.

        Args:
            spec: shape and type of samples and latents.
        """
        return Networks(self.generator(spec), self.discriminator(spec))

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        """Samples, (N, *shape), from a batch's latent, labels and the data part's other tensors.

        Unless overridden, the generator is called with the latent, with the labels if the batch has labels, and by
        keyword with each tensor of the data part: ``generator(latent, labels, tokens=tokens)``.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.
        """
        given = [batch.latent] if batch.labels is None else [batch.latent, batch.labels]
        return generator(*given, **batch.inputs)  # type: ignore[no-any-return]  # nn.Module is called untyped

    def styles(self, generator: nn.Module, batch: Batch) -> Tensor:
        """The points of the style space that samples are made from.

        Unless overridden, the points are the latents of the batch.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.

        Returns:
            (N, D), a vector a sample, or (N, L, D), a vector for each of L layers.
        """
        return batch.latent

    def synthesize(self, generator: nn.Module, styles: Tensor, batch: Batch) -> Tensor:
        """Samples, (N, *shape), from points of the style space.

        Unless overridden, the points take the place of the batch's latents.

        Args:
            generator: the generator, or the generator's average.
            styles: (N, D), or the shape that ``styles`` gives. A vector a sample serves all layers.
            batch: all tensors by which the samples are conditioned. The latent is not read.
        """
        return self.generate(generator, batch.replace(latent=styles))

    def truncate(self, generator: nn.Module, styles: Tensor, truncation: float) -> Tensor:
        """Points of the style space nearer to the centre, for better samples that differ less.

        Unless overridden, each number of a point of N(0, 1) moves to the same quantile of N(0, 1) cut off beyond the
        absolute value ``truncation``. The result has the distribution of numbers that are drawn again until they fit.

        Formula:
            sqrt(2) erfinv(erf(z / sqrt(2)) erf(truncation / sqrt(2)))

        Args:
            generator: the generator, or the generator's average.
            styles: the points, as ``styles`` gives.
            truncation: the bound of the numbers, above 0.

        Returns:
            A tensor of the shape of ``styles``.

        Raises:
            SettingsError: the truncation is outside its range.

        Source:
            Brock, Donahue and Simonyan 2019, Large scale GAN training for high fidelity natural image synthesis
            (BigGAN), arXiv:1809.11096, section 3.1.
        """
        if not truncation > 0:
            raise SettingsError(
                f"truncation {truncation:g} is not a number > 0, beyond which the noise is cut off: give a number such "
                "as 0.5"
            )
        share = math.erf(truncation / math.sqrt(2))
        cut = math.sqrt(2) * (share * (styles.double() / math.sqrt(2)).erf()).erfinv()
        return cut.to(styles.dtype)

    def intermediates(self, spec: Spec) -> Mapping[str, tuple[int, ...]]:
        """What the generator makes on the way to the samples, by name: the shape of each stage, without the batch.

        Penalties of the generator can read each stage. Pictures of a run show the stages that are images.

        Args:
            spec: shape and type of samples and latents.
        """
        return {}

    def generate_all(self, generator: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """The samples under the name ``images``, and the stages that ``stages`` declares, from one pass.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.
        """
        return {"images": self.generate(generator, batch)}

    def learning(self, progress: float) -> Learning:
        """What learns at a point of the run. Unless overridden, both networks learn as a whole, all the time.

        The answer may change a few times in a run, at points that depend on the progress alone. A resumed run then
        goes on as the run without an interruption.

        Args:
            progress: 0 at the first step of the run, 1 at the last.
        """
        return Learning()

    def side_multiple(self, spec: Spec) -> int | None:
        """The number that height and width of the inputs must be multiples of, where a network takes any such size.

        None: the network takes the size alone for which the network was built.

        Args:
            spec: shape and type of samples and latents.
        """
        return None

    def judge(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Any:
        """The discriminator's output for images: logits (N, ...) or a mapping with ``logits`` and more.

        Unless overridden, the discriminator is called as the generator is by ``generate``, with images for the latent.

        Args:
            discriminator: the discriminator.
            images: (N, *shape).
            batch: all tensors by which the images are conditioned.
        """
        given = [images] if batch.labels is None else [images, batch.labels]
        return discriminator(*given, **batch.inputs)

    def stage(self, spec: Spec, progress: float, images: int) -> Stage | None:
        """The point of growth at a point of the run, for networks that grow during training.

        The engine asks before each step, and gives the answer to ``generate`` and ``judge`` as ``batch.stage``. At a
        stage, ``generate`` may make smaller samples than ``spec.shape``, and ``judge`` is given samples of that size.
        A batch without a stage asks for the whole networks. People and metrics see small samples upsampled to
        ``spec.shape``, nearest neighbour. Growth never goes back: a point behind that of the step before is not taken.

        Args:
            spec: shape and type of samples and latents.
            progress: 0 at the first step of the run, 1 at the last.
            images: real images drawn before the step.

        Returns:
            None, unless overridden: the networks are whole from the first step.
        """
        return None

    def resize(self, images: Tensor, stage: Stage) -> Tensor:
        """Real samples as the discriminator meets real samples at a stage. Runs on the device, as a part of the step.

        Args:
            images: (N, *shape), in [-1, 1].
            stage: the point of growth.

        Returns:
            Samples of the size that ``generate`` makes at the stage. The same samples, unless overridden.
        """
        return images

    def show(self, images: Tensor, spec: Spec) -> Tensor:
        """The samples of a stage as people and metrics see samples.

        Unless overridden, small samples are upsampled to full size, nearest neighbour.

        Args:
            images: (N, *size), as ``generate`` makes samples.
            spec: shape and type of samples and latents.

        Returns:
            (N, *shape).

        Example:
            >>> import torch
            >>> from ganzoo import Spec
            >>> Architecture().show(torch.tensor([[[[1.0, 2.0]]]]), Spec(shape=(1, 2, 4), latent_dim=1)).tolist()
            [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
        """
        if images.shape[1:] == spec.shape:
            return images
        from torch.nn.functional import interpolate

        return interpolate(images, size=spec.shape[1:], mode="nearest")

    def outputs(self, spec: Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The outputs of ``judge`` beside ``logits``, by name: the shape of each tensor, without the batch.

        Args:
            spec: shape and type of samples and latents.
        """
        return {}

    def encode(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Tensor:
        """The latents that would make the images, (N, latent_dim), where the discriminator is an encoder.

        Args:
            discriminator: the discriminator.
            images: (N, *shape), in [-1, 1].
            batch: all tensors by which the images are conditioned.

        Raises:
            Incompatible: the discriminator is no encoder.
        """
        raise Incompatible(
            f"architecture {type(self).__name__} has no encoder: use an architecture that defines encode"
        )
