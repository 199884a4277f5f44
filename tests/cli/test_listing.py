"""The command line around the catalogue: help, listings, mistakes in one line, completion; all without torch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import click
import pytest

import ganzoo
from ganzoo import cli, errors
from ganzoo.cli._options import PartWords, parts_options
from ganzoo.kinds import Kinds
from ganzoo.plugins import Catalogue

LOSS = """
    import ganzoo

    @ganzoo.hookimpl
    def register_losses(register):
        register({name!r}, "{{module}}:Good")

    class Good(ganzoo.Loss):
        '''A loss with [brackets] in it.

        Twice as good.

        Formula:
            L_D = m mean r

        Args:
            margin: how good it is.
            mode: which good.
        '''
        margin: float = 1.0
        mode: "Literal['hard', 'soft']" = "soft"
        betas: tuple[float, float] = (0.0, 0.9)
        def discriminator(self, s): return self.margin * s.real.mean()
        def generator(self, s): return s.fake.mean()

    from typing import Literal
"""


@pytest.fixture
def ask(capsys):
    """Run a command in this process; give back exit code, stdout and stderr."""

    def ask(*words):
        code = cli.main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return ask


def outside(*words, path=None, **environment):
    """Run ``python -m ganzoo`` in a process of its own."""
    given = {**os.environ, **environment, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "-m", "ganzoo", *words]
    return subprocess.run(command, capture_output=True, text=True, env=given, check=False)


class TestFast:
    """What costs a person's patience is not imported."""

    @pytest.mark.parametrize(
        "words", [[], ["--help"], ["--version"], ["plugins"], ["list"], ["list", "losses", "--json"]]
    )
    def test_neither_torch_nor_pydantic_nor_parts(self, words):
        code = (
            "import sys\nfrom ganzoo.cli import main\n"
            f"assert main({words!r}) == 0\n"
            "heavy = [m for m in sys.modules if m in ('torch', 'numpy', 'pydantic', 'yaml', 'ganzoo.recipe')]\n"
            "heavy += [m for m in sys.modules if m.startswith('ganzoo_zoo.losses')]\n"
            "print(*heavy, file=sys.stderr)"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert out.stdout
        assert out.stderr.strip() == ""

    def test_help_imports_no_command(self):
        code = (
            "import sys\nfrom ganzoo.cli import main\nmain(['--help'])\n"
            "print(*[m for m in sys.modules if m.startswith('ganzoo.cli.')], file=sys.stderr)"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert out.stderr.strip() == ""


class TestGroup:
    def test_help_names_every_command(self, ask):
        for words in ([], ["--help"], ["-h"]):
            code, out, err = ask(*words)
            assert (code, err) == (0, "")
            assert all(f"  {name} " in out and does in out for name, (_, does) in cli.COMMANDS.items())

    @pytest.mark.parametrize("name", cli.COMMANDS)
    def test_every_command_is_there_and_says_what_the_table_says(self, name):
        command = cli.group.get_command(click.Context(cli.group), name)
        assert isinstance(command, click.Command)
        assert command.help

    def test_version(self, ask):
        assert ask("-V") == ask("--version") == (0, f"ganzoo {ganzoo.__version__}\n", "")

    def test_python_m(self):
        out = outside("--version")
        assert (out.returncode, out.stdout) == (0, f"ganzoo {ganzoo.__version__}\n")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["lst"], "ganzoo: error: there is no command 'lst' (did you mean 'list'?) (see ganzoo --help)"),
            (["--no-plugin", "list"], "ganzoo: error: No such option '--no-plugin'"),
            (["list", "--jsn"], "ganzoo list: error: No such option '--jsn'"),
            (
                ["list", "loses"],
                "ganzoo list: error: Invalid value for '[KIND]': no kind 'loses' (did you mean 'losses'?)",
            ),
            (
                ["list", "losses", "more"],
                "ganzoo list: error: Got unexpected extra argument (more) (see ganzoo list --help)",
            ),
            (["show"], "ganzoo show: error: Missing argument 'KIND:NAME' (see ganzoo show --help)"),
            (["show", "loss:hing"], "ganzoo: error: no loss is named 'hing' (did you mean 'hinge'?); there is "),
            (
                ["run", "--data", "nowhere"],
                "ganzoo: error: no data is named 'nowhere'; there is no such file",
            ),
            (["show", "hing"], "ganzoo: error: no part is named 'hing' (did you mean 'hinge'?); see ganzoo list"),
            (
                ["show", "lss:hinge"],
                "ganzoo: error: 'lss' is neither a kind (did you mean 'loss'?) nor a part; kinds: ",
            ),
            (["list", "--plugin", "absent.py"], "ganzoo: error: plugin file "),
        ],
    )
    def test_mistakes_are_one_line_and_exit_2(self, ask, words, message):
        code, out, err = ask(*words)
        assert (code, out) == (2, "")
        err = re.sub(r"(No such option): (\S+)", r"\1 '\2'", err)  # the oldest click that is allowed has no quotes
        assert err.startswith(message)
        assert err.count("\n") == 1

    def test_traceback_on_demand(self, monkeypatch):
        monkeypatch.setenv("GANZOO_TRACEBACK", "1")
        with pytest.raises(errors.UnknownPart):
            cli.main(["show", "loss:hing"])

    @pytest.mark.parametrize(
        ("raised", "code", "said"),
        [
            (errors.NonFinite("the loss is NaN"), 1, "ganzoo: error: the loss is NaN\n"),
            (errors.DataError("it is empty"), 2, "ganzoo: error: it is empty\n"),
            (KeyboardInterrupt(), 130, "\n"),
        ],
    )
    def test_exit_codes(self, ask, monkeypatch, raised, code, said):
        self.fail_with(monkeypatch, raised)
        assert ask("list") == (code, "", said)

    def test_notes_are_said(self, ask, monkeypatch):
        error = errors.NonFinite("the loss is NaN")
        error.add_note("the last checkpoint is of step 10")
        self.fail_with(monkeypatch, error)
        assert ask("list")[2] == "ganzoo: error: the loss is NaN (the last checkpoint is of step 10)\n"

    @pytest.mark.parametrize("raised", [ValueError("a bug"), EOFError("a damaged file")])
    def test_a_bug_keeps_its_traceback(self, monkeypatch, raised):
        self.fail_with(monkeypatch, raised)
        with pytest.raises(type(raised)) as caught:
            cli.main(["list"])
        assert caught.value is raised

    def fail_with(self, monkeypatch, raised):
        def entries(*_):
            raise raised

        monkeypatch.setattr(Catalogue, "entries", entries)

    def test_a_closed_pipe(self):
        command = f"{sys.executable} -m ganzoo list | head -n 1"
        out = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert out.stdout.count("\n") == 1
        assert out.stderr == ""


class TestList:
    def test_all(self, ask, site):
        code, out, err = ask("list")
        assert (code, err) == (0, "")
        lines = [line.split("\t") for line in out.splitlines()]
        found = Catalogue()
        assert lines == [[e.kind, e.name, e.provider, e.summary] for e in found.entries()]
        assert list(dict.fromkeys(line[0] for line in lines)) == list(Kinds())

    @pytest.mark.parametrize("word", ["loss", "losses", "los"])
    def test_one_kind(self, ask, site, word):
        site.add("theirs", LOSS.format(name="good"))
        out = ask("list", word)[1]
        assert "loss\tgood\ttheirs\tA loss with [brackets] in it.\n" in out
        assert {line.split("\t")[0] for line in out.splitlines()} == {"loss"}

    def test_a_name_that_needs_its_provider_is_shown_with_it(self, ask, site):
        site.add("theirs", LOSS.format(name="hinge"))
        out = ask("list", "losses")[1]
        assert "loss\thinge\tzoo\t" in out
        assert "loss\ttheirs/hinge\ttheirs\t" in out

    def test_the_written_form_has_all_that_must_be_given(self, ask, site):
        code, out, _ = ask("show", "folder")
        assert code == 0
        assert "\nwritten folder:path=PATH\n" in out

    def test_json(self, ask, site):
        site.add("theirs", LOSS.format(name="hinge"), version="2.5")
        facts = json.loads(ask("list", "losses", "--json")[1])
        (theirs,) = [f for f in facts if f["provider"] == "theirs"]
        assert theirs["words"] == "theirs/hinge"
        assert (theirs["kind"], theirs["name"], theirs["builtin"]) == ("loss", "hinge", False)
        assert (theirs["distribution"], theirs["version"]) == ("ganzoo-theirs", "2.5")
        assert theirs["summary"] == "A loss with [brackets] in it."
        assert theirs["parameters"] == [
            {"name": "margin", "default": "1.0", "choices": []},
            {"name": "mode", "default": "soft", "choices": ["hard", "soft"]},
            {"name": "betas", "default": "(0.0, 0.9)", "choices": []},
        ]

    def test_on_a_terminal_it_is_a_table(self, ask, site, monkeypatch):
        site.add("theirs", LOSS.format(name="good"))
        monkeypatch.setenv("COLUMNS", "150")
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        lines = ask("list", "losses")[1].splitlines()
        assert click.unstyle(lines[0]).split() == ["kind", "name", "provider", "what", "it", "is"]
        assert any("A loss with [brackets] in it." in line for line in lines)

    def test_on_a_narrow_terminal_no_word_is_broken(self, ask, site, monkeypatch):
        site.add("theirs", LOSS.format(name="good-and-with-a-long-name-beside-it"))
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        lines = [click.unstyle(line) for line in ask("list", "losses")[1].splitlines()]
        assert max(map(len, lines)) <= 45
        assert "good-and-with-a-long-name-beside-it" in lines
        assert "  kind        loss" in lines

    def test_a_broken_plugin_is_said_on_stderr(self, ask, site):
        site.add("broken", "1 / 0")
        code, out, err = ask("list", "losses")
        assert code == 0
        assert "hinge" in out
        assert err == "ganzoo: warning: plugin broken: cannot be imported: ZeroDivisionError: division by zero\n"

    @pytest.mark.parametrize("words", [["--no-plugins", "list"], ["list", "--no-plugins"]])
    def test_no_plugins_before_and_after_the_command(self, ask, site, words):
        site.add("theirs", LOSS.format(name="good"))
        assert "theirs" in ask("list")[1]
        assert "theirs" not in ask(*words)[1]

    def test_files_before_and_after_the_command(self, ask, site, tmp_path):
        files = []
        for name in ("one", "two"):
            files.append(tmp_path / f"{name}.py")
            files[-1].write_text(f"import ganzoo\nclass L{name.title()}(ganzoo.Loss): '''{name}.'''\n")
        code, out, err = ask("--plugin", str(files[0]), "list", "losses", "--plugin", str(files[1]))
        assert (code, err) == (0, "")
        assert "loss\tl-one\tone\tone.\n" in out
        assert "loss\tl-two\ttwo\ttwo.\n" in out


class TestShow:
    @pytest.mark.parametrize("words", ["good", "loss:good", "losses:theirs/good", "theirs/good", "good:margin=3"])
    def test_text(self, ask, site, words):
        module = site.add("theirs", LOSS.format(name="good"))
        code, out, err = ask("show", words)
        assert (code, err) == (0, "")
        assert out.startswith("loss good\nA loss with [brackets] in it.\n")
        assert f"brought by theirs (ganzoo-theirs 1.0), in {site.path / module}.py" in out
        assert "written good:margin=1.0" in out
        assert "Twice as good." in out
        assert "margin: number, default 1.0\n      how good it is." in out
        assert "mode: hard | soft, default soft\n      which good." in out
        assert "betas: list of 2 numbers, default 0.0,0.9\n" in out
        assert "Formula\n  L_D = m mean r" in out
        assert "Args" not in out

    def test_json(self, ask, site):
        site.add("theirs", LOSS.format(name="good"))
        facts = json.loads(ask("show", "good", "--json")[1])
        assert facts["sections"]["Formula"] == "L_D = m mean r"
        assert facts["parameters"][1] == {
            "name": "mode",
            "type": "hard | soft",
            "default": "soft",
            "choices": ["hard", "soft"],
            "meaning": "which good.",
        }

    def test_a_part_without_a_docstring(self, ask, site, tmp_path):
        file = tmp_path / "bare.py"
        file.write_text("import ganzoo\nclass Bare(ganzoo.Loss):\n    margin: float = 1.0\n    must: int\n")
        code, out, _ = ask("show", "bare", "--plugin", str(file))
        assert code == 0
        assert out.startswith("loss bare\n\nbrought by bare, in ")
        assert "must: whole number, must be given" in out

    def test_a_name_of_two_kinds(self, ask, site):
        site.add("theirs", LOSS.format(name="r1"))
        code, _, err = ask("show", "r1")
        assert code == 2
        assert err == "ganzoo: error: 'r1' is the name of a part of 2 kinds: write loss:r1 or regularizer:r1\n"

    def test_a_part_that_cannot_be_imported(self, ask, site):
        site.add("theirs", LOSS.format(name="good").replace("{module}:Good", "ganzoo_no_such:Good"))
        code, _, err = ask("show", "good")
        assert code == 2
        assert err == (
            "ganzoo: error: plugin theirs: loss good (ganzoo_no_such:Good) cannot be imported: "
            "ModuleNotFoundError: No module named 'ganzoo_no_such'\n"
        )

    def test_every_builtin_part_can_be_shown(self, ask):
        for entry in Catalogue(no_plugins=True).entries():
            code, out, _ = ask("show", f"{entry.kind}:zoo/{entry.name}", "--no-plugins")
            assert code == 0
            assert entry.summary.split()[0] in out


class TestPlugins:
    def test_lines(self, ask, site):
        site.add("theirs", LOSS.format(name="good"), version="2.5")
        site.add("broken", "1 / 0")
        code, out, err = ask("plugins")
        assert (code, err) == (0, "")  # the problems are in the table
        parts = len(Catalogue(no_plugins=True).entries())
        assert out.splitlines() == [
            f"zoo\tganzoo\t{ganzoo.__version__}\t{parts}\t",
            "broken\tganzoo-broken\t1.0\t0\tcannot be imported: ZeroDivisionError: division by zero",
            "theirs\tganzoo-theirs\t2.5\t1\t",
        ]

    def test_json(self, ask, site, monkeypatch):
        site.add("ears", "import ganzoo\n@ganzoo.hookimpl\ndef run_started(run): ...\n")
        monkeypatch.setenv("GANZOO_PLUGINS", "ears,absent")
        facts = json.loads(ask("plugins", "--json")[1])
        assert [p["provider"] for p in facts["plugins"]] == ["zoo", "ears"]
        assert facts["plugins"][1]["events"] == ["run_started"]
        assert "loss:hinge" in facts["plugins"][0]["parts"]
        assert [p["plugin"] for p in facts["problems"]] == ["absent"]

    def test_a_problem_of_no_plugin_is_in_the_table(self, ask, site, monkeypatch):
        monkeypatch.setenv("GANZOO_PLUGINS", "absent")
        assert "absent\t\t\t0\tGANZOO_PLUGINS names it, but it is not installed" in ask("plugins")[1]

    def test_strict(self, ask, site, monkeypatch):
        site.add("broken", "1 / 0")
        monkeypatch.setenv("GANZOO_STRICT_PLUGINS", "1")
        code, _, err = ask("plugins")
        assert code == 2
        assert err.startswith("ganzoo: error: plugin broken: cannot be imported: ZeroDivisionError")


def test_kinds():
    kinds = Kinds()
    named = [kinds.named(word) for word in ("arch", "reg", "schedules", "opt", "data", "m")]
    assert [kind and kind.name for kind in named] == [
        "architecture",
        "regularizer",
        "schedule",
        "optimizer",
        "data",
        "metric",
    ]
    assert kinds.named("") is None
    assert kinds.named("hinge") is None


class TestCompletion:
    """In bash as it is: the whole line goes in, and what comes back replaces the word from bash's last cut on."""

    @pytest.fixture
    def complete(self, site, tmp_path):
        """What bash offers for a line, on a command with part options."""
        program = tmp_path / "bin" / "ganzoo"
        program.parent.mkdir()
        program.write_text(
            dedent("""\
            #!PYTHON
            import click
            from ganzoo import cli
            from ganzoo.cli._options import PartWords, parts_options

            @click.command("run")
            @click.option("--loss", type=PartWords("loss"))
            @click.option("--regularizers", type=PartWords("regularizer"), multiple=True)
            @parts_options()
            def run(**_): ...

            import sys, types
            sys.modules["ganzoo.cli.run"] = types.SimpleNamespace(command=run)
            sys.exit(cli.main())
            """).replace("PYTHON", sys.executable)
        )
        program.chmod(0o755)
        environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(site.path)}
        script = subprocess.run(
            ["ganzoo"],
            env={**environment, "_GANZOO_COMPLETE": "bash_source"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        def complete(line, breaks=" \t\n\"'><=;|&(:"):
            told = f"compopt() {{ :; }}\n{script}\nCOMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDBREAKS=$2\n"
            told += "_ganzoo_completion ganzoo\nprintf '%s\\n' \"${COMPREPLY[@]}\""
            out = subprocess.run(
                ["bash", "--norc", "-c", told, "bash", line, breaks],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            assert out.stderr == ""
            return out.stdout.split()

        return complete

    def test_commands(self, complete):
        assert complete("ganzoo ") == [*cli.COMMANDS]
        assert complete("ganzoo pl") == ["plugins"]

    def test_names_keys_and_choices(self, complete, site):
        site.add("theirs", LOSS.format(name="good"))
        assert complete("ganzoo run --loss go") == ["good"]
        assert complete("ganzoo run --loss theirs/") == ["theirs/good"]
        assert complete("ganzoo run --loss=go") == ["good"]
        assert complete("ganzoo run --loss good:m") == ["margin=", "mode="]
        assert complete("ganzoo run --loss=good:m") == ["margin=", "mode="]
        assert complete("ganzoo run --loss good:mode=") == ["hard", "soft"]
        assert complete("ganzoo run --loss=good:mode=s") == ["soft"]
        assert complete("ganzoo run --loss good:mode=soft,ma") == ["soft,margin="]
        assert complete("ganzoo run --loss good:mode=soft,") == ["soft,margin=", "soft,betas="]
        assert complete("ganzoo run --loss good:margin=") == []
        assert complete("ganzoo run --loss absent:m") == []

    def test_where_bash_was_told_not_to_cut(self, complete):
        assert complete("ganzoo run --loss hinge:m", breaks=" ") == ["hinge:margin="]
        assert complete("ganzoo run --loss=hinge:m", breaks=" ") == ["--loss=hinge:margin="]

    def test_other_commands(self, complete):
        assert complete("ganzoo list lo") == ["losses"]
        assert complete("ganzoo show instance") == ["instance-noise"]
        assert complete("ganzoo show loss:rpg") == ["rpgan"]
        assert "--no-plugins" in complete("ganzoo list --no")

    def test_plugins_are_limited_as_the_line_says(self, complete, site, tmp_path):
        site.add("theirs", LOSS.format(name="good"))
        file = tmp_path / "mine.py"
        file.write_text("import ganzoo\nclass GoodToo(ganzoo.Loss): ...\n")
        assert complete(f"ganzoo run --no-plugins --plugin {file} --loss go") == ["good-too"]
        assert complete("ganzoo run --plugin absent.py --loss go") == []

    def test_a_broken_plugin_says_nothing(self, complete, site):
        site.add("broken", "print('hello')\n1 / 0")
        assert complete("ganzoo run --loss rpg") == ["rpgan"]

    def test_help_in_the_other_shells(self):
        command = click.Command("run", params=[click.Option(["--loss"], type=PartWords("loss"))])
        context = click.Context(command)
        items = PartWords("loss").shell_complete(context, command.params[0], "rpgan")
        assert [(i.value, bool(i.help)) for i in items] == [("rpgan", True)]
        items = PartWords("loss").shell_complete(context, command.params[0], "hinge:m")
        assert [(i.value, i.help) for i in items] == [("hinge:margin=", "default 1.0")]

    def test_no_torch(self, site):
        out = outside(
            _GANZOO_COMPLETE="bash_complete",
            COMP_TYPED="ganzoo show rpg",
            COMP_BREAKS=":=",
            PYTHONPROFILEIMPORTTIME="1",
        )
        assert out.stdout == "plain,rpgan\n"
        assert "ganzoo.plugins.source_info" in out.stderr
        assert "| torch" not in out.stderr


def test_parts_options_hand_over_a_catalogue(site, capsys):
    site.add("broken", "1 / 0")

    @click.command("x")
    @parts_options(report=False)
    def command(catalogue):
        click.echo(f"{len(catalogue.problems)} problem, {catalogue.find('loss', 'hinge').provider}")

    command.main([], standalone_mode=False)
    assert capsys.readouterr() == ("1 problem, zoo\n", "")


def test_the_example_of_event_hooks_loads(ask):
    file = Path(__file__).parents[2] / "examples" / "plugins" / "csv_log.py"
    facts = json.loads(ask("plugins", "--json", "--plugin", str(file))[1])
    assert facts["problems"] == []
    assert facts["plugins"][-1]["events"] == ["run_started", "step_recorded", "checkpoint_saved"]


def test_show_web_writes_a_page_that_needs_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "r1", "--web"]) == 0
    text = Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert "<h1>regularizer r1</h1>" in text
    assert "<code>gamma</code>" in text
    assert "http://" not in text.split("<h2>Source")[0]
