"""The facts that a launcher such as torchrun gives a process in its environment.

This module is the only reader of RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE and TORCHELASTIC_*. A process without a
launcher has none of these variables and is process 0 of 1.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from ganzoo import errors


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that train one run.

    Attributes:
        rank: the number of this process, from 0.
        world_size: the number of processes.
        local_rank: the number of this process on its machine, from 0.
        local_world_size: the number of processes on this machine.
        restarts: how often the launcher restarted the processes.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    restarts: int = 0


def launch() -> Launch:
    """Read the place of this process from the environment.

    Returns:
        The facts, read anew in each call.

    Raises:
        SettingsError: a variable is not a whole number, out of range, or missing where the others need it.

    Example:
        >>> launch().world_size  # without torchrun
        1
    """
    world_size = _number("WORLD_SIZE", 1, least=1)
    if world_size > 1:
        missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if missing:
            raise errors.SettingsError(
                f"WORLD_SIZE is {world_size} in the environment and {', '.join(missing)} is missing: start the "
                "processes with torchrun, or unset WORLD_SIZE"
            )
    rank = _number("RANK", 0)
    if rank >= world_size:
        raise errors.SettingsError(
            f"RANK is {rank} in the environment and WORLD_SIZE is {world_size}: ranks are counted from 0; start the "
            "processes with torchrun, or unset both"
        )
    return Launch(
        rank=rank,
        world_size=world_size,
        local_rank=_number("LOCAL_RANK", 0),
        local_world_size=_number("LOCAL_WORLD_SIZE", 1, least=1),
        restarts=_number("TORCHELASTIC_RESTART_COUNT", 0),
    )


def is_main_process() -> bool:
    """Whether this process is the one that prints; a malformed environment counts as a single process."""
    return os.environ.get("RANK", "0").strip() in ("", "0") or not os.environ["RANK"].strip().isdecimal()


def launch_id() -> dict[str, object] | None:
    """The identity of one call of torchrun, the same after torchrun restarted its processes; None without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    run = os.environ["TORCHELASTIC_RUN_ID"]
    # torchrun calls every run "none" unless --rdzv-id names it; then the parent process tells two calls apart
    return {"run": run} if run != "none" else {"host": socket.gethostname(), "parent": os.getppid()}


def _number(name: str, default: int, least: int = 0) -> int:
    text = os.environ.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise errors.SettingsError(
            f"{name} is {text!r} in the environment and must be a whole number >= {least}: start the processes with "
            f"torchrun, or unset {name}"
        )
    return int(text)
