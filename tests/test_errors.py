"""The family of errors, as it is drawn."""

from __future__ import annotations

import inspect
import re

import pytest

from ganzoo import errors
from ganzoo.names import kebab, nearest, one_line

FAMILY = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)}


def test_the_drawing_is_the_family():
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"( {4}[ |`-]*)([A-Z]\w+)  +\S", line):
            depth = len(match[1])
            above = [pair for pair in above if pair[0] < depth]
            drawn[match[2]] = above[-1][1] if above else "Exception"
            above.append((depth, match[2]))
    assert drawn == {name: cls.__base__.__name__ for name, cls in FAMILY.items()}


@pytest.mark.parametrize("cls", FAMILY.values())
def test_each_is_caught_as_the_family_and_says_its_line(cls):
    with pytest.raises(errors.GanzooError, match=r"^found, expected, to do$"):
        raise cls("found, expected, to do")
    assert cls.__doc__
    assert cls.exit_code == (1 if issubclass(cls, errors.TrainingStopped) else 2)


def test_nearest():
    assert nearest("gama", ["weight", "gamma"]) == " (did you mean 'gamma'?)"
    assert nearest("xyz", ["weight", "gamma"]) == ""
    assert nearest("x", []) == ""


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("SoftMargin", "soft-margin"),
        ("WGANDiv", "wgan-div"),
        ("R1", "r1"),
        ("DCGAN", "dcgan"),
        ("R1Penalty", "r1-penalty"),
    ],
)
def test_kebab(name, typed):
    assert kebab(name) == typed


def test_one_line():
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(KeyError()) == "KeyError"
    assert len(one_line(ValueError("x" * 1000))) <= 320
