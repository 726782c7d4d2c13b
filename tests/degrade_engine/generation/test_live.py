"""What a run shows at every width, what its log says, and what trouble looks like."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from degrade_engine.engine import faults
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.pipeline.stages import Flow
from degrade_engine.generation.live import State, line, live, parts
from degrade_engine.generation.units import clock, duration, size

NOW = Progress(1234, 10000, 3.49, 3725.0, Flow(0.97, 0.02, 0.0, 2, 2, 5, 32), made=1234)
FIRST = "1,234 of 10,000 pairs  12 %  1:02:05 left  3.49 pairs/s"


def state_of(now: Progress | None = NOW) -> State:
    state = State()
    if now is not None:
        state.on_progress(now)
    return state


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (60, FIRST),
        (80, FIRST + "  " + "━━" + 18 * "┄"),
        (120, FIRST + "  " + "━━" + 18 * "┄" + "  networks 97 % busy  slowest: networks"),
        (160, FIRST + "  " + "━━" + 18 * "┄" + "  networks 97 % busy  slowest: networks  2 of 2 batches read ahead"),
    ],
)
def test_what_matters_comes_first_and_details_where_they_fit(width: int, said: str) -> None:
    assert line(state_of(), width) == said and len(said) <= width


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_a_terminal_of_any_width_gets_one_whole_line(width: int) -> None:
    huge = Progress(1234567, 10_000_000, 1234.56, 3600.0 * 999, NOW.flow, made=9)
    for now, first in (
        (None, "starting  0:00"),
        (NOW, "1,234 of"),
        (huge, "1,234,567 of 10,000,000 pairs  12 %  999:00:0"),
    ):
        heard = io.StringIO()
        with live(Console(file=heard, force_terminal=True, width=width), 30) as state:
            if now is not None:
                state.on_progress(now)
        shown = line(state_of(now), width - 1)
        assert first in heard.getvalue() and "…" not in heard.getvalue() and len(shown) < width
    assert len(heard.getvalue().rstrip("\n").splitlines()) <= 2  # drawn over itself


def test_before_the_first_batch_it_says_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_of(None)
    assert parts(state) == ["starting", "0:00"]
    state.on_files("hr", 4000)
    state.began -= 65
    assert parts(state) == ["starting (reading 4,000 hr headers)", "1:05"]
    state.on_progress(Progress(0, 9, None, None))
    assert parts(state)[1] == "1:05"


def test_a_run_without_networks_has_no_busy_engine() -> None:
    state = state_of(Progress(1, 9, 1.0, 8.0, Flow(0.06, 0.9, 0.0, 0, 2, 1, 32), made=1))
    state.networks = False
    said = parts(state, verbose=True)
    assert "slowest: reading and degrading" in said and not any("busy" in one for one in said)


def test_reading_that_fails_is_named_with_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread of its own a file fails, and is read in the end: `failing` is what the line goes by."""
    state, seen = state_of(), []

    def question() -> bytes:
        if faults.failing() is None:
            raise OSError(5, "Input/output error")
        seen.extend(parts(state))
        return b"read"

    assert Patience(5.0).ask("photos/a.jpg", question) == b"read" and faults.failing() is None
    assert seen[0] == "1,234 of 10,000 pairs"
    assert (
        seen[1] == "reading fails since 0 s: photos/a.jpg cannot be read (Input/output error, EIO)" and len(seen) == 2
    )
    monkeypatch.setattr(faults, "_failing", {1: faults.Failing(time.monotonic() - 40, "https://u:***@h/a.jpg is away")})
    assert line(state, 60) == "1,234 of 10,000 pairs  reading fails since 40 s: https://u:…"


def test_no_new_pairs_for_long_is_said() -> None:
    state = state_of()
    state.longest_s = 15.0
    state.changed -= 40.0
    assert not any("no new pairs" in one for one in parts(state))
    state.changed -= 10.0
    assert "no new pairs for 0:50" in parts(state)


def test_the_end_says_how_long_it_took() -> None:
    state = state_of(Progress(9, 9, 1.5, 0.0, made=9))
    state.began -= 65
    assert parts(state) == ["9 of 9 pairs", "100 %", "took 1:05", "1.50 pairs/s"]


def test_a_log_gets_a_line_now_and_then_and_so_does_a_run_that_hangs() -> None:
    heard = io.StringIO()
    with live(Console(file=heard, width=200), 0.02) as state:
        time.sleep(0.2)
        state.on_progress(NOW)
        time.sleep(0.2)
    said = heard.getvalue().splitlines()
    assert said[0] == "starting, 0:00" and said[-1] == "1,234 of 10,000 pairs, 12 %, 1:02:05 left, 3.49 pairs/s"
    with live(Console(file=heard, width=200), 0):
        time.sleep(0.05)
    assert heard.getvalue().splitlines() == said


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (clock(65), "1:05"), (clock(3725), "1:02:05"), (duration(40), "less than a minute"),
        (duration(11000), "3.1 hours"), (duration(720), "12 minutes"), (duration(216000), "2.5 days"),
        (size(900), "0.9 kB"), (size(8.2e9), "8.2 GB"), (size(123456789), "123 MB"), (size(10**16), "10000 TB"),
    ],
)  # fmt: skip
def test_units(said: str, meant: str) -> None:
    assert said == meant
