"""The command line: `degrade-engine COMMAND`.

Each command is a module commands/NAME.py. It is imported when it is called, so `generate` never loads torch and
`--help` is fast. A user's mistake and a failure of the machine are one message on stderr and exit code 2. Ctrl-C is
exit code 130. A traceback means a bug.
"""

from __future__ import annotations

import importlib
import io
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from degrade_engine.engine.faults import sentence_of
from degrade_engine.engine.pipeline.stops import leave
from degrade_engine.engine.secrecy import hidden
from degrade_engine.guard import nul_in
from degrade_engine.helptext import ENVIRONMENT, Context, dress, write_commands

GROUPS = {
    "Make pairs": {
        "generate": "Make HR/LR training pairs from your photographs.",
        "references": "Look at reference photographs before a run.",
        "models": "List the models by name: licence, size, and what the cache holds.",
        "status": "Show how far a run is: pairs, rate, time left, workers.",
        "check": "Read a set of pairs back and name broken pairs.",
        "merge": "Join finished sets of pairs into one.",
        "convert": "Write a set of pairs in another trainer's layout.",
        "report": "Write one HTML page that shows a run's pairs.",
        "match": "Compare the LR of a set with a camera's photographs.",
    },
    "Your own models": {
        "train": "Train a model on your photographs (needs torch).",
        "calibrate": "Fit a recipe, a sampler or a degrader to your camera; find layers that need FP32.",
        "tune": "Fit a model to your camera, from its photographs alone (needs torch).",
        "adapt": "Fine-tune an SR model on test images alone, with LWay (needs torch).",
        "export": "Export a checkpoint to ONNX files (needs torch).",
        "build": "Build an engine for this machine and one LR size.",
        "verify": "Check an engine against its reference on this machine.",
    },
    "This machine": {
        "doctor": "Say what this machine can run, and what would make it faster.",
        "bench": "Run the benchmarks.",
    },
}
COMMANDS = {name: said for group in GROUPS.values() for name, said in group.items()}

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


def available() -> list[str]:
    """Names of the commands whose file is there, in the order of the work."""
    folder = Path(__file__).parent / "commands"
    return [name for name in COMMANDS if (folder / f"{name}.py").is_file()]


def package_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("degrade-engine")
    except PackageNotFoundError:
        return "0+not-installed"


class Front(click.Group):
    """A group that imports a command's file at the moment the command is called."""

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return available()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in available():
            return None
        command: click.Command = importlib.import_module(f"degrade_engine.commands.{cmd_name}").command
        dress(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table, not from the commands: listing them must not import them.
        there = available()
        write_commands(formatter, {
            heading: {name: said for name, said in some.items() if name in there} for heading, some in GROUPS.items()
        })  # fmt: skip


@click.group(cls=Front, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": ENVIRONMENT})
@click.version_option(package_version(), message="degrade-engine %(version)s")
def app() -> None:
    """Make super-resolution training pairs that look like your camera's photographs.

    \b
    Example:
      degrade-engine generate --model realdgen-tiny \\
        --hr my/sharp --reference my/camera --out pairs --pairs 500
      degrade-engine report pairs

    `degrade-engine COMMAND --help` explains a command. Every option can also be set by an environment variable, such as
    DEGRADE_ENGINE_GENERATE_THREADS=8.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. args: default to the words of sys.argv; then the process is this
    command's, and ends with it, whatever its threads are in.
    """
    code = _run(list(sys.argv[1:] if args is None else args))
    if args is None:
        leave(code)
    return code


def _run(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be UTF-8, and is shown all the same
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort:  # prints warnings, since nobody here sets logging up
        logging.lastResort.addFilter(_without_secrets)
    try:
        if wrong := nul_in(words):
            raise click.UsageError(wrong)
        code = app.main(args=words, prog_name="degrade-engine", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as mistake:
        mistake.message = hidden(mistake.message)  # type: ignore[misc]  # said to be final, and set by nobody else
        mistake.show(sys.stderr)
        return mistake.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except Exception as error:
        said = sentence_of(error)
        if said is None:
            raise
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {said}", err=True)
        return EXIT_MISTAKE


def _without_secrets(record: logging.LogRecord) -> bool:
    """What a library warns of, without the credentials of the URL that it warns of."""
    record.msg, record.args = hidden(record.getMessage()), ()
    return True
