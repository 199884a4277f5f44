"""Plans: combinations, files, and the mistakes that users make."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganzoo import errors, plugins
from ganzoo.comparison.plan import Plan, check_settings, checked, read, seeds_of, varied, write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss=hinge,sgan", ("loss", ["hinge", "sgan"])),
        ("loss=hinge:margin=2,sgan", ("loss", ["hinge:margin=2", "sgan"])),
        ("optimizer=adam:lr=1e-3,betas=0.0|sgd", ("optimizer", ["adam:lr=1e-3,betas=0.0", "sgd"])),
        ("optimizer.lr=1e-4,2e-4", ("optimizer.lr", ["1e-4", "2e-4"])),
        ("regularizers=none,sn+r1:gamma=1,every=4", ("regularizers", [[], ["sn", "r1:gamma=1,every=4"]])),
    ],
)
def test_varied_values(text: str, expected: object) -> None:
    assert varied(text, ["regularizers"]) == expected


@pytest.mark.parametrize("text", ["loss", "loss=", "=hinge", "loss=hinge,,sgan", "loss=hinge,hinge"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(errors.SettingsError, match=r"\A--vary [^\n]*\Z"):
        varied(text)


def test_combinations_rows_and_names() -> None:
    plan = Plan(
        base={},
        vary={"loss": ["hinge", "sgan"], "regularizers": [[], ["sn", "r1"]]},
        rows=[{"name": "slow", "optimizer.lr": 1e-5}, {"loss": "lsgan"}],
        seeds=[4, 2],
    )
    assert [row.name for row in plan.recipes()] == [
        "loss=hinge regularizers=none",
        "loss=hinge regularizers=sn+r1",
        "loss=sgan regularizers=none",
        "loss=sgan regularizers=sn+r1",
        "slow",
        "loss=lsgan",
    ]
    assert plan.recipes()[4].overrides == ("optimizer.lr=1e-05",)
    names = [name for name, _, _ in plan.runs()]
    assert names[0] == "000-loss-hinge-regularizers-none-seed4"
    assert names[-1] == "005-loss-lsgan-seed2"
    assert len(set(names)) == 12


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    plan = Plan(base={"loss": "hinge", "steps": 3}, vary={"schedule": ["onestep"]}, seeds=[0, 1], interval="bootstrap")
    write(plan, tmp_path / "new")
    assert read(tmp_path / "new").plain() == plan.plain()
    write(plan, tmp_path / "new")
    with pytest.raises(errors.RunError, match="of another plan: give another --out"):
        write(Plan(base={}, vary={"loss": ["sgan"]}), tmp_path / "new")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vari: {loss: [hinge]}", r"there is no key 'vari' \(did you mean 'vary'\?\)"),
        ("vary: {loss: hinge}", "vary.loss is hinge, which is no list"),
        ("vary: [loss]", "vary is .*no mapping"),
        ("rows: [loss]", "the row loss is no mapping"),
        ("{vary: {loss: [hinge]}, seeds: none}", "seeds is none, which is neither"),
        ("{vary: {loss: [hinge]}, seeds: 0}", "seeds is 0"),
        ("{vary: {loss: [hinge]}, seeds: [1, 1]}", "neither a number of seeds nor a list"),
        ("{vary: {loss: [hinge]}, interval: sd}", "interval 'sd' is not one of"),
        ("{vary: {loss: [hinge]}, baseline: loss=sgan}", r"baseline 'loss=sgan' is no row.*there are loss=hinge"),
        ("{vary: {seed: [1, 2]}}", "seed is set by the comparison"),
        ("base: {loss: hinge}", "nothing to compare"),
        ("{rows: [{name: a, loss: hinge}, {name: a, loss: sgan}]}", "two rows have the name 'a'"),
        ("[", "is not YAML"),
    ],
)
def test_mistakes_in_a_file_are_a_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(errors.SettingsError, match=said) as caught:
        read(tmp_path / "plan.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ({"los": ["hinge"]}, r"no setting 'los' \(did you mean 'loss'"),
        ({"loss": ["hinge", "hing"]}, "no loss is named 'hing'"),
        ({"optimizer.lr": ["fast"]}, "lr"),
    ],
)
def test_unknown_names_are_found_before_the_first_run(vary: dict[str, list[str]], said: str) -> None:
    plan = checked(Plan(base={"data": "ring", "steps": 1}, vary=vary))
    with pytest.raises(errors.GanzooError, match=said):
        check_settings(plan, plugins.load_catalogue())


def test_a_comparison_trains_under_steady_settings() -> None:
    catalogue = plugins.load_catalogue()
    plan = Plan(base={"steps": 1}, vary={"loss": ["hinge"]})
    settings = plan.settings(plan.recipes()[0], 7, catalogue)
    assert (settings.seed, settings.precision, settings.threads) == (7, "fp32", 1)
    other = Plan(base={"steps": 1, "precision": "bf16"}, vary={"loss": ["hinge"]})
    assert other.settings(other.recipes()[0], 7, catalogue).precision == "bf16"


def test_seeds() -> None:
    assert seeds_of(2) == [0, 1]
    with pytest.raises(errors.SettingsError):
        seeds_of(True)
