"""The harness of the exam: checks, how a part sits them, and the pytest decorator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch

from ganzoo import words
from ganzoo.names import nearest
from ganzoo.parts import KINDS, Part
from ganzoo.testing.tools import available_devices

F = TypeVar("F", bound=Callable[..., None])


_CHECKS: list[Check] = []


@dataclass(frozen=True)
class Check:
    """One question of the exam: call it with a part of its kind."""

    kind: str
    ask: Callable[[Any], None]

    @property
    def name(self) -> str:
        """``gradients_flow``, say."""
        return self.ask.__name__.strip("_")

    @property
    def summary(self) -> str:
        """What it asks, in a line."""
        return inspect.cleandoc(self.ask.__doc__ or "").split("\n", maxsplit=1)[0]

    @property
    def text(self) -> str:
        """All that it says of itself: what it asks, what it assumes, in one line."""
        return " ".join((self.ask.__doc__ or "").split())

    def __call__(self, part: Part) -> None:
        """Raise AssertionError, with the part's kind and class, this check's name, and what is wrong."""
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
    """The exam of a kind of part, in order.

    Raises:
        ValueError: there is no such kind.
    """
    known = {cls.kind: cls for cls in Part.__subclasses__()}  # the contracts, those of plugins included
    if kind not in known:
        raise ValueError(f"{kind!r} is no kind of part; the kinds are {', '.join(KINDS)}")
    return tuple(check for check in all_checks() if check.kind in ("any", kind))


def all_checks() -> tuple[Check, ...]:
    """Every check: those of every part (kind ``any``), then kind by kind."""
    return tuple(sorted(_CHECKS, key=lambda check: ("any", *KINDS).index(check.kind)))


def check_part(part: Part | type[Part], **parameters: Any) -> None:
    """Sit the whole exam.

    Args:
        part: a part, or its class.
        parameters: for the class to be made with.

    Raises:
        AssertionError: the first thing that is wrong.
        BadParameter: the class does not take these parameters.
    """
    made = _made(part, parameters)
    for check in checks_for(made.kind):
        check(made)


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    Attributes:
        check: the question.
        verdict: passed, failed, or expected failure.
        why: it failed; an expected failure's is the reason that was declared.
    """

    check: Check
    verdict: Literal["passed", "failed", "expected failure"]
    why: str = ""


def examine(part: Part | type[Part], expected_failures: Mapping[str, str] | None = None) -> Iterator[Outcome]:
    """Sit the whole exam, whatever fails: an outcome a check, in order.

    Args:
        part: a part, or its class.
        expected_failures: the name of each check that the part is known to fail, and the reason. One that passes after
            all has failed: the reason has gone.

    Raises:
        ValueError: an expected failure of a check that is not in the exam, or without a reason.
    """
    made = _made(part, {})
    reasons = _reasons(made, expected_failures)
    return (_outcome(made, check, reasons.get(check.name)) for check in checks_for(made.kind))


def _outcome(part: Part, check: Check, reason: str | None) -> Outcome:
    try:
        check(part)
    except AssertionError as error:
        why = str(error).partition(f", {check.name}: ")[2] or str(error)
        return Outcome(check, "failed", why) if reason is None else Outcome(check, "expected failure", reason)
    if reason is not None:
        return Outcome(check, "failed", f"it passes, and was expected to fail ({reason}): expect it no longer")
    return Outcome(check, "passed")


def _reasons(part: Part, expected: Mapping[str, str] | None) -> Mapping[str, str]:
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
    """A pytest decorator: ``test(part, check)`` once for each part and each check of its kind.

    Args:
        examined: parts, or their classes.
        expected_failures: the name of each check that the parts are known to fail, and the reason; or a function from
            a part to such a mapping. Pytest reports these as expected failures, and as failures where they pass.

    Raises:
        ValueError: an expected failure of a check that is not in the exam, or without a reason.
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


def _made(part: Part | type[Part], parameters: Mapping[str, Any]) -> Part:
    if isinstance(part, type):
        return words.make(part, f"{part.kind} {part.__name__}", parameters)
    return words.remade(part, f"{part.kind} {type(part).__name__}")


def asks(*kinds: str) -> Callable[[F], F]:
    """Add the decorated function to the exam of these kinds, or of all kinds with ``any``."""

    def add(ask: F) -> F:
        _CHECKS.extend(Check(kind, ask) for kind in kinds)
        return ask

    return add
