"""`degrade-engine doctor`: what this machine can run, and why not the rest."""

from __future__ import annotations

import click

from degrade_engine.engine import doctor

MARKS = {"ok": ("ok", "green"), "missing": ("--", "yellow"), "broken": ("!!", "red")}


@click.command("doctor")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Say what this machine can run, and why not the rest: one line a finding.

    Exit code 0 when at least one backend works, 1 when none does.
    """
    lines = doctor.diagnose()
    width = max(len(line.name) for line in lines)
    section = ""
    for line in lines:
        mark, colour = MARKS[line.state]
        heading = line.section if line.section != section else ""
        section = line.section
        click.echo(f"{heading:8} {click.style(mark, fg=colour)} {line.name:{width}}  {line.text}")
    if not doctor.works(lines):
        click.echo("No backend works here. Start with: pip install 'degrade-engine[cpu]'")
        ctx.exit(1)
