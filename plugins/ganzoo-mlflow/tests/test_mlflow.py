"""The tracker with the real package, on a database in a file."""

from __future__ import annotations

from pathlib import Path

from mlflow.tracking import MlflowClient

import ganzoo

SMALL = {"arch": "mlp:width=4", "data": "ring", "batch_size": 8, "latent_dim": 4, "samples": 4, "device": "cpu"}


def test_the_database_holds_scalars_pictures_and_settings_and_a_resume_goes_on(tmp_path: Path) -> None:
    words = "mlflow:experiment=digits"
    run = ganzoo.run(log=[words], steps=2, log_every=1, logdir=tmp_path, name="a", quiet=True, **SMALL)
    ganzoo.resume(run.dir, steps=4, quiet=True)
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "a"
    assert found.info.status == "FINISHED"
    assert found.data.params["loss"] == "hinge"
    history = client.get_metric_history(found.info.run_id, "loss/generator")
    assert [metric.step for metric in history] == [1, 2, 3, 4]
    names = [file.path for file in client.list_artifacts(found.info.run_id, "samples")]
    assert "samples/00000002-generator.png" in names
