"""Signs of life of the processes that train one run together, and waits that end.

A process that dies closes its connections, and the others notice at once. A process that is stopped (SIGSTOP, a machine
that swaps or hangs, a lost network) closes nothing: the others would wait without a word. So each process counts up a
number in the store that the processes share, and a process that waits reads the numbers of the others.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping

from torch.distributed.distributed_c10d import Store

from ganzoo import errors
from ganzoo.names import brief

SIGN_SECONDS = 2.0
"""Seconds between two signs of life."""

WORD_SECONDS = 30.0
"""Seconds of waiting after which the processes that gave no sign of life are named on the terminal."""

SILENT_SECONDS = 300.0
"""Seconds without a sign of life after which a process is given up, and the run ends."""

STOPPING_SECONDS = 15.0
"""The same limit after a signal has asked this process to stop."""

WAIT_SECONDS = 3600.0
"""The longest wait for processes that give signs of life. Metrics of the main process take minutes."""

JOIN_SECONDS = 600.0
"""The longest wait for all processes to start and to assemble the run."""

LOOK_SECONDS = 0.25
"""Seconds between two looks at the numbers of the others while a process waits."""


class Heartbeat:
    """Gives signs of life in a thread, and waits for other processes.

    Args:
        store: the store that the processes share. The keys belong to this object.
        rank: the number of this process.
        world_size: the number of processes.

    Attributes:
        stopping: whether a signal has asked this process to stop. A wait then ends sooner.
    """

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        self.stopping: Callable[[], bool] = _no
        self._store, self._rank = store, rank
        self._others = [other for other in range(world_size) if other != rank]
        self._counts: dict[int, bytes] = {}
        self._heard: dict[int, float] = {}
        self._answered = time.monotonic()
        self._waiting = self._said = False
        self._comparisons = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="ganzoo-heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(1.0)  # seconds: a store that does not answer keeps the thread, which ends with the process

    def _beat(self) -> None:
        count = 0
        try:
            while True:
                count += 1
                self._store.set(f"sign/{self._rank}", str(count))
                # The numbers of the others are read only where they are needed: n processes would read n^2 numbers.
                for other in self._others if self._waiting else ():
                    self._listen(other)
                self._answered = time.monotonic()
                if self._ended.wait(min(SIGN_SECONDS, LOOK_SECONDS) if self._waiting else SIGN_SECONDS):
                    return
        except (RuntimeError, OSError):  # the store went with its process: the connections say so to the main thread
            return

    def _listen(self, other: int) -> None:
        key = f"sign/{other}"
        count = self._store.get(key) if self._store.check([key]) else b""
        if count != self._counts.get(other):
            self._counts[other] = count
            self._heard[other] = time.monotonic()

    def wait(
        self, done: Callable[[], bool], limit: float | None = None, silent: float | None = None, pause: float = 1e-3
    ) -> None:
        """Wait until something is done. Python handles signals meanwhile, which it could not inside of torch.

        Args:
            done: whether the wait is over.
            limit: the longest wait in seconds, None for ``WAIT_SECONDS``.
            silent: seconds without a sign of life after which a process is given up, None for ``SILENT_SECONDS``.
            pause: the longest pause in seconds between two calls of ``done``.

        Raises:
            RankLost: a process gives no sign of life, or the limit is over.
        """
        began = looked = time.monotonic()
        self._said = False
        try:
            while not done():
                now = time.monotonic()
                if now - looked > LOOK_SECONDS:
                    looked, self._waiting = now, True
                    self._judge(
                        began,
                        now,
                        WAIT_SECONDS if limit is None else limit,
                        SILENT_SECONDS if silent is None else silent,
                    )
                # A short wait costs a tenth more than without pauses, and a long wait costs no processor.
                time.sleep(min(pause, max(2e-5, (now - began) / 10)))
        finally:
            self._waiting = False

    def _judge(self, began: float, now: float, limit: float, patience: float) -> None:
        """Name the silent processes after a while, and end the wait at a limit."""
        silent = {other: now - max(began, self._heard.get(other, began)) for other in self._others}
        longest = max(silent.values(), default=0.0)
        allowed = min(patience, STOPPING_SECONDS) if self.stopping() else patience
        said = min(WORD_SECONDS, allowed)
        names = ", ".join(str(other) for other, seconds in silent.items() if seconds >= said)
        world = len(self._others) + 1
        if now - max(began, self._answered) > allowed + 2 * SIGN_SECONDS:
            raise errors.RankLost(f"the store of the {world} processes does not answer for {allowed:.0f} seconds")
        if longest > allowed:
            raise errors.RankLost(
                f"process {names} of {world} has given no sign of life for {allowed:.0f} seconds: it is stopped, or "
                "its machine hangs"
            )
        if now - began > limit:
            raise errors.RankLost(
                f"the others of {world} processes run, and did not come to the same point within {limit:.0f} seconds"
            )
        # Of the processes that wait, the first alone speaks.
        first = min((other for other, seconds in silent.items() if seconds < said), default=self._rank)
        if longest > said and not self._said and self._rank <= first:
            self._said = True
            logging.getLogger("ganzoo").warning(
                "waiting for process %s of %d, which gives no sign of life: it is given up after %.0f seconds",
                names,
                world,
                allowed,
            )

    def gather(self, failed: Callable[[], bool]) -> None:
        """Wait until all processes are here.

        Args:
            failed: whether another process has reported an error, which ends the wait.

        Raises:
            RankLost: a process did not come in time, or failed.
        """
        self._store.set(f"here/{self._rank}", "1")
        keys = [f"here/{other}" for other in self._others]
        self._arrive(keys, failed, "start")

    def require_same(self, facts: Mapping[str, object], failed: Callable[[], bool]) -> None:
        """Compare facts of this process with the facts of the main process, and wait until all processes agree.

        The facts go through the store and not through an all-reduce: processes that were told different things do not
        make the same exchanges.

        Args:
            facts: plain data by name. Every process compares the same number of times.
            failed: whether another process has reported an error, which ends the wait.

        Raises:
            SettingsError: a fact differs.
            RankLost: a process did not come in time, or failed.
        """
        self._comparisons += 1
        told = f"told/{self._comparisons}"
        own: dict[str, object] = json.loads(json.dumps(facts, default=str))
        if self._rank == 0:
            self._store.set(told, json.dumps(own))
        self._arrive([told], failed, "assemble the run")
        main: dict[str, object] = json.loads(self._store.get(told))
        differing = [key for key in {**main, **own} if own.get(key) != main.get(key)]
        if differing:
            # The text names no rank, so that processes with the same mistake report the mistake once.
            shown = "; ".join(
                f"{key} is {brief(main.get(key))} in process 0 and {brief(own.get(key))} in another"
                for key in differing[:3]
            )
            raise errors.SettingsError(
                f"the processes of one run were told different things: {shown}: start all with the same command and "
                "the same data"
            )
        self._store.set(f"agreed/{self._comparisons}/{self._rank}", "1")
        self._arrive([f"agreed/{self._comparisons}/{other}" for other in self._others], failed, "assemble the run")

    def _arrive(self, keys: list[str], failed: Callable[[], bool], what: str) -> None:
        def all_there() -> bool:
            # `check` asks for several keys at once, and answers whether all are there
            return not keys or self._store.check(keys) or failed()

        try:
            self.wait(all_there, JOIN_SECONDS, JOIN_SECONDS, pause=0.05)
        except errors.RankLost as error:
            raise errors.RankLost(f"{error} (when the processes {what})") from error
        if keys and not self._store.check(keys):
            raise RuntimeError("another process failed")


def _no() -> bool:
    return False
