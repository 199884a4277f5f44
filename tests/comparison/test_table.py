"""Means, intervals, verdicts, and the table from constructed results."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ganzoo.comparison.curves import draw
from ganzoo.comparison.plan import Plan
from ganzoo.comparison.statistics import estimate, verdict
from ganzoo.comparison.table import tabulate


def test_the_t_interval_is_that_of_the_textbook() -> None:
    found = estimate([4.0, 6.0, 5.0, 9.0])
    assert (found.count, found.mean) == (4, 6.0)
    assert found.sd == pytest.approx(math.sqrt(14 / 3))
    half = 3.182446305284263 * found.sd / 2  # the 97.5 % quantile of Student's t with 3 degrees of freedom
    assert (found.low, found.high) == (pytest.approx(6 - half), pytest.approx(6 + half))


def test_the_bootstrap_interval_is_repeatable_and_lies_among_the_values() -> None:
    values = [4.0, 6.0, 5.0, 9.0]
    found = estimate(values, "bootstrap")
    assert found == estimate(values, "bootstrap")
    assert min(values) <= found.low < found.mean < found.high <= max(values)


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([2.0], 2.0)])
def test_fewer_than_two_seeds_have_no_interval(values: list[float], mean: float) -> None:
    found = estimate(values)
    assert found.mean == mean or math.isnan(mean)
    assert math.isnan(found.sd)
    assert math.isnan(found.low)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert estimate([3.0, 3.0]).low == estimate([3.0, 3.0], "bootstrap").high == 3.0


def test_verdicts() -> None:
    assert verdict(estimate([1.0, 1.1]), True) == "better"
    assert verdict(estimate([1.0, 1.1]), False) == "worse"
    assert verdict(estimate([1.0, 1.1]), None) == "other"
    assert verdict(estimate([1.0, -1.1]), True) == "within noise"
    assert verdict(estimate([1.0]), True) == "one seed"


def result(value: float | None, status: str = "finished", signs: tuple[str, ...] = (), reason: str = "") -> Any:
    figures = {} if value is None else {"m/x": value}
    return {"status": status, "figures": figures, "signs": list(signs), "reason": reason, "images": 64}


PLAN = Plan(base={}, vary={"loss": ["a", "b", "c"]}, seeds=[0, 1, 2])


def results(**of: list[Any]) -> dict[str, Any]:
    names = {(row.name[-1], seed): name for name, row, seed in PLAN.runs()}
    return {names[row, seed]: each for row, all_ in of.items() for seed, each in enumerate(all_)}


def test_failures_are_counted_and_pairs_share_their_seeds() -> None:
    told = results(
        a=[result(1.0), result(2.0), result(4.0, signs=("collapse",))],
        b=[result(3.0), result(None, "not finite", reason="step 3: nan"), result(5.5)],
        c=[result(None, "refused", reason="c and d do not go together")] * 3,
    )
    table = tabulate(PLAN, told, {"m/x": False})
    a, b, c = table.lines
    assert (a.finished, a.failures) == (3, {"collapsed": 1})
    assert (b.finished, b.failures) == (2, {"not finite": 1})
    assert c.refused == "c and d do not go together"
    assert b.differences["m/x"].mean == pytest.approx((2.0 + 1.5) / 2)
    expected = stats.t.interval(0.95, 1, loc=1.75, scale=np.std([2.0, 1.5], ddof=1) / math.sqrt(2))
    assert b.differences["m/x"].low == pytest.approx(expected[0])
    text = table.markdown()
    assert "| loss=c | 0/3 | refused: c and d do not go together |" in text
    assert "1 not finite" in text
    assert "lower is better" in text
    assert "64 real images a run" in text
    assert table.csv().splitlines()[2].startswith("loss=b,3,2,1 not finite,,m/x,2,4.25,")
    loaded = json.loads(table.json())
    assert loaded["baseline"] == "loss=a"
    assert loaded["lines"][1]["verdicts"] == {"m/x": "within noise"}


def test_images_are_told_where_they_differ() -> None:
    told = results(a=[result(1.0)], b=[{**result(2.0), "images": 128}], c=[result(None, "refused", reason="no")])
    lines = tabulate(PLAN, told, {"m/x": True}).markdown().splitlines()
    assert lines[0].endswith("runs of different lengths, 64 to 128 real images.")
    assert [line.split("|")[-2].strip() for line in lines[2:7]] == ["images", "---", "64", "128", ""]


def test_runs_without_a_result_are_told() -> None:
    table = tabulate(PLAN, results(a=[result(1.0)]), {"m/x": True})
    assert len(table.missing) == 8
    assert "8 runs have no result yet" in table.markdown()


def test_curves_of_one_point_and_of_infinite_values() -> None:
    image = draw({"x": {"a": [[(1.0, 2.0)]], "b": [[(1.0, math.nan), (2.0, 3.0)]]}, "y": {"a": [[(0.0, math.nan)]]}})
    assert image.width > 300
