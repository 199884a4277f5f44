"""Define a check, run the checks of a kind on a part, and turn checks into pytest cases.

The checks themselves are in the other files of this package, one file for each kind of part. Importing such a file
registers the file's checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

from ganzoo import words
from ganzoo.names import nearest
from ganzoo.parts import KINDS, Part
from ganzoo.testing.tools import available_devices

F = TypeVar("F", bound=Callable[..., None])


_CHECKS: list[Check] = []
"""All checks, in the order of registration. `asks` adds to the list."""


@dataclass(frozen=True)
class Check:
    """One check of a kind of part. A check is called with a part of the kind.

    Args:
        kind: the kind of part, such as ``"loss"``, or ``"any"`` for a check of every kind.
        ask: the function that examines a part and raises AssertionError where the part is wrong.

    Example:
        >>> check = checks_for("loss")[0]
        >>> check.kind, check.name
        ('any', 'says_what_it_is')
    """

    kind: str
    ask: Callable[..., None]

    @property
    def name(self) -> str:
        """The name of the check, such as ``gradients_flow``."""
        return self.ask.__name__.strip("_")

    @property
    def summary(self) -> str:
        """The first line of the check's docstring."""
        return inspect.cleandoc(self.ask.__doc__ or "").split("\n", maxsplit=1)[0]

    @property
    def text(self) -> str:
        """The whole docstring of the check in one line: the question and the assumptions."""
        return " ".join((self.ask.__doc__ or "").split())

    def __call__(self, part: Part) -> None:
        """Examine a part with a fixed seed, and restore the state of torch's random number generators.

        Args:
            part: a part of the check's kind.

        Raises:
            AssertionError: the part fails. The message holds the kind and the class of the part, the name of the check,
                and the fault. Any other exception that the part raises is reported as an AssertionError too.
        """
        who = f"{part.kind} {type(part).__name__}, {self.name}"
        # The exam uses the current accelerator alone. Without this list, torch warns where there are several.
        current = [torch.accelerator.current_device_index()] if len(available_devices()) > 1 else []
        with torch.random.fork_rng(devices=current):
            torch.manual_seed(0)
            try:
                self.ask(part)
            except AssertionError as error:
                raise AssertionError(f"{who}: {error}") from error
            except Exception as error:
                said = str(error).partition("\n")[0]  # gradcheck prints matrices
                raise AssertionError(f"{who}: raised {type(error).__name__}: {said}") from error


def checks_for(kind: str) -> tuple[Check, ...]:
    """The checks of a kind of part, in the order in which the checks run.

    Args:
        kind: the kind of part, such as ``"loss"``.

    Returns:
        The checks of every part, then the checks of the kind.

    Raises:
        ValueError: no kind has the given name.

    Example:
        >>> {check.kind for check in checks_for("schedule")} == {"any", "schedule"}
        True
    """
    known = {cls.kind: cls for cls in Part.__subclasses__()}  # the contracts, those of plugins included
    if kind not in known:
        raise ValueError(f"{kind!r} is no kind of part; the kinds are {', '.join(KINDS)}")
    return tuple(check for check in all_checks() if check.kind in ("any", kind))


def all_checks() -> tuple[Check, ...]:
    """All checks, sorted by kind.

    Returns:
        The checks of every part (kind ``any``), then the checks of each kind in the order of ``KINDS``.

    Example:
        >>> all_checks()[0].kind
        'any'
    """
    return tuple(sorted(_CHECKS, key=lambda check: ("any", *KINDS).index(check.kind)))


def check_part(part: Part | type[Part], **parameters: object) -> None:
    """Run all checks of a part's kind, and stop at the first failure.

    Args:
        part: a part, or the class of a part.
        parameters: values of the part's parameters, for a class.

    Raises:
        AssertionError: a check fails. The message names the check and the fault.
        BadParameter: the class does not accept the parameters.

    Example:
        >>> import ganzoo
        >>> check_part(ganzoo.part("optimizer", "sgd"))
    """
    made = _made(part, parameters)
    for check in checks_for(made.kind):
        check(made)


@dataclass(frozen=True)
class Outcome:
    """The result of one check.

    Attributes:
        check: the check that ran.
        verdict: passed, failed, or expected failure.
        why: the fault where the check failed, the declared reason of an expected failure, "" where the check passed.
    """

    check: Check
    verdict: Literal["passed", "failed", "expected failure"]
    why: str = ""


def examine(part: Part | type[Part], expected_failures: Mapping[str, str] | None = None) -> Iterator[Outcome]:
    """Run all checks of a part's kind, and go on after a failure.

    Args:
        part: a part, or the class of a part.
        expected_failures: the reason of each known failure, by the name of the check. A check that is expected to fail
            and passes counts as failed, because the reason no longer holds.

    Returns:
        An iterator over the outcomes, in the order of ``checks_for``. A check runs when the iterator reaches the check.

    Raises:
        ValueError: an expected failure names no check of the part's kind, or has no reason.

    Example:
        >>> import ganzoo
        >>> {outcome.verdict for outcome in examine(ganzoo.part("optimizer", "sgd"))}
        {'passed'}
    """
    made = _made(part, {})
    reasons = _reasons(made, expected_failures)
    return (_outcome(made, check, reasons.get(check.name)) for check in checks_for(made.kind))


def _outcome(part: Part, check: Check, reason: str | None) -> Outcome:
    """The outcome of a check on a part, given the reason of an expected failure or None."""
    try:
        check(part)
    except AssertionError as error:
        # The caller prints the name of the check. So the fault begins after the name.
        why = str(error).partition(f", {check.name}: ")[2] or str(error)
        return Outcome(check, "failed", why) if reason is None else Outcome(check, "expected failure", reason)
    if reason is not None:
        return Outcome(check, "failed", f"it passes, and was expected to fail ({reason}): expect it no longer")
    return Outcome(check, "passed")


def _reasons(part: Part, expected: Mapping[str, str] | None) -> Mapping[str, str]:
    """The reasons of the expected failures, validated: each names a check of the part's kind and is not blank."""
    who, names = f"{part.kind} {type(part).__name__}", [check.name for check in checks_for(part.kind)]
    for name, reason in (expected or {}).items():
        if name not in names:
            raise ValueError(f"{who}: no check is named {name!r}{nearest(name, names)}")
        if not reason.strip():
            raise ValueError(f"{who}: {name} is expected to fail without a reason: give one")
    return expected or {}


def parametrize_with_checks(
    examined: Iterable[Part | type[Part]],
    expected_failures: Callable[[Part], Mapping[str, str]] | Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """A pytest decorator that calls ``test(part, check)`` for each part and each check of the part's kind.

    Args:
        examined: parts, or classes of parts.
        expected_failures: the reason of each known failure, by the name of the check, or a function from a part to a
            mapping of that form. Pytest reports a known failure as ``xfailed``, and as failed where the check passes.

    Returns:
        A decorator for a test function with the parameters ``part`` and ``check``.

    Raises:
        ValueError: an expected failure names no check of the part's kind, or has no reason.
    """
    import pytest

    cases = []
    for i, part in enumerate(_made(part, {}) for part in examined):
        reasons = _reasons(part, expected_failures(part) if callable(expected_failures) else expected_failures)
        for check in checks_for(part.kind):
            marks = []
            if check.name in reasons:
                marks = [pytest.mark.xfail(strict=True, raises=AssertionError, reason=reasons[check.name])]
            cases.append(pytest.param(part, check, id=f"{type(part).__name__}{i}-{check.name}", marks=marks))
    return pytest.mark.parametrize(("part", "check"), cases)


def _made(part: Part | type[Part], parameters: Mapping[str, object]) -> Part:
    """A part with validated parameters, made from a class or from a part."""
    if isinstance(part, type):
        return words.make(part, f"{part.kind} {part.__name__}", parameters)
    return words.remade(part, f"{part.kind} {type(part).__name__}")


def asks(*kinds: str) -> Callable[[F], F]:
    """A decorator that registers a function as a check.

    The function's name without leading underscores is the name of the check. The function's docstring is printed by
    ``ganzoo check --list``.

    Args:
        kinds: the kinds of part that the check examines, or ``"any"`` for every kind.

    Returns:
        A decorator that leaves the function unchanged.
    """

    def add(ask: F) -> F:
        _CHECKS.extend(Check(kind, ask) for kind in kinds)
        return ask

    return add
