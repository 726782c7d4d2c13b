"""`degrade-engine generate`: two folders of photographs in, LR/HR training pairs out."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import cloup
from rich.console import Console

from degrade_engine.engine import run
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.faults import sentence_of
from degrade_engine.engine.objects import ObjectPath, Out, out_of
from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.planning import Planned
from degrade_engine.engine.recipe import read_steps, read_tau
from degrade_engine.engine.room import Room, room
from degrade_engine.engine.run import Generated, Telling
from degrade_engine.engine.runners.run_folder import PLAN_JSON
from degrade_engine.engine.runners.workers import Workers
from degrade_engine.engine.sinks import Output
from degrade_engine.generation.calls import ordered, picked
from degrade_engine.generation.live import State
from degrade_engine.generation.logs import Log
from degrade_engine.generation.options import generate_options
from degrade_engine.generation.words import forecast, headline, in_full, lack

PAIRS_MISSING = 3
EXIT_MISTAKE = 2
FEW = 32  # crops that the last sentence rests on
STOPPING = "Stopping after the current batch. A second signal stops at once."


@cloup.command("generate")
@generate_options
@click.pass_context
def command(ctx: click.Context, /, out: Out, **asked: Any) -> None:
    """Make HR/LR training pairs from your photographs.

    \b
    Example:
      degrade-engine generate --model realdgen-small \\
        --hr my/sharp --reference my/camera --out pairs --pairs 500

    Give one of --model, --engine and --degrader. OUT gets gt/ and lq/ (same file names), manifest.jsonl (how each pair
    was made) and rejects.jsonl (what was left out, and why).

    A stopped run continues with the same command, and ends with the same files. Several processes or machines may run
    the same command on one OUT: they share the work.

    Exit code 0: every pair was made. 3: finished, but some pairs could not be made. 2: an error; the message says
    which. 130 and 143: stopped by Ctrl-C or SIGTERM.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    log = Log(console, asked["log_format"], asked["quiet"], asked["verbose"], asked["log_every"])
    with log.libraries():
        try:
            code = Call(log, out, asked).run()
        except Exception as error:
            said = sentence_of(error)
            if said is None or log.form == "text":
                raise
            log.error(said, EXIT_MISTAKE)
            code = EXIT_MISTAKE
    ctx.exit(code)


class Call:
    """One call of the command."""

    def __init__(self, log: Log, out: Out, asked: dict[str, Any]) -> None:
        self.log, self.out, self.asked = log, out_of(out, asked["patience"]), asked
        self.output = Output(asked["sink"], asked["png_level"], asked["gt"], asked["file_format"])
        self.state = State()
        self.planned: Planned | None = None
        self.forecast = self.warned = False  # whether it was said

    def run(self) -> int:
        """Returns the exit code. Raises DegradeError."""
        from degrade_engine.engine.runners.runner import Interrupted  # here, so that --help needs no network runtime

        asked, log = self.asked, self.log
        asked |= {"recipe": recipe(asked), "changes": changes(asked)}
        workers, order = picked(Workers, asked), ordered(asked, partial(log.say, "build"))
        with log.watching() as state:
            self.state = state
            say = partial(log.say, "note")
            telling = Telling(state.on_files, self.on_plan, self.on_progress, self.on_stop, say, log.warn)
            whole = {"workers": workers, "output": self.output, "rescan": asked["rescan"], "telling": telling}
            try:
                if asked["dry_run"]:
                    run.plan(order, self.out, **whole)
                else:
                    made = run.generate(order, self.out, **whole)
            except Interrupted as stop:
                log.warn(str(stop), "stopped", exit_code=128 + stop.number)
                return 128 + stop.number
        return self.planned_only() if asked["dry_run"] else self.finished(made)

    def planned_only(self) -> int:
        """The end of a --dry-run."""
        assert self.planned is not None
        plan, found = self.planned.plan, self.room()
        said = [in_full(plan, self.planned.sources), *([forecast(found)] if found else [])]
        facts = asdict(found) if found else {}
        self.log.result("dry-run", "\n".join(said), plan=plan.sha256, pairs=plan.options.pairs, **facts)
        return 0

    def finished(self, made: Generated) -> int:
        """The end of a run."""
        for note in made.notes:
            self.log.say("note", note)
        if made.pairs and self.planned and (said := beside_references(self.out, self.planned)):
            self.log.say("match", said)
        code = PAIRS_MISSING if made.pairs < made.asked else 0
        self.log.result("finished", str(made), pairs=made.pairs, asked=made.asked, rejects=made.rejects,
                        seconds=round(made.seconds, 1), exit_code=code)  # fmt: skip
        return code

    def on_plan(self, planned: Planned) -> None:
        """What is going to be made."""
        self.state.on_plan(planned)
        self.planned = planned
        self.log.say("plan", headline(planned.plan), plan=planned.plan.sha256, pairs=planned.plan.options.pairs)
        if not (self.out / PLAN_JSON).exists():  # of a run that goes on, part is there already
            self.room()
        for one in planned.sources.rejects:
            self.log.detail("left-out", f"left out: {one.role} {one.path}: {one.detail}", reason=one.reason)

    def on_progress(self, now: Progress) -> None:
        """After two batches: how long, and how much room."""
        self.state.on_progress(now)
        if self.forecast or self.planned is None or now.made < 2 * self.planned.plan.batch or now.settled >= now.pairs:
            return
        if now.flow is not None and now.bytes_per_pair is None:  # the first pair is still being written
            return
        self.forecast = True
        if found := self.room(now):
            self.log.say("forecast", forecast(found, now), seconds_left=now.seconds_left, **asdict(found))

    def room(self, now: Progress | None = None) -> Room | None:
        """The disk that is needed; warns once where it is too small. None where the disk does not answer."""
        assert self.planned is not None
        settled, bytes_per_pair = (now.settled, now.bytes_per_pair) if now else (0, None)
        plan, output = self.planned.plan, self.output
        try:
            found = room(plan, output, self.out, settled=settled, bytes_per_pair=bytes_per_pair)
        except OSError:
            return None
        if (text := lack(found)) and not self.warned:
            self.warned = True
            self.log.warn(text)
        return found

    def on_stop(self, number: int) -> None:
        """Called in the signal's handler, where only a plain write is safe."""
        os.write(2, self.log.line("stopping", STOPPING, signal=number))


def beside_references(out: Out, planned: Planned) -> str:
    """What a few of the set's LR are beside its references, in a sentence; nothing where that takes a pass over the
    whole set, or where there is nothing to measure."""
    from degrade_engine.engine.inputs.inventory import Inventory  # here, so that --help needs no image library
    from degrade_engine.engine.report.match import match
    from degrade_engine.engine.report.measures import SMALLEST

    sources = planned.sources
    place = sources.folders.reference
    if isinstance(out, ObjectPath) or not (out / "gt").is_dir():
        return ""
    if not sources.reference or place.remote or planned.plan.lr_size < SMALLEST:
        return ""
    try:
        camera = Inventory(place, sources.reference, ())
        return match(out, camera, most=FEW, whole=False).sentence
    except DegradeError:  # the pairs are there, which is what was asked for
        return ""


def recipe(asked: dict[str, Any]) -> str | Path:
    """The preset or the file to start from. Raises DegradeError."""
    preset, path = asked["preset"], asked["recipe"]
    if preset and path:
        raise DegradeError("--preset and --recipe were both given", wanted="one of them")
    return path or preset or "recommended"


def changes(asked: dict[str, Any]) -> dict[str, Any]:
    """The fields of the recipe that were given by hand. Raises DegradeError."""
    names = ("spacing", "solver", "start", "candidates", "eta", "fusion_weight", "noise", "references",
             "variety", "temperature")  # fmt: skip
    given: dict[str, Any] = {name: asked[name] for name in names if asked[name] is not None}
    given |= {name: read(asked[name]) for name, read in (("tau", read_tau), ("steps", read_steps)) if asked[name]}
    return given | ({"filter": False} if asked["no_filter"] else {})
