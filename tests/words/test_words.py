"""The grammar of words, and values checked against a part's annotations."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import field
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Lt

import ganzoo
from ganzoo import errors, words
from ganzoo.recipe.settings import Settings
from ganzoo.words import PartSpec, ScheduledNumber, read_scheduled


class Many(ganzoo.Loss):
    """One of everything.

    Body of the docstring,
    on two lines.

    Formula:
        L = margin

    Args:
        margin: a number
            on two lines.
        mode, norm: two choices.

    Source: Somebody 2020.
    """

    margin: Annotated[float, Gt(0)] = 1.0
    mode: Literal["hard", "soft"] = "soft"
    norm: Literal["batch"] | None = None
    literal_none: Literal["none", "batch"] = "none"
    betas: tuple[float, float] = (0.0, 0.9)
    sizes: tuple[int, ...] = (1, 2)
    labels: list[str] | None = None
    count: Annotated[int, Ge(1), Lt(10)] = 3
    limit: float | None = None
    on: bool = False
    path: str = "here"


class Must(ganzoo.Loss):
    size: int
    path: str


class Penalty(ganzoo.Regularizer):
    """A penalty."""

    gamma: float = 10.0
    sigma: float = ScheduledNumber("linear", 0.1, 0.0)

    def discriminator_penalty(self, s):
        return self.gamma * s.real.mean()


class Transform(ganzoo.Regularizer):
    def images(self, images, s):
        return images


class Child(Penalty):
    extra: int = 1


def made(text, cls=Many):
    return words.make(cls, "loss many", PartSpec.parse(text).parameters)


class TestSplit:
    @pytest.mark.parametrize(
        ("text", "provider", "name", "values"),
        [
            ("r1", None, "r1", {}),
            (" r1 ", None, "r1", {}),
            ("r1:gamma=10", None, "r1", {"gamma": "10"}),
            ("r1: gamma = 10 , every = 16", None, "r1", {"gamma": "10", "every": "16"}),
            ("zoo/r1:gamma=10", "zoo", "r1", {"gamma": "10"}),
            ("adam:betas=0.0,0.9,lr=1", None, "adam", {"betas": "0.0,0.9", "lr": "1"}),
            ("n:sigma=cosine(1,0.1),x=2", None, "n", {"sigma": "cosine(1,0.1)", "x": "2"}),
            ("n:betas=[0, 1],x=2", None, "n", {"betas": "[0, 1]", "x": "2"}),
            ("f:path='/a,size=1',size=2", None, "f", {"path": "/a,size=1", "size": "2"}),
            ("f:path=/it's/mine,size=2", None, "f", {"path": "/it's/mine", "size": "2"}),
            ("f:path=C:\\data,size=2", None, "f", {"path": "C:\\data", "size": "2"}),
            ("f:path=a=b", None, "f", {"path": "a=b"}),
            ("f:path=", None, "f", {"path": ""}),
        ],
    )
    def test_right(self, text, provider, name, values):
        said = PartSpec.parse(text)
        assert (said.provider, said.name, dict(said.parameters)) == (provider, name, values)
        assert said.label == (f"{provider}/{name}" if provider else name)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "'' does not name a part"),
            (":gamma=1", "does not name a part"),
            ("a b", "does not name a part"),
            ("/r1", "does not name a part"),
            ("a/b/r1", "does not name a part"),
            ("r1:", "has '' where key=value is expected"),
            ("r1:gamma", "has 'gamma' where key=value is expected: write r1:key=value"),
            ("r1:gamma=1,gamma=2", "gives gamma twice"),
            ("f:path='/a,size=2", "opens a quote ' that is never closed"),
        ],
    )
    def test_wrong(self, text, message):
        with pytest.raises(errors.BadWords) as caught:
            PartSpec.parse(text)
        assert message in str(caught.value)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "key", "value"),
        [
            ("m:margin=2", "margin", 2.0),
            ("m:margin=1e-3", "margin", 1e-3),
            ("m:mode=hard", "mode", "hard"),
            ("m:norm=none", "norm", None),
            ("m:norm=batch", "norm", "batch"),
            ("m:literal_none=none", "literal_none", "none"),
            ("m:betas=0.5,0.999", "betas", (0.5, 0.999)),
            ("m:betas=(0.5,0.999)", "betas", (0.5, 0.999)),
            ("m:sizes=3", "sizes", (3,)),
            ("m:sizes=3,4,5", "sizes", (3, 4, 5)),
            ("m:labels=a,b", "labels", ["a", "b"]),
            ("m:count=9", "count", 9),
            ("m:limit=none", "limit", None),
            ("m:limit=0.5", "limit", 0.5),
            ("m:on=true", "on", True),
            ("m:on=no", "on", False),
            ("m:path=1..2", "path", "1..2"),
        ],
    )
    def test_are_read_as_annotated(self, text, key, value):
        found = getattr(made(text), key)
        assert found == value
        assert type(found) is type(value)

    def test_plain_data_as_well(self):
        part = words.make(Many, "loss many", {"margin": 2, "betas": [0.5, 0.9], "norm": None, "on": True})
        assert (part.margin, part.betas, part.norm, part.on) == (2.0, (0.5, 0.9), None, True)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("m:marge=1", "loss many has no parameter 'marge' (did you mean 'margin'?); it has margin, mode, "),
            ("m:margin=abc", "loss many: margin=abc is not a number > 0, such as 1.0"),
            ("m:margin=0", "loss many: margin=0 is not a number > 0, such as 1.0"),
            ("m:margin=nan", "loss many: margin=nan is not a number > 0"),
            ("m:margin=inf", "loss many: margin=inf is not a number > 0"),
            ("m:mode=sft", "loss many: mode=sft is not one of hard | soft (did you mean 'soft'?)"),
            ("m:norm=x", "loss many: norm=x is not one of batch | none"),
            ("m:betas=0.5", "loss many: betas=0.5 is not a list of 2 numbers, such as 0.0,0.9"),
            ("m:betas=0.5,x", "loss many: betas=0.5,x is not a list of 2 numbers"),
            ("m:count=1.5", "loss many: count=1.5 is not a whole number >= 1 and < 10, such as 3"),
            ("m:count=10", "loss many: count=10 is not a whole number >= 1 and < 10"),
            ("m:on=maybe", "loss many: on=maybe is not one of true | false"),
            ("m:limit=x", "loss many: limit=x is not a number or none"),
            ("m:margin=1..-1", "loss many: margin=-1.0 is not a number > 0"),
        ],
    )
    def test_mistakes_are_one_line(self, text, message):
        with pytest.raises(errors.BadParameter) as caught:
            made(text)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)

    def test_what_must_be_given(self):
        with pytest.raises(errors.BadParameter, match=r"^loss must needs size and path: write must:size=\.\.\.$"):
            words.make(Must, "loss must", {})
        with pytest.raises(errors.BadParameter, match=r"^loss must has no parameter 'x'; it has size, path$"):
            words.make(Must, "loss must", {"x": 1})

    def test_a_part_without_parameters(self):
        with pytest.raises(errors.BadParameter, match=r"^loss t has no parameter 'x'; it takes none$"):
            words.make(Transform, "loss t", {"x": 1})

    def test_what_the_part_itself_refuses(self):
        class Picky(ganzoo.Loss):
            low: float = 0.0

            def __post_init__(self):
                if self.low > 1:
                    raise ValueError("low must not be above 1")

        with pytest.raises(errors.BadParameter, match=r"^loss p: low must not be above 1$"):
            words.make(Picky, "loss p", {"low": "2"})


class TestParameters:
    def test_in_order_with_what_is_known_of_each(self):
        known = words.parameters(Many)
        assert list(known)[:4] == ["margin", "mode", "norm", "literal_none"]
        assert known["margin"].meaning == "a number on two lines."
        assert known["mode"].meaning == known["norm"].meaning == "two choices."
        assert known["betas"].default_text == "0.0,0.9"
        assert known["limit"].default_text == "none"
        assert words.parameters(Must)["size"].default_text is None
        assert [p.name for p in known.values() if p.can_follow] == ["margin", "limit"]

    def test_every_is_for_penalties_and_comes_last(self):
        assert list(words.parameters(Penalty)) == ["gamma", "sigma", "every"]
        assert list(words.parameters(Child)) == ["gamma", "sigma", "extra", "every"]
        assert list(words.parameters(Transform)) == []

    def test_annotations_that_cannot_be_read(self):
        class Broken(ganzoo.Loss):
            path: NotImported = None  # noqa: F821

        with pytest.raises(
            errors.PluginError, match=r"Broken cannot be read, name 'NotImported' is not defined: import"
        ):
            words.parameters(Broken)


class TestCourse:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("0.1..0", ScheduledNumber("linear", 0.1, 0.0)),
            ("1..2", ScheduledNumber("linear", 1.0, 2.0)),
            (".5..1e-3", ScheduledNumber("linear", 0.5, 1e-3)),
            ("-1..1", ScheduledNumber("linear", -1.0, 1.0)),
            ("linear(0.1, 0)", ScheduledNumber("linear", 0.1, 0.0)),
            ("course(0.1, 0)", ScheduledNumber("course", 0.1, 0.0)),
            ("cosine(1,0.1)", ScheduledNumber("cosine", 1.0, 0.1)),
            ("warmup(0.05,2e-4)", ScheduledNumber("linear", 2e-4, 2e-4, 0.05)),
            ("warmup(0.1, 2e-4..0)", ScheduledNumber("linear", 2e-4, 0.0, 0.1)),
            ("warmup(0.1,cosine(1,0.1))", ScheduledNumber("cosine", 1.0, 0.1, 0.1)),
            ("warmup(0.1,warmup(0.1,1))", None),
            ("warmup(0.1,fast)", None),
            ("1.5", None),
            ("a..b", None),
            ("cosine(1)", None),
            ("../data", None),
        ],
    )
    def test_is_read(self, text, found):
        assert read_scheduled(text) == found

    def test_numbers_on_the_course_of_a_run_share_its_way(self) -> None:
        cosine = ScheduledNumber("cosine", 0.0, 1.0)
        number = ScheduledNumber("course", 0.9, 0.99)
        for p in (0.0, 0.1, 0.5, 0.9):
            assert number.at(p, cosine) == pytest.approx(ScheduledNumber("cosine", 0.9, 0.99).at(p))
            assert number.at(p) == ScheduledNumber("linear", 0.9, 0.99).at(p)
            assert number.at(p, 0.5) == pytest.approx(0.945)
        assert number.at(1.0, cosine) == 0.99

    @pytest.mark.parametrize("shape", ["linear", "cosine"])
    def test_from_start_to_end(self, shape):
        c = ScheduledNumber(shape, 0.3, 0.1)
        assert c.at(0) == c.at(-1) == 0.3
        assert c.at(1) == c.at(2) == 0.1
        assert c.at(0.5) == pytest.approx(0.2)
        quarter = 0.25 if shape == "linear" else (1 - math.cos(math.pi / 4)) / 2
        assert c.at(0.25) == pytest.approx(0.3 - 0.2 * quarter)

    def test_after_a_warm_up(self):
        c = read_scheduled("warmup(0.2,0.3..0.1)")
        assert [c.at(p) for p in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx([0, 0.15, 0.3, 0.2, 0.1], abs=1e-15)
        assert float(c) == 0.3
        steady = read_scheduled("warmup(0.5,2)")
        assert [steady.at(p) for p in (0, 0.25, 0.5, 0.75, 1)] == [0, 1, 2, 2, 2]

    @pytest.mark.parametrize("share", ["1", "-0.1", "2"])
    def test_a_warm_up_is_shorter_than_the_run(self, share):
        with pytest.raises(errors.BadWords, match=r"\A[^\n]*from 0 to below 1\Z"):
            read_scheduled(f"warmup({share},0.1)")

    def test_a_part_warms_up(self):
        bound = words.bind(ganzoo.part("optimizer", "adam:lr=warmup(0.5,1e-3..0),betas=0.0,0.9"))
        assert bound.part.lr == 1e-3
        bound.set_progress(0.25)
        assert bound.part.lr == 5e-4
        assert words.plain(bound.part)["lr"] == "warmup(0.5,0.001..0.0)"

    @pytest.mark.parametrize(
        "c",
        [
            ScheduledNumber("linear", 0.1, 0.0),
            ScheduledNumber("cosine", 1.0, 1e-5),
            ScheduledNumber("linear", 0.1, 0.1, 0.25),
        ],
    )
    def test_survives_text_copies_and_pickles(self, c):
        assert read_scheduled(str(c)) == c
        assert copy.deepcopy(c) == copy.copy(c) == pickle.loads(pickle.dumps(c)) == c
        assert hash(copy.copy(c)) == hash(c)
        assert c != ScheduledNumber("linear", 0.1, 0.05)
        assert float(c) == c.start

    def test_a_part_reads_it_as_todays_number(self):
        bound = words.bind(words.make(Penalty, "p", {"gamma": "cosine(1,0.5)"}))
        assert (bound.part.gamma, bound.part.sigma) == (1.0, 0.1)
        bound.set_progress(1.0)
        assert (bound.part.gamma, bound.part.sigma) == (0.5, 0.0)

    def test_runs_do_not_share_it(self):
        part = words.make(Penalty, "p", {})
        one, two = words.bind(part), words.bind(part)
        one.set_progress(1.0)
        assert (one.part.sigma, two.part.sigma, float(part.sigma)) == (0.0, 0.1, 0.1)

    def test_of_a_part_made_in_python(self):
        bound = words.bind(words.remade(Penalty(gamma=ScheduledNumber("linear", 2.0, 1.0)), "p"))
        bound.set_progress(0.5)
        assert bound.part.gamma == 1.5
        assert bound.part.sigma == pytest.approx(0.05)

    @pytest.mark.parametrize(
        ("course", "why"),
        [
            ("warmup(0.5,0.05)", "margin=warmup.* begins at 0, which is not a number > 0: write a range without a"),
            ("1..0", r"margin=0.0 is not a number > 0"),
            ("cosine(0,1)", r"margin=0.0 is not a number > 0"),
        ],
    )
    def test_a_course_stays_within_the_bounds_for_its_whole_length(self, course, why):
        with pytest.raises(errors.BadParameter, match=why):
            made(f"m:margin={course}")

    def test_a_course_is_refused_where_it_cannot_act(self):
        """In a data part, whose samples are made once; in a setting; in a field that says so."""

        class Once(ganzoo.Regularizer):
            start: float = field(default=0.0, metadata={"read_once": True})
            later: float = 0.0

        for kind, text in (("data", "ring:radius=0.8..0.1"), ("regularizer", "ada:start=0..0.5")):
            with pytest.raises(errors.BadParameter, match="is read once, before the first step: give a plain number"):
                ganzoo.part(kind, text)
        with pytest.raises(errors.BadParameter, match="ema_rampup is read once"):
            words.make(Settings, "run", {"ema_rampup": "0.1..0.2"})
        assert words.make(Settings, "run", {"ema": "0.9..0.99"}).ema == ScheduledNumber("linear", 0.9, 0.99)
        with pytest.raises(errors.BadParameter, match="start is read once"):
            words.make(Once, "once", {"start": ScheduledNumber("linear", 0.0, 1.0)})
        assert words.make(Once, "once", {"later": "0..1"}).later == ScheduledNumber("linear", 0.0, 1.0)

    @pytest.mark.parametrize(
        "text", ["1" * 40_000 + "x", "warmup(0.1," * 1000 + "1" + ")" * 1000, "1" * 300 + "..1", " " * 40_000 + "x"]
    )
    def test_a_text_without_end_is_no_course(self, text):
        assert read_scheduled(text) is None

    def test_a_course_is_for_floats(self):
        with pytest.raises(errors.BadParameter, match=r"count=1\.\.2 is not a whole number"):
            made("m:count=1..2")


class TestSpelled:
    @pytest.mark.parametrize(
        "text",
        [
            "m",
            "m:margin=2.0",
            "m:mode=hard,betas=0.5,0.9",
            "m:norm=batch",
            "m:limit=0.5,on=true",
            "m:labels=a,b",
            "m:margin=0.1..0.5,limit=cosine(1.0,0.5)",
            "m:path='/a,size=1'",
            "m:path='x=(1'",
            'm:path="it\'s, mine"',
        ],
    )
    def test_there_and_back(self, text):
        part = made(text)
        assert str(words.described(PartSpec("m"), part)) == text
        again = words.make(Many, "loss many", words.plain(part))
        assert again == part
        assert words.scheduled(again) == words.scheduled(part)

    @pytest.mark.parametrize("path", ["a\\b,c", "/it's", "(open", " spaced ", "a=b", ""])
    def test_any_text(self, path):
        part = Many(path=path)
        assert made(str(words.described(PartSpec("m"), part))).path == path

    def test_plain_data_is_plain(self):
        plain = words.plain(words.make(Penalty, "p", {}))
        assert plain == {"gamma": 10.0, "sigma": "0.1..0.0", "every": 1}
        assert all(type(v) in (float, str, int) for v in plain.values())


class TestDocstring:
    def test_is_taken_apart(self):
        doc = words.documented(Many)
        assert doc.summary == "One of everything."
        assert doc.sections[""] == "Body of the docstring,\non two lines."
        assert doc.sections["Formula"] == "L = margin"
        assert doc.sections["Source"] == "Somebody 2020."

    def test_is_inherited_but_never_made_up(self):
        assert words.documented(Child).summary == "A penalty."
        assert words.documented(Must).summary == ""
        assert words.sections("") == words.Docstring("", {}, {})
