"""What a run says of itself while it works: a bar and figures in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.pipeline.stages import Flow

Say = Callable[[Progress], None]


@contextmanager
def live(console: Console, log_every: float) -> Iterator[Say]:
    """A function that is told of every batch. log_every: seconds between lines where there is neither a terminal nor a
    notebook; 0: none."""
    if not console.is_terminal and not console.is_jupyter:
        yield log(console, log_every)
        return
    said = TextColumn("{task.fields[said]}")
    bar = Bar(TextColumn("[bold]pairs"), BarColumn(bar_width=20), MofNCompleteColumn(), said, console=console)
    task = bar.add_task("pairs", total=None, said="")

    def say(now: Progress) -> None:
        bar.start()  # with the first batch, so that nothing stands there while the plan is made
        bar.update(task, total=now.pairs, completed=now.settled, said=figures(now))

    try:
        yield say
    finally:
        bar.stop()


def log(console: Console, every: float) -> Say:
    """Prints a line when the last one is `every` seconds old."""
    due = time.monotonic() + every

    def say(now: Progress) -> None:
        nonlocal due
        if every and time.monotonic() >= due and now.pairs_per_second is not None:
            due = time.monotonic() + every
            console.print(f"{now.settled} of {now.pairs} pairs, {figures(now)}")

    return say


def figures(now: Progress) -> str:
    """Speed, time left, how busy the engine is, and how the queues before and after it stand."""
    parts = []
    if now.pairs_per_second is not None:
        parts.append(f"{now.pairs_per_second:.2f} pairs/s")
    if now.seconds_left is not None:
        parts.append(f"{clock(now.seconds_left)} left")
    return ", ".join(parts + ([stages(now.flow)] if now.flow else []))


def stages(flow: Flow) -> str:
    """Such as "engine 97 % busy, 2 of 2 batches read ahead, 5 of 32 pairs in writing, engine limits"."""
    return (
        f"engine {100 * flow.busy:.0f} % busy, {flow.ready} of {flow.ahead} batches read ahead, "
        f"{flow.writing} of {flow.behind} pairs in writing, {flow.limit} limits"
    )


def clock(seconds: float) -> str:
    """3725 s as "1:02:05", 65 s as "1:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
