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
    "table12": ("seconds", "Seconds an image and PSNR of each generator, beside RealDGen's Table 12."),
    "speed": ("seconds", "The engine against PyTorch, same noise and pixels, without file I/O."),
    "latency": ("latency", "Time, FLOPs and bytes of every network and kernel; where a pair's time goes; scaling."),
    "gpu": ("gpu", "Every check and benchmark of a GPU."),
    "kernels": ("gpu", "Registers and spills of the CUDA kernels (needs nvcc)."),
    "compare": ("", "Two commits run in turn, or two files of rows: faster, slower, or noise."),
    "tables": ("", "Write the tables of README.md from the rows in bench/results, or a page of one's own rows."),
    "check": ("runs", "Wrong pairs that `check` names, by the defect, and right ones that it accuses."),
    "kills": ("runs", "kill -9 at random moments: the runs that go on end with the same bytes."),
    "faults": ("runs", "One system call fails: the next run ends with the same bytes (Linux, needs a C compiler)."),
    "durability": ("runs", "What it costs that a committed shard outlives a power cut."),
    "inventory": ("runs", "Seconds and memory of looking at many files, and of a plan of a million pairs."),
    "pipeline": ("runs", "Planning and closing a million pairs; how busy a run keeps the engine; image I/O."),
    "formats": ("runs", "Bytes and processor seconds of PNG and lossless WebP."),
}
"""By name: the room of bench/ in which the module lies, and what it measures."""
PAPERS = {
    "quality": ("papers", "Each degrader against true pairs: fidelity and realism (RealDGen's Table 3)."),
    "worth": ("papers.worth", "One SR network trained on each generator's pairs (RealDGen's Table 1)."),
    "references": ("papers", "What the output takes over from references of known noise, blur and JPEG."),
    "binned": ("papers", "The binned distribution on settings that are known (its Table 1)."),
    "lway": ("papers", "LWay: an SR model before and after adapting to test images."),
    "camera": ("papers", "Real cameras and drawn ones: filter, noise, variety."),
    "tiles": ("papers", "Seams of images made in tiles, and their difference from the whole."),
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
            raise DegradeError(
                f"bench {cmd_name} needs the package {missing.name}, which is not installed",
                mend="pip install 'degrade-engine[cpu,train,metrics]'",
            ) from None
        command.name, command.context_class = cmd_name, self.context_class
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, said) for name, (_, said) in self.table.items()]
        with formatter.section("Measurements"):
            formatter.write_dl(rows + [(name, one.get_short_help_str(90)) for name, one in self.commands.items()])


@click.group("bench", cls=Measurements, table=MEASUREMENTS)
def command() -> None:
    """Measure on this machine; rows are JSON lines that say how, when and on what they were made."""


@command.group("papers", cls=Measurements, table=PAPERS)
def papers() -> None:
    """The papers' tables, anew: quality on true pairs, what pairs are worth, the ablations."""
