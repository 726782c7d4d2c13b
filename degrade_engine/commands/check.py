"""`degrade-engine check`: does a set of pairs keep the contract?"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

PROBLEMS = 1


@click.command("check", short_help="Read a set of pairs back and name what trainers would learn wrongly from.")
@click.argument("pairs", type=click.Path(file_okay=False, path_type=Path))
@click.option("--threads", type=click.IntRange(1), metavar="N", help="That decode. [default: one a physical core]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_context
def command(ctx: click.Context, pairs: Path, threads: int | None, as_json: bool) -> None:
    """Read every pair in PAIRS back and name what a trainer would stumble over or learn wrongly from.

    PAIRS is what `generate` wrote (PNG folders, LMDB or WebDataset), or any folder whose names say which images are HR
    or GT and which LR or LQ, such as DIV2K's and BasicSR's.

    Looked at are: images that cannot be decoded; a GT that is no exact multiple of the LQ; an LQ that shows another
    picture than its GT (and which GT's it is), the same one turned or mirrored, with swapped channels, three quarters
    of a pixel or more beside it, or in other colours; black or constant images; the same image twice. Of what
    `generate` wrote also names, files and counts against manifest and meta files, and 8-bit RGB without profile or
    EXIF. What cannot be seen, as under strong noise or blur, is not named. One line a problem; exit code 0 without
    any, 1 with some, 2 where there is nothing to check.
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
