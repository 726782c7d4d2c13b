"""`degrade-engine references`: look at a camera's photographs before a run."""

from __future__ import annotations

from pathlib import Path

import click
import cloup
from cloup import option_group

from degrade_engine.engine.errors import DegradeError

FILE = click.Path(dir_okay=False, path_type=Path)
SHOWN = 10  # of what was left out
TABLES = (".csv", ".jsonl")


@cloup.command("references", short_help="Look at reference photographs before a run.")
@click.argument("photographs", metavar="WHERE")
@option_group(
    "Looking",
    click.option(
        "--model",
        type=click.Path(path_type=Path),
        metavar="NAME|PATH",
        default=Path("realdgen-small"),
        show_default=True,
        help="Model or engine whose E_deg reads the photographs: the one you generate with.",
    ),
    click.option(
        "--lr-size",
        type=click.IntRange(32),
        metavar="PX",
        help="Side of the crops in pixels. [default: the engine's; 128 for a model]",
    ),
    click.option(
        "--crops",
        type=click.IntRange(1),
        metavar="N",
        default=4,
        show_default=True,
        help="Crops of each photograph, at most.",
    ),
    click.option(
        "--seed", type=click.IntRange(0), metavar="S", default=0, show_default=True, help="Places of the crops."
    ),
    click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads of E_deg. [default: one per core]"),
)
@option_group(
    "Output",
    click.option(
        "-o", "--out", type=FILE, default=Path("references.html"), show_default=True, help="File for the page."
    ),
    click.option(
        "--list",
        "list_file",
        type=FILE,
        metavar="FILE.jsonl",
        help="Write a list for `generate --reference`, with a weight and a cluster for each photograph.",
    ),
    click.option("--features", type=FILE, metavar="FILE.npy", help="Write F_deg of every crop."),
    click.option(
        "--table", type=FILE, metavar="FILE.csv|.jsonl", help="Write a row a crop, in the order of --features."
    ),
)
def command(
    photographs: str,
    model: Path,
    lr_size: int | None,
    crops: int,
    seed: int,
    threads: int | None,
    out: Path,
    list_file: Path | None,
    features: Path | None,
    table: Path | None,
) -> None:
    """Look at reference photographs before a run.

    \b
    Example:
      degrade-engine references my/camera --list references.jsonl

    WHERE is given as to `generate --reference`, which reads the list. This finds photographs that are flat all over,
    clipped, blurred or made larger, near-duplicates, and those of another camera. The others are put into clusters of
    like degradation. The page shows crops of each cluster and what was found. In the list, photographs with findings
    have the weight 0.
    """
    for file, endings in ((list_file, (".jsonl",)), (features, (".npy",)), (table, TABLES)):
        if file is not None and file.suffix not in endings:
            raise DegradeError(f"{file} is to be written", wanted=f"a name that ends in {' or '.join(endings)}")
    from degrade_engine.engine.embedding import Embedding  # here, so that --help needs no image library
    from degrade_engine.engine.engine_spec import ENGINE_JSON
    from degrade_engine.engine.inputs.inventory import scan
    from degrade_engine.engine.references import page
    from degrade_engine.engine.references.findings import judge
    from degrade_engine.engine.references.look import look
    from degrade_engine.models.ready import bundle_of, on_stderr

    say = on_stderr()
    folder = model if (model / ENGINE_JSON).is_file() else bundle_of(model, say=say)
    embed = Embedding.open(folder, lr_size, threads)
    there = scan(photographs, (embed.side, embed.side), role="reference")
    try:
        shots, left_out = look(
            there, embed, crops, seed, lambda count: say(f"{count} of {len(there.entries)} looked at")
        )
    finally:
        embed.close()
    judged = judge(shots)
    for one in left_out[:SHOWN]:
        click.echo(f"left out: {one}", err=True)
    if (more := len(left_out) - SHOWN) > 0:
        click.echo(f"left out: {more} more, which the page names", err=True)
    if list_file is not None:
        page.write_list(judged, there.place, list_file)
    if features is not None:
        page.write_features(judged, features)
    if table is not None:
        page.write_table(judged, table)
    page.write_page(judged, left_out, there.place.name, "" if list_file is None else str(list_file), out)
    click.echo("\n".join([*page.summary(judged), f"{out} ({out.stat().st_size / 1e6:.1f} MB)"]))
