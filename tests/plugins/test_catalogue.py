"""The catalogue: which parts there are, under which names, from packages and files, and how a part is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from sources import GOOD

import ganzoo
from ganzoo import errors
from ganzoo.kinds import Kinds
from ganzoo.plugins import Catalogue, Problem, load_catalogue


class TestLimits:
    def test_no_plugins(self, site):
        site.add("sound", GOOD)
        found = Catalogue(no_plugins=True)
        assert {e.provider for e in found.entries()} == {"zoo"}
        assert found.problems == []

    def test_named_ones_only(self, site, monkeypatch):
        site.add("one", GOOD)
        site.add("two", GOOD)
        site.add("broken", "1 / 0")
        monkeypatch.setenv("GANZOO_PLUGINS", "two, ")
        found = Catalogue()
        assert {e.provider for e in found.entries("loss")} == {"zoo", "two"}
        assert found.problems == []

    def test_a_name_that_is_not_installed(self, site, monkeypatch):
        site.add("sound", GOOD)
        monkeypatch.setenv("GANZOO_PLUGINS", "sund")
        assert Catalogue().problems == [
            Problem(
                "sund",
                "GANZOO_PLUGINS names it, but it is not installed (did you mean 'sound'?); there is sound",
            )
        ]


class TestNames:
    def test_a_builtin_comes_first_and_the_address_always_works(self, site):
        site.add("theirs", GOOD.replace('"good"', '"hinge"'))
        found = Catalogue()
        assert found.find("loss", "hinge").builtin
        assert found.find("loss", "zoo/hinge").builtin
        assert found.find("loss", "theirs/hinge").provider == "theirs"
        assert [found.words(e) for e in found.entries("loss") if e.name == "hinge"] == ["hinge", "theirs/hinge"]

    def test_a_clash_is_an_error_when_the_name_is_used(self, site):
        site.add("one", GOOD)
        site.add("two", GOOD)
        found = Catalogue()
        assert found.problems == []
        with pytest.raises(errors.AmbiguousPart) as caught:
            found.find("loss", "good")
        assert str(caught.value) == "loss 'good' is brought by one and two: write one/good or two/good"
        assert found.find("loss", "two/good").provider == "two"

    def test_an_unknown_name(self):
        with pytest.raises(errors.UnknownPart, match=r"^no loss is named 'hing' \(did you mean 'hinge'\?\); there is "):
            Catalogue(no_plugins=True).find("loss", "hing")

    def test_an_unknown_provider(self):
        with pytest.raises(errors.UnknownPart, match=r"^no loss is named 'zo/hinge' \(did you mean 'zoo/hinge'\?\)"):
            Catalogue(no_plugins=True).find("loss", "zo/hinge")

    def test_an_unknown_name_points_at_broken_plugins(self, site):
        site.add("broken", "1 / 0")
        with pytest.raises(errors.UnknownPart, match=r"\(plugins with problems: broken; see ganzoo plugins\)$"):
            Catalogue().find("loss", "theirs")


class TestLoad:
    def load(self, site, target, kind="loss", code=""):
        hook = Kinds()[kind].hook
        module = site.add(
            "sound", f"import ganzoo\n@ganzoo.hookimpl\ndef {hook}(register): register('good', {target!r})\n{code}"
        )
        found = Catalogue()
        return found.load(found.find(kind, "good")), module

    def test_the_module_is_imported_only_now(self, site):
        (site.path / "late_part.py").write_text("import ganzoo\nclass Good(ganzoo.Loss): '''Late.'''\n")
        module = site.add("sound", GOOD.replace("{module}:Good", "late_part:Good"))
        found = Catalogue()
        assert found.find("loss", "good").summary == "Late."
        assert module in sys.modules
        assert "late_part" not in sys.modules
        assert found.load(found.find("loss", "good")).__name__ == "Good"

    @pytest.mark.parametrize(
        ("target", "message"),
        [
            ("ganzoo_no_such:Good", "cannot be imported: ModuleNotFoundError: No module named 'ganzoo_no_such'"),
            ("{module}:Goood", r"has no class 'Goood' \(did you mean 'Good'\?\)"),
            ("{module}:value", "is not a subclass of ganzoo.Loss"),
            ("{module}:Other", "is not a subclass of ganzoo.Loss"),
        ],
    )
    def test_what_cannot_be_used(self, site, target, message):
        code = "value = 3\nclass Good(ganzoo.Loss): ...\nclass Other(ganzoo.Data): ...\n"
        with pytest.raises(errors.PluginError, match=rf"^plugin sound: loss good \(.*\) {message}$"):
            self.load(site, target, code=code)

    def test_a_part_that_fails_to_import_keeps_its_traceback(self, site):
        (site.path / "broken_part.py").write_text("def f():\n    raise ValueError('no')\nf()\n")
        with pytest.raises(errors.PluginError, match="ValueError: no") as caught:
            self.load(site, "broken_part:Good")
        trace = caught.value.__cause__.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        assert trace.tb_frame.f_code.co_name == "f"

    def test_a_class_as_the_target(self, site):
        code = """
            import ganzoo
            class Good(ganzoo.Loss):
                '''From a class.'''
                margin: float = 2.0
            @ganzoo.hookimpl
            def register_losses(register): register("good", Good)
        """
        site.add("sound", code)
        found = Catalogue()
        entry = found.find("loss", "good")
        assert found.load(entry) is entry.target
        assert (entry.summary, entry.parameter_names) == ("From a class.", ("margin",))


class TestMake:
    @pytest.fixture
    def found(self, site):
        site.add("sound", GOOD)
        return Catalogue()

    @pytest.mark.parametrize(
        "given", ["good:margin=2", "sound/good:margin=2", {"name": "good", "margin": 2}, {"name": "good:margin=2"}]
    )
    def test_words_and_data(self, found, given):
        spec, part = found.make("loss", given)
        assert (spec.origin.provider, spec.name) == ("sound", "good")
        assert part.margin == 2.0
        assert type(part.margin) is float

    def test_a_part(self, found):
        cls = found.load(found.find("loss", "good"))
        spec, part = found.make("loss", cls(margin="3"))
        assert spec.origin is None
        assert part.margin == 3.0

    @pytest.mark.parametrize(
        ("kind", "given", "error", "message"),
        [
            (
                "loss",
                "good:marge=2",
                errors.BadParameter,
                "loss good has no parameter 'marge' (did you mean 'margin'?)",
            ),
            ("loss", "good:margin=x", errors.BadParameter, "loss good: margin=x is not a number"),
            (
                "loss",
                {"margin": 2},
                errors.BadWords,
                "does not name a part: write name:key=value, or a mapping with a name",
            ),
            ("loss", 3, errors.BadWords, "3 does not name a part"),
            ("loss", "good:margin", errors.BadWords, "'margin' where key=value is expected"),
            ("loss", "goood", errors.UnknownPart, "(did you mean 'good'?)"),
        ],
    )
    def test_mistakes(self, found, kind, given, error, message):
        with pytest.raises(error) as caught:
            found.make(kind, given)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_part_of_another_kind(self, found):
        part = found.make("loss", "good")[1]
        with pytest.raises(errors.PartError, match=r"^Good is a loss, where a schedule is expected$"):
            found.make("schedule", part)

    def test_a_part_made_with_a_wrong_value(self, found):
        cls = found.load(found.find("loss", "good"))
        with pytest.raises(errors.BadParameter, match=r"^loss Good: margin=x is not a number"):
            found.make("loss", cls(margin="x"))


class TestFile:
    PARTS = """
        from __future__ import annotations
        from typing import Literal
        import ganzoo

        class SoftMargin(ganzoo.Loss):
            '''Hinge with a soft corner.'''
            margin: float = 1.0
            corner: Literal["soft", "hard"] = "soft"

        class WGANDiv(ganzoo.Regularizer):
            '''A penalty.'''

        class _Hidden(ganzoo.Loss): ...
    """

    def file(self, tmp_path, code, name="mine.py"):
        path = tmp_path / name
        path.write_text(dedent(code))
        return path

    def test_its_parts_under_their_names_in_kebab_case(self, site, tmp_path):
        found = Catalogue(no_plugins=True, files=[self.file(tmp_path, self.PARTS)])
        mine = [(e.kind, e.name, e.provider) for e in found.entries() if not e.builtin]
        assert mine == [("loss", "soft-margin", "mine"), ("regularizer", "wgan-div", "mine")]
        part = found.make("loss", "mine/soft-margin:corner=hard")[1]
        entry = found.find("loss", "mine/soft-margin")
        assert part.corner == "hard"
        assert entry.peek.parameters[1].choices == ("soft", "hard")
        assert entry.summary == "Hinge with a soft corner."

    def test_its_hooks(self, site, tmp_path):
        path = self.file(tmp_path, GOOD.replace('"{module}:Good"', "Good"))
        assert Catalogue(files=[path]).find("loss", "good").provider == "mine"

    def test_a_file_of_events_only(self, site, tmp_path):
        path = self.file(tmp_path, "import ganzoo\n@ganzoo.hookimpl\ndef run_started(run): print('started')\n")
        assert Catalogue(files=[path]).plugins[-1].implements("run_started")

    def test_a_clash_with_a_builtin_is_asked_about(self, site, tmp_path):
        path = self.file(tmp_path, "import ganzoo\nclass Hinge(ganzoo.Loss): ...\n")
        found = Catalogue(files=[path])
        with pytest.raises(errors.AmbiguousPart, match=r"brought by zoo and mine: write zoo/hinge or mine/hinge"):
            found.find("loss", "hinge")
        assert [found.words(e) for e in found.entries("loss") if e.name == "hinge"] == ["zoo/hinge", "mine/hinge"]

    def test_two_files_of_one_name_in_two_places(self, site, tmp_path):
        parts = []
        for n in ("1", "2"):
            (tmp_path / n).mkdir()
            path = self.file(tmp_path / n, self.PARTS.replace("1.0", n))
            parts.append(Catalogue(files=[path]).make("loss", "soft-margin")[1])
        assert [p.margin for p in parts] == [1, 2]

    @pytest.mark.parametrize(
        ("name", "code", "message"),
        [
            ("mine.py", "def f(:", "cannot be loaded: SyntaxError"),
            ("mine.py", "import sys; sys.exit(1)", "cannot be loaded: SystemExit: 1"),
            ("mine.py", "x = 1", "neither a part nor a hook is defined in"),
            (
                "mine.py",
                "import ganzoo\n@ganzoo.hookimpl\ndef register_loses(register): ...",
                "did you mean 'register_losses'",
            ),
            ("mine.py", "def register_losses(register): ...", "is not marked"),
            ("zoo.py", PARTS, "there is a plugin zoo already: rename the file"),
            ("my part.py", PARTS, "is not named like a part"),
            ("mine.txt", PARTS, "is not named like a part"),
            ("mine.py", dedent(PARTS) + "\nGANZOO_API = 99\n", "it asks for version 99 of the plugin API"),
        ],
    )
    def test_whatever_is_wrong_is_an_error(self, site, tmp_path, name, code, message):
        path = self.file(tmp_path, code, name)
        with pytest.raises(errors.PluginError) as caught:
            Catalogue(files=[path])
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_file_that_is_not_there(self, site, tmp_path):
        with pytest.raises(errors.PluginError, match="is not there"):
            Catalogue(files=[tmp_path / "absent.py"])
        with pytest.raises(errors.PluginError, match="is not there, or not a file"):
            Catalogue(files=[tmp_path])

    def test_ctrl_c_is_never_swallowed(self, site, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            Catalogue(files=[self.file(tmp_path, "raise KeyboardInterrupt")])

    def test_strictness_ends_with_the_file(self, site, tmp_path):
        site.add("broken", "1 / 0")
        assert len(Catalogue(files=[self.file(tmp_path, self.PARTS)]).problems) == 1


class TestPeek:
    """What listings say of a part is what importing it says."""

    def test_every_builtin_part(self):
        from ganzoo import words

        found = Catalogue(no_plugins=True)
        for entry in found.entries():
            cls = found.load(entry)
            assert entry.summary, entry.address
            assert entry.summary == words.sections(cls.__doc__).summary, entry.address
            told = {p.name: p.choices for p in words.parameters(cls).values()}
            assert entry.parameter_names == tuple(told), entry.address
            for p in entry.peek.parameters:
                if told[p.name]:
                    assert p.choices == told[p.name], (entry.address, p.name)

    def test_bases_aliases_and_imports_are_followed(self, site):
        (site.path / "peeked_base.py").write_text(
            dedent("""
            import ganzoo_no_such_module
            from typing import Annotated, Literal
            if True:
                Norm = Literal["none", "batch"]
            class Base(ganzoo.Regularizer):
                '''Of the base.'''
                norm: Norm = "batch"
                count: ClassVar[int] = 3
                def discriminator_penalty(self, s): ...
        """)
        )
        code = """
            import ganzoo
            @ganzoo.hookimpl
            def register_regularizers(register):
                register("r", "peeked_part:R")
                register("q", "peeked_part:Q")
                register("none", "peeked_part:None_")
                register("nowhere", "ganzoo_no_such_module:R")
        """
        (site.path / "peeked_part.py").write_text(
            dedent("""
            from peeked_base import Base as Root
            from ganzoo import Regularizer
            class R(Root):
                weight: Annotated[float, Ge(0)] = 10.0
                shape: Literal["a"] | None = None
                sizes: tuple[int, ...] = field(default=(1, 2))
                on: bool = False
                must: int
            class Q(Regularizer):
                '''First line.

                More.
                '''
        """)
        )
        site.add("sound", code)
        found = Catalogue()
        entry = found.find("regularizer", "r")
        assert entry.summary == "Of the base."
        told = {p.name: (p.default, p.choices) for p in entry.peek.parameters}
        assert told == {
            "norm": ("batch", ("none", "batch")),
            "weight": ("10.0", ()),
            "shape": ("None", ("a", "none")),
            "sizes": ("(1, 2)", ()),
            "on": ("False", ("true", "false")),
            "must": (None, ()),
            "every": ("1", ()),
        }
        quiet = found.find("regularizer", "q")
        assert (quiet.summary, quiet.parameter_names) == ("First line.", ())
        for name in ("none", "nowhere"):
            assert found.find("regularizer", name).peek.parameters == ()
        assert not {"peeked_base", "peeked_part"} & sys.modules.keys()

    def test_packages_are_not_imported_either(self, site):
        package = site.path / "peeked_package"
        package.mkdir()
        (package / "__init__.py").write_text("raise RuntimeError('imported')")
        (package / "base.py").write_text("class Base:\n    inherited: int = 1\n")
        (package / "part.py").write_text("from .base import Base\nclass R(Base):\n    '''Far.'''\n    own: int = 2\n")
        site.add("sound", GOOD.replace("{module}:Good", "peeked_package.part:R"))
        entry = Catalogue().find("loss", "good")
        assert (entry.summary, entry.parameter_names) == ("Far.", ("inherited", "own"))


def test_the_catalogue_is_made_once_for_the_same_place(site, tmp_path, monkeypatch):
    assert load_catalogue() is load_catalogue()
    assert load_catalogue(no_plugins=True) is not load_catalogue()
    before = load_catalogue()
    site.add("sound", GOOD)
    monkeypatch.syspath_prepend(tmp_path)  # another import path, another catalogue
    assert load_catalogue() is not before
    monkeypatch.setenv("GANZOO_STRICT_PLUGINS", "1")
    assert load_catalogue().problems == []


def test_listing_imports_no_torch_no_pydantic_and_no_part():
    code = (
        "import sys; from ganzoo.plugins import load_catalogue\n"
        "entries = load_catalogue(no_plugins=True).entries()\n"
        "assert len(entries) > 20 and all(e.parameter_names is not None for e in entries)\n"
        "parts = {e.where.partition(':')[0] for e in entries}\n"
        "print(*({'torch', 'numpy', 'pydantic', *parts} & sys.modules.keys()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_parts_can_be_listed_from_a_checkout_that_is_not_installed(tmp_path):
    """Without ganzoo's metadata there are no parts, and the report says why."""
    root = Path(ganzoo.__file__).parent
    code = (
        "import importlib.metadata as m, sys\n"
        f"sys.path.insert(0, {str(root.parent)!r})\n"
        "m.entry_points = lambda **k: m.EntryPoints()\n"
        "from ganzoo.plugins import Catalogue\n"
        "print(*Catalogue().problems)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "plugin ganzoo: its standard parts are missing, as ganzoo is not installed" in out.stdout
