"""`degrade-engine bench ...`: the measurements behind the README, each a module of bench/ with a `main` of its own.

Every one is imported when it is called, as the commands are: some need torch, some scikit-image, some nothing.
"""

from __future__ import annotations

import importlib

import click

from degrade_engine.engine.errors import DegradeError

MEASUREMENTS = {
    "table12": ("seconds", "Seconds an image and PSNR of each generator, beside RealDGen's Table 12."),
    "quality": ("quality", "Each degrader against true pairs: fidelity and realism (RealDGen's Table 3)."),
    "speed": ("seconds", "The engine against PyTorch, same noise and pixels, without file I/O."),
    "fusion": ("quality", "UDDM's fusion weight w against true pairs (its Table 2)."),
    "tiles": ("quality", "Seams of images made in tiles, and their difference from the whole."),
    "references": ("quality", "What the output takes over from references of known noise, blur and JPEG."),
    "camera": ("quality", "Real cameras and drawn ones: filter, noise, variety."),
    "binned": ("quality", "The binned distribution on settings that are known (its Table 1)."),
    "worth": ("worth", "One SR network trained on each generator's pairs, tested on true ones (RealDGen's Table 1)."),
    "lway": ("quality", "LWay: the reconstructor on true pairs, and an SR model before and after adapting."),
    "pipeline": ("runs", "Planning and closing a million pairs; how busy a run keeps the engine; image I/O."),
    "formats": ("seconds", "Bytes and processor seconds of PNG and lossless WebP."),
    "degraders": ("seconds", "Seconds an image of the degraders without networks."),
    "durability": ("runs", "What it costs that a committed shard outlives a power cut."),
    "check": ("runs", "Wrong pairs that `check` names, by the defect, and right ones that it accuses."),
    "kills": ("runs", "kill -9 at random moments: the runs that go on end with the same bytes."),
    "faults": ("runs", "One system call fails: the next run ends with the same bytes (Linux, needs a C compiler)."),
    "inventory": ("runs", "Seconds and memory of looking at many files, and of a plan of a million pairs."),
    "latency": ("latency", "Time, FLOPs and bytes of every network and kernel; where a pair's time goes; scaling."),
    "spelling": ("seconds", "Ways to write group normalisation into the FP32 graph, alternated."),
    "kernels": ("latency", "Registers and spills of the CUDA kernels (needs nvcc)."),
    "gpu": ("gpu", "Every check and benchmark of a GPU."),
    "compare": ("", "Two commits run in turn, or two files of rows: faster, slower, or noise."),
    "tables": ("", "Write the tables of README.md from the rows in bench/results, or a page of one's own rows."),
}
"""By name: the room of bench/ in which the module lies, and what it measures."""


class Measurements(click.Group):
    """A group whose commands lie in bench/."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MEASUREMENTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MEASUREMENTS:
            return None
        try:
            place = ".".join(filter(None, ("degrade_engine.bench", MEASUREMENTS[cmd_name][0], cmd_name)))
            command: click.Command = importlib.import_module(place).main
        except ModuleNotFoundError as missing:
            raise DegradeError(
                f"bench {cmd_name} needs the package {missing.name}, which is not installed",
                mend="pip install 'degrade-engine[cpu,train,metrics]'",
            ) from None
        command.name, command.context_class = cmd_name, self.context_class
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Measurements"):
            formatter.write_dl([(name, said) for name, (_, said) in MEASUREMENTS.items()])


@click.group("bench", cls=Measurements)
def command() -> None:
    """Measure on this machine; rows are JSON lines that say how, when and on what they were made."""
