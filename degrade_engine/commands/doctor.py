"""`degrade-engine doctor`: what this machine can run, what would make it faster, and why not the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from degrade_engine.engine import doctor
from degrade_engine.engine.doctor import Line, Verdict

MARKS = {"ok": ("ok", "green"), "missing": ("--", "yellow"), "broken": ("!!", "red")}


@click.command("doctor")
@click.option("--all", "every", is_flag=True, help="Print every finding: machine, packages, kernels, backends.")
@click.option("--json", "as_json", is_flag=True, help="Print verdict and findings as one JSON object.")
@click.pass_context
def command(ctx: click.Context, every: bool, as_json: bool) -> None:
    """Say what this machine can run, and what would make it faster.

    \b
    Example:
      degrade-engine doctor --all

    Exit code 0: at least one backend works. 1: none does.
    """
    lines = doctor.diagnose()
    found = doctor.verdict(lines)
    if as_json:
        page = {"format": "degrade-engine/doctor/1", **asdict(found), "findings": [asdict(line) for line in lines]}
        click.echo(json.dumps(page, indent=1))
    else:
        for text in said(found, [line for line in lines if line.state == "broken"]):
            click.echo(text)
        if every:
            click.echo()
            for text in table(lines):
                click.echo(text)
        else:
            click.echo("Every finding: degrade-engine doctor --all")
    if not doctor.works(lines):
        ctx.exit(1)


def said(found: Verdict, broken: list[Line]) -> Iterator[str]:
    """The verdict."""
    yield click.style(f"This machine: {found.machine}.", bold=True)
    if found.backend and found.precision:
        option = "" if found.precision == "fp32" else f" (generate --precision {found.precision})"
        yield click.style(f"Best: {found.backend}, {found.precision.upper().replace('BF', 'bf')}{option}.", bold=True)
    else:
        yield click.style("No backend works here. Start with: pip install 'degrade-engine[cpu]'", fg="red")
    for line in broken:
        yield f"Broken: {line.name}: {line.text}."
    if found.faster:
        yield "Faster:"
    for text in found.faster:
        yield f"  - {text}"


def table(lines: list[Line]) -> Iterator[str]:
    """One line per finding."""
    width, section = max(len(line.name) for line in lines), ""
    for line in lines:
        mark, colour = MARKS[line.state]
        heading = line.section if line.section != section else ""
        section = line.section
        yield f"{heading:8} {click.style(mark, fg=colour)} {line.name:{width}}  {line.text}"
