"""The tracker with the real package, in its offline mode."""

from __future__ import annotations

import time
from pathlib import Path

import ganzoo

SMALL = {"arch": "mlp:width=4", "data": "ring", "batch_size": 8, "latent_dim": 4, "samples": 4, "device": "cpu"}


def test_the_offline_file_holds_scalars_pictures_and_settings(tmp_path: Path) -> None:
    words = "wandb:mode=offline,project=digits"
    run = ganzoo.run(log=[words], steps=2, log_every=1, logdir=tmp_path, name="a", quiet=True, **SMALL)
    (file,) = run.dir.glob("wandb/offline-run-*/run-a.wandb")
    # Records of protobuf, whose texts are plain bytes. A process of wandb's own writes the file, and may still write
    # after the run has ended.
    deadline = time.monotonic() + 60
    while b"finished" not in (content := file.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for text in (b"loss/generator", b"images", b"digits", b"batch_size", b"finished"):
        assert text in content
    assert list((run.dir / "wandb").rglob("*.png"))
    assert "wandb" in (run.dir / "config.yaml").read_text()
