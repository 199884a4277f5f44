"""One minibatch as losses and regularizers see the minibatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ganzoo.parts.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor


Formula = Callable[["Scores"], object]
"""How a value of ``Scores`` is computed from other values of the same ``Scores``."""

_SWAPPED = {
    **{f"real{rest}": f"fake{rest}" for rest in ("", "_images", "_output", "_target", "_batch")},
    "labels": "fake_labels",
}
_SWAPPED.update({fake: real for real, fake in _SWAPPED.items()})


class Scores:
    """One minibatch as losses and regularizers see it: real samples, fakes, and the discriminator's scores of both.

    A value is given, or it is a formula: a function of the ``Scores`` that is evaluated once, when the value is first
    read. So a loss that reads no real scores costs no pass of the discriminator over real samples. The game makes
    ``Scores`` of formulas; tests make them by hand from any subset of the values. To read a value that was neither
    given nor can be computed raises AttributeError. A name that is not among the attributes is looked up in
    ``real_batch``: ``s.tokens`` is ``s.real_batch["tokens"]``.

    Args:
        discriminator: a function from images to (N,) logits, for ``judge``.
        generator: a function from latents to images, for ``generate``.
        judge: the same as ``discriminator`` for an engine: called with the images, the ``Scores`` whose labels and
            inputs count, and the arguments ``fake`` and ``as_is`` of ``judge``.
        judge_all: the same as ``judge``, for the whole output of the discriminator.
        generate: the same as ``generator`` for an engine: called with the latents and the ``Scores``.
        values: the attributes below, each a value or a formula.

    Attributes:
        real, fake: (N,) raw logits, higher = more real.
        real_images, fake_images: (N, *shape), in [-1, 1], before any regularizer transforms them.
        latent: (N, latent_dim), that the fakes were generated from.
        styles: the points of the generator's style space that the fakes were generated from, (N, D) or (N, L, D): the
            latent, unless the generator has a mapping network.
        labels, fake_labels: (N,) class numbers, or labels of another kind; None when the nets are given none.
        real_target, fake_target: 1 and 0 unless a regularizer moved them; a number or (N,). Only losses with targets
            read them.
        real_output, fake_output: the whole output of the discriminator: logits (N, ...) or a mapping that has
            ``logits``.
        intermediates: all that the generator made in one pass, by name: ``images``, and the architecture's stages.
        real_batch, fake_batch: all that the networks were fed, labels and the data part's own tensors included.
        progress: 0 at the first step, 1 at the last.
        pieces: how many micro-batches the whole batch is cut into, of which this is one (``--accumulate``, several
            processes).

    Example:
        >>> import torch
        >>> s = Scores(real=torch.tensor([1.0, 2.0, 3.0]), fake=lambda s: -s.real)
        >>> s.at(torch.tensor([0, 2])).fake.tolist()
        [-1.0, -3.0]
        >>> s.negated().reversed().real.tolist()
        [1.0, 2.0, 3.0]
    """

    real: Tensor
    fake: Tensor
    real_images: Tensor
    fake_images: Tensor
    latent: Tensor
    styles: Tensor
    labels: Tensor | None
    fake_labels: Tensor | None
    real_target: Tensor | float
    fake_target: Tensor | float
    real_output: Any
    fake_output: Any
    intermediates: Mapping[str, Tensor]
    real_batch: Batch
    fake_batch: Batch
    progress: float
    pieces: int

    def __init__(
        self,
        *,
        discriminator: Callable[[Tensor], Tensor] | None = None,
        generator: Callable[[Tensor], Tensor] | None = None,
        judge: Callable[[Tensor, Scores, bool, bool], Tensor] | None = None,
        judge_all: Callable[[Tensor, Scores, bool, bool], object] | None = None,
        generate: Callable[[Tensor, Scores], Tensor] | None = None,
        **values: object,
    ) -> None:
        if not values.keys() <= _NAMES:
            unknown = values.keys() - _NAMES
            raise TypeError(
                f"Scores has no {', '.join(sorted(unknown))}: give one of {', '.join(self.names())}, and tensors that "
                "the data part brings in real_batch=Batch(...)"
            )
        if discriminator is not None:
            judge = lambda images, s, fake, as_is: discriminator(images)  # noqa: E731
        if generator is not None:
            generate = lambda latent, s: generator(latent)  # noqa: E731
        self._judge, self._judge_all, self._generate = judge, judge_all, generate
        self._given = values.keys()
        self._formulas, own = dict(_DEFAULTS), vars(self)
        for name, value in values.items():
            if callable(value):
                self._formulas[name] = value
            else:
                own[name] = value
        self._compute: Callable[[str], object] | None = None  # of a view: how a value comes from the viewed Scores

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the attributes."""
        return tuple(Scores.__annotations__)

    def __getattr__(self, name: str) -> Any:  # Python calls this for names without a value only
        if name.startswith("_"):
            raise AttributeError(name)
        value = self._evaluate(name) if self._compute is None else self._compute(name)
        setattr(self, name, value)  # from now on an attribute like any other: a formula is evaluated once
        return value

    def judge(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Tensor:
        """Score other images.

        Args:
            images: (N, *shape) in [-1, 1], one for each sample of the minibatch.
            as_is: skip the regularizers' transforms of images.
            fake: condition on the labels and inputs of the fakes; otherwise on those of the real samples.

        Returns:
            (N,) logits.

        Raises:
            AttributeError: these ``Scores`` were made by hand, without ``discriminator=``.
        """
        if self._judge is None:
            raise AttributeError("these Scores were made without discriminator=, a function from images to logits")
        return self._judge(images, self, fake, as_is)

    def judge_all(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Any:
        """Judge other images with all that the discriminator gives, as ``real_output`` has it.

        Args:
            images: (N, *shape) in [-1, 1], one for each sample of the minibatch.
            as_is: skip the regularizers' transforms of images.
            fake: condition on the labels and inputs of the fakes; otherwise on those of the real samples.

        Returns:
            Logits (N, ...), or a mapping that has ``logits``.

        Raises:
            AttributeError: these ``Scores`` were made by hand, without ``judge_all=``.
        """
        if self._judge_all is None:
            raise AttributeError("these Scores were made without judge_all=, a function from images to outputs")
        return self._judge_all(images, self, fake, as_is)

    def generate(self, latent: Tensor) -> Tensor:
        """Generate fakes from other latents, with the labels and inputs of this minibatch's fakes.

        Args:
            latent: (N, latent_dim), one for each sample of the minibatch.

        Returns:
            (N, *shape) images in [-1, 1].

        Raises:
            AttributeError: these ``Scores`` were made by hand, without ``generator=``.
        """
        if self._generate is None:
            raise AttributeError("these Scores were made without generator=, a function from noise to images")
        return self._generate(latent, self)

    def at(self, rows: Tensor) -> Scores:
        """A view of some samples: every tensor, real and fake, at these rows.

        Args:
            rows: (k,) numbers of samples, or (N,) booleans.
        """
        return self._view(lambda name: _rows(getattr(self, name), rows))

    def negated(self) -> Scores:
        """A view whose scores have the other sign, for a discriminator to which low means real."""
        judge, judge_all = self._judge, self._judge_all

        def value(name: str) -> object:
            found = getattr(self, name)
            if name in ("real", "fake"):
                return -found
            return _minus(found) if name in ("real_output", "fake_output") else found

        view = self._view(value)
        if judge is not None:
            view._judge = lambda images, s, fake, as_is: -judge(images, s, fake, as_is)
        if judge_all is not None:
            view._judge_all = lambda images, s, fake, as_is: _minus(judge_all(images, s, fake, as_is))
        return view

    def reversed(self) -> Scores:
        """A view in which real and fake have swapped their roles; the latents remain those of the generator."""
        generate = self._generate
        view = self._view(lambda name: getattr(self, _SWAPPED.get(name, name)))
        if generate is not None:
            # The generator is conditioned on the batch that its fakes were made from, which plays the real one here.
            view._generate = lambda latent, s: generate(latent, s.reversed())
        return view

    def patches(self, scale: int = 0) -> Scores:
        """A view whose scores are those of patches, for a discriminator that gives many logits an image.

        The scores of the view are (N * patches,), the patches of an image one after another. Targets repeat. Nothing is
        computed before the view is read. Where the discriminator gives one logit an image, the scores are unchanged.

        Args:
            scale: the number of the scale, for a discriminator that gives a sequence of logits.

        Example:
            >>> import torch
            >>> s = Scores(real=torch.tensor([2.0]), real_output=torch.tensor([[1.0, 3.0]]))
            >>> s.patches().real.tolist()
            [1.0, 3.0]
        """

        def value(name: str) -> object:
            given = getattr(self, name)
            side = name.partition("_")[0]
            if name not in ("real", "fake", "real_target", "fake_target"):
                return given
            if "target" in name and not hasattr(given, "dim"):
                return given
            logits = _logits_of(getattr(self, f"{side}_output"))
            seen: Tensor = logits[scale] if isinstance(logits, (list, tuple)) else logits
            if "target" in name:
                return given.repeat_interleave(seen[0].numel()) if given.dim() else given
            if seen.dim() == 1 and seen is logits:
                return given
            return (seen.float() if seen.element_size() < 4 else seen).flatten()

        return self._view(value)

    def _view(self, compute: Callable[[str], object]) -> Scores:
        """``Scores`` whose values are computed from those of this one; ``judge`` and ``generate`` read the view."""
        view = Scores(judge=self._judge, judge_all=self._judge_all, generate=self._generate)
        view._compute = compute
        return view

    def _evaluate(self, name: str) -> object:
        """A value that has not been computed yet."""
        if formula := self._formulas.get(name):
            return formula(self)
        if name in ("real_batch", "fake_batch"):  # made by hand: the batch of those of its tensors that were given
            own = {key: attribute for attribute, (batch, key) in _IN_BATCH.items() if batch == name}
            return Batch(**{key: getattr(self, own[key]) for key in own if own[key] in self._given})
        batch, key = _IN_BATCH.get(name, ("real_batch", name))
        known: Batch = getattr(self, batch) if name in _IN_BATCH or name not in _NAMES else Batch()
        if key in known or key == "labels":
            return known.get(key)
        if name in _NAMES:
            raise AttributeError(f"these Scores were made without {name}=")
        raise AttributeError(
            f"Scores has no {name}, and the data brings none; it has {', '.join((*self.names(), *known.inputs))}"
        )


_DEFAULTS: Mapping[str, Formula] = {
    "intermediates": lambda s: {"images": s.fake_images},
    "real_target": lambda s: 1.0,
    "fake_target": lambda s: 0.0,
    "styles": lambda s: s.latent,
    "progress": lambda s: 0.0,
    "pieces": lambda s: 1,
}


_NAMES = frozenset(Scores.names())


_IN_BATCH = {
    "real_images": ("real_batch", "images"),
    "labels": ("real_batch", "labels"),
    "latent": ("fake_batch", "latent"),
    "fake_labels": ("fake_batch", "labels"),
}
"""The attributes of ``Scores`` that are tensors of a batch: the batch, and the name there."""


def _logits_of(output: Any) -> Any:
    """The logits in the output of a discriminator: a tensor, or a sequence with one tensor for each scale."""
    return output["logits"] if isinstance(output, Mapping) else output


def _minus(logits: Any) -> Any:
    """The output of a discriminator with logits of the other sign."""
    if isinstance(logits, Mapping):
        return {**logits, "logits": _minus(logits["logits"])}
    return [-each for each in logits] if isinstance(logits, (list, tuple)) else -logits


def _rows(value: Any, rows: Tensor) -> object:
    """A value of ``Scores`` at some rows: each tensor in it that has rows."""
    if isinstance(value, Batch):
        return value.rows(rows)
    if isinstance(value, Mapping):
        return {key: _rows(each, rows) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rows(each, rows) for each in value]
    return value[rows] if hasattr(value, "shape") and value.shape else value
