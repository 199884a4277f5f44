"""``ganzoo check KIND:NAME``: examine a part of ganzoo or of a plugin."""

from __future__ import annotations

import json

import click

from ganzoo import errors
from ganzoo.cli import _tables, say
from ganzoo.cli._options import Kind, parts_options
from ganzoo.cli.show import PartName, entry_of
from ganzoo.names import printable
from ganzoo.plugins import Catalogue


@click.command()
@click.argument("part", type=PartName(), required=False)
@click.option(
    "--expect",
    multiple=True,
    metavar="CHECK=REASON",
    help="A check that the part is known to fail, and why; that it passes after all is a failure.",
)
@click.option("--list", "listed", is_flag=True, help="Say what the checks ask and assume; examine nothing.")
@click.option("--kind", type=Kind(), help="With --list: the checks of that kind of part only.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@parts_options()
@click.pass_context
def command(
    ctx: click.Context,
    catalogue: Catalogue,
    part: str | None,
    expect: tuple[str, ...],
    listed: bool,
    kind: str | None,
    as_json: bool,
) -> None:
    """Examine PART, written KIND:NAME or KIND:NAME:KEY=VALUE, such as regularizer:r1:gamma=3.

    One line a check: passed, failed, or expected failure, and why. Exits with 1 where anything failed.
    """
    from ganzoo import testing

    if listed:
        checks = [check for check in testing.all_checks() if kind in (None, check.kind) or check.kind == "any"]
        if as_json:
            facts = [{"kind": check.kind, "check": check.name, "asks": check.text} for check in checks]
            click.echo(json.dumps(facts, indent=1))
        else:
            _tables.write(("kind", "check", "what it asks and assumes"), [(c.kind, c.name, c.text) for c in checks])
        return
    if part is None:
        raise click.UsageError("name a part, such as loss:hinge, or ask for --list", ctx)
    reasons = {}
    for each in expect:
        check, equals, reason = each.partition("=")
        if not equals or not reason.strip():
            raise errors.SettingsError(f"--expect {each!r} is not CHECK=REASON")
        reasons[check.strip()] = reason.strip()
    entry, said = entry_of(catalogue, part)
    made = catalogue.make(entry.kind, said)[1]
    try:
        outcomes = testing.examine(made, reasons)
    except ValueError as error:
        raise errors.SettingsError(str(error)) from error
    found = []
    for outcome in outcomes:
        found.append(outcome)
        if not as_json:
            _write(outcome)
    failures = sum(outcome.verdict == "failed" for outcome in found)
    if as_json:
        facts = [{"check": o.check.name, "verdict": o.verdict, "why": o.why} for o in found]
        click.echo(json.dumps({"kind": entry.kind, "part": said, "failed": failures, "checks": facts}, indent=1))
    else:
        expected = sum(outcome.verdict == "expected failure" for outcome in found)
        tail = f", {expected} expected to fail" if expected else ""
        say(f"{entry.kind} {said}: {len(found)} checks, {failures} failed{tail}")
    ctx.exit(1 if failures else 0)


def _write(outcome: object) -> None:
    from ganzoo.testing import Outcome

    assert isinstance(outcome, Outcome)
    colour = {"passed": "green", "failed": "red", "expected failure": "yellow"}[outcome.verdict]
    why = ": " + "\n".join(map(printable, outcome.why.splitlines())) if outcome.why else ""
    click.echo(f"{click.style(outcome.verdict, fg=colour)}  {outcome.check.name}{why}")
