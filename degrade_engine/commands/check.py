"""`degrade-engine check`: does a set of pairs keep the contract?"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

PROBLEMS = 1


@click.command("check", short_help="Read a set of pairs back and name broken pairs.")
@click.argument("pairs", type=click.Path(file_okay=False, path_type=Path))
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads that decode. [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, pairs: Path, threads: int | None, as_json: bool) -> None:
    """Read a set of pairs back and name broken pairs.

    \b
    Example:
      degrade-engine check pairs

    PAIRS is what `generate` wrote (with any --sink), or a folder of pairs from elsewhere whose names say which images
    are HR or GT and which are LR or LQ (DIV2K, BasicSR).

    It finds: images that cannot be decoded; a GT whose size is no multiple of the LQ's; an LQ of another scene (and
    whose it is); an LQ that is turned, mirrored, shifted by three quarters of a pixel or more, has swapped channels or
    other colours; black or constant images; the same image twice. For sets of `generate` also: names, counts and file
    sizes, and anything but 8-bit RGB without profile and EXIF.

    Strong noise or blur can hide a broken pair. Exit code 0: no problem. 1: problems, one per line. 2: there is nothing
    to check.
    """
    from degrade_engine.engine.sinks.check import check  # here, so that --help needs no image library
    from degrade_engine.engine.sinks.pairs import Problem

    def say(problem: Problem) -> None:
        if not as_json:
            click.echo(str(problem))

    report = check(pairs, threads=threads, say=say)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1))
    else:
        counts = Counter(one.check for one in report.problems)
        said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        shared = f"; {report.shared_gt} share their GT's crop with another" if report.shared_gt else ""
        click.echo(f"{report.pairs} pairs ({report.kind}){shared}: " + (f"{len(report.problems)} problems: {said}"
                   if said else "no problem"))  # fmt: skip
    if report.problems:
        ctx.exit(PROBLEMS)
