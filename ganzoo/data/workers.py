"""Processes that read items of a dataset ahead of training."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo import errors, file_modules
from ganzoo.data.items import collate, read
from ganzoo.step.randomness import derive_seed

PATIENCE = 300
"""Seconds to wait for one batch of the workers. A worker that fails to send a batch would be waited for without end."""

SHARED_MEMORY = Path("/dev/shm")
"""The file system that batches travel through from the workers to training, where the system has one."""

CLOSING_SECONDS = 5.0
"""Seconds that the workers have to end by themselves. A worker that waits in its dataset does not end by itself."""

BATCHES_AHEAD = 3
"""Batches in shared memory for each worker: two that are read ahead, and one that training uses."""


class SeededItems(Dataset[dict[str, Tensor]]):
    """A dataset whose random items (crops, flips) are a function of the seed, the batch and the place in the batch.

    So an item is the same in any worker, and in whatever micro-batches a batch is cut.

    A worker receives the dataset as bytes, together with the plugin files that training has imported. The worker
    imports the files first, because the class of the dataset may be defined in one of them.

    Args:
        dataset: the dataset, of map style.
        seed: the seed of the run, from which the seed of every item derives.
        name: the name of the data part, for messages.
        shapes: the shape that every tensor of an item must have, by the tensor's name. None checks no shape.
        classes: whether labels are class numbers, so that 3.0 is class 3.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        seed: int,
        name: str = "of the run",
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        classes: bool = False,
    ) -> None:
        self.dataset, self.seed, self.name, self.shapes, self.classes = dataset, seed, name, shapes, classes

    def __reduce__(self) -> tuple[object, ...]:
        # As bytes inside the pickle: a worker must import the plugin files before it can know the class.
        content = pickle.dumps(self.dataset, protocol=pickle.HIGHEST_PROTOCOL)
        return _rebuilt, (file_modules.imported(), content, self.seed, self.name, self.shapes, self.classes)

    def __getitems__(self, drawn: list[int]) -> list[dict[str, Tensor]]:
        draw, place, *rows = drawn
        items: list[dict[str, Tensor]] = []
        # Without workers the dataset runs in the training process, whose random numbers belong to the parts.
        with kept_random_state():
            for k, row in enumerate(rows, place):
                number = derive_seed(self.seed, "items", draw, k)
                torch.default_generator.manual_seed(number)
                # numpy takes 32 bits.
                np.random.seed(number % 2**32)
                random.seed(number)
                items.append(read(self.dataset, row, self.name, self.shapes, self.classes))
        return items


def _rebuilt(
    files: tuple[Path, ...],
    content: bytes,
    seed: int,
    name: str,
    shapes: Mapping[str, tuple[int, ...]] | None,
    classes: bool,
) -> SeededItems:
    """Unpickle a dataset in a worker, after the import of the files that may define the class of the dataset."""
    file_modules.import_missing(files)
    return SeededItems(pickle.loads(content), seed, name, shapes, classes)


def shared(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Make a batch in shared memory, in the worker that read the items.

    torch would do so in a thread that sends the batch. An error there, such as shared memory that is full, is printed,
    the batch is lost, and training waits for the batch in vain. An error here reaches training at once.

    Args:
        items: the items, as ``SeededItems`` reads them.

    Returns:
        The batch by the names of the tensors.

    Raises:
        RuntimeError: shared memory is full, or the worker has too many open files.
    """
    batch = collate(items)
    for value in batch.values():
        value.share_memory_()  # type: ignore[no-untyped-call]  # torch's
    return batch


def context() -> multiprocessing.context.BaseContext:
    """Choose how worker processes are started: not as forks of the training process.

    The training process has threads (torch's, CUDA's, the writer of checkpoints). A lock that a thread holds during the
    fork is never released in the child. So a server without threads is forked, which has imported torch once.

    Returns:
        The context ``forkserver`` where the system has it, else ``spawn``.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    # The server imports torch once. Each worker then starts in milliseconds and not in seconds.
    chosen.set_forkserver_preload([__name__])
    return chosen


@contextmanager
def isolated() -> Iterator[None]:
    """A context in which started processes ignore the signals of training and do not run the main script again.

    A terminal sends Ctrl-C to all of its processes. Training then finishes the step, needs the workers for the step,
    and ends the workers itself. A worker would also import the main script, and a script without
    ``if __name__ == "__main__"`` would train in each worker.

    The programs that multiprocessing starts get no current directory on their import path: a file ``socket.py`` there
    would run. A worker gets the import path of the training process, as always.
    """
    # multiprocessing reads the name of the main script from here, to run it again in the child.
    main = sys.modules["__main__"]
    safe = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    block = getattr(signal, "pthread_sigmask", None)  # Windows has no signal masks
    before = block(signal.SIG_BLOCK, _signals()) if block else None
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        if block:
            # multiprocessing unblocks two signals when it starts its resource tracker. The tracker is started first,
            # and the signals are blocked again.
            resource_tracker.ensure_running()
            block(signal.SIG_BLOCK, _signals())
        yield
    finally:
        sys.modules["__main__"] = main
        if safe is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = safe
        if block:
            block(signal.SIG_SETMASK, before)


def start_worker(number: int) -> None:
    """Prepare a worker process: ignore the signals of training, and end when the training process ends.

    torch watches the parent process too. But the parent of a worker is the fork server, which lives as long as its
    workers live.

    Args:
        number: torch's number of the worker, which is not used.
    """
    for each in _signals():
        signal.signal(each, signal.SIG_IGN)
    # A thread and not a signal: Linux alone could tell a process of its parent's death.
    threading.Thread(target=_end_after, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)  # the usual exit would wait for queues that nobody reads any more


def _signals() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def pickled_size(dataset: Dataset[Any]) -> int | None:
    """Measure the bytes in which a worker receives a dataset.

    Args:
        dataset: the dataset.

    Returns:
        The size in bytes. None where the dataset cannot be pickled, which a warning explains.
    """

    class Counter:
        total = 0

        def write(self, data: bytes) -> int:
            self.total += memoryview(data).nbytes
            return memoryview(data).nbytes

    counter = Counter()
    try:
        # A worker does not have what the main script defines. Inside `isolated` pickle does not find it either.
        with isolated():
            pickle.Pickler(counter, protocol=pickle.HIGHEST_PROTOCOL).dump(dataset)
    except Exception as error:  # the dataset's own methods may raise anything
        why = (str(error).splitlines() or [type(error).__name__])[0]
        logging.getLogger("ganzoo").warning(
            "data is read by the training process, for worker processes cannot be handed it (%s): define its class at "
            "the top level of a module",
            why,
        )
        return None
    return counter.total


def room_for(batch_bytes: int) -> int:
    """Count the workers whose batches fit into shared memory.

    A worker that finds no room in shared memory loses its batch, and training would wait for the batch in vain.
    Containers often have 64 MB of shared memory.

    Args:
        batch_bytes: the size of one batch.

    Returns:
        The number of workers. The number is large where the system has no such limit.
    """
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return sys.maxsize
    # torch puts every batch of a worker into shared memory until training has taken it.
    return free // (BATCHES_AHEAD * max(1, batch_bytes))


def cores() -> int:
    """Count the CPU cores that this process may use.

    Returns:
        The number of cores, >= 1.
    """
    # A container or taskset may allow fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Watchdog(threading.Thread):
    """Kills worker processes that send no batch for ``PATIENCE`` seconds, or that do not end when they should.

    torch notices a killed worker within seconds. Its own time limit would make torch notice a dead worker only when the
    limit is over. When training ends, torch waits five seconds for each worker, and then twice as long.
    """

    def __init__(self, workers: Sequence[BaseProcess]) -> None:
        """Watch nothing yet: start the thread, and set ``waiting_since`` while a batch is waited for.

        Args:
            workers: the worker processes.
        """
        super().__init__(name="ganzoo-reader-watchdog", daemon=True)
        self.workers = tuple(workers)
        self.waiting_since: float | None = None
        self.closing_since: float | None = None
        self.expired = False
        self._stopped = threading.Event()

    def run(self) -> None:
        # Seconds. The wait ends at once when the thread is stopped, so closing a feed waits for nothing.
        while not self._stopped.wait(1.0):
            now, waiting, closing = time.monotonic(), self.waiting_since, self.closing_since
            self.expired = waiting is not None and now - waiting > PATIENCE
            if self.expired or (closing is not None and now - closing > CLOSING_SECONDS):
                for each in self.workers:
                    each.kill()
                return

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join(2.0)  # seconds: the thread wakes at once, and only a busy machine delays the end


def failure(error: BaseException, workers: Sequence[BaseProcess], expired: bool) -> errors.DataError | None:
    """Explain why no batch came from the workers.

    Args:
        error: the exception that torch raised in the training process.
        workers: the worker processes.
        expired: whether the watchdog has killed the workers.

    Returns:
        The error to raise instead, or None where ``error`` itself explains the failure best.
    """
    if isinstance(error, errors.DataError):  # a worker's error carries the traceback of the worker as its message
        return errors.DataError(str(error.args[0]).strip().splitlines()[-1].rpartition("DataError: ")[2])
    if not isinstance(error, RuntimeError | OSError | EOFError):
        return None
    said = str(error)
    if "shared memory" in said or "No space left on device" in said:
        return errors.DataError(
            "shared memory (/dev/shm), through which processes hand over batches, is full: give more of it (docker's "
            "--shm-size=1g), or a smaller --batch-size"
        )
    if "Too many open files" in said or "ancdata" in said:
        return errors.DataError(
            "the processes that read data have too many open files: raise the limit (ulimit -n), or give a smaller "
            "--batch-size"
        )
    if "can't start new thread" in said:
        return errors.DataError(
            "a process that reads data could not start, for the system has no thread left: end other programs, or "
            "raise the limit (ulimit -u)"
        )
    if expired:
        return errors.DataError(
            f"the processes that read data sent no batch for {PATIENCE} seconds: shared memory (/dev/shm) may have run "
            "out, or the dataset waits for something: give more shared memory, or a smaller --batch-size"
        )
    for each in workers:
        each.join(0.1)  # seconds: the connection of a process may close a moment before the process has ended
    codes = [each.exitcode for each in workers if each.exitcode is not None]
    if any(code < 0 for code in codes):
        return errors.DataError(
            "a process that reads data was ended from outside: memory or shared memory (/dev/shm) may have run out: "
            "give more of it, or a smaller --batch-size"
        )
    if codes:
        return errors.DataError(
            "a process that reads data could not start, as its error above says: define the class of the dataset at "
            "the top level of a module that can be imported, or in a file that is given by --plugin"
        )
    return None


@contextmanager
def kept_random_state() -> Iterator[None]:
    """A context that leaves the random states of torch (on the CPU), numpy and Python as they were."""
    # The CPU's generators alone: datasets do not draw on devices.
    before = torch.default_generator.get_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.default_generator.set_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])
