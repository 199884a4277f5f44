"""The runs of a comparison as tasks of Ray."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

import ganzoo
from ganzoo.errors import RunError


class Ray(ganzoo.Engine):
    """A Ray cluster (ray): a run is a task, and a run whose worker or machine dies is resumed elsewhere.

    Args:
        address: the address of the cluster: ``auto``, ``ray://HOST:PORT`` or ``HOST:PORT``. none starts Ray on this
            machine, for the time of the comparison.
        cpus: the CPU cores of a run, above 0. Fractions share a core.
        gpus: the GPUs of a run, at least 0. Fractions share a GPU.
        retries: how often Ray starts a run again when its worker dies, at least 0.

    Raises:
        RunError: the cluster cannot be reached.

    Notes:
        The folder of the comparison and the data must lie on a path that all machines share, and ganzoo must be
        installed on all of them. Checkpoints make a run go on where it was, bit for bit on equal hardware.
    """

    address: str | None = None
    cpus: Annotated[float, Gt(0)] = 1.0
    gpus: Annotated[float, Ge(0)] = 0.0
    retries: Annotated[int, Ge(0)] = 3

    text_parameter: ClassVar[str] = "address"

    def perform(self, jobs: Sequence[ganzoo.Job], at_once: int | None) -> None:
        """Submit the jobs as tasks, and wait for the end of all tasks.

        Args:
            jobs: the jobs.
            at_once: the number of cores of a Ray that is started here. A cluster decides by the resources of a run.

        Raises:
            RunError: the cluster cannot be reached.
        """
        if not jobs:
            return
        import ray

        began = not ray.is_initialized()
        if began:
            self._connect(ray, at_once)
        try:
            task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)(_run)
            waiting = [task.remote(job.command, str(job.folder), str(job.log)) for job in jobs]
            while waiting:
                done, waiting = ray.wait(waiting, num_returns=1)
                # A task that failed for good has no result on disk: the comparison hands the run out again.
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.get(done)
        finally:
            if began:
                ray.shutdown()

    def _connect(self, ray: Any, at_once: int | None) -> None:
        options: dict[str, Any] = {"ignore_reinit_error": True, "log_to_driver": False, "configure_logging": False}
        if self.address is None:
            options |= {"num_cpus": at_once, "include_dashboard": False}
        else:
            options["address"] = self.address
        try:
            ray.init(**options)
        except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise RunError(
                f"Ray at {self.address or 'this machine'} cannot be reached ({said}): start a cluster with ray start "
                "--head, or use --on local"
            ) from error


def _run(command: tuple[str, ...], folder: str, log: str) -> int:
    """Run a command on a worker. The command ends with the worker."""
    environment = {**os.environ, "GANZOO_PARENT": str(os.getpid())}
    with open(log, "ab") as out:  # noqa: PTH123  # Ray pickles the function without the module's imports at hand
        return subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        ).returncode
