"""The plugin door: each kind of broken plugin is reported by name, in one line, and costs nothing but itself."""

from __future__ import annotations

import logging
import sys
from textwrap import dedent

import pytest
from sources import GOOD, HEAD

import ganzoo
from ganzoo import errors
from ganzoo.plugins import Catalogue

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


FAULTS = [
    "SystemExit(3)",
    "asyncio.CancelledError()",
    "pytest.skip.Exception('x')",
    "ValueError('x')",
    "GeneratorExit()",
]


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

    def test_when_a_module_is_looked_at(self, site, fault):
        site.add("bad", f"import asyncio, pytest\ndef __getattr__(name):\n    raise {fault}\n")
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


RAISES = """
import asyncio, pytest, ganzoo

class Bad(ganzoo.Loss):
    "A loss that raises."
    def discriminator(self, s):
        raise {fault}
    def generator(self, s):
        return -s.fake.mean()

class Worse(ganzoo.Data):
    "Data that raises."
    def dataset(self):
        raise {fault}

@ganzoo.hookimpl
def register_losses(register):
    register("bad", Bad)

@ganzoo.hookimpl
def register_data(register):
    register("worse", Worse)
"""


@pytest.mark.parametrize("words", [["--loss", "bad", "--data", "ring"], ["--loss", "hinge", "--data", "worse"]])
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("SystemExit(0)", "SystemExit"),
        ("asyncio.CancelledError()", "CancelledError"),
        ("pytest.skip.Exception('x')", "Skipped"),
    ],
)
def test_a_part_cannot_end_a_run_as_if_all_were_well(tmp_path, capsys, words, fault, name):
    """SystemExit(0) of a loss would leave a run that ended with the exit status of success."""
    from ganzoo.cli import main

    plugin = tmp_path / "own.py"
    plugin.write_text(RAISES.format(fault=fault))
    small = ["--arch", "mlp:width=4,depth=1", "--device", "cpu", "--steps", "2", "--batch-size", "8", "-q"]
    assert main(["run", *words, *small, "--logdir", str(tmp_path / "runs"), "--plugin", str(plugin)]) == 2
    assert f" raised {name}" in capsys.readouterr().err
