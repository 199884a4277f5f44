"""A parameter of a part may be another part."""

from __future__ import annotations

import pickle

import pytest

import ganzoo
from ganzoo import errors, words
from ganzoo.cli._options import _completions
from ganzoo.plugins import Catalogue
from ganzoo.recipe.directory import as_yaml
from ganzoo.recipe.settings import resolve

PARTS = """
    import ganzoo

    class Inner(ganzoo.Loss):
        '''A loss with numbers.

        Args:
            margin: a number.
            size: a whole number.
            mode: a choice.
        '''
        margin: float = 1.0
        size: int = 2
        mode: Literal["soft", "hard"] = "soft"

    class Outer(ganzoo.Loss):
        '''A loss around a loss.

        Args:
            of: the inner loss.
            size: a whole number of its own.
        '''
        of: ganzoo.Loss
        size: int = 3

        def discriminator(self, s):
            return self.of.discriminator(s)

        def generator(self, s):
            return self.of.generator(s)

    class Two(ganzoo.Loss):
        '''Two losses.

        Args:
            first: one.
            second: the other, or none.
            scales: of both.
        '''
        first: ganzoo.Loss = Inner(margin=2.0)
        second: "ganzoo.Loss | None" = None
        scales: int = 1

    @ganzoo.hookimpl
    def register_losses(register):
        register("inner", Inner)
        register("outer", Outer)
        register("two", Two)
""".replace("import ganzoo\n", "import ganzoo\n    from typing import Literal\n", 1)


INNER = {"name": "Inner", "margin": 4.0, "size": 2, "mode": "soft"}


@pytest.fixture
def found(site):
    site.add("sound", PARTS)
    return Catalogue()


def values(part):
    """The parameters of a part as nested dictionaries."""
    return words.plain(part)


class TestWords:
    @pytest.mark.parametrize(
        ("given", "inner", "size"),
        [
            ("outer:of=inner", {"margin": 1.0, "size": 2, "mode": "soft"}, 3),
            ("outer:of=inner,size=5", {"margin": 1.0, "size": 2, "mode": "soft"}, 5),
            ("outer:of=inner:margin=4,size=5", {"margin": 4.0, "size": 2, "mode": "soft"}, 5),
            ("outer:of=inner,margin=4,size=5", {"margin": 4.0, "size": 2, "mode": "soft"}, 5),
            ("outer:margin=4,of=inner", {"margin": 4.0, "size": 2, "mode": "soft"}, 3),
            ("outer:of=(inner:size=7,margin=4),size=5", {"margin": 4.0, "size": 7, "mode": "soft"}, 5),
            ("outer:of=(sound/inner),mode=hard", {"margin": 1.0, "size": 2, "mode": "hard"}, 3),
            (
                "outer:of=outer:of=inner,margin=4",
                {"of": INNER},
                3,
            ),
            ({"name": "outer", "of": {"name": "inner", "size": 7}, "size": 5}, {"size": 7}, 5),
            ({"name": "outer", "of": "inner:size=7"}, {"size": 7}, 3),
            ({"name": "outer:of=inner", "margin": 4}, {"margin": 4.0}, 3),
        ],
    )
    def test_right(self, found, given, inner, size):
        spec, part = found.make("loss", given)
        assert inner.items() <= values(part.of).items()
        assert part.size == size
        again_spec, again = found.make("loss", str(spec))
        assert again == part
        assert str(again_spec) == str(spec)
        assert found.make("loss", spec.plain())[1] == part
        assert found.make("loss", spec)[1] == part

    def test_the_text_holds_what_was_changed(self, found):
        text = str(found.make("loss", "outer:of=inner,margin=4,size=5")[0])
        assert text == "outer:of=(inner:margin=4.0),size=5"
        assert str(found.make("loss", "outer:of=inner")[0]) == "outer:of=inner"
        assert str(found.make("loss", "two")[0]) == "two"
        assert (
            str(found.make("loss", "two:first=inner,margin=3,second=inner")[0])
            == "two:first=(inner:margin=3.0),second=inner"
        )

    def test_keys_follow_the_part_they_stand_behind(self, found):
        part = found.make("loss", {"name": "two", "first": "inner", "margin": 3, "second": "inner", "mode": "hard"})[1]
        assert (part.first.margin, part.first.mode) == (3.0, "soft")
        assert (part.second.margin, part.second.mode) == (1.0, "hard")

    def test_a_default_and_none(self, found):
        part = found.make("loss", "two:second=none")[1]
        assert part.first.margin == 2.0
        assert part.second is None
        spec = found.make("loss", "two")[0]
        assert spec.plain() == {
            "name": "sound/two",
            "first": {"name": "sound/inner", "margin": 2.0, "size": 2, "mode": "soft"},
            "second": None,
            "scales": 1,
        }

    def test_the_origin_of_the_inner_part_is_known(self, found):
        spec = found.make("loss", "outer:of=outer:of=inner")[0]
        assert [each.name for each in spec.family()] == ["outer", "outer", "inner"]
        assert {each.origin.provider for each in spec.family()} == {"sound"}

    def test_objects(self, found):
        inner, outer = (found.load(found.find("loss", name)) for name in ("inner", "outer"))
        spec, part = found.make("loss", outer(of=inner(margin="4")))
        assert part.of.margin == 4.0
        assert (spec.origin, spec.inner()["of"].origin) == (None, None)
        assert str(spec) == "Outer:of=(Inner:margin=4.0)"
        spec, part = found.make("loss", {"name": "outer", "of": inner(margin=4)})
        assert part == outer(of=inner(margin=4.0))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("outer", "loss outer needs of: write outer:of=..."),
            ("outer:of=innr", "no loss is named 'innr' (did you mean 'inner'?)"),
            ("outer:of=a b", "loss outer: of=a b is not a part: 'a b' does not name a part"),
            ("outer:of=3", "no loss is named '3'"),
            ({"name": "outer", "of": 3}, "loss outer: of=3 is not a part"),
            (
                "outer:of=inner,marge=1",
                "has no parameter 'marge', nor has its of=inner (did you mean 'margin'?)",
            ),
            ("outer:of=inner:marge=1", "loss inner has no parameter 'marge' (did you mean 'margin'?)"),
            (
                "outer:of=inner,sise=1",
                "of=inner (did you mean 'size'?); loss outer has of, size; loss inner has",
            ),
            ("outer:margin=1", "loss outer has no parameter 'margin', and of is not given"),
            ("outer:of=none", "no loss is named 'none'"),
            ("outer:of=inner:margin=x", "loss inner: margin=x is not a number"),
            ("two:margin=3", "loss two has no parameter 'margin'; it has first, second, scales"),
        ],
    )
    def test_mistakes_are_one_line(self, found, given, message):
        with pytest.raises(errors.PartError) as caught:
            found.make("loss", given)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_inner_object_is_changed_where_it_was_made(self, found):
        inner = found.load(found.find("loss", "inner"))
        with pytest.raises(errors.BadParameter, match="of was made in Python"):
            found.make("loss", {"name": "outer", "of": inner(), "margin": 2})
        with pytest.raises(errors.PartError, match="is a schedule, where a loss is expected"):
            found.make("loss", {"name": "outer", "of": found.make("schedule", "alternating")[1]})


class TestSettings:
    def loss(self, found, *overrides, text="outer:of=inner"):
        settings = resolve(found, given={"loss": text}, overrides=overrides)
        return found.make("loss", settings.parts["loss"][0])[1]

    def test_overrides(self, found):
        assert self.loss(found, "loss.margin=5").of.margin == 5.0
        part = self.loss(found, "loss.size=5", "loss.of.size=6")
        assert (part.size, part.of.size) == (5, 6)
        assert self.loss(found, "loss.of.of.size=6", text="outer:of=outer:of=inner").of.of.size == 6
        assert self.loss(found, "outer.of.size=6").of.size == 6

    def test_an_override_without_owner(self, found):
        with pytest.raises(errors.SettingsError, match=r"outer is not given of as a part"):
            self.loss(found, "loss.of.size=5", text="outer")
        with pytest.raises(errors.SettingsError, match=r"nope is no part of this run"):
            self.loss(found, "nope.of.size=5")

    def test_a_run_keeps_and_resumes_them(self, found, tmp_path):
        from ganzoo.recipe.assemble import assemble
        from ganzoo.recipe.resume import _flat

        settings = resolve(
            found,
            given={"arch": "mlp:width=4", "loss": "outer:of=inner,margin=0.5..0", "data": "ring", "logdir": tmp_path},
        )
        run_ = assemble(settings, found).run
        config = as_yaml(run_, found.kinds)
        (tmp_path / "config.yaml").write_text(config)
        again = assemble(resolve(found, config=tmp_path / "config.yaml"), found).run
        assert run_.parts.loss.of.margin == 0.5
        assert run_.identity["settings"]["loss"] == again.identity["settings"]["loss"]
        assert run_.parts.providers["loss inner"].startswith("sound")
        assert _flat(run_.identity["settings"], found.kinds)["loss.of.margin"] == "0.5..0.0"
        run_.parts.bound["loss"].set_progress(0.5)
        assert run_.parts.loss.of.margin == 0.25


class TestCompletion:
    @pytest.mark.parametrize(
        ("typed", "completed"),
        [
            ("outer:", ["outer:of=", "outer:size="]),
            ("outer:of=in", ["outer:of=inner"]),
            ("outer:of=inner:ma", ["outer:of=inner:margin="]),
            ("outer:of=(inner:mode=", ["outer:of=(inner:mode=soft", "outer:of=(inner:mode=hard"]),
            ("outer:of=inner,", [f"outer:of=inner,{key}=" for key in ("size", "margin", "mode")]),
            ("outer:of=inner:margin=2,mo", ["outer:of=inner:margin=2,mode="]),
            ("outer:of=inner,mode=h", ["outer:of=inner,mode=hard"]),
            ("outer:of=outer:of=inner,mo", ["outer:of=outer:of=inner,mode="]),
            ("two:second=inner:mode=s", ["two:second=inner:mode=soft"]),
        ],
    )
    def test_of_inner_parts(self, found, typed, completed):
        assert [text for text, _ in _completions(found, "loss", typed)] == completed


class Leaf(ganzoo.Regularizer):
    sigma: float = 1.0

    def images(self, images, s):
        return images * self.sigma


class Wrapper(ganzoo.Regularizer):
    of: ganzoo.Regularizer
    weight: float = 1.0

    def images(self, images, s):
        return self.of.images(images, s)


class TestBound:
    def test_numbers_of_inner_parts_follow_the_run(self):
        part = Wrapper(of=Leaf(sigma=words.ScheduledNumber("linear", 1.0, 0.0)), weight=2.0)
        bound = words.bind(part)
        bound.set_progress(0.25)
        assert (bound.part.of.sigma, float(part.of.sigma)) == (0.75, 1.0)
        bound.values["of.sigma"] = 3.0
        assert bound.part.of.sigma == 3.0
        assert words.unbound(bound.part) is part
        again = pickle.loads(pickle.dumps(bound.part))
        assert again.of.sigma == 3.0
        assert words.bind(bound.part).part.of.sigma == 1.0

    def test_the_module_of_an_inner_part_is_a_child_of_the_outer_parts(self):
        from torch import nn

        bound = words.bind(Wrapper(of=Leaf()))
        assert bound.part.of.module is None
        child = nn.Linear(1, 1)
        bound.values["module"] = nn.ModuleDict({"of": child})
        assert bound.part.of.module is child
