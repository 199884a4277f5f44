"""The checks that every part has to pass, whether the part is built in or comes from a plugin.

A plugin's tests run the checks of a kind on parts of the plugin::

    from ganzoo.testing import parametrize_with_checks

    @parametrize_with_checks([SoftMargin, SoftMargin(margin=2.0)])
    def test_contract(part, check):
        check(part)

``check_part(SoftMargin, margin=2.0)`` runs all checks in one call. A check that fails raises AssertionError with a
message about the fault. The docstring of a check states the assumptions of the check. Each check runs with a fixed
seed, and the state of torch's random number generators is restored afterwards. Where CUDA is available, parts are
also examined on the GPU.
"""

from ganzoo.testing import (  # noqa: F401  # importing a file registers its checks
    architectures,
    data,
    engines,
    every_part,
    exports,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
    trackers,
)
from ganzoo.testing.harness import Check, Outcome, all_checks, check_part, checks_for, examine, parametrize_with_checks

__all__ = ["Check", "Outcome", "all_checks", "check_part", "checks_for", "examine", "parametrize_with_checks"]
