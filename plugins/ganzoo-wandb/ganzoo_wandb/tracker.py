"""Scalars and pictures of a run in Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import wandb
from torch import Tensor

import ganzoo
from ganzoo import words
from ganzoo.disk import pictures


class WandB(ganzoo.Tracker):
    """Weights & Biases: scalars, pictures and settings of a run, on the service or in files on this machine.

    Args:
        project: the project.
        entity: the user or the team. An empty text takes the default of the account.
        mode: online sends to the service, offline writes files that ``wandb sync`` sends later.
        pictures: whether sample grids are logged.
        checkpoints: whether each checkpoint is logged as an artifact.

    Notes:
        The files lie in ``wandb/`` of the run directory. A run that is resumed goes on under the same name, since the
        name of the run directory is the identity of the run.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("tracker", "wandb:mode=offline").project
        'ganzoo'
    """

    project: str = "ganzoo"
    entity: str = ""
    mode: Literal["online", "offline"] = "online"
    pictures: bool = True
    checkpoints: bool = False

    def run_started(self, run: ganzoo.Run) -> None:
        """Begin or continue the run of the same name.

        Args:
            run: the run.
        """
        self.state.run = wandb.init(
            project=self.project,
            entity=self.entity or None,
            mode=self.mode,
            dir=str(run.dir),
            name=run.dir.name,
            id=run.dir.name[:128],
            resume="allow",
            config={**words.plain(run.settings), **run.parts.labels},
            tags=[run.parts.labels["loss"][:60], run.parts.labels["data"][:60]],
        )

    def step_recorded(self, run: ganzoo.Run, step: int, values: Mapping[str, float]) -> None:
        """Log the scalars of a record.

        Args:
            run: the run.
            step: the step.
            values: the scalars by tag.
        """
        self.state.run.log({**values, "images": run.state.counters.images}, step=step)

    def images_recorded(self, run: ganzoo.Run, step: int, tag: str, images: Tensor) -> None:
        """Log a sample grid.

        Args:
            run: the run.
            step: the step.
            tag: ``samples/ema``, ``samples/generator`` or ``samples/real``.
            images: (N, *shape) in [-1, 1].
        """
        if self.pictures:
            picture = pictures.picture(images).permute(1, 2, 0).numpy()
            self.state.run.log({tag: wandb.Image(picture)}, step=step)

    def checkpoint_saved(self, run: ganzoo.Run, step: int, path: Path) -> None:
        """Log a checkpoint as an artifact.

        Args:
            run: the run.
            step: the step of the checkpoint.
            path: the directory of the checkpoint.
        """
        if self.checkpoints:
            artifact = wandb.Artifact(f"{run.dir.name}-checkpoint", type="model", metadata={"step": step})
            artifact.add_dir(str(path))
            self.state.run.log_artifact(artifact)

    def run_finished(self, run: ganzoo.Run, error: BaseException | None) -> None:
        """Write the outcome and close the run.

        Args:
            run: the run.
            error: the exception that ended the run, or None.
        """
        tracked: Any = getattr(self.state, "run", None)
        if tracked is not None:
            tracked.summary["outcome"] = "finished" if error is None else str(error).splitlines()[0]
            tracked.finish(exit_code=0 if error is None else 1)
