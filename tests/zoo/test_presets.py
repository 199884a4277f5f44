"""The presets state what the papers and the authors' code state."""

from __future__ import annotations

from typing import Any

import ganzoo
from ganzoo_zoo.presets import PRESETS


def optimizer(preset: str, setting: str = "optimizer") -> Any:
    return ganzoo.part("optimizer", PRESETS[preset][setting])


def test_ttur_has_the_betas_of_its_code_for_images() -> None:
    d, g = optimizer("ttur", "d_optimizer"), optimizer("ttur", "g_optimizer")
    assert d.betas == g.betas == (0.0, 0.9)
    assert (d.lr, g.lr) == (3e-4, 1e-4)
