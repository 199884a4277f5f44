"""The progress of a run as a person sees it."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest

from ganzoo.training import display
from ganzoo.training.display import PLAIN_SECONDS, Display


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(display.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def shown(monkeypatch: pytest.MonkeyPatch, *, width: int = 80, term: str = "xterm", **how: Any) -> Display:
    monkeypatch.setenv("TERM", term)
    made = Display(0, 1000, **how)
    made.console = display._Terminal(file=io.StringIO(), width=width, force_terminal=True, highlight=False)
    return made


def text(made: Display) -> str:
    return made.console.file.getvalue()


VALUES = {"speed/images_per_second": 8000.0, "loss/discriminator": 1.25, "loss/generator": 0.5}


def test_the_bar_moves_with_every_step_and_at_most_four_times_a_second(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shown(monkeypatch)
    updates: list[int] = []
    with made:
        monkeypatch.setattr(made._bar, "update", lambda task, completed, **more: updates.append(completed))
        for step in range(1, 1001):
            clock.now += 0.01
            made.advance(step)
    assert updates[-1] == 1000
    assert len(updates) == 40  # ten seconds
    assert max(b - a for a, b in itertools.pairwise(updates)) <= 26


@pytest.mark.parametrize(("width", "there"), [(80, True), (40, False)])
def test_a_narrow_terminal_keeps_step_and_bar(width: int, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shown(monkeypatch, width=width)
    with made:
        made.step(500, VALUES)
    last = text(made)
    assert "500/1000" in last
    assert ("img/s" in last) is there


def test_a_dumb_terminal_has_plain_lines(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shown(monkeypatch, term="dumb")
    with made:
        made.advance(1)
        made.step(1, VALUES)
    assert text(made) == "step 1/1000  img/s 8000  loss D 1.250  G 0.500\n"


def test_plain_lines_come_between_records_and_leave_the_first_step_out_of_the_rate(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shown(monkeypatch, term="dumb")
    with made:
        clock.now += 60  # compiling
        made.advance(1)
        made.step(1, VALUES)
        for step in range(2, 12):
            clock.now += 1
            made.advance(step)
    lines = text(made).splitlines()
    assert [line.split()[1] for line in lines] == ["1/1000", "1/1000", "6/1000", "11/1000"]
    assert PLAIN_SECONDS == 5
    assert not any("left" in line for line in lines[:2]), "nothing is known of the rate yet"
    assert lines[2].endswith("left 16:34")  # 994 seconds


def test_a_quiet_display_shows_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = shown(monkeypatch, quiet=True)
    with made:
        made.advance(1)
        made.step(1, VALUES)
        made.say("no")
        made.warn("warning: yes")
    assert text(made) == "warning: yes\n"
