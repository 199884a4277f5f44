"""What turns a step into a function that replays the step: CUDA graphs, and ``torch.compile``."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

RESETS = torch.__version__ >= "2.14"
"""Whether torch forgets a capture that failed when its graph is reset. Earlier versions leave the memory allocator in
the state of a capture that goes on, so that there no process captures again."""

Step = Callable[[], list[Tensor]]


class StepCompiler(Protocol):
    """Turns a step into a function that replays the step.

    Attributes:
        name: a participle for messages: ``"compiled"``.
        draws: a recorded step may gather samples by number, and draw from a generator of its own. The host seeds the
            generator before each replay. False has the host do both before each replay.
    """

    name: str
    draws: bool

    def __call__(self, step: Step, reads: Sequence[Tensor]) -> Step:
        """Record a step.

        Args:
            step: makes the step and returns the results. Every call is another step, as each call changes the tensors
                in ``reads``. Any number of calls is allowed.
            reads: the tensors that the step reads and writes.

        Returns:
            A function that replays the step, and returns new values of the results.
        """


class BrokenOff(Exception):
    """A capture failed half-way. ``__cause__`` is the reason.

    Earlier captures must not be replayed. Some versions of torch leave the random number generator and the memory
    allocator in the state of a capture that goes on.
    """


class Graph:
    """Captures steps in CUDA graphs, which share one memory pool: at most a single graph runs at a time.

    Args:
        device: the GPU of the step. A device without an index is the current GPU.
    """

    name = "captured in a CUDA graph"
    draws = RESETS  # from 2.14 on a graph knows each generator that a captured kernel draws from

    def __init__(self, device: torch.device) -> None:
        self.index = torch.cuda.current_device() if device.index is None else device.index
        self.stream = torch.cuda.Stream(self.index)  # type: ignore[no-untyped-call]  # torch's
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Step, reads: Sequence[Tensor]) -> Step:
        """Rehearse the step on the capture's stream, then capture the step.

        Args:
            step: makes the step and returns the results.
            reads: the tensors that the step reads.

        Raises:
            BrokenOff: the capture failed half-way.
        """
        if _broken_off:
            raise BrokenOff from Refused("an earlier capture in this process broke off")
        graph = torch.cuda.CUDAGraph()
        # Garbage may hold tensors of another stream. Freed during the capture, they would draw that stream into it.
        gc.collect()
        with torch.cuda.device(self.index), torch.cuda.stream(torch.cuda.current_stream()):  # afterwards as before
            with self._without_waiting():
                step()
            try:
                # thread_local: other threads go on (they pin memory for batches) and are no part of the capture.
                with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                    made = step()
            except Exception as error:
                numbers = torch.cuda.default_generators[self.index]
                numbers.graphsafe_set_state(torch.Generator(f"cuda:{self.index}").graphsafe_get_state())
                if RESETS:
                    graph.reset()  # gives the memory back, and the pool with it
                    self.pool = torch.cuda.graph_pool_handle()
                else:
                    _broken_off.append(graph)
                raise BrokenOff from error

        def replay() -> list[Tensor]:
            graph.replay()
            return made

        return replay

    @contextmanager
    def _without_waiting(self) -> Iterator[None]:
        """On the capture's stream, raise where the host would wait for the device.

        The same wait inside a capture would break the capture off, and all later captures.
        """
        mode, outside = torch.cuda.get_sync_debug_mode(), torch.cuda.current_stream()
        self.stream.wait_stream(outside)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mode is a prototype, and optimizers are not being captured yet
            torch.cuda.set_sync_debug_mode("error")
            try:
                with torch.cuda.stream(self.stream):
                    yield
            finally:
                torch.cuda.set_sync_debug_mode(mode)
                outside.wait_stream(self.stream)


_broken_off: list[Any] = []
"""Graphs of failed captures, kept alive as long as the process: the memory allocator may still use the graphs."""


class Compiled:
    """Compiles steps by torch, and hands the compiled step to another compiler of steps if one is given.

    ``torch.compile`` does not trace through ``autograd.grad``, and loses penalties if the modules are compiled alone.
    So the step is traced once below autograd, as plain operations, among which first and second
    backward passes are like any others. Then the trace is compiled.

    Args:
        then: another compiler of steps, which receives the compiled step. None returns the compiled step.
    """

    name = "compiled"
    draws = False  # a trace holds no generators

    def __init__(self, then: StepCompiler | None = None) -> None:
        self.then = then

    def __call__(self, step: Step, reads: Sequence[Tensor]) -> Step:
        """Trace the step, compile the trace, and record the compiled step with ``then``.

        Args:
            step: makes the step and returns the results.
            reads: the tensors that the step reads.
        """
        from torch._inductor import config
        from torch.fx.experimental.proxy_tensor import make_fx

        trace = make_fx(lambda *_: step())(*reads)
        uncompiled = torch.compiler.disable(_call_operator)  # type: ignore[no-untyped-call]  # torch's
        for node in reversed(trace.graph.nodes):
            name = str(node.target)
            if "record_function" in name:  # marks for the profiler, at which the compiler would stop
                trace.graph.erase_node(node)
            elif name.startswith("aten._fused_"):  # an optimizer: one kernel already, which the compiler cannot read
                node.target, node.args = uncompiled, (node.target.overloadpacket.__name__, *node.args)
        trace.recompile()
        compiled = torch.compile(trace)

        def replay() -> list[Tensor]:
            # fallback_random: the random numbers of the step in Python, which the trial compares with
            with torch.no_grad(), config.patch(fallback_random=True):
                return list(compiled(*reads))

        replay()  # compiles
        return replay if self.then is None else self.then(replay, reads)


def _call_operator(name: str, *given: Any, **named: Any) -> None:
    getattr(torch.ops.aten, name)(*given, **named)


class Refused(Exception):
    """A step cannot be recorded. The message has the reason."""
