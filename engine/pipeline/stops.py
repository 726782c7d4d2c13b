"""Asked to stop: SIGINT (Ctrl-C) and SIGTERM (a cluster that takes its machine back).

The first signal lets the batch in hand end and what is made be committed, for a period of grace. The second, or the
end of that period, stops at once. Either way nothing that is committed is lost, and the same call goes on.
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 20.0  # Kubernetes and Slurm kill 30 s after they have asked


class Stop:
    """Whether a run has been asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def listening(grace: float, on_stop: Callable[[int], None] | None = None) -> Iterator[Stop]:
    """A Stop that the signals set; at once means a KeyboardInterrupt. on_stop is called in the signal handler.

    grace: seconds. A signal that is ignored stays so, such as SIGINT in a shell's background. Only in the main thread,
    since Python delivers signals nowhere else; elsewhere nobody sets it.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    patience: list[threading.Timer] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.signal = number
        patience.append(threading.Timer(grace, _thread.interrupt_main, (number,)))  # the same again: it is heard
        patience[0].daemon = True
        patience[0].start()
        if on_stop:
            on_stop(number)

    asked = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in asked}
    try:
        yield stop
    finally:
        for timer in patience:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
