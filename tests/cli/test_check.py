"""``ganzoo check``: a line a check, what is expected to fail, and the exit code."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

import ganzoo
from ganzoo.cli import main
from ganzoo.parts import KINDS
from ganzoo.testing import all_checks, checks_for, examine, parametrize_with_checks

PLUGIN = """
    from torch.nn.functional import softplus

    import ganzoo

    @ganzoo.hookimpl
    def register_losses(register):
        register("low", __name__ + ":Low")

    class Low(ganzoo.Loss):
        '''A loss for which low is real.

        Args:
            weight: of it all.
        '''
        weight: float = 1.0
        def discriminator(self, s): return self.weight * (softplus(s.real).mean() + softplus(-s.fake).mean())
        def generator(self, s): return softplus(s.fake).mean()
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "low.py"
    path.write_text(dedent(PLUGIN))
    return str(path)


def test_a_line_a_check_and_0_where_all_pass(capsys):
    assert main(["check", "regularizer:r1:gamma=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [f"passed  {check.name}" for check in checks_for("regularizer")]
    assert lines[-1] == f"regularizer r1:gamma=3: {len(lines) - 1} checks, 0 failed"


@pytest.mark.parametrize("name", ["hinge", "loss:hinge", "losses:zoo/hinge:margin=2", "hinge:margin=2"])
def test_a_part_may_be_named_in_any_way(name, capsys):
    assert main(["check", name]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("loss ")


def test_a_part_of_ones_own_that_is_wrong_fails_and_is_told_why(file, capsys):
    assert main(["check", "loss:low:weight=2", "--plugin", file]) == 1
    lines = capsys.readouterr().out.splitlines()
    failed = {line.split()[1].rstrip(":"): line for line in lines if line.startswith("failed")}
    assert "pulls_the_right_way" in failed
    assert failed["pulls_the_right_way"].startswith("failed  pulls_the_right_way: real scores that come half a step")
    assert lines[-1].endswith(f"{len(failed)} failed")


def test_what_is_expected_to_fail_is_no_failure(file, capsys):
    assert main(["check", "low", "--plugin", file, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    failed = [each["check"] for each in found["checks"] if each["verdict"] == "failed"]
    assert found["failed"] == len(failed) > 0
    words = [word for check in failed for word in ("--expect", f"{check}=low is real here")]
    assert main(["check", "low", "--plugin", file, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"expected failure  {failed[0]}: low is real here" in lines
    assert lines[-1].endswith(f"0 failed, {len(failed)} expected to fail")


def test_an_expected_failure_that_passes_is_a_failure(capsys):
    assert main(["check", "hinge", "--expect", "copies=it did once"]) == 1
    assert "failed  copies: it passes, and was expected to fail (it did once)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hinge", "--expect", "copie=x"], "ganzoo: error: loss Hinge: no check is named 'copie' (did you mean"),
        (["hinge", "--expect", "copies"], "ganzoo: error: --expect 'copies' is not CHECK=REASON"),
        (["loss:hnge"], "ganzoo: error: no loss is named 'hnge' (did you mean 'hinge'?)"),
        (["loss:hinge:margn=2"], "ganzoo: error: loss hinge has no parameter 'margn' (did you mean 'margin'?)"),
        ([], "ganzoo check: error: name a part, such as loss:hinge, or ask for --list"),
    ],
)
def test_mistakes_are_one_line(words, said, capsys):
    assert main(["check", *words]) in (1, 2)
    found = capsys.readouterr().err
    assert found.startswith(said)
    assert found.count("\n") == 1


def test_the_list_says_what_each_check_asks(capsys):
    assert main(["check", "--list"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines] == [[check.kind, check.name] for check in all_checks()]
    assert {line[0] for line in lines} == {"any", *KINDS}
    assert all(len(text) > 30 for *_, text in lines)
    said = {name: text for _, name, text in lines}
    assert "A penalty that is random there has no such law" in said["penalty_is_a_mean_over_the_batch"]
    assert main(["check", "--list", "--kind", "schedules", "--json"]) == 0
    assert {each["kind"] for each in json.loads(capsys.readouterr().out)} == {"any", "schedule"}


class Saturating(ganzoo.Loss):
    """A loss that dies where it is wrong, as a known limit of it."""

    def discriminator(self, s):
        return (-(s.real.sigmoid() + 1e-8).log() - (1 - s.fake.sigmoid() + 1e-8).log()).mean()

    def generator(self, s):
        return -(s.fake.sigmoid() + 1e-8).log().mean()


KNOWN = {"learns_where_it_is_wrong": "the eps of its source is kept"}


@parametrize_with_checks([Saturating], expected_failures=KNOWN)
def test_the_decorator_expects_it_too(part, check):
    check(part)


def test_the_decorator_marks_strictly_and_takes_a_function():
    def known(part):
        return KNOWN if isinstance(part, Saturating) else {}

    def test(part, check):
        check(part)

    (mark,) = parametrize_with_checks([Saturating, type(ganzoo.part("loss", "hinge"))], known)(test).pytestmark
    marked = [case for case in mark.args[1] if case.marks]
    assert [case.id for case in marked] == ["Saturating0-learns_where_it_is_wrong"]
    (expected,) = marked[0].marks
    assert expected.kwargs == {"strict": True, "raises": AssertionError, "reason": KNOWN["learns_where_it_is_wrong"]}


def test_examine_goes_on_after_a_failure():
    outcomes = {outcome.check.name: outcome for outcome in examine(Saturating)}
    assert list(outcomes) == [check.name for check in checks_for("loss")]
    assert outcomes["learns_where_it_is_wrong"].verdict == "failed"
    assert outcomes["facts_are_true"].verdict == "passed"
    with pytest.raises(ValueError, match="without a reason"):
        examine(Saturating, {"copies": " "})
    with pytest.raises(ValueError, match="no check is named 'plays_by_the_rules'"):
        parametrize_with_checks([Saturating], {"plays_by_the_rules": "x"})
