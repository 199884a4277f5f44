"""Waits for other processes: they end, and name the process that does not come."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch.distributed as dist

from ganzoo import errors
from ganzoo.training import heartbeat
from ganzoo.training.heartbeat import Heartbeat


@pytest.fixture
def store() -> dist.Store:
    return dist.HashStore()


@pytest.fixture
def two(store: dist.Store) -> Iterator[tuple[Heartbeat, Heartbeat]]:
    found = Heartbeat(store, 0, 2), Heartbeat(store, 1, 2)
    yield found
    for each in found:
        each.close()


def never() -> bool:
    return False


def test_a_wait_ends_when_it_is_over(two: tuple[Heartbeat, Heartbeat]) -> None:
    answers = iter([False] * 5 + [True])
    two[0].wait(lambda: next(answers))


def test_a_silent_process_is_named_and_given_up(
    store: dist.Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heartbeat, "WORD_SECONDS", 0.3)
    monkeypatch.setattr(heartbeat, "LOOK_SECONDS", 0.05)
    alone = Heartbeat(store, 0, 3)
    with pytest.raises(errors.RankLost, match="process 1, 2 of 3 has given no sign of life for 1 seconds"):
        alone.wait(never, silent=1.0)
    alone.close()
    assert caplog.messages == [
        "waiting for process 1, 2 of 3, which gives no sign of life: it is given up after 1 seconds"
    ]


def test_a_process_that_lives_is_waited_for_longer(two: tuple[Heartbeat, Heartbeat]) -> None:
    with pytest.raises(errors.RankLost, match="the others of 2 processes run, and did not come to the same point"):
        two[0].wait(never, limit=1.0)


def test_a_signal_shortens_the_wait(store: dist.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "STOPPING_SECONDS", 0.5)
    alone = Heartbeat(store, 0, 2)
    alone.stopping = lambda: True
    with pytest.raises(errors.RankLost, match="process 1 of 2 has given no sign of life"):
        alone.wait(never)
    alone.close()


def test_a_store_that_does_not_answer(two: tuple[Heartbeat, Heartbeat], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "SIGN_SECONDS", 0.05)
    two[0].close()  # its thread stands for one that a call of the store holds
    two[0]._heard[1] = float("inf")
    with pytest.raises(errors.RankLost, match="the store of the 2 processes does not answer"):
        two[0].wait(never, silent=0.5)


@pytest.mark.parametrize(
    ("mine", "other", "said"),
    [
        ({"steps": 1, "seed": 0}, {"steps": 1, "seed": 0}, ""),
        ({"steps": 1}, {"steps": 2}, "steps is 1 in process 0 and 2 in another"),
        ({"steps": 1, "r1.gamma": 2}, {"steps": 1}, "r1.gamma is 2 in process 0 and None in another"),
    ],
)
def test_facts_are_compared(
    two: tuple[Heartbeat, Heartbeat], mine: dict[str, object], other: dict[str, object], said: str
) -> None:
    """The process that differs says what. The main process ends its wait when the other has failed."""
    failed = threading.Event()
    raised: list[BaseException] = []

    def second() -> None:
        try:
            two[1].require_same(other, failed.is_set)
        except errors.SettingsError as error:
            raised.append(error)
            failed.set()

    thread = threading.Thread(target=second)
    thread.start()
    if said:
        with pytest.raises(RuntimeError, match="another process failed"):
            two[0].require_same(mine, failed.is_set)
    else:
        two[0].require_same(mine, failed.is_set)
    thread.join()
    assert [said in str(error) for error in raised] == ([True] if said else [])
