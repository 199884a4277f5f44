"""Kinds of parts and commands that plugins bring."""

from __future__ import annotations

import pytest

from ganzoo.kinds import Kinds
from ganzoo.plugins import Catalogue


def test_every_kind_has_a_hook_and_a_contract():
    from ganzoo.parts import KINDS as CONTRACTS

    assert list(Kinds()) == list(CONTRACTS)
    assert [kind.load() for kind in Kinds().values()] == list(CONTRACTS.values())


KIND = """
    import ganzoo
    from ganzoo.parts import Part

    @ganzoo.hookimpl
    def register_kinds(register):
        setting = ganzoo.Setting("alarms", "checks of scalars.", many=True)
        register(ganzoo.Kind("alarm", "{module}_contract:Alarm", "checks", settings=(setting,)))
"""


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
