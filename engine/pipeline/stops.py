"""Asked to stop: SIGINT (Ctrl-C) and SIGTERM (a cluster that takes its machine back).

The first signal lets the batch in hand end and what is made be committed, for a period of grace. The second, or the
end of that period, stops at once. Either way nothing that is committed is lost, and the same call goes on.

A thread hears the signals, not Python's handler: that one waits until the main thread comes out of whatever call it is
in, and that may be a network or a file system that does not answer.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE_SECONDS = 20.0  # Kubernetes and Slurm kill 30 s after they have asked
LAST_SECONDS = 2.0  # from "at once" until the process ends, whatever it is in
LONGEST = 1e6


class Stopped(Exception):
    """The run was asked to stop before all was made."""


class Stop:
    """Whether a run has been asked to stop, by which signal, and whether at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.at_once = False

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def listening(grace: float, on_stop: Callable[[int], None] | None = None) -> Iterator[Stop]:
    """A Stop that the signals set. At once means a KeyboardInterrupt in the block, and the end of the process where the
    block has not ended LAST_SECONDS later. on_stop is called at the first signal, in a thread of its own.

    grace: seconds. A signal that is ignored stays so, such as SIGINT in a shell's background. Only in the main thread,
    since Python delivers signals nowhere else; elsewhere nobody sets it.
    """
    stop, ended = Stop(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.at_once and not ended.is_set():
            raise KeyboardInterrupt

    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    asked = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in asked}
    others = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(stop, ended, ear, asked, grace, on_stop), daemon=True)
    watch.start()
    try:
        yield stop
    finally:
        ended.set()
        signal.set_wakeup_fd(others)
        for number, handler in before.items():
            signal.signal(number, handler)
        mouth.close()  # which ends the thread
        watch.join()
        ear.close()


def leave(code: int) -> None:
    """End the process here if threads of it are still at work, such as a decode that nobody waits for any more, or
    processes that it started: Python would wait for them. To be called last.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed by whoever read it
            stream.flush()
    threads = any(not one.daemon and one is not threading.main_thread() for one in threading.enumerate())
    if threads or multiprocessing.active_children():
        os._exit(code)


def _watch(
    stop: Stop, ended: threading.Event, ear: socket.socket, asked: list[signal.Signals], grace: float,
    on_stop: Callable[[int], None] | None,
) -> None:  # fmt: skip
    if (number := _heard(ear, asked)) is None:
        return
    stop.signal = number
    if on_stop:
        on_stop(number)
    ear.settimeout(min(grace, LONGEST) or 1e-3)
    try:
        _heard(ear, asked)
    except TimeoutError:
        pass
    if ended.is_set():
        return
    stop.at_once = True
    signal.pthread_kill(threading.main_thread().ident or 0, number)  # wakes it from whatever it waits for
    if not ended.wait(LAST_SECONDS):
        os.write(2, b"\nStopped at once. The same command goes on from here.\n")
        os._exit(128 + number)


def _heard(ear: socket.socket, asked: list[signal.Signals]) -> int | None:
    """The next of the signals asked for; None when the block has ended. Raises TimeoutError."""
    while said := ear.recv(1):
        if said[0] in asked:
            return said[0]
    return None
