"""Where the messages of a run go: sentences for people, or JSON lines for machines. All on stderr."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import click
from rich.console import Console

from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.secrecy import hidden
from degrade_engine.generation.live import State, every, live, parts

LogFormat = Literal["text", "json"]


@dataclass(frozen=True)
class Log:
    """form: text is printed as it is; json prints one object per line, with time, host, pid, event, text and the facts
    of the event. quiet: warnings and errors alone. verbose: also details. every_s: seconds between lines of progress
    where there is no terminal, and always between JSON lines of progress; 0: none.
    """

    console: Console
    form: LogFormat = "text"
    quiet: bool = False
    verbose: bool = False
    every_s: float = 30.0

    def say(self, event: str, text: str, **facts: Any) -> None:
        """A message that --quiet leaves out. event: one word; facts: of the JSON line alone."""
        if not self.quiet:
            self._print(event, text, facts)

    def detail(self, event: str, text: str, **facts: Any) -> None:
        """A message that --verbose adds."""
        if self.verbose:
            self.say(event, text, **facts)

    def warn(self, text: str, event: str = "warning", **facts: Any) -> None:
        """A message that is never left out."""
        self._print(event, f"Warning: {text}" if event == "warning" and self.form == "text" else text, facts)

    def result(self, event: str, text: str, **facts: Any) -> None:
        """What came of it: text is printed on stdout."""
        if self.form == "json":
            self.say(event, text, **facts)
        elif not self.quiet:
            click.echo(text)

    def error(self, text: str, code: int) -> None:
        """The JSON line of what ended the run; in text the command line says it."""
        if self.form == "json":
            self._print("error", text, {"exit_code": code})

    @contextmanager
    def watching(self) -> Iterator[State]:
        """A state that is shown, or logged, until the block ends."""
        if self.quiet:
            yield State()
        elif self.form == "text":
            with live(self.console, self.every_s, verbose=self.verbose) as state:
                yield state
        else:
            state = State()
            with every(self.every_s, lambda: self._progress(state)):
                yield state

    @contextmanager
    def libraries(self) -> Iterator[None]:
        """In the block the warnings of libraries are events, too."""
        if self.form != "json":
            yield
            return
        handler = _Handler(self)
        logging.getLogger().addHandler(handler)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            logging.getLogger().removeHandler(handler)

    def _progress(self, state: State) -> None:
        self._print("progress", ", ".join(parts(state, verbose=self.verbose)), facts(state.now))

    def line(self, event: str, text: str, **facts: Any) -> bytes:
        """A message as bytes that begin on a new line."""
        if self.form == "text":
            return f"\n{text}\n".encode()
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"time": time, "host": platform.node(), "pid": os.getpid(), "event": event, "text": hidden(text)}
        return json.dumps(head | facts).encode() + b"\n"

    def _print(self, event: str, text: str, facts: dict[str, Any]) -> None:
        if self.form == "text":
            self.console.print(text, markup=False)
        else:
            self.console.file.write(self.line(event, text, **facts).decode())
            self.console.file.flush()


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warn(record.getMessage(), logger=record.name)


def facts(now: Progress | None) -> dict[str, Any]:
    """Of a JSON line of progress."""
    if now is None:
        return {}
    page: dict[str, Any] = {"settled": now.settled, "pairs": now.pairs}
    if now.pairs_per_second is not None and now.seconds_left is not None:
        page |= {"pairs_per_second": round(now.pairs_per_second, 4), "seconds_left": round(now.seconds_left, 1)}
    if now.flow is not None:
        page |= {
            "busy": round(now.flow.busy, 3), "starved": round(now.flow.starved, 3),
            "blocked": round(now.flow.blocked, 3), "slowest": now.flow.limit,
        }  # fmt: skip
    return page
