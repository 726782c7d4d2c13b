"""`degrade-engine models`: the models by name, and what the cache holds."""

from __future__ import annotations

import json
from pathlib import Path

import click

from degrade_engine.engine.artefact import CACHE, cache_path
from degrade_engine.models.cache import Entry, entries, size_of
from degrade_engine.models.catalogue import Model, bundled

USE = {True: "yes", False: "no", None: "not stated"}


@click.command("models", short_help="List the models by name.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), help="Cache folder to look at, if not the usual one."
)
def command(as_json: bool, cache: Path | None) -> None:
    """List the models that come with the package, and the engines in the cache.

    \b
    Example:
      degrade-engine models

    The names are those that `generate --model`, `build` and `export` take. For each model: kind, size, licence, what it
    was trained on, and whether it needs torch.
    """
    models, where = bundled(), cache_path(cache)
    found = entries(where)
    total = size_of(where)
    if as_json:
        page = {
            "models": [model.to_json() for model in models.values()],
            "cache": {"path": str(where), "size": total, "entries": [one.to_json() for one in found]},
        }
        click.echo(json.dumps(page, indent=1))
        return
    for model in models.values():
        click.echo(described(model))
    click.echo(f"cache {where}: {mb(total)}; it may be deleted at any time, and {CACHE} moves it")
    for one in found:
        click.echo(line(one, where))


def described(model: Model) -> str:
    """A model in three lines."""
    torch = (
        "made into ONNX at its first use, by torch"
        if model.bundle is None
        else "its ONNX bundle is here, no torch needed"
    )
    use = torch if model.makes_pairs else "an SR network: for `adapt`, makes no pairs"
    return (
        f"{click.style(model.name, bold=True)}  {model.kind}, {mb(model.size)}; {use}\n"
        f"    trained on {model.trained_on}\n"
        f"    commercial use: {USE[model.commercial]}. Licence of the weights: {model.licence}"
    )


def line(one: Entry, cache: Path) -> str:
    """An entry of the cache."""
    return f"    {one.path.relative_to(cache)}  {mb(one.size)}; {one.about}"


def mb(size: int) -> str:
    """Bytes as megabytes."""
    return f"{size / 1e6:.1f} MB"
