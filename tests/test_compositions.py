"""Any loss x any regularizer x any schedule: each pair trains with finite losses, or is refused in one line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from feature_weights import feature_weights

import ganzoo
from ganzoo import errors

LOSSES = sorted(entry.name for entry in ganzoo.catalogue("loss") if entry.builtin)
SCHEDULES = sorted(entry.name for entry in ganzoo.catalogue("schedule") if entry.builtin)
REGULARIZERS = ["none", *sorted(entry.name for entry in ganzoo.catalogue("regularizer") if entry.builtin)]

# All with all for the parts that most runs are made of; each two parts once, with the third in turn, for the rest.
CORE = (
    ["hinge", "lsgan", "rpgan", "sgan", "sgan-saturating", "wgan"],
    ["alternating", "onestep"],
    ["none", "instance-noise", "label-smoothing", "r1", "sn", "weight-clip", "wgan-gp"],
)
WHOLE = list(itertools.product(*CORE))
PAIRS = [
    (loss, SCHEDULES[(i + j) % len(SCHEDULES)], regularizer)
    for i, loss in enumerate(LOSSES)
    for j, regularizer in enumerate(REGULARIZERS)
    if loss not in CORE[0] or regularizer not in CORE[2]
]
COMBINATIONS = [(*each, 20) for each in WHOLE] + [(*each, 2) for each in PAIRS]

SUITED: dict[str, dict[str, Any]] = {  # what a part cannot do without
    "acgan": {"arch": "dcgan:width=4,auxiliary=true"},
    "feature-matching": {"arch": "dcgan:width=4,auxiliary=true"},
    "auxiliary-classifier": {"arch": "dcgan:width=4,auxiliary=true"},
    "rotation": {"arch": "dcgan:width=4,auxiliary=true"},
    "ogan": {"arch": "dcgan:width=4,embedding=latent"},
    "reconstruction": {"arch": "fastgan:width=2,d_norm=none", "data": "digits:size=32", "batch_size": 2},
    "segan": {"arch": "segan:width=4,d_norm=none", "data": "digits-masks:size=16"},
}

FEATURES = {"perceptual": 5, "style": 5, "lpips": 13}  # layers of the networks whose weights are read from a file

PAIRED = {"l1", "l2", "ssim", *FEATURES}  # compare each fake with the real sample of its condition

REFUSED = {  # and why, in a word of the line that is said
    **{(loss, "label-smoothing"): "targets" for loss in LOSSES if not ganzoo.part("loss", loss).has_targets},
    ("ogan", "feature-matching"): "features",
    **{(loss, "reconstruction"): "reconstructs" for loss in SUITED if loss in LOSSES},
    ("segan", "path-length"): "condition",
    ("segan", "apa"): "condition",
    **{(loss, "auxiliary-classifier"): "class logits" for loss in ("ogan", "segan")},
    ("ogan", "rotation"): "features",
    **{(loss, term): "no pairs" for loss in LOSSES if loss != "segan" for term in PAIRED},
}

THIRD = {(schedule, penalty): "batch norm" for schedule in ("cgd", "sga") for penalty in ("consensus", "path-length")}
"""Schedules that differentiate a penalty on gradients twice more, through the batch norm of the generator."""

TABLE: dict[tuple[str, str, str], str] = {}


@pytest.fixture(scope="module", autouse=True)
def _table(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what became of each combination of the core, once all were tried."""
    yield
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or len(TABLE) < len(COMBINATIONS):
        return
    losses, schedules, regularizers = CORE
    lines = ["", "loss x schedule x regularizer: the discriminator's and the generator's loss after 20 steps on digits"]
    for schedule in schedules:
        lines += ["", schedule.ljust(18) + "".join(r.rjust(18) for r in regularizers)]
        lines += [loss.ljust(18) + "".join(TABLE[loss, schedule, r].rjust(18) for r in regularizers) for loss in losses]
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        terminal.write_line("\n".join(lines))


@pytest.mark.parametrize(("loss", "schedule", "regularizer", "steps"), COMBINATIONS)
def test_every_combination_trains_or_says_why_not(
    experiment: Any, loss: str, schedule: str, regularizer: str, steps: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = regularizer
    if regularizer in FEATURES:
        network = "alexnet" if regularizer == "lpips" else "vgg16"
        file = feature_weights(tmp_path_factory.getbasetemp(), network, FEATURES[regularizer])
        words += ":network=alex," if regularizer == "lpips" else ":layers=relu1_2,"
        words += f"weights={file}"
    settings = {
        "loss": loss,
        "schedule": schedule,
        "regularizers": [words] if words != "none" else [],
        **SUITED.get(loss, SUITED.get(regularizer, {})),
    }
    try:
        made = experiment(**settings)
    except errors.Incompatible as refusal:
        said = str(refusal)
        assert "\n" not in said
        assert regularizer in said
        assert (REFUSED.get((loss, regularizer)) or THIRD.get((schedule, regularizer), "no reason")) in said
        TABLE[loss, schedule, regularizer] = "refused"
        return
    assert (loss, regularizer) not in REFUSED
    assert (schedule, regularizer) not in THIRD
    game = made.game
    for step in range(steps):
        game.begin(step, step / (steps - 1))
        made.run.parts.schedule.step(game)
    seen = {tag: float(value) for tag, value in game.pop_scalars().items()}
    assert all(map(math.isfinite, seen.values())), seen
    assert {"loss/discriminator", "loss/generator", "grad/discriminator", "grad/generator"} <= seen.keys()
    assert float(game.nonfinite) == 0.0
    TABLE[loss, schedule, regularizer] = f"{seen['loss/discriminator']:.3f} {seen['loss/generator']:.3f}"


def test_every_two_parts_are_met_together() -> None:
    met = [(loss, schedule, regularizer) for loss, schedule, regularizer, _ in COMBINATIONS]
    assert {(a, c) for a, _, c in met} == {*itertools.product(LOSSES, REGULARIZERS)}
    assert {(a, b) for a, b, _ in met} == {*itertools.product(LOSSES, SCHEDULES)}
    assert {(b, c) for _, b, c in met} == {*itertools.product(SCHEDULES, REGULARIZERS)}


def test_a_loss_that_needs_a_constraint_is_warned_about(experiment: Any) -> None:
    assert "unbounded" in experiment(loss="wgan").run.warnings[0]
    for device in ("sn", "r1", "wgan-gp", "weight-clip"):
        assert experiment(loss="wgan", regularizers=[device]).run.warnings == []
    assert "unbounded" in experiment(loss="wgan", regularizers=["sn:players=generator"]).run.warnings[0]


@pytest.mark.parametrize("penalty", ["r1", "wgan-gp"])
@pytest.mark.parametrize("arch", ["dcgan:width=4,d_norm=batch", "dcgan:width=4,minibatch_discrimination=3"])
def test_a_gradient_per_sample_refuses_a_discriminator_that_mixes_samples(
    experiment: Any, penalty: str, arch: str
) -> None:
    with pytest.raises(errors.Incompatible, match=f"{penalty} takes a gradient per sample") as caught:
        experiment(arch=arch, regularizers=[penalty], data="digits:size=16")
    assert "\n" not in str(caught.value)


def test_a_gradient_per_sample_warns_of_the_deviation_over_the_batch(experiment: Any) -> None:
    made = experiment(arch="dcgan:width=4,minibatch_stddev=true", regularizers=["r1"], data="digits:size=16")
    assert "r1 takes a gradient per sample, and MinibatchStddev" in made.run.warnings[0]


def test_a_part_named_twice_with_the_same_parameters_is_refused(experiment: Any) -> None:
    with pytest.raises(errors.Incompatible, match="r1 is named twice with the same parameters: name it once, or give"):
        experiment(regularizers=["r1", "r1:gamma=2", "r1:gamma=2.0"])


TWICE = {
    **dict.fromkeys(("entropy", "lecam", "path-length", "r1", "sn-penalty"), "every=2"),
    **{"ada": "kimg=100", "label-smoothing": "real=0.8", "sn": "players=both", "top-k": "share=0.4"},
    **{"diffaugment": "policy=color", "instance-noise": "sigma=0.2", "weight-clip": "value=0.5"},
}


@pytest.mark.parametrize("name", TWICE)
def test_a_part_is_named_again_with_other_parameters(experiment: Any, name: str) -> None:
    made = experiment(loss="sgan", regularizers=[name, f"{name}:{TWICE[name]}"], data="digits:size=16", latent_dim=2)
    assert list(made.run.parts.regularizers) == [name, f"{name}-2"]
    for step in range(1, 4):
        made.run.state.counters.step = step - 1
        made.run.parts.schedule.step(made.game)
    assert all(parameter.isfinite().all() for parameter in made.run.state.networks.generator.parameters())


def test_two_terms_of_one_name_are_recorded_overridden_and_resumed_apart(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **{"arch": "gated:width=2,d_width=2,d_layers=1", "data": "inpaint:of=digits:size=8", "batch_size": 4},
        **{"regularizers": ["l1:where=hole,weight=6", "l1:where=known,weight=1"], "logdir": tmp_path, "log_every": 1},
        **{"metrics": ["swd:count=8,directions=4", "swd:count=8,directions=8"], "quiet": True, "samples": 4},
        **{"stop_when": ["budget:seconds=900", "budget:seconds=901"], "log": "csv", "optimizer": "adam:lr=1e-3"},
    }
    whole = ganzoo.run(**settings, steps=4)
    assert {"penalty/l1", "penalty/l1-2", "metrics/swd/swd", "metrics/swd-2/swd"} <= {*whole.metrics}
    half = ganzoo.run(**settings, steps=2)
    again = ganzoo.resume(half.dir, steps=4, quiet=True)
    for one, other in zip(whole.generator.parameters(), again.generator.parameters(), strict=True):
        assert one.equal(other)
    changed = ganzoo.run(**settings, overrides=["l1-2.weight=3", "l1.weight=2"], steps=1)
    found = [(spec.label, spec.parameters["weight"]) for spec in changed.parts.specs["regularizers"]]
    assert found == [("l1", 2.0), ("l1-2", 3.0)]
    config = half.dir / "config.yaml"
    config.write_text(config.read_text().replace("weight: 6.0", "weight: 5.0"))
    with pytest.raises(errors.SettingsError, match=r"regularizers\.l1\.weight was 6\.0 and is 5\.0"):
        ganzoo.resume(half.dir, steps=5, quiet=True)
