"""The schema of ``state.json``: which plain data a checkpoint may hold.

A seal says that a file is what was written, and not that the content makes sense. Every value is checked before a
value is used, so that a checkpoint from elsewhere gives one line and no traceback. Keys that the schema lacks are
allowed: a later version of the same format may add some.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Field, JsonValue

Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]
"""A whole number that counts."""

Side: TypeAlias = Annotated[int, Field(ge=1, le=2**24)]
"""The length of a dimension."""

Shape: TypeAlias = Annotated[list[Side], Len(0, 8)]
"""The shape of a tensor without the batch."""

Label: TypeAlias = Annotated[str, Field(max_length=10_000)]
"""A name or a text."""


class Schema(BaseModel):
    """A mapping of JSON whose values have the stated types. No value is converted."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Best(Schema):
    """The best checkpoint so far.

    Args:
        figure: the figure that compares checkpoints, such as ``modes/high_quality``.
        value: the value of the figure.
        step: the step of the checkpoint.
    """

    figure: Label
    value: float
    step: Count


class OptimizerGroup(Schema):
    """The numbers of a parameter group of an optimizer.

    Args:
        params: the numbers of the parameters.
    """

    params: list[Count]


class OptimizerState(Schema):
    """The plain data of an optimizer.

    Args:
        groups: the parameter groups.
        state: the values that are no tensors, by the number of the parameter and by name.
    """

    groups: list[OptimizerGroup]
    state: dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], dict[str, JsonValue]]


class InputSpec(Schema):
    """The tensor that a data part brings for each sample.

    Args:
        shape: the shape without the batch.
        dtype: the name of the type of numbers.
        range: the smallest and the largest value, or None.
    """

    shape: Shape
    dtype: Label
    range: Annotated[list[float], Len(2, 2)] | None = None


class SampleSpec(Schema):
    """The samples, latents and inputs of a run.

    Args:
        shape: the shape of a sample.
        latent_dim: the size of the latent.
        classes: the number of classes, 0 without labels.
        inputs: the tensors that the data part brings, by name.
    """

    shape: Annotated[Shape, Len(1, 8)]
    latent_dim: Side
    classes: Annotated[int, Field(ge=0, le=2**24)]
    inputs: dict[str, InputSpec] = {}


class PlainPart(Schema):
    """A part as plain data.

    Args:
        name: the name of the part. Every other key is a parameter.
    """

    name: Label


class DataFacts(Schema):
    """The fingerprint of the data.

    Args:
        class_names: the names of the classes.
        data_range: the numbers that became -1 and 1, or None.
    """

    class_names: list[Label] = []
    data_range: Annotated[list[float], Len(2, 2)] | None = None


class RunNumbers(Schema):
    """The content of ``state.json``. A run writes every value. The tests of this module alone write fewer.

    Args:
        step: the step that the checkpoint was written at.
        counters: the counters of the run, by name or by name and player.
        best: the best checkpoint so far.
        optimizers: the plain data of each player's optimizer.
        spec: the samples, latents and inputs.
        until: the step to train up to.
        course_steps: the steps over which numbers that follow the run take their way. None is the whole run.
        sums: the sum and the number of terms of each scalar since the last record.
        settings: the settings of the run.
        data: the fingerprint of the data.
        versions: the versions of ganzoo, torch and the plugins.
    """

    step: Count
    counters: dict[str, Count | float | dict[str, Count] | None] = {}
    best: Best | None = None
    optimizers: dict[str, OptimizerState] = {}
    spec: SampleSpec | None = None
    until: Count | None = None
    course_steps: Count | None = None
    sums: dict[str, Annotated[list[float], Len(2, 2)]] = {}
    settings: dict[str, PlainPart | list[PlainPart] | JsonValue] = {}
    data: DataFacts = DataFacts()
    versions: dict[str, str | int] = {}
