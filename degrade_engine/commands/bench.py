"""`degrade-engine bench ...`: the measurements behind the README, each a module of bench/ with a `main` of its own.

Every one is imported when it is called, as the commands are: some need torch, some scikit-image, some nothing.
"""

from __future__ import annotations

import importlib

import click

from degrade_engine.engine.errors import DegradeError

MEASUREMENTS = {
    "table12": "Seconds an image and PSNR of each generator, beside RealDGen's Table 12.",
    "quality": "Each degrader against true pairs: fidelity and realism (RealDGen's Table 3).",
    "speed": "The engine against PyTorch, same noise and pixels, without file I/O.",
    "fusion": "UDDM's fusion weight w against true pairs (its Table 2).",
    "tiles": "Seams of images made in tiles, and their difference from the whole.",
    "references": "What the output takes over from references of known noise, blur and JPEG.",
    "binned": "The binned distribution on settings that are known (its Table 1).",
    "worth": "The same SR network trained on each generator's pairs, tested on true ones (RealDGen's Table 1).",
    "lway": "LWay: the reconstructor on true pairs, and an SR model before and after adapting.",
    "pipeline": "Planning and closing a million pairs; how busy a run keeps the engine; image I/O.",
    "formats": "Bytes and processor seconds of PNG and lossless WebP.",
    "degraders": "Seconds an image of the degraders without networks.",
    "kills": "kill -9 at random moments: the runs that go on end with the same bytes.",
    "inventory": "Seconds and memory of looking at many files, and of a plan of a million pairs.",
    "latency": "Time, FLOPs and bytes of every network and kernel; where a pair's time goes; scaling.",
    "spelling": "Ways to write group normalisation into the FP32 graph, alternated.",
    "kernels": "Registers and spills of the CUDA kernels (needs nvcc).",
    "gpu": "Every check and benchmark of a GPU.",
    "compare": "Two commits run in turn, or two files of rows: faster, slower, or noise.",
    "tables": "Write the tables of README.md from the rows in bench/results.",
}
ROOMS = {
    name: f"{room}."
    for room, names in {
        "seconds": "table12 speed degraders spelling formats",
        "quality": "quality fusion tiles references binned lway",
        "worth": "worth",
        "runs": "pipeline kills inventory",
        "latency": "latency kernels",
        "gpu": "gpu",
    }.items()
    for name in names.split()
} | {"compare": "", "tables": ""}


class Measurements(click.Group):
    """A group whose commands lie in bench/."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MEASUREMENTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MEASUREMENTS:
            return None
        try:
            module = importlib.import_module(f"degrade_engine.bench.{ROOMS[cmd_name]}{cmd_name}")
            command: click.Command = module.main
        except ModuleNotFoundError as missing:
            raise DegradeError(
                f"bench {cmd_name} needs the package {missing.name}, which is not installed",
                mend="pip install 'degrade-engine[cpu,train,metrics]'",
            ) from None
        command.name, command.context_class = cmd_name, self.context_class
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Measurements"):
            formatter.write_dl(list(MEASUREMENTS.items()))


@click.group("bench", cls=Measurements)
def command() -> None:
    """Measure on this machine; rows are JSON lines that say how, when and on what they were made."""
