"""`degrade-engine bench ...`: the measurements behind the README, each a module of bench/ with a `main` of its own.

Every one is imported when it is called, as the commands are: some need torch, some scikit-image, some nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from degrade_engine.engine.errors import DegradeError

MEASUREMENTS = {
    "table12": ("seconds", "Seconds per image and PSNR of each generator (RealDGen's Table 12)."),
    "speed": ("seconds", "Seconds per pair: the engine and PyTorch, without file I/O."),
    "latency": ("latency", "Where the time of a pair goes on a CPU, and how it scales."),
    "gpu": ("gpu", "Every check and benchmark of an NVIDIA GPU."),
    "kernels": ("gpu", "Registers and spills of the CUDA kernels (needs nvcc)."),
    "traffic": ("gpu", "Bytes and kernels of a step on a GPU, without one (needs TensorRT-RTX)."),
    "compare": ("", "Compare two commits or two files of rows: faster or slower?"),
    "tables": ("", "Write the tables of README.md and docs/, or of your own rows."),
    "check": ("runs", "How many broken pairs `check` finds, and good ones it accuses."),
    "kills": ("runs", "Kill runs, continue them, and compare the files."),
    "faults": ("runs", "Let system calls fail, run again, compare the files (Linux)."),
    "durability": ("runs", "Cost of writing shards so that they survive a power cut."),
    "inventory": ("runs", "Time and memory of scanning many files, and of planning a million pairs."),
    "pipeline": ("runs", "Planning, closing and image I/O of long runs; use of the engine."),
    "scale": ("runs", "Many workers on one run, simulated; the books of ten million pairs."),
    "formats": ("runs", "Size and CPU time of PNG and lossless WebP."),
}
"""By name: the room of bench/ in which the module lies, and what it measures."""
PAPERS = {
    "quality": ("papers", "Generated LR and real LR, on true pairs (RealDGen's Table 3)."),
    "worth": ("papers.worth", "An SR network trained on each generator's pairs (RealDGen's Table 1)."),
    "references": ("papers", "What the output takes over from its reference."),
    "tau": ("papers", "What a tau of each pair's own would gain, and the filter."),
    "noise": ("papers", "Whether the noise of LR follows that of five cameras."),
    "binned": ("papers", "Whether binned weights find a known degradation (its Table 1)."),
    "lway": ("papers", "SR models before and after `adapt`, on true pairs."),
    "match": ("papers", "Generators ranked by `match` and by PSNR to the real LR."),
    "embedding": ("papers", "What E_deg tells of photographs, and what `references` finds."),
    "camera": ("papers", "Real and synthetic cameras: filter, noise, variety."),
    "tiles": ("papers", "Seams of images made in tiles, and their difference from whole ones."),
}
"""Likewise; what reproduces the papers' tables, most of it on the development corpus."""


class Measurements(click.Group):
    """A group whose commands lie in bench/."""

    def __init__(self, table: Mapping[str, tuple[str, str]], **more: Any) -> None:
        super().__init__(**more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.table, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return super().get_command(ctx, cmd_name)
        try:
            place = ".".join(filter(None, ("degrade_engine.bench", self.table[cmd_name][0], cmd_name)))
            command: click.Command = importlib.import_module(place).main
        except ModuleNotFoundError as missing:
            fact = f"bench {cmd_name} needs the package {missing.name}, which is not installed"
            raise DegradeError(fact, mend="pip install 'degrade-engine[cpu,train,metrics]'") from None
        command.name, command.context_class = cmd_name, self.context_class
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, said) for name, (_, said) in self.table.items()]
        with formatter.section("Measurements"):
            formatter.write_dl(rows + [(name, one.get_short_help_str(200)) for name, one in self.commands.items()])


@click.group("bench", cls=Measurements, table=MEASUREMENTS)
def command() -> None:
    """Run the benchmarks behind README and docs.

    \b
    Example:
      degrade-engine bench speed --help

    Results are rows of a JSON Lines file. A row says how, when and on which machine it was measured.
    """


@command.group("papers", cls=Measurements, table=PAPERS)
def papers() -> None:
    """Reproduce the papers' tables: quality on true pairs, worth of pairs, ablations.

    \b
    Example:
      degrade-engine bench papers quality --help

    Most of them need the development corpus (--data).
    """
