"""The facts of a launcher: torchrun's environment, and what is wrong in it."""

from __future__ import annotations

import pytest

from ganzoo import errors
from ganzoo.cli import main
from ganzoo.launcher import Launch, is_main_process, launch, launch_id

ADDRESS = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
NAMES = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_RUN_ID"]


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*NAMES, *ADDRESS]:
        monkeypatch.delenv(name, raising=False)


def test_a_process_without_a_launcher_is_process_0_of_1() -> None:
    assert launch() == Launch(rank=0, world_size=1, local_rank=0, local_world_size=1, restarts=0)
    assert launch_id() is None
    assert is_main_process()


def test_the_environment_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", **ADDRESS}
    for name, value in {**given, "TORCHELASTIC_RESTART_COUNT": "2"}.items():
        monkeypatch.setenv(name, value)
    assert launch() == Launch(rank=5, world_size=8, local_rank=1, local_world_size=4, restarts=2)
    assert not is_main_process()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE is 'abc' in the environment and must be a whole number >= 1"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE is '' in the environment and must be a whole number >= 1"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0' in the environment and must be a whole number >= 1"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE is '-2' in the environment and must be a whole number >= 1"),
        ({"WORLD_SIZE": "1", "RANK": "x"}, "RANK is 'x' in the environment and must be a whole number >= 0"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2 in the environment and RANK, MASTER_ADDR, MASTER_PORT is missing"),
        ({"WORLD_SIZE": "2", **ADDRESS}, "WORLD_SIZE is 2 in the environment and RANK is missing"),
        ({"WORLD_SIZE": "2", "RANK": "2", **ADDRESS}, "RANK is 2 in the environment and WORLD_SIZE is 2"),
        ({"LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE is '0' in the environment and must be a whole number >= 1"),
    ],
)
def test_a_malformed_environment_is_one_line_and_exit_code_2(
    given: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.SettingsError) as caught:
        launch()
    assert str(caught.value).startswith(message)
    assert "torchrun" in str(caught.value)
    if given.get("RANK") in (None, "x"):  # of several processes the main process prints
        assert main(["run", "-n", "--data", "ring", "--arch", "mlp", "--device", "cpu"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"ganzoo: error: {message}")
