"""The command line: `degrade-engine COMMAND`.

Each command lives in commands/NAME.py and is imported when it is called, so that `generate` never loads torch
and `--help` is instant. A user's mistake, or what the machine cannot do, is one sentence on stderr and exit code 2;
Ctrl-C is exit code 130; a traceback means a bug.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.faults import no_memory, out_of_memory
from degrade_engine.engine.pipeline.stops import leave
from degrade_engine.engine.secrecy import hidden
from degrade_engine.guard import nul_in
from degrade_engine.helptext import Context

COMMANDS = {
    "train": "Train the networks of a paper on photographs (needs torch).",
    "calibrate": "Measure on your photographs: where FP16 does not do (precision), what degrades them (degradation).",
    "adapt": "Fine-tune an SR model on test images alone, by LWay's reconstruction network (needs torch).",
    "export": "Turn a checkpoint into a bundle: typed ONNX networks and one JSON page (needs torch).",
    "build": "Build an engine from a bundle for one LR size, batch and number of candidates.",
    "verify": "Run an engine's parity gate on this machine.",
    "generate": "Make LR/HR training pairs with a model, from two folders of photographs.",
    "models": "List the models by name: licences, sizes, and what the cache holds.",
    "status": "Say which shards and pairs of a run are done, missing or failed.",
    "check": "Read a set of pairs back and prove that trainers can use it.",
    "report": "Write one self-contained HTML page that shows a run's pairs.",
    "bench": "Measure: Table 12, speed, quality on true pairs; rows are JSON lines.",
    "doctor": "Say what this machine can run, and why not the rest.",
}

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
        _dress(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table, not from the commands: listing them must not import them.
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in available()])


def _dress(command: click.Command) -> None:
    """Give a command, and the commands under it, the same help page as the group."""
    command.context_class = Context
    if isinstance(command, click.Group):  # one whose commands are lazy has none here, and dresses them itself
        for child in command.commands.values():
            _dress(child)


@click.group(cls=Front, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version(), message="degrade-engine %(version)s")
def app() -> None:
    """Super-resolution training pairs from learned degradation models, at the speed of the hardware.

    The short way: generate --model NAME, then report. The whole way: train, export, build, generate, report.
    `degrade-engine COMMAND --help` explains each.
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
    except DegradeError as mistake:
        return _refused(str(mistake))
    except OSError as fault:  # the system's, of a kind that nobody below expects; never this program's
        where = f"{os.fsdecode(fault.filename)}: " if isinstance(fault.filename, str | bytes) else ""
        return _refused(f"{where}{fault.strerror or fault}. Fix: see to that file or disk, and try again.")
    except click.ClickException as mistake:
        mistake.message = hidden(mistake.message)  # type: ignore[misc]  # said to be final, and set by nobody else
        mistake.show(sys.stderr)
        return mistake.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except Exception as error:
        if not out_of_memory(error):
            raise
        return _refused(str(no_memory(error)))


def _refused(said: str) -> int:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {hidden(said)}", err=True)
    return EXIT_MISTAKE


def _without_secrets(record: logging.LogRecord) -> bool:
    """What a library warns of, without the credentials of the URL that it warns of."""
    record.msg, record.args = hidden(record.getMessage()), ()
    return True
