"""The names of scalars and pictures in TensorBoard, in the order of a story, and what each one says.

``metrics.jsonl``, ``run.metrics`` and event hooks know a scalar as ``loss/discriminator``. TensorBoard sorts by name.
In TensorBoard, the families therefore have numbers: what to look at first comes first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FAMILIES = {
    "samples": "1 samples",
    "quality": "2 quality",
    "balance": "3 balance",
    "stability": "4 stability",
    "speed": "5 speed",
    "faults": "6 faults",
    "bands": "9 bands",
}
"""The families in TensorBoard, in order. The last family holds the edges of the bands of the custom scalars."""

ACCURACY_BAND = (0.55, 0.9)
"""The band that the discriminator's accuracy should stay in: better than a coin, and not always right."""

DESCRIPTIONS: tuple[tuple[str, str], ...] = (
    (
        r"samples/diversity",
        "The spread of the samples, divided by the spread of the data. Good: near 1. Bad: a fall towards 0, where all "
        "samples look alike (collapse).",
    ),
    (
        r"samples/side by side",
        "Samples of the average, samples of the generator, and real samples. Good: nobody can tell the three apart. "
        "Bad: the average is much better than the generator, which then jumps from step to step.",
    ),
    (
        r"samples/ema",
        "Samples of the average of the generator, always from the same noise. Look at this picture first. Good: sharp "
        "and varied samples that change less and less.",
    ),
    (
        r"samples/generator",
        "Samples of the generator as it is now, always from the same noise. Bad: samples that change completely from "
        "picture to picture, or many equal samples.",
    ),
    (r"samples/real", "Real samples, to compare with."),
    (
        r"samples/neighbours",
        "Each row: a sample, and the training samples nearest to the sample, by the distance of pixels. Bad: a "
        "neighbour that equals the sample (the generator repeats its data).",
    ),
    (
        r"samples/walk",
        "Each row is a walk between two points of the noise. Good: a smooth change through sensible samples. Bad: "
        "sudden jumps, or rows that hardly change.",
    ),
    (
        r"samples/change",
        "The absolute difference of the samples to the last picture of this kind, from black (none) to white. Good: "
        "darker with time. Bad: bright pictures late in the run, where the generator forgets what it knew.",
    ),
    (
        r"samples/field",
        "The score of the discriminator over the plane, from blue (low) to red (high), with real points in black and "
        "samples in white. Good: a flat field at the end, since the discriminator cannot tell samples from data.",
    ),
    (
        r"metrics/.*",
        "A metric of the run. ganzoo show metric:NAME says which way is better.",
    ),
    (
        r"spread/(.*)/(lowest|highest)",
        "The {1} of the last values of the figure {0}. Together the two edges are the band in the custom scalars. A "
        "difference between two runs that is smaller than the band means nothing.",
    ),
    (
        r"wanted/accuracy/(low|high)",
        "An edge of the band that the accuracy of the discriminator should stay in, for the custom scalars.",
    ),
    (r"best/.*", "The best value of the figure so far. The hparams table shows the last value, and so the best one."),
    (
        r"loss/(.*)",
        "The mean loss of the {0} since the last record. Losses of the two players oppose each other. Good: both level "
        "off. Bad: the loss of one player runs away, or the discriminator's loss falls to its lowest value and stays.",
    ),
    (
        r"scores/accuracy",
        "The share of pairs of a real and a generated sample that the discriminator ranks right. Good: between "
        f"{ACCURACY_BAND[0]} and {ACCURACY_BAND[1]}. Bad: 1.0 for long (the discriminator has won, and the generator "
        "learns little), or 0.5 from the start (the discriminator learns nothing).",
    ),
    (r"scores/gap", "The mean score of real samples minus that of generated samples. Bad: a gap that grows for ever."),
    (
        r"scores/(real|fake)",
        "The mean score that the discriminator gives {0} samples. Good: the scores of real and generated samples stay "
        "within a few units of each other.",
    ),
    (
        r"scores of (real|fake)/all",
        "The distribution of the discriminator's scores of {0} samples. Good: the distributions of real and generated "
        "samples overlap. Bad: two separate hills, or a single value.",
    ),
    (
        r"grad/(.*)",
        "The norm of the gradient of the {0}. Good: steady. Bad: growth by powers of ten (the run diverges), or a fall "
        "to 0 (the player no longer learns).",
    ),
    (
        r"slope at (real|fake)/all",
        "The distribution of the norm of d score / d sample at {0} samples, which gradient penalties hold down. Bad: "
        "norms of hundreds.",
    ),
    (
        r"singular values/(.*)",
        "The singular values of the weights of a layer of the {0}. Good: many values of one size. Bad: one value that "
        "is far above the others.",
    ),
    (
        r"gradients of (discriminator|generator)/all",
        "The sizes of the gradient, weight by weight, as powers of ten: the root of the optimizer's running mean of "
        "the squared gradient. Good: one hill that stays. Bad: a hill that moves by powers of ten, or a second hill "
        "far to the left (weights that no longer learn).",
    ),
    (r"penalty/(.*)", "The penalty {0}, times its weight. Good: small beside the loss, and steady."),
    (
        r"parts/(.*)",
        "A number that the part reports: {0}. For spectral normalization, the largest singular value of a layer before "
        "the layer is divided by the value. Bad: steep growth.",
    ),
    (r"lr/(.*)", "The learning rate of the {0}."),
    (
        r"speed/.*",
        "Real images that are worked through in a second, without the time for samples and checkpoints. Bad: a fall "
        "during the run, such as when another program uses the machine.",
    ),
    (r"faults/.*", "Steps that were skipped, or returns to a checkpoint, because a value was not finite. Good: none."),
)
"""Pairs of a pattern for tags, and the description. The words in braces are the groups of the pattern."""

ORDER = ("side by side", "ema", "generator", "real", "field", "walk", "neighbours", "change")
"""The pictures in the order of a story. In TensorBoard, a letter before the name keeps the order."""

NAMES = {
    "grad": "gradient",
    "lr": "learning rate",
    "scores": "score",
    "parts": "",
    "faults": "",
    "metrics": "",
    "best": "best",
    "spread": "",
    "wanted": "",
}
"""The word before the rest of a tag, for families whose members are named in one word."""

HOMES = {
    "samples": "samples",
    "metrics": "quality",
    "best": "quality",
    "loss": "balance",
    "scores": "balance",
    "scores of real": "balance",
    "scores of fake": "balance",
    "grad": "stability",
    "slope at real": "stability",
    "slope at fake": "stability",
    "gradients of discriminator": "stability",
    "gradients of generator": "stability",
    "penalty": "stability",
    "parts": "stability",
    "singular values": "stability",
    "spread": "bands",
    "wanted": "bands",
    "lr": "speed",
    "speed": "speed",
    "faults": "faults",
}
"""The family in TensorBoard of each family of tags."""


@dataclass(frozen=True)
class About:
    """What TensorBoard is told of a run as a whole.

    Args:
        columns: the row of the hparams table.
        texts: texts in Markdown by tag.
        group: the name that runs of one recipe share, whatever the seed.
        figures: the tags of figures of metrics, such as ``metrics/fid/value``. Each gets a chart with a band.
        descriptions: by tag, a description in the place of the general one.
    """

    columns: Mapping[str, object] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    figures: Sequence[str] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)


def shown(tag: str) -> str:
    """The name of a tag in TensorBoard. The name has a family and no more than one further level.

    Args:
        tag: the tag in ``metrics.jsonl``, such as ``loss/discriminator``.

    Returns:
        The name, such as ``3 balance/loss discriminator``. A family that ganzoo does not know comes last.

    Example:
        >>> shown("loss/discriminator"), shown("metrics/fid/value"), shown("mine/curve")
        ('3 balance/loss discriminator', '2 quality/fid value', '7 mine/curve')
    """
    if tag == "samples/diversity":
        return f"{FAMILIES['quality']}/diversity"
    family, _, rest = tag.partition("/")
    if family == "samples" and rest in ORDER:
        return f"{FAMILIES['samples']}/{'abcdefgh'[ORDER.index(rest)]} {'average' if rest == 'ema' else rest}"
    if family not in HOMES:
        return f"7 {family}/{rest.replace('/', ' ')}" if rest else f"7 {family}"
    words = [] if family in ("samples", "speed") else [NAMES.get(family, family)]
    words += [] if rest == "all" else rest.replace("/", " ").replace("_", " ").split()
    return f"{FAMILIES[HOMES[family]]}/{' '.join(filter(None, words))}"


def description(tag: str) -> str:
    """Say what a tag shows, what is good, and what a bad curve looks like.

    Args:
        tag: the tag in ``metrics.jsonl``.

    Returns:
        The text, in whole sentences. A tag that ganzoo does not know gives an empty text.

    Example:
        >>> description("lr/generator")
        'The learning rate of the generator.'
    """
    for pattern, text in DESCRIPTIONS:
        if found := re.fullmatch(pattern, tag):
            words = (word.replace("fake", "generated").replace("/", ", ") for word in found.groups())
            return text.format(*words) if found.groups() else text
    return ""
