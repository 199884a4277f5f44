"""The scores of one round: formulas that are evaluated at the first read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo.parts import Batch, Scores

if TYPE_CHECKING:
    from ganzoo.step.game import Game


def round_scores(
    game: Game,
    reals: Batch | Callable[[Scores], Batch],
    fakes: Batch,
    intermediates: Mapping[str, Tensor],
    slopes: frozenset[str],
    styles: Tensor | None = None,
) -> Scores:
    """The scores of a real batch (or of a micro-batch) and of fakes.

    Every value is a formula. So a loss that reads no real scores costs no pass of the discriminator over real samples.
    A formula takes the ``Scores`` as the argument and holds no reference to the ``Scores``. A cycle of references would
    keep a round, with the whole graph, in memory until Python's garbage collector runs.

    Args:
        game: the game with the networks and regularizers.
        reals: the real batch, or a function that fetches the batch.
        fakes: latents and labels that the fakes were generated from.
        intermediates: (N, *shape) the fakes as ``images``, and the stages on the way to the fakes.
        slopes: the images, of ``"real"`` and ``"fake"``, by which a loss or penalty differentiates the scores.
        styles: the points of the style space that the fakes were generated from, where a penalty differentiates the
            fakes by the points.
    """

    def targets(s: Scores, side: str) -> Tensor | float:
        # Both at once: a regularizer may draw them from one random number.
        s.real_target, s.fake_target = game.targets(s)
        return s.real_target if side == "real" else s.fake_target

    def judge_all(images: Tensor, s: Scores, fake: bool, as_is: bool) -> Tensor | Mapping[str, Tensor]:
        seen = images if as_is else game.transformed(images, s)
        judged: Tensor | Mapping[str, Tensor] = game.judge(seen, s.fake_batch if fake else s.real_batch)
        return judged

    def replaced(s: Scores) -> Batch:
        return game.replaced(reals if isinstance(reals, Batch) else reals(s), s)

    # Every image is scored once: both players' losses and all penalties read the same values.
    return Scores(
        # Replaced before the first read, so that losses, penalties and slopes see the same samples.
        real_batch=replaced if game.with_hook["reals"] else reals,
        fake_batch=fakes,
        # The graph of a penalty's slope must begin at the images, before the first pass over them.
        real_images=lambda s: s.real_batch.images.requires_grad_("real" in slopes),
        fake_images=intermediates["images"],
        intermediates=intermediates,
        styles=(lambda s: s.latent) if styles is None else styles,
        real_output=lambda s: game.judge(game.transformed(s.real_images, s), s.real_batch),
        fake_output=lambda s: game.judge(game.transformed(s.fake_images, s), s.fake_batch),
        real=lambda s: logits(s.real_output),
        fake=lambda s: logits(s.fake_output),
        real_target=lambda s: targets(s, "real"),
        fake_target=lambda s: targets(s, "fake"),
        progress=game.progress,
        pieces=game.environment.micro_batches,
        judge=lambda *given: logits(judge_all(*given)),
        judge_all=judge_all,
        generate=lambda latent, s: game.generate(s.fake_batch.replace(latent=latent)),
    )


def logits(output: Tensor | Mapping[str, Tensor]) -> Tensor:
    """(N,) scores from the output of a discriminator, in float32 at least.

    Patch discriminators give many logits an image. The mean is taken, so that every image weighs the same. Losses and
    penalties are computed in float32 or float64 even where the networks ran in bf16, as bf16 has 8 bits for a
    difference of scores.

    Args:
        output: (N, ...) logits, or a mapping with the entry ``logits``. A sequence of logits has one tensor for each
            scale of the discriminator, and every scale weighs the same.

    Example:
        >>> logits({"logits": torch.tensor([[1.0, 3.0], [5.0, 7.0]])}).tolist()
        [2.0, 6.0]
    """
    scores: Any = output if isinstance(output, Tensor) else output["logits"] if isinstance(output, Mapping) else output
    if isinstance(scores, (list, tuple)):
        return torch.stack([logits(each) for each in scores]).mean(0)
    if scores.dim() > 1:
        scores = scores.flatten(1).mean(1)
    found: Tensor = scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores
    return found
