"""The exam that every part sits, the built-in ones and anyone's: in a plugin's tests

    from ganzoo.testing import parametrize_with_checks

    @parametrize_with_checks([SoftMargin, SoftMargin(margin=2.0)])
    def test_contract(part, check):
        check(part)

or ``check_part(SoftMargin, margin=2.0)`` anywhere. A check raises AssertionError and says what is wrong; its docstring
says what it assumes. Random numbers are seeded and put back; a GPU, where there is one, is examined too.
"""

from ganzoo.testing import (  # noqa: F401  # importing a file registers its checks
    architectures,
    data,
    every_part,
    exports,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from ganzoo.testing.harness import Check, Outcome, all_checks, check_part, checks_for, examine, parametrize_with_checks

__all__ = ["Check", "Outcome", "all_checks", "check_part", "checks_for", "examine", "parametrize_with_checks"]
