"""The engine ``ray``: the runs of ``ganzoo compare`` on a Ray cluster."""

from __future__ import annotations

import ganzoo
from ganzoo.hookspecs import Register

GANZOO_API = 1


@ganzoo.hookimpl
def register_engines(register: Register) -> None:
    """The engine."""
    register("ray", "ganzoo_ray.engine:Ray")
