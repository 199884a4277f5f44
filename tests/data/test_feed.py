"""Batches: in an order that is a function of (seed, epoch), whole in memory or streamed alike."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from ganzoo import errors
from ganzoo.data import workers
from ganzoo.data.choose import feed
from ganzoo.data.feed import Reading
from ganzoo.data.resident import Resident
from ganzoo.data.streamed import Streamed

CPU = torch.device("cpu")


def pictures(count: int = 20) -> torch.Tensor:
    """Images that say which they are."""
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()


class Items(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


def rows(images: torch.Tensor) -> list[int]:
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def made(dataset: Any, **changes: Any) -> Any:
    given = {"batch_size": 6, "seed": 3, "device": CPU, "dtype": torch.float32, **changes}
    return feed(dataset, "toy", **given)


def test_an_epoch_shows_each_sample_at_most_once_and_drops_the_short_batch() -> None:
    fed = made(TensorDataset(pictures()))
    assert isinstance(fed, Resident)
    assert fed.batches == 3
    epochs = [[i for k in range(3) for i in rows(fed.reals(3 * e + k).images)] for e in range(2)]
    assert all(len(set(epoch)) == 18 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    fed, again, other = (
        made(TensorDataset(pictures())),
        made(TensorDataset(pictures())),
        made(TensorDataset(pictures()), seed=4),
    )
    late = rows(fed.reals(7).images)
    for k in range(7):
        fed.reals(k)
    assert rows(fed.reals(7).images) == late == rows(again.reals(7).images)
    assert rows(other.reals(7).images) != late


def test_streamed_and_resident_feeds_give_the_same_batches() -> None:
    labels = torch.arange(20) % 3
    whole = made(TensorDataset(pictures(), labels))
    streamed = made(Items([(x, int(y)) for x, y in zip(pictures(), labels, strict=True)]))
    assert isinstance(streamed, Streamed)
    whole.with_labels = streamed.with_labels = True
    for k in (0, 1, 2, 3, 9, 4):  # and out of order
        a, b = whole.reals(k), streamed.reals(k)
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
    assert torch.equal(whole.first(5), streamed.first(5))
    assert whole.classes == streamed.classes == 3


def test_bytes_fill_minus_one_to_one_exactly() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat(4)[:, None, None, None].expand(-1, 1, 2, 2)
    batch = made(TensorDataset(images.contiguous()), dtype=torch.float64).reals(0).images
    assert {round(float(v), 12) for v in batch.unique()} == {-1.0, 1.0}


def test_a_mapping_item_brings_a_condition() -> None:
    items = [{"image": x, "condition": x.float() / 127.5 - 1} for x in pictures()]
    fed = made(Items(items))
    assert fed.inputs["condition"].shape == (1, 2, 2)
    batch = fed.reals(0)
    assert torch.allclose(batch["condition"], batch.images)


def test_fake_labels_follow_the_datas_proportions() -> None:
    labels = torch.tensor([0] * 15 + [2] * 5)
    fed = made(TensorDataset(pictures(), labels))
    fed.with_labels = True
    drawn = torch.bincount(fed.labels(4000, torch.Generator().manual_seed(0)), minlength=3) / 4000
    torch.testing.assert_close(drawn, torch.tensor([0.75, 0.0, 0.25]), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (pictures(4), "4 samples, fewer than a batch of 6: give --batch-size 4"),
        (torch.rand(20, 1, 2, 2) * 255, "give uint8"),
        (torch.rand(20, 1, 2, 2), "as if in [0, 1]"),
    ],
)
def test_what_cannot_be_fed_is_said_in_one_line(images: torch.Tensor, said: str) -> None:
    with pytest.raises(errors.DataError) as caught:
        made(TensorDataset(images))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


class Noisy(Dataset[Any]):
    """Items that are random: a row number, and a number drawn by each of the usual generators."""

    def __len__(self) -> int:
        return 26

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.tensor([i / 100, float(torch.rand(())), np.random.rand(), random.random()])


@pytest.mark.parametrize(
    "dataset", [TensorDataset(pictures(26), torch.arange(26) % 3), Noisy()], ids=["whole", "streamed"]
)
@pytest.mark.parametrize(
    "shares", [[(4, 0, None)], [(4, 0, 2), (4, 2, 2)], [(2, 0, 1), (2, 1, None)], [(4, 0, 3), (4, 3, 1)]]
)
def test_pieces_put_together_are_the_batch(dataset: Any, shares: list[tuple[int, int, int | None]]) -> None:
    whole = made(dataset, batch_size=8)
    feeds = []
    for share in shares:
        feeds.append(made(dataset, batch_size=8))
        feeds[-1].share(*share)
    whole.with_labels = bool(whole.classes)
    for draw in (0, 1, 2, 3, 7, 4):  # over the epoch's end, and out of order
        pieces = []
        for fed in feeds:
            fed.with_labels = whole.with_labels
            pieces += [fed.reals(draw, k) for k in range(fed.own_pieces)]
        batch = whole.reals(draw)
        assert len(pieces) == shares[0][0]
        assert torch.equal(torch.cat([p.images for p in pieces]), batch.images)
        if whole.with_labels:
            assert torch.equal(torch.cat([p.labels for p in pieces]), batch.labels)


def test_random_items_do_not_repeat() -> None:
    fed = made(Noisy(), batch_size=8)
    drawn = torch.cat([fed.reals(k).images[:, 1:] for k in range(6)])
    assert len(drawn.unique()) == 3 * 48


def test_random_items_leave_others_random_numbers_alone() -> None:
    fed = made(Noisy())
    before = torch.default_generator.get_state(), np.random.get_state()[1].tolist(), random.getstate()
    seen, drawn = fed.fingerprint(), fed.reals(0)
    assert torch.equal(torch.default_generator.get_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    _ = torch.rand(()), np.random.rand(), random.random()
    assert fed.fingerprint() == seen
    assert torch.equal(made(Noisy()).reals(0).images, drawn.images)


def test_only_own_pieces_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(Items):
        seen: ClassVar[list[int]] = []

        def __getitem__(self, i: int) -> Any:
            self.seen.append(i)
            return super().__getitem__(i)

    dataset = Watched(list(pictures(26)))
    whole, fed = made(TensorDataset(pictures(26)), batch_size=8), made(dataset, batch_size=8)
    fed.share(4, 1, 2)
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 1)  # or it looks what items cost
    dataset.seen.clear()
    given = [rows(fed.reals(draw, piece).images) for draw in range(4) for piece in range(2)]
    expected = [rows(whole.reals(draw).images)[k : k + 2] for draw in range(4) for k in (2, 4)]
    assert given == expected
    assert dataset.seen == [i for piece in expected for i in piece]


@pytest.mark.parametrize("share", [(3,), (4, 4), (4, 2, 3), (4, -1), (4, 0, 0)])
def test_pieces_that_cannot_be(share: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        made(TensorDataset(pictures()), batch_size=4).share(*share)


class Slow(Noisy):
    """Items that are worth a process, and say which process reads them and whether it hears signals."""

    def __getitem__(self, i: int) -> torch.Tensor:
        if i == 25:
            raise errors.DataError("the last one is missing")
        time.sleep(0.002)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        deaf = [s in blocked for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)]
        return torch.cat([super().__getitem__(i), torch.tensor([os.getpid() / 2**23, *deaf])])


class Short(Slow):
    def __len__(self) -> int:
        return 25


def drawn(fed: Any, start: int, stop: int) -> torch.Tensor:
    return torch.cat([fed.reals(k).images for k in range(start, stop)])


def readers(images: torch.Tensor) -> set[int]:
    return {int(pid) for pid in (images[:, 4].double() * 2**23).round()}


def test_workers_read_what_the_training_process_would_and_end_with_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, fed = made(Short(), batch_size=4), made(Short(), batch_size=4)
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 1)
    expected = [alone.reals(k).images for k in range(8)]
    assert set.union(*map(readers, expected)) == {os.getpid()}
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 3)  # two that are free
    given = [fed.reals(k).images for k in range(8)]
    workers = set.union(*map(readers, given))
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert all(torch.equal(a[:, :4], b[:, :4]) for a, b in zip(expected, given, strict=True))
    assert torch.cat(given)[:, 5:].eq(1).all(), "no signal that training hears reaches a worker"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    fed.share(2, 1)
    assert not multiprocessing.active_children(), "what was read ahead is cut otherwise"
    assert torch.equal(fed.reals(5).images[:, :4], expected[5][2:, :4])
    assert multiprocessing.active_children()
    fed.close()
    assert not multiprocessing.active_children()
    fed.reals(7)
    fed.itself = fed  # garbage in a cycle
    del fed
    gc.collect()
    assert not multiprocessing.active_children()


def test_a_workers_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 2)
    fed = Streamed(Slow(), Reading(4, 3, CPU, torch.float32))
    with pytest.raises(errors.DataError) as caught:
        drawn(fed, 0, 7)
    assert str(caught.value) == "the last one is missing"
    assert not multiprocessing.active_children()


def test_a_worker_that_is_killed_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 2)
    monkeypatch.setattr("torch.utils.data.dataloader._MultiProcessingDataLoaderIter._try_get_data.__defaults__", (0.1,))
    fed = made(Short(), batch_size=4)
    fed.reals(0)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(errors.DataError) as caught:
        drawn(fed, 1, 50)
    assert "was ended from outside" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(fed.reals(3).images) == 4, "and the feed can begin anew"
    fed.close()


class FreeOfCharge(Short):
    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.tensor([i / 100, 0.0, 0.0, 0.0, os.getpid() / 2**23])


class Kept(Short):
    """What no other process can be handed."""

    def __init__(self) -> None:
        self.secret = lambda: None


def test_no_workers_where_they_do_not_help(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 3)
    for dataset in (FreeOfCharge(), Kept()):
        assert readers(made(dataset, batch_size=4).reals(0).images) == {os.getpid()}
    (said,) = caplog.messages
    assert "worker processes cannot be handed it" in said
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # another training process has a core too
    assert readers(made(Short(), batch_size=4).reals(0).images) == {os.getpid()}
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    monkeypatch.setattr("ganzoo.data.streamed.HANDED_BYTES", 10)
    assert readers(made(Short(), batch_size=4).reals(0).images) == {os.getpid()}


SLOW = """
import time, torch
class Slow(torch.utils.data.Dataset):
    def __len__(self): return 20
    def __getitem__(self, i): time.sleep(0.01); return torch.tensor([i / 20])
"""
OPEN = """
import multiprocessing, os, sys, torch
from ganzoo.data import choose, workers
from slow import Slow
print("script")
workers.cores = lambda: torch.get_num_threads() + 1
fed = choose.feed(Slow(), "slow", 4, 0, torch.device("cpu"), torch.float32)
fed.reals(0)
"""


def test_a_script_without_a_guard_is_not_run_again_and_ends_by_itself(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "script.py").write_text(OPEN + "print(len(multiprocessing.active_children()))")  # fed stays open
    command = [sys.executable, "script.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "script\n1\n", "")


def test_workers_end_with_a_training_process_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "script.py").write_text(
        OPEN + "print(*(p.pid for p in multiprocessing.active_children()))\n"
        "sys.stdout.flush(); os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=300, check=False
    )  # and this waits until all who could write to the pipe are gone
    assert ended.returncode == -9
    for _ in range(50):
        if not Path(f"/proc/{ended.stdout.split()[-1]}").exists():
            break
        time.sleep(0.1)
    else:
        pytest.fail("a worker is still there")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", ["whole", "gathered", "streamed", "workers"])
def test_a_gpu_is_given_the_same_batches(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Short() if kind == "workers" else Noisy() if kind == "streamed" else TensorDataset(pictures(26))
    monkeypatch.setattr("ganzoo.data.choose.RESIDENT_BYTES", 0 if kind == "gathered" else 1 << 30)
    fed = made(dataset, batch_size=4, device=torch.device("cuda"))
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 1)
    alone, draws = made(dataset, batch_size=4), (0, 1, 2, 3, 4, 5, 6, 7, 8, 2)
    expected = [alone.reals(draw).images[:, :4] for draw in draws]
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: 3)
    for draw, images in zip(draws, expected, strict=True):
        batch = fed.reals(draw).images
        torch.cuda._sleep(10_000_000)  # the next copy is done long before this one is read
        given = batch.clone()
        del batch
        assert torch.equal(given[:, :4].cpu(), images)
    fed.close()


PLUGIN = """
import os, torch
import ganzoo

class Items(torch.utils.data.Dataset):
    def __len__(self): return 20
    def __getitem__(self, i): return torch.tensor([i / 20, os.getpid() / 1e9])

class Mine(ganzoo.Data):
    def dataset(self): return Items()
"""


def test_a_dataset_of_a_plugin_file_is_read_by_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class is defined in a file that no import path leads to: the worker imports the file first."""
    from ganzoo import file_modules

    (tmp_path / "mine.py").write_text(PLUGIN)
    module = file_modules.import_file(tmp_path / "mine.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: torch.get_num_threads() + 1)
    monkeypatch.setattr("ganzoo.data.streamed.WORTH_WORKERS", 0.0)
    fed = feed(module.Items(), "mine", 4, 0, torch.device("cpu"), torch.float64)
    read = fed.reals(0).images
    fed.close()
    assert read is not None
    assert set(read[:, 1].mul(1e9).round().int().tolist()) - {os.getpid()}, "another process read the items"


def test_a_worker_that_cannot_start_is_told_from_one_that_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class is in a module that only this process has: the worker cannot unpickle the dataset."""
    module = types.ModuleType("made_up")
    exec(PLUGIN.replace("import ganzoo", "").split("class Mine")[0], vars(module))
    monkeypatch.setitem(sys.modules, "made_up", module)
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: torch.get_num_threads() + 1)
    monkeypatch.setattr("ganzoo.data.streamed.WORTH_WORKERS", 0.0)
    fed = feed(module.Items(), "mine", 4, 0, torch.device("cpu"), torch.float32)
    with pytest.raises(errors.DataError, match=r"a process that reads data could not start, .* define the class"):
        fed.reals(0)
    fed.close()


def test_workers_are_as_many_as_their_batches_fit_into_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")  # the form of shutil.disk_usage
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(64 << 20, 0, 64 << 20))
    assert workers.room_for(4 << 20) == 5
    assert workers.room_for(30 << 20) == 0

    def none(path: Path) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr("shutil.disk_usage", none)
    assert workers.room_for(1 << 30) > 1000


class Stuck(Dataset[Any]):
    """A dataset that waits for something for ever, after a few items."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> torch.Tensor:
        if multiprocessing.parent_process() is not None:
            time.sleep(600)
        return torch.tensor([i / 20])


def test_workers_that_send_nothing_are_waited_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: torch.get_num_threads() + 1)
    monkeypatch.setattr("ganzoo.data.workers.PATIENCE", 2)
    monkeypatch.setattr("ganzoo.data.streamed.WORTH_WORKERS", 0.0)
    fed = feed(Stuck(), "stuck", 4, 0, CPU, torch.float32)
    with pytest.raises(errors.DataError, match=r"sent no batch for 2 seconds: shared memory"):
        fed.reals(0)
    assert fed._watchdog is None  # type: ignore[attr-defined]  # a streamed feed's


def test_a_feed_that_is_closed_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: torch.get_num_threads() + 1)
    monkeypatch.setattr("ganzoo.data.streamed.WORTH_WORKERS", 0.0)
    fed = feed(Items([torch.zeros(1)] * 8), "items", 4, 0, CPU, torch.float32)
    fed.reals(0)
    watchdog = fed._watchdog  # type: ignore[attr-defined]  # a streamed feed's
    assert watchdog.is_alive()
    fed.close()
    watchdog.join(60)  # ``close`` waits for 2 s, which a busy machine may exceed
    assert not watchdog.is_alive()


def test_reading_all_labels_is_said_where_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    items = Items([(torch.zeros(1), k % 2) for k in range(8)])
    feed(items, "items", 4, 0, CPU, torch.float32)
    assert not caplog.records
    monkeypatch.setattr("ganzoo.data.streamed.MANY_ITEMS", 7)
    feed(items, "items", 4, 0, CPU, torch.float32)
    assert "the labels of 8 items are read from the items" in caplog.text


def test_the_digest_is_of_the_first_samples_to_look_at() -> None:
    """A run is continued with data of the same digest: the number of samples in it must stay."""
    many = torch.arange(200.0)[:, None] / 200
    shown = feed(TensorDataset(many), "many", 4, 0, CPU, torch.float32)
    unseen = shown.order(-1)[64]
    other = many.clone()
    other[unseen] = 0.123
    fed = feed(TensorDataset(other), "many", 4, 0, CPU, torch.float32)
    assert fed.fingerprint()["digest"] == shown.fingerprint()["digest"]
    other[shown.order(-1)[63]] = 0.123
    fed = feed(TensorDataset(other), "many", 4, 0, CPU, torch.float32)
    assert fed.fingerprint()["digest"] != shown.fingerprint()["digest"]


class StuckLater(Stuck):
    """The first items come, and the others do not."""

    def __getitem__(self, i: int) -> torch.Tensor:
        if multiprocessing.parent_process() is None:  # training measures what items cost, and is not stuck
            return torch.tensor([i / 20])
        self.read = getattr(self, "read", 0) + 1
        return super().__getitem__(i) if self.read > 4 else torch.tensor([i / 20])


def test_workers_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that waits in its dataset hears nothing, and torch would wait for five seconds, and five more."""
    monkeypatch.setattr("ganzoo.data.workers.cores", lambda: torch.get_num_threads() + 1)
    monkeypatch.setattr("ganzoo.data.workers.CLOSING_SECONDS", 0.5)
    monkeypatch.setattr("ganzoo.data.streamed.WORTH_WORKERS", 0.0)
    others = multiprocessing.active_children()  # readers of feeds that other tests left to the end of the process
    fed = feed(StuckLater(), "stuck", 4, 0, CPU, torch.float32)
    fed.reals(0)
    (worker,) = [each for each in multiprocessing.active_children() if each not in others]
    fed.close()
    assert not worker.is_alive()


EVIL = "from pathlib import Path; Path({mark!r}).write_text('ran')\n"
"""A module that leaves a mark when it is imported."""


def test_no_file_of_the_current_directory_runs_when_readers_start(tmp_path: Path) -> None:
    """Python puts the current directory before the standard library where a program is given by -c, as here."""
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    (home / "slow.py").write_text(SLOW)
    (home / "script.py").write_text(OPEN)
    mark = here / "mark"
    for name in ("socket", "selectors", "signal", "struct", "pickle", "torch", "numpy", "ganzoo"):
        (here / f"{name}.py").write_text(EVIL.format(mark=str(mark)))
    command = [sys.executable, str(home / "script.py")]
    ended = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "script\n", "")
    assert not mark.exists()
