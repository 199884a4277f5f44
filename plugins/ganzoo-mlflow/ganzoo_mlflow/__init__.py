"""Follow ganzoo's runs in MLflow: ``ganzoo run --log mlflow:experiment=digits``."""

import ganzoo
from ganzoo.hookspecs import Register

GANZOO_API = 1


@ganzoo.hookimpl
def register_trackers(register: Register) -> None:
    """Register the tracker.

    Args:
        register: the function to call with the name.
    """
    register("mlflow", "ganzoo_mlflow.tracker:MLflow")
