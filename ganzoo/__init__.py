"""ganzoo: train any GAN from interchangeable parts.

For plugin authors: ``hookimpl``, the contracts (``Architecture``, ``Loss``, ``Regularizer``, ``Schedule``, ``Data``,
``Metric``, ``Optimizer``, ``Tracker``), what they are handed or give (``Batch``, ``Scores``, ``Networks``, ``Spec``,
``Stage``, ``TensorSpec``, ``Game``, ``Samples``, ``Learning``), ``ScheduledNumber`` (a number that follows the run),
``user_path`` (a path as a shell reads it), ``cache_folder`` (where parts keep what can be made again), ``read_item``
(an item of a dataset as tensors) and the module ``ganzoo.testing``. For users: ``run``, ``resume``, ``load``,
``evaluate``, ``compare``, ``part``, ``catalogue``, ``Run``, ``ganzoo.errors`` and the module ``ganzoo.lab``.

Names are imported when they are first used, so that ``import ganzoo`` costs nothing and brings no torch.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from ganzoo.names import escape_record

if TYPE_CHECKING:
    from ganzoo import errors
    from ganzoo.api import catalogue, compare, evaluate, load, part, resume, run
    from ganzoo.data.items import read_item
    from ganzoo.hookspecs import hookimpl
    from ganzoo.kinds import Kind, Setting
    from ganzoo.names import cache_folder, user_path
    from ganzoo.parts import (
        Architecture,
        Batch,
        Data,
        Engine,
        Game,
        Job,
        Learning,
        Loss,
        Metric,
        Networks,
        Optimizer,
        Part,
        Regularizer,
        Samples,
        Schedule,
        Scores,
        Spec,
        Stage,
        TensorSpec,
        Tracker,
    )
    from ganzoo.training.run import Run
    from ganzoo.words import ScheduledNumber

__version__ = "0.1.0"

API_VERSION = 1
"""The version of the plugin API: it grows by 1 when a plugin that worked may need a change.

A plugin module that sets ``GANZOO_API = 1`` is loaded only by a ganzoo that supports version 1. See docs/PLUGIN_API.md.

Example:
    >>> import ganzoo
    >>> ganzoo.API_VERSION
    1
"""

_HOME = {
    "Kind": "ganzoo.kinds",
    "Setting": "ganzoo.kinds",
    "hookimpl": "ganzoo.hookspecs",
    **dict.fromkeys(
        (
            "Architecture",
            "Batch",
            "Data",
            "Engine",
            "Game",
            "Job",
            "Learning",
            "Loss",
            "Metric",
            "Networks",
            "Optimizer",
            "Part",
            "Regularizer",
            "Samples",
            "Schedule",
            "Scores",
            "Spec",
            "Stage",
            "TensorSpec",
            "Tracker",
        ),
        "ganzoo.parts",
    ),
    **dict.fromkeys(("catalogue", "compare", "evaluate", "load", "part", "resume", "run"), "ganzoo.api"),
    "Run": "ganzoo.training.run",
    "ScheduledNumber": "ganzoo.words",
    "cache_folder": "ganzoo.names",
    "read_item": "ganzoo.data.items",
    "user_path": "ganzoo.names",
}

__all__ = [
    "API_VERSION",
    "Architecture",
    "Batch",
    "Data",
    "Engine",
    "Game",
    "Job",
    "Kind",
    "Learning",
    "Loss",
    "Metric",
    "Networks",
    "Optimizer",
    "Part",
    "Regularizer",
    "Run",
    "Samples",
    "Schedule",
    "ScheduledNumber",
    "Scores",
    "Setting",
    "Spec",
    "Stage",
    "TensorSpec",
    "Tracker",
    "cache_folder",
    "catalogue",
    "compare",
    "errors",
    "evaluate",
    "hookimpl",
    "lab",
    "load",
    "part",
    "read_item",
    "resume",
    "run",
    "testing",
    "user_path",
]

logging.getLogger("ganzoo").addFilter(escape_record)


def __getattr__(name: str) -> Any:
    if name in ("errors", "lab", "testing"):
        return importlib.import_module(f"ganzoo.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'ganzoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
