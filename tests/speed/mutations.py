#!/usr/bin/env python3
"""tests/speed/mutations.py [PYTHON] [WORDS]: spoil the capture of steps in one place at a time, and see a test fail.

Each mutation is a text of the engine and the text in its place. The script applies one mutation to a copy of the
checkout, and runs the tests that are said to catch it. A mutation is caught where one of the tests fails. Tests on the
emulated CUDA device are skipped where there is no such device. WORDS choose mutations by name.

    tests/speed/mutations.py python3
    tests/speed/mutations.py python3 batch flag
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

DOUBLE = "tests/speed/test_capture.py::"
"""Tests on the CPU, with a recorder that calls the step again."""

DEVICE = "tests/gpu/test_captured.py::"
"""Tests on a CUDA device, real or emulated."""

LAUNCHES = "tests/gpu/test_launches.py::"

SAME = "test_captured_steps_are_the_same_steps"
AGAIN = "test_steps_made_again_are_the_same_steps"
REHEARSED = "TestGraph::test_a_step_is_rehearsed_where_waiting_raises_then_captured"


class Mutation(NamedTuple):
    """A fault that is put into the engine.

    Attributes:
        name: what is wrong then.
        file: the file of the engine.
        old: the text that is replaced. It is there once.
        new: the text in its place.
        caught_by: a test that fails then.
    """

    name: str
    file: str
    old: str
    new: str
    caught_by: str


CAPTURE, COMPILERS = "ganzoo/speed/capture.py", "ganzoo/speed/compilers.py"

MUTATIONS = (
    Mutation(
        "numbers that follow the run are baked in",
        CAPTURE,
        "(number.owner, number.key, tensor) for number, tensor in zip(self.numbers, tensors, strict=True)",
        "",
        f"{DEVICE}{SAME}[extragradient]",
    ),
    Mutation(
        "numbers that follow the run are not filled",
        "ganzoo/speed/block.py",
        "                view.fill_(value)\n",
        "                pass\n",
        f"{DOUBLE}{AGAIN}[extragradient]",
    ),
    Mutation(
        "the average's share is baked in",
        CAPTURE,
        "if call == self.game.host.reals else known.result\n",
        "if call == self.game.host.reals else call(*arguments)\n",
        f"{DEVICE}{SAME}[onestep]",
    ),
    Mutation(
        "the average's share is not filled",
        CAPTURE,
        "                    values.append(value)\n",
        "                    values.append(0.001)\n",
        f"{DOUBLE}{AGAIN}[onestep]",
    ),
    Mutation(
        "batches are not filled",
        CAPTURE,
        "        mine.copy_(theirs)\n",
        "        pass\n",
        f"{DOUBLE}{AGAIN}[onestep]",
    ),
    Mutation(
        "batches are fetched inside the recording",
        CAPTURE,
        "        if known.result is None:\n            return call(*arguments)\n",
        "        if known.result is None or call == self.game.host.reals:\n            return call(*arguments)\n",
        f"{DEVICE}{SAME}[onestep]",
    ),
    Mutation(
        "the numbers of the samples are not handed over",
        "ganzoo/speed/block.py",
        "                view.copy_(value)\n",
        "                view.fill_(0)\n",
        f"{DEVICE}{SAME}[onestep]",
    ),
    Mutation(
        "the block of a step lies in the memory of the block before",
        "ganzoo/speed/block.py",
        "        made = torch.empty(",
        "        made = self.made = self.made if hasattr(self, 'made') else torch.empty(",
        f"{DEVICE}test_scalars_may_be_read_late",
    ),
    Mutation(
        "latents are drawn by the host alone",
        CAPTURE,
        "            if call == host.latents:\n",
        "            if False:\n",
        f"{LAUNCHES}test_a_captured_step_is_one_launch[onestep]",
    ),
    Mutation(
        "latents are drawn before a replay too",
        CAPTURE,
        "                if made.is_inside:\n                    continue\n",
        "",
        f"{DEVICE}{SAME}[onestep]",
    ),
    Mutation(
        "the random numbers of a step are those after its trial",
        CAPTURE,
        "        self.game.host.seed_step(step)\n\n",
        "\n",
        f"{DOUBLE}{AGAIN}[alternating:generator_steps=2]",
    ),
    Mutation(
        "the optimizers' counts stay on the host",
        CAPTURE,
        "                memory[key] = value.to(parameter.device)\n",
        "                pass\n",
        f"{DEVICE}{SAME}[alternating:generator_steps=2]",
    ),
    Mutation(
        "the learning rate is a float64 tensor",
        CAPTURE,
        'torch.float32 if environment.device.type == "cuda" else torch.float64',
        "torch.float64",
        f"{DEVICE}{SAME}[alternating:discriminator_steps=2]",
    ),
    Mutation(
        "optimizers are not told of the capture",
        CAPTURE,
        '            places += [(group, "capturable", True) for group in groups if "capturable" in group]\n',
        "            pass\n",
        f"{DEVICE}{SAME}[alternating:generator_steps=2]",
    ),
    Mutation(
        "the non-finite flag is not brought back",
        CAPTURE,
        "                self.nonfinite.copy_(rehearsal.nonfinite)\n",
        "",
        f"{DEVICE}test_a_captured_step_that_is_not_finite_is_as_written[stop]",
    ),
    Mutation(
        "the non-finite flag is not handed in",
        CAPTURE,
        "                self.nonfinite.copy_(self.game.nonfinite)\n",
        "                pass\n",
        f"{DEVICE}test_a_captured_step_that_is_not_finite_is_as_written[skip]",
    ),
    Mutation(
        "the scalars of all steps are in one place",
        CAPTURE,
        "results[0].clone().unbind()",
        "results[0].unbind()",
        f"{DEVICE}test_scalars_may_be_read_late",
    ),
    Mutation(
        "one recording for all penalties that are due",
        CAPTURE,
        "return tuple(sorted(due)), tuple(fixed), self.game.learning",
        "return (), tuple(fixed), self.game.learning",
        f"{DOUBLE}{AGAIN}[onestep]",
    ),
    Mutation(
        "one recording for all fixed numbers of the optimizers",
        CAPTURE,
        "return tuple(sorted(due)), tuple(fixed), self.game.learning",
        "return tuple(sorted(due)), (), self.game.learning",
        f"{DOUBLE}test_what_python_decides_by_is_a_kind_of_step[a number of the optimizer]",
    ),
    Mutation(
        "one recording for all submodules that learn",
        CAPTURE,
        "return tuple(sorted(due)), tuple(fixed), self.game.learning",
        "return tuple(sorted(due)), tuple(fixed)",
        f"{DOUBLE}test_what_python_decides_by_is_a_kind_of_step[what learns]",
    ),
    Mutation(
        "recordings outlive the tensors that a checkpoint replaces",
        CAPTURE,
        "            self.recorded_at = now\n            self.recordings.clear()\n",
        "            self.recorded_at = now\n",
        f"{DOUBLE}test_another_state_is_recorded_anew",
    ),
    Mutation(
        "the state is not put back after the trial",
        CAPTURE,
        "            start.restore()\n            self._set_step(step, progress)\n        if",
        "            self._set_step(step, progress)\n        if",
        f"{DOUBLE}{AGAIN}[onestep:shared=true]",
    ),
    Mutation(
        "the counters count the rehearsal of a recording too",
        CAPTURE,
        "            self.state.counters.set(self.counters_at_start)\n",
        "",
        f"{DOUBLE}{AGAIN}[onestep]",
    ),
    Mutation(
        "recordings are replayed after one broke off",
        CAPTURE,
        "            recording, self.over = None, True\n            self.recordings.clear()\n",
        "            recording = None\n",
        f"{DOUBLE}test_nothing_is_made_from_recordings_after_one_broke_off",
    ),
    Mutation(
        "the trial does not compare",
        CAPTURE,
        "            if not apart <= bound * (length := norm(scale)):\n",
        "            if not (length := norm(scale)) >= 0:\n",
        f"{DOUBLE}TestWhatMustNotBeRecorded::test_a_recording_that_is_wrong[gradient]",
    ),
    Mutation(
        "the tolerance of the trial is ten times the derived one",
        "ganzoo/speed/trial.py",
        "    return math.sqrt(NEAR * error)\n",
        "    return 10 * math.sqrt(NEAR * error)\n",
        f"{DOUBLE}TestWhatMustNotBeRecorded::test_a_number_of_the_run_that_a_recording_freezes[0.005]",
    ),
    Mutation(
        "the trial has one step",
        CAPTURE,
        "                self._compare(other, recording, start, step + 1, self._cycle())\n",
        "",
        f"{DOUBLE}TestWhatMustNotBeRecorded::test_a_number_of_the_run_that_a_recording_freezes[1.0]",
    ),
    Mutation(
        "both steps of the trial have the same batch",
        CAPTURE,
        "                tensor.copy_(tensor.index_select(0, rows))\n",
        "                pass\n",
        f"{DOUBLE}TestWhatMustNotBeRecorded::test_a_batch_that_a_recording_freezes",
    ),
    Mutation(
        "random numbers of NumPy are not looked at",
        CAPTURE,
        'found["a part that draws from NumPy\'s random numbers: what it draws"] = [',
        "_ = [",
        f"{DOUBLE}TestWhatMustNotBeRecorded::test_random_numbers_of_numpy",
    ),
    Mutation(
        "no rehearsal",
        COMPILERS,
        "            with self._without_waiting():\n                step()\n",
        "",
        f"{DOUBLE}{REHEARSED}",
    ),
    Mutation(
        "the rehearsal may wait",
        COMPILERS,
        '            torch.cuda.set_sync_debug_mode("error")\n',
        "",
        f"{DOUBLE}{REHEARSED}",
    ),
    Mutation(
        "the rehearsal does not wait for what went before",
        COMPILERS,
        "        self.stream.wait_stream(outside)\n",
        "",
        f"{DOUBLE}{REHEARSED}",
    ),
    Mutation(
        "each recording has memory of its own",
        COMPILERS,
        "torch.cuda.graph(graph, pool=self.pool,",
        "torch.cuda.graph(graph, pool=torch.cuda.graph_pool_handle(),",
        f"{DOUBLE}TestGraph::test_recordings_share_memory",
    ),
    Mutation(
        "a capture that failed keeps its memory",
        COMPILERS,
        "                    graph.reset()  # gives the memory back, and the pool with it\n",
        "",
        f"{DOUBLE}TestGraph::test_a_failure_leaves_the_device_as_it_was[True-True]",
    ),
    Mutation(
        "the capture is on the current device",
        COMPILERS,
        "self.index = torch.cuda.current_device() if device.index is None else device.index",
        "self.index = torch.cuda.current_device()",
        f"{DEVICE}test_the_second_device_alone[True]",
    ),
)


def copied(folder: Path) -> None:
    """Copy the files of the checkout that git knows, and those that are new."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True, capture_output=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def outcome(folder: Path, test: str, python: str) -> str:
    """``failed``, ``passed`` or ``skipped``: of a test, in a copy of the checkout."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{folder / 'plugins'}",
        "OMP_NUM_THREADS": "1",
        "GANZOO_CUDA_EMULATION": os.environ.get(
            "GANZOO_CUDA_EMULATION", str(ROOT.parent / "shared" / "cuda_emulation")
        ),
        "FAKECUDA_ORDER": "late",
    }
    start = [f"{folder}/.ci/gpu", python] if test.startswith("tests/gpu") else [python, "-m", "pytest", "-q"]
    made = subprocess.run(
        [*start, "-x", "-p", "no:cacheprovider", "--no-header", test],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    if made.returncode not in (0, 1):
        raise SystemExit(f"{test}: {made.stdout[-2000:]}{made.stderr[-2000:]}")
    if "gpu tests are skipped" in made.stdout or (made.returncode == 0 and " passed" not in made.stdout):
        return "skipped"
    return "failed" if made.returncode else "passed"


def main(python: str, *wanted: str) -> int:
    """Apply the mutations one by one. Returns the number of mutations that no test caught."""
    left = 0
    chosen = [each for each in MUTATIONS if not wanted or any(word in each.name for word in wanted)]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        copied(folder)
        for test in sorted({each.caught_by for each in chosen}):
            if outcome(folder, test, python) == "failed":
                raise SystemExit(f"{test} fails without a mutation")
        for mutation in chosen:
            file = folder / mutation.file
            text = file.read_text()
            assert text.count(mutation.old) == 1, (mutation.name, text.count(mutation.old))
            file.write_text(text.replace(mutation.old, mutation.new))
            found = outcome(folder, mutation.caught_by, python)
            file.write_text(text)
            left += found == "passed"
            words = {"failed": "caught", "passed": "NOT CAUGHT", "skipped": "skipped"}[found]
            print(f"| {mutation.name} | {words} | {mutation.caught_by} |", flush=True)
    print(f"{len(chosen)} mutations, {left} not caught")
    return left


if __name__ == "__main__":
    raise SystemExit(min(1, main(*(sys.argv[1:] or [sys.executable]))))
