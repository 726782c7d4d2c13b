"""What a run shows while it works: in a terminal one line that changes, elsewhere a line now and then.

The run tells a `State`; whoever shows it looks at it at their own pace. So a clock runs and trouble is named while no
batch ends, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from degrade_engine.engine.faults import failing
from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.pipeline.stages import Flow
from degrade_engine.generation.units import clock

if TYPE_CHECKING:
    from degrade_engine.engine.planning import Planned

BAR = 20  # columns
STILL_S = 30.0  # without a new pair; less is not worth a word
REFRESHES_PER_S = 4


class State:
    """How a run stands. Its methods are what `engine.run.Telling` asks for."""

    def __init__(self) -> None:
        self.began = self.changed = time.monotonic()
        self.longest_s = 0.0  # between two batches
        self.doing = "starting"
        self.networks = True
        self.now: Progress | None = None

    def on_files(self, role: str, count: int) -> None:
        """So many headers of a role were read."""
        self.doing = f"starting (reading {count:,} {role} headers)"

    def on_plan(self, planned: Planned) -> None:
        """The plan is made."""
        self.doing, self.networks = "starting (first batch)", planned.plan.networks

    def on_progress(self, now: Progress) -> None:
        """A batch has ended, or nothing has changed."""
        at = time.monotonic()
        if now.made and (self.now is None or now.settled > self.now.settled):
            self.longest_s, self.changed = max(self.longest_s, at - self.changed), at
        self.now = now


@contextmanager
def live(console: Console, log_every: float, *, verbose: bool = False) -> Iterator[State]:
    """Shows a state until the block ends. log_every: seconds between lines where there is neither a terminal nor a
    notebook; 0: none. verbose: those lines say how the stages stand, too."""
    state = State()
    if not console.is_terminal and not console.is_jupyter:
        with every(log_every, lambda: console.print(", ".join(parts(state, verbose=verbose)), markup=False)):
            yield state
        return
    shown = Live(
        get_renderable=lambda: Text(line(state, console.width - 1), no_wrap=True, overflow="ellipsis"),
        console=console, refresh_per_second=REFRESHES_PER_S,
    )  # fmt: skip
    with shown:
        try:
            yield state
        finally:
            shown.transient = state.now is None  # a run that did not begin leaves no line


@contextmanager
def every(seconds: float, task: Callable[[], None]) -> Iterator[None]:
    """Calls a task every so many seconds, in a thread, until the block ends; 0: never."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(seconds):
            task()

    thread = threading.Thread(target=work, name="log", daemon=True)
    if seconds:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if seconds:
            thread.join(1.0)


def line(state: State, width: int) -> str:
    """The state in at most `width` columns: of `parts` the first ones that fit, and a bar where there is room for it.
    A last part that is worth a piece of itself is cut."""
    said, now = "", state.now
    pieces = parts(state, verbose=True)
    if now is not None and now.made and failing() is None:
        pieces.insert(4, bar(now.settled / max(now.pairs, 1)))
    for piece in pieces:
        longer = f"{said}  {piece}" if said else piece
        if len(longer) > width:
            return longer[: width - 1] + "…" if not said or piece.startswith("reading fails") else said
        said = longer
    return said


def parts(state: State, *, verbose: bool = False) -> list[str]:
    """What is to be said of a run, what matters most first: count, percent, time left, speed, and then details."""
    at, now, trouble = time.monotonic(), state.now, failing()
    if now is None or not now.made and now.settled < now.pairs:
        said = [state.doing, clock(at - state.began)]
    else:
        said = [f"{now.settled:,} of {now.pairs:,} pairs", f"{100 * now.settled // max(now.pairs, 1)} %"]
    if trouble is not None:
        return [said[0], f"reading fails since {at - trouble.since:.0f} s: {trouble.said}"]
    if now is None or not now.made:
        return said
    if now.settled >= now.pairs:
        said.append(f"took {clock(state.changed - state.began)}")
    elif now.seconds_left is not None:
        said.append(f"{clock(now.seconds_left)} left")
    if now.pairs_per_second is not None:
        said.append(f"{now.pairs_per_second:.2f} pairs/s")
    if at - state.changed > max(STILL_S, 3 * state.longest_s) and now.settled < now.pairs:
        said.append(f"no new pairs for {clock(at - state.changed)}")
    return said + (stages(now.flow, state.networks) if now.flow and verbose else [])


def stages(flow: Flow, networks: bool = True) -> list[str]:
    """Such as "networks 97 % busy", "2 of 2 batches read ahead", "5 of 32 pairs being written". networks: whether the
    run has any; without them the degradation is part of reading."""
    read, name = ("reading", "networks") if networks else ("reading and degrading", "")
    slowest = {"read": read, "engine": name or read, "write": "writing"}[flow.limit]
    busy = [f"{name} {100 * flow.busy:.0f} % busy"] if name else []
    return [
        *busy, f"slowest: {slowest}", f"{flow.ready} of {flow.ahead} batches read ahead",
        f"{flow.writing} of {flow.behind} pairs being written",
    ]  # fmt: skip


def bar(share: float) -> str:
    """A bar for a share from 0 to 1."""
    full = round(BAR * min(max(share, 0.0), 1.0))
    return "━" * full + "┄" * (BAR - full)
