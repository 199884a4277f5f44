"""Follow ganzoo's runs in Weights & Biases: ``ganzoo run --log wandb:project=digits``."""

import ganzoo
from ganzoo.hookspecs import Register

GANZOO_API = 1


@ganzoo.hookimpl
def register_trackers(register: Register) -> None:
    """Register the tracker.

    Args:
        register: the function to call with the name.
    """
    register("wandb", "ganzoo_wandb.tracker:WandB")
