"""`degrade-engine tune`: a model fitted to one camera, from its photographs alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cloup
from cloup import option_group
from rich.console import Console
from rich.progress import Progress

from degrade_engine.engine.errors import DegradeError

from .training import FILE, FOLDERS, training_extra

if TYPE_CHECKING:
    from degrade_engine.calib.tune import Tuned

ENOUGH = 10  # photographs held out: with fewer the verdict has been wrong (docs/tune.md)
ROW = "{:25}{:>12}{:>12}{:>12}  {}"


@click.command("tune", cls=cloup.Command, short_help="Fit a model to your camera.")
@option_group(
    "Data and model",
    click.option("--model", required=True, metavar="NAME|FILE", help="RealDGen model to begin with: a bundled name, "
                 "such as realdgen-small, or a checkpoint of `train realdgen`."),
    click.option("--lr", "lr_", type=FOLDERS, multiple=True, required=True,
                 help="Folder of photographs of one camera, at LR size (repeatable). Every third is held out."),
    click.option("--hr", type=FOLDERS, multiple=True,
                 help="Folder of sharp photographs of anything (repeatable). [default: those of --lr at half their "
                 "size]"),
    click.option("--pairs", type=FILE, multiple=True,
                 help="CSV with the columns hr,lr,group: true pairs of this camera, if you have some (repeatable)."),
    click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
                 help="File for the tuned model, .safetensors."),
)  # fmt: skip
@option_group(
    "Running",
    click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="X", default=30.0, show_default=True,
                 help="Time for all of it, at most."),
    click.option("--batch", type=click.IntRange(1), metavar="N", default=8, show_default=True, help="Images per step."),
    click.option("--seed", type=click.IntRange(0), metavar="S", default=0, show_default=True, help="Random seed."),
    click.option("--workers", type=click.IntRange(0), metavar="N", default=1, show_default=True,
                 help="Processes that prepare batches."),
    click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads. [default: one per core]"),
    click.option("--bf16/--no-bf16", default=None,
                 help="Train in bfloat16 where possible. [default: if this machine is faster with it]"),
)  # fmt: skip
def command(model: str, lr_: tuple[Path, ...], hr: tuple[Path, ...], pairs: tuple[Path, ...], out: Path, minutes: float,
            batch: int, seed: int, workers: int, threads: int | None, bf16: bool | None) -> None:  # fmt: skip
    """Fit a model to your camera, from its photographs alone.

    \b
    Example:
      degrade-engine tune --model realdgen-small --lr my/camera --hr my/sharp \\
        --minutes 30 -o my-camera.safetensors
      degrade-engine generate --model my-camera.safetensors \\
        --hr my/sharp --reference my/camera --out pairs --pairs 500

    The table at the end compares LR of the model before and after with the photographs that were held out. If tuning
    did not bring them nearer, the file holds the weights it began with. A stopped tuning continues with the same
    command. Needs torch.
    """
    with training_extra("tuning"):
        from degrade_engine.calib.tune import Asked, tune
        from degrade_engine.originals.trainer import bf16_helps
    from degrade_engine.engine.cores import cores
    from degrade_engine.models.catalogue import bundled

    if out.suffix != ".safetensors":
        raise DegradeError(f"-o is {out}", wanted="a file that ends in .safetensors")
    named = bundled().get(model)
    base = named.checkpoint if named else Path(model)
    asked = Asked(base, lr_, hr, pairs, out, minutes, batch, seed, bf16_helps() if bf16 is None else bf16,
                  threads or cores(), workers)  # fmt: skip
    click.echo(f"tuning {base.stem}: {minutes:g} minutes at most; a stopped tuning goes on with the same command")
    for line in lines(tune(asked, click.echo, Fitting()), out):
        click.echo(line)


class Fitting:
    """A bar for the fit of the cameras, in a terminal. Called with the share that is done."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.bar = Progress(console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("fitting cameras", total=1.0)

    def __call__(self, done: float) -> None:
        if not self.bar.live.is_started:
            self.bar.start()
        self.bar.update(self.task, completed=done)
        if done >= 1:
            self.bar.stop()


def lines(found: Tuned, out: Path) -> Iterator[str]:
    """The table, what it says, and what was written."""
    from degrade_engine.engine.report.measures import MEASURES

    yield ROW.format("", "before", "after", "camera", "nearer").rstrip()
    for of in MEASURES:
        columns = (found.before.medians, found.after.medians, found.real)
        if all(of.key in one for one in columns):
            before, after, real = values = [one[of.key] for one in columns]
            told = _nearer(abs(before - real), abs(after - real))
            yield ROW.format(of.name, *(f"{one:.2f}" for one in values), told).rstrip()
    for name, key in (("Distance by measures", "distance"), ("Distance of fine detail", "detail")):
        before, after = (getattr(one, key) for one in (found.before, found.after))
        yield ROW.format(name, f"{before:.3f}", f"{after:.3f}", "", _nearer(before, after)).rstrip()
    if found.nearer:
        yield (f"The tuned model is nearer to the {found.held_out} photographs that were held out. "
               f"{out} holds it, as it was after {found.best_step} of {found.steps} steps.")  # fmt: skip
    else:
        yield (f"Tuning did not help: its LR are not nearer to the {found.held_out} photographs that were held out. "
               f"{out} holds the weights of the model it began with.")  # fmt: skip
    if found.held_out < ENOUGH:
        yield (f"{found.held_out} photographs are few to judge by, and the verdict can be wrong: give more, or compare "
               f"pairs of both models with `degrade-engine match`.")  # fmt: skip


def _nearer(before: float, after: float) -> str:
    return "" if before == after else "after" if after < before else "before"
