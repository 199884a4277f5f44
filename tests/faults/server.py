"""Runs `ganzoo` in processes of its own without importing torch each time: imports once, then forks.

A line of JSON in is a request, a line out the answer: {"run": [words], "out": file} -> {"pid": n} and
{"wait": n} -> {"code": exit code, or minus the signal}. {"run": ..., "seam": "module:function"} calls that function
in the child first. "environment" holds further variables of the child.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

import ganzoo.cli.resume
import ganzoo.cli.run
import ganzoo.disk.record  # noqa: F401  # what takes long to import
from ganzoo import cli, plugins
from ganzoo.recipe.assemble import assemble
from ganzoo.recipe.settings import resolve


def child(asked: dict[str, Any]) -> None:
    with Path(asked["out"]).open("ab", buffering=0) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 70
    os.environ.update(asked.get("environment", {}))
    try:
        if asked.get("seam"):
            module, _, function = asked["seam"].partition(":")
            getattr(importlib.import_module(module), function)()
        code = cli.main(["--no-plugins", *asked["run"]])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 74
        os._exit(code)


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    torch.set_num_threads(1)
    catalogue = plugins.load_catalogue(no_plugins=True)
    for optimizer in ("adam", "rmsprop"):  # everything that the runs will import, and no thread that a fork would lose
        assemble(resolve(catalogue, given={"device": "cpu", "optimizer": optimizer}), catalogue)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        asked = json.loads(line)
        if "run" in asked:
            pid = os.fork()
            if pid == 0:
                child(asked)
            answer = {"pid": pid}
        else:
            _, status = os.waitpid(asked["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
