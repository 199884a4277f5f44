"""The plugin door: each kind of broken plugin is reported by name, in one line, and costs nothing but itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import ganzoo
from ganzoo import errors
from ganzoo.kinds import Kinds
from ganzoo.plugins import Catalogue, Problem, load_catalogue

GOOD = """
    import ganzoo

    @ganzoo.hookimpl
    def register_losses(register):
        register("good", "{module}:Good")

    class Good(ganzoo.Loss):
        '''A loss that works.'''
        margin: float = 1.0
        def discriminator(self, s): return s.real.mean()
        def generator(self, s): return s.fake.mean()
"""

BROKEN = {  # what is wrong -> code, the report, and whether the plugin's loss `part` is there nonetheless
    "broken import": (
        "import ganzoo\nraise RuntimeError('two\\nlines')",
        "cannot be imported: RuntimeError: two lines",
        0,
    ),
    "missing dependency": (
        "import ganzoo_no_such_module",
        "cannot be imported: ModuleNotFoundError: No module named 'ganzoo_no_such_module'",
        0,
    ),
    "syntax error": ("def register_losses(:", "cannot be imported: SyntaxError: invalid syntax", 0),
    "exits": ("import sys; sys.exit('no licence')", "cannot be imported: SystemExit: no licence", 0),
    "no hook": ("def helper(): ...", "brings nothing: no hook is implemented in", 0),
    "not marked": ("def register_losses(register): ...", "register_losses is not marked: write @ganzoo.hookimpl", 0),
    "misspelt hook": (
        "@hook\ndef register_loses(register): ...",
        "no hook 'register_loses' (did you mean 'register_losses'?)",
        1,
    ),
    "wrong arguments": (
        "@hook\ndef step_recorded(run, foo): ...",
        "its hook step_recorded has other arguments than (run, step, values)",
        1,
    ),
    "no argument": (
        "@hook\ndef register_data(reg): ...",
        "its hook register_data has other arguments than (register)",
        1,
    ),
    "wrapper": ("@ganzoo.hookimpl(wrapper=True)\ndef run_started(run): yield", "its hook run_started is a wrapper", 1),
    "half-registers": (
        "@hook\ndef register_data(register):\n    register('half', 'x:Y')\n    1 / 0",
        "dropped with all that it brings: register_data failed: ZeroDivisionError",
        0,
    ),
    "exits in a hook": (
        "@hook\ndef register_data(register): raise SystemExit(3)",
        "register_data failed: SystemExit: 3",
        0,
    ),
    "its own PluginError": (
        "@hook\ndef register_data(register): raise ganzoo.errors.PluginError('no GPU')",
        "register_data failed: PluginError: no GPU",
        0,
    ),
    "register called wrongly": (
        "@hook\ndef register_data(register): register('a')",
        "register_data failed: TypeError",
        0,
    ),
    "duplicate": (
        "@hook\ndef register_data(register):\n    register('twin', 'a:A')\n    register('twin', 'b:B')",
        "data twin left out: it is registered twice",
        1,
    ),
    "bad name": (
        "@hook\ndef register_data(register): register('my data', 'a:A')",
        "data my data left out: 'my data' is not a name",
        1,
    ),
    "bad name type": ("@hook\ndef register_data(register): register(3, 'a:A')", "data 3 left out: 3 is not a name", 1),
    "bad target text": (
        "@hook\ndef register_data(register): register('d', 'a.b')",
        "'a.b' is not of the form 'module:Class'",
        1,
    ),
    "bad target": (
        "@hook\ndef register_data(register): register('d', 42)",
        "42 is neither 'module:Class' nor a subclass of ganzoo.Data",
        1,
    ),
    "target of another kind": (
        "@hook\ndef register_data(register): register('d', ganzoo.Loss)",
        "nor a subclass of ganzoo.Data",
        1,
    ),
    "newer plugin API": (
        "GANZOO_API = 99\n@hook\ndef register_data(register): ...",
        "not loaded: it asks for version 99 of the plugin API, and this ganzoo has version 1: upgrade ganzoo",
        0,
    ),
    "older plugin API": (
        "GANZOO_API = 0\n@hook\ndef register_data(register): ...",
        "and this ganzoo supports 1 and later: upgrade the plugin",
        0,
    ),
    "plugin API that is no number": (
        "GANZOO_API = '1.0'\n@hook\ndef register_data(register): ...",
        "its GANZOO_API is '1.0', not a whole number such as 1",
        0,
    ),
}

HEAD = """
import ganzoo
hook = ganzoo.hookimpl

@hook
def register_losses(register):
    register("part", "nowhere:Part")

"""


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_reported_and_the_others_work(site, case):
    code, report, partly = BROKEN[case]
    speaks = "@" in code
    site.add("broken", (HEAD if speaks else "") + code)
    site.add("sound", GOOD)
    found = Catalogue()
    assert [p.plugin for p in found.problems][:1] == ["broken"]
    assert any(report in p.message for p in found.problems), found.problems
    assert all("\n" not in str(p) for p in found.problems)
    assert {e.name for e in found.entries("loss") if e.provider == "broken"} == ({"part"} if partly else set())
    assert found.find("loss", "good").provider == "sound"
    assert issubclass(found.load(found.find("loss", "good")), ganzoo.Loss)
    assert found.find("loss", "hinge").builtin


def test_a_duplicate_keeps_the_first(site):
    site.add("twin", HEAD + dedent(BROKEN["duplicate"][0]))
    assert Catalogue().find("data", "twin").target == "a:A"


def test_strict_makes_the_report_an_error(site, monkeypatch):
    site.add("broken", "import ganzoo_no_such_module")
    monkeypatch.setenv("GANZOO_STRICT_PLUGINS", "0")
    assert len(Catalogue().problems) == 1
    monkeypatch.setenv("GANZOO_STRICT_PLUGINS", "1")
    with pytest.raises(errors.PluginError, match=r"^plugin broken: cannot be imported: ModuleNotFoundError") as caught:
        Catalogue()
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_strict_reports_a_part_that_is_left_out(site, monkeypatch):
    site.add("broken", HEAD + dedent(BROKEN["bad name"][0]))
    monkeypatch.setenv("GANZOO_STRICT_PLUGINS", "1")
    with pytest.raises(errors.PluginError, match=r"^plugin broken: data my data left out: 'my data' is not a name"):
        Catalogue()


def test_ctrl_c_is_never_swallowed(site):
    site.add("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Catalogue()


def test_what_a_plugin_prints_does_not_reach_stdout(site, capsys):
    site.add("chatty", "print('hello from import')\n" + dedent(GOOD))
    Catalogue()
    said = capsys.readouterr()
    assert "hello" not in said.out
    assert "hello from import" in said.err


def test_two_plugins_of_one_name(site):
    site.add("same", GOOD, distribution="one")
    site.add("same", GOOD, distribution="two")
    found = Catalogue()
    assert [str(p) for p in found.problems] == [
        "plugin same: not loaded from one: two brings a plugin of that name too: uninstall one",
        "plugin same: not loaded from two: one brings a plugin of that name too: uninstall one",
    ]
    assert not [e for e in found.entries() if e.provider == "same"]


def test_a_builtin_provider_is_not_taken_over(site):
    site.add("zoo", GOOD, distribution="squatter")
    found = Catalogue()
    assert [p.plugin for p in found.problems] == ["zoo"]
    assert "not loaded from squatter: ganzoo brings" in found.problems[0].message
    assert all(e.builtin for e in found.entries() if e.provider == "zoo")


@pytest.mark.parametrize(
    ("points", "report"),
    [
        ("bad name = {module}", "is not a name"),
        ("broken = not a module", "is not of the form module or module:object"),
        ("broken = {module}:absent", "AttributeError"),
    ],
)
def test_bad_entry_points(site, points, report):
    site.add("broken", GOOD, points=points)
    (problem,) = Catalogue().problems
    assert report in problem.message


def test_damaged_metadata_of_one_distribution(site):
    site.add("broken", GOOD, points="no equals sign")
    site.add("sound", GOOD)
    found = Catalogue()
    assert [p.plugin for p in found.problems] == ["ganzoo-broken"]
    assert "entry_points.txt is damaged" in found.problems[0].message
    assert found.find("loss", "good").provider == "sound"
    assert found.find("loss", "hinge").builtin


def test_a_distribution_without_metadata_file(site):
    site.add("half", GOOD)
    (site.path / "ganzoo_half-1.0.dist-info" / "METADATA").unlink()
    entry = Catalogue().find("loss", "good")
    assert (entry.provider, entry.version) == ("half", "unknown")


def test_an_object_as_a_plugin(site):
    code = """
        import ganzoo

        class Plugin:
            @ganzoo.hookimpl
            def register_losses(self, register):
                register("good", "{module}:Good")
        plugin = Plugin()
    """
    site.add("object", code, points="object = {module}:plugin")
    found = Catalogue()
    assert found.problems == []
    assert found.find("loss", "object/good").provider == "object"


def test_every_kind_has_a_hook_and_a_contract():
    from ganzoo.parts import KINDS as CONTRACTS

    assert list(Kinds()) == list(CONTRACTS)
    assert [kind.load() for kind in Kinds().values()] == list(CONTRACTS.values())


def test_entries_say_who_brings_them(site):
    site.add("sound", GOOD, version="3.1")
    entry = Catalogue().find("loss", "sound/good")
    assert (entry.distribution, entry.version, entry.builtin) == ("ganzoo-sound", "3.1", False)
    assert entry.address == "sound/good"
    builtin = Catalogue().find("loss", "hinge")
    assert (builtin.provider, builtin.distribution, builtin.builtin) == ("zoo", "ganzoo", True)


class TestPresets:
    CODE = """
        import ganzoo
        @ganzoo.hookimpl
        def register_presets(register):
            register({name!r}, {settings!r})
    """

    def test_a_plugin_brings_one(self, site):
        site.add("sound", self.CODE.format(name="mine", settings={"loss": "wgan"}))
        found = Catalogue()
        assert found.problems == []
        assert found.presets()["mine"] == {"loss": "wgan"}
        assert "default" in found.presets()

    def test_a_builtin_one_is_not_taken_over(self, site):
        site.add("sound", self.CODE.format(name="default", settings={"loss": "theirs"}))
        assert Catalogue().presets() == Catalogue(no_plugins=True).presets()

    @pytest.mark.parametrize(("name", "settings"), [("my preset", {}), (3, {}), ("mine", ["loss"])])
    def test_wrong_ones_are_left_out(self, site, name, settings):
        site.add("broken", self.CODE.format(name=name, settings=settings))
        found = Catalogue()
        assert [p.message for p in found.problems] == [
            f"preset {name!r} left out: a name and a mapping of settings are expected"
        ]
        assert name not in found.presets()

    def test_a_hook_that_fails_drops_the_plugin(self, site):
        code = HEAD + "@hook\ndef register_presets(register):\n    register('mine', {})\n    1 / 0\n"
        site.add("broken", code)
        found = Catalogue()
        assert "dropped with all that it brings: register_presets failed" in found.problems[0].message
        assert "mine" not in found.presets()
        assert not [e for e in found.entries() if e.provider == "broken"]

    def test_a_file_may_bring_nothing_else(self, site, tmp_path):
        file = tmp_path / "mine.py"
        file.write_text(dedent(self.CODE.format(name="mine", settings={})))
        assert Catalogue(files=[file]).presets()["mine"] == {}


def test_a_hook_under_two_names_counts_once(site):
    code = HEAD + "@ganzoo.hookimpl(specname='register_data')\ndef one(register): register('d', 'a:A')\ntwo = one\n"
    site.add("sound", code)
    found = Catalogue()
    assert found.problems == []
    assert found.find("data", "d").provider == "sound"


def test_a_plugin_may_ask_for_the_version_of_the_plugin_api(site):
    site.add("sound", f"GANZOO_API = {ganzoo.API_VERSION}\n" + dedent(GOOD))
    found = Catalogue()
    assert found.problems == []
    assert found.find("loss", "good").provider == "sound"


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


class TestEvents:
    CODE = """
        import ganzoo
        heard = []

        @ganzoo.hookimpl
        def step_recorded(run, step):
            heard.append(("step", run, step))
            if step == 2: raise {error}

        @ganzoo.hookimpl
        def run_finished(error):
            heard.append(("end", error))
    """

    @pytest.mark.parametrize("error", ["ValueError('a\\nb')", "SystemExit(1)"])
    def test_a_failing_hook_is_switched_off_and_the_rest_goes_on(self, site, caplog, error):
        bad = site.add("bad", dedent(self.CODE).replace("{error}", error))
        sound = site.add("sound", dedent(self.CODE).replace("== 2", "< 0").replace("{error}", "ValueError"))
        events = Catalogue().events({})
        with caplog.at_level(logging.WARNING, "ganzoo"):
            for step in (1, 2, 3):
                events.step_recorded("run", step, {"loss": 1.0})
            events.run_finished("run", None)
        steps = [("step", "run", n) for n in (1, 2, 3)]
        assert sys.modules[bad].heard == [*steps[:2], ("end", None)]
        assert sys.modules[sound].heard == [*steps, ("end", None)]
        (record,) = caplog.records
        assert record.name == "ganzoo"
        assert record.getMessage().startswith("plugin bad: hook step_recorded failed, and is switched off: ")
        assert "\n" not in record.getMessage()

    def test_one_run_does_not_switch_off_the_next(self, site):
        bad = site.add("bad", dedent(self.CODE).replace("{error}", "ValueError"))
        found = Catalogue()
        for events in (found.events({}), found.events({})):
            events.step_recorded("run", 2, {})
        assert len(sys.modules[bad].heard) == 2

    def test_all_events_arrive_with_their_facts(self, site):
        code = "import ganzoo\nheard = {}\n"
        facts = {
            "run_started": ("run",),
            "step_recorded": ("run", "step", "values"),
            "images_recorded": ("run", "step", "tag", "images"),
            "checkpoint_saved": ("run", "step", "path"),
            "run_finished": ("run", "error"),
        }
        for event, names in facts.items():
            code += f"@ganzoo.hookimpl\ndef {event}({', '.join(names)}): heard[{event!r}] = ({', '.join(names)},)\n"
        module = site.add("sound", code)
        events = Catalogue().events({})
        for event, names in facts.items():
            getattr(events, event)(*names)
        assert sys.modules[module].heard == facts

    def test_ctrl_c_in_a_hook_stops_the_run(self, site):
        site.add("sound", "import ganzoo\n@ganzoo.hookimpl\ndef run_started(): raise KeyboardInterrupt\n")
        with pytest.raises(KeyboardInterrupt):
            Catalogue().events({}).run_started("run")


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


KIND = """
    import ganzoo
    from ganzoo.parts import Part

    @ganzoo.hookimpl
    def register_kinds(register):
        setting = ganzoo.Setting("alarms", "checks of scalars.", many=True)
        register(ganzoo.Kind("alarm", "{module}_contract:Alarm", "checks", settings=(setting,)))
"""

FAULTS = [
    "SystemExit(3)",
    "asyncio.CancelledError()",
    "pytest.skip.Exception('x')",
    "ValueError('x')",
    "GeneratorExit()",
]


class TestKinds:
    def test_a_kind_of_one_plugin_has_parts_of_another(self, site):
        module = site.add("alarms", KIND)
        (site.path / f"{module}_contract.py").write_text(
            "import ganzoo\nclass Alarm(ganzoo.Part):\n    kind = 'alarm'\n"
        )
        site.add(
            "aaa",
            f"""
            import ganzoo
            from {module}_contract import Alarm

            class Bell(Alarm):
                '''Rings.'''
                loud: float = 1.0

            @ganzoo.hookimpl
            def register_alarms(register):
                register("bell", Bell)
        """,
        )
        found = Catalogue()
        assert [str(problem) for problem in found.problems] == []
        spec, part = found.make("alarm", "bell:loud=2")
        assert (part.loud, spec.address, spec.kind) == (2.0, "aaa/bell", "alarm")
        assert list(found.kinds) == [*Kinds(), "alarm"]
        assert "alarms" in found.kinds.settings

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ('ganzoo.Kind("loss", "a:B", "")', "kind 'loss' left out: there is a kind of that name"),
            ('ganzoo.Kind("x", "a:B", "", settings=(ganzoo.Setting("data", ""),))', "there is a setting data"),
            ("3", "kind 3 left out: it is not a ganzoo.Kind with a name"),
        ],
    )
    def test_a_kind_that_cannot_be(self, site, kind, message):
        site.add(
            "bad",
            f"""
            import ganzoo

            @ganzoo.hookimpl
            def register_kinds(register):
                register({kind})
        """,
        )
        found = Catalogue()
        assert message in str(found.problems[0])
        assert list(found.kinds) == list(Kinds())


@pytest.mark.parametrize("fault", FAULTS)
class TestWhateverIsRaised:
    """SystemExit, CancelledError, pytest.skip: a plugin that raises stays alone with it."""

    @pytest.mark.parametrize("where", ["import", "register_kinds", "register_commands", "register_losses"])
    def test_at_discovery(self, site, fault, where):
        code = "import asyncio, pytest, ganzoo\n"
        hook = "" if where == "import" else f"@ganzoo.hookimpl\ndef {where}(register):\n    "
        site.add("bad", f"{code}{hook}raise {fault}\n")
        site.add("sound", GOOD)
        found = Catalogue()
        assert found.find("loss", "sound/good")
        assert {problem.plugin for problem in found.problems} == {"bad"}

    @pytest.mark.parametrize("where", ["import", "call"])
    def test_in_a_command(self, site, fault, where, capsys):
        from ganzoo.cli import main

        module = site.add(
            "tool",
            """
            import ganzoo

            @ganzoo.hookimpl
            def register_commands(register):
                register("toll", "{module}_command:command", "Rings.")
        """,
        )
        body = f"raise {fault}"
        late = f"import asyncio, pytest, click\n@click.command()\ndef command():\n    {body}\n"
        (site.path / f"{module}_command.py").write_text(
            late if where == "call" else f"import asyncio, pytest\n{body}\n"
        )
        assert main(["--help"]) == 0
        assert "toll" in capsys.readouterr().out
        if where == "call" and fault.startswith("SystemExit"):
            with pytest.raises(SystemExit):  # a command may end the process as it likes
                main(["toll"])
            return
        assert main(["toll"]) == 2
        assert capsys.readouterr().err.startswith("ganzoo: error: plugin tool: command toll ")
        assert main(["presets"]) == 0


def test_a_command_cannot_take_the_place_of_ours(site, capsys):
    from ganzoo.cli import main

    site.add(
        "thief",
        """
        import ganzoo

        @ganzoo.hookimpl
        def register_commands(register):
            register("presets", "os:system")
            register("bad name", "os:system")
            register("bad", "os.system")
    """,
    )
    assert main(["presets"]) == 0
    assert "sngan" in capsys.readouterr().out
    messages = [problem.message for problem in Catalogue().problems]
    assert messages == [
        "command 'bad name' left out: it is not a name (letters, digits, . _ -)",
        "command 'bad' left out: 'os.system' is not of the form 'module:command'",
    ]
