"""A finished run, as the report reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artefact import parse_json, read_bytes
from ..errors import DegradeError
from ..runners.books import FORMAT

SAMPLE = 450  # pairs whose dots are drawn, at least, where there are so many


@dataclass(frozen=True)
class Run:
    """What a finished run left in its folder. Facts and figures of all pairs are in its page; of its rows it holds the
    first ones and some from everywhere, in order, however long the manifest."""

    folder: Path
    plan: dict[str, Any]
    page: dict[str, Any]  # run.json
    rows: list[dict[str, Any]]
    sample: list[dict[str, Any]]


def open_run(folder: Path, first: int = 24) -> Run:
    """Read a finished run with its `first` rows. Raises DegradeError where there is none."""
    for name, said in (("plan.json", "holds no run"), ("run.json", "holds a run that is not finished")):
        if not (folder / name).is_file():
            raise DegradeError(
                f"{folder} {said} ({name} is missing)",
                wanted="the --out folder of a finished `degrade-engine generate`",
                mend="repeat the generate command: it goes on where it stopped",
            )
    plan, page = (parse_json(read_bytes(folder / name), name) for name in ("plan.json", "run.json"))
    if page.get("format") != FORMAT:
        raise DegradeError(f"run.json has the format {page.get('format')!r}", wanted=FORMAT,
                           mend="repeat the generate command: it writes the page anew")  # fmt: skip
    every, rows, sample = max(1, page["pairs"] // SAMPLE), [], []
    try:
        with open(folder / "manifest.jsonl", "rb") as lines:
            for at, line in enumerate(lines):
                if at < first or at % every == 0:
                    row = parse_json(line, "manifest.jsonl")
                    rows += [row] if at < first else []
                    sample += [row] if at % every == 0 else []
    except OSError as error:
        raise DegradeError(f"{error.filename} cannot be read ({error.strerror})") from error
    return Run(folder, plan, page, rows, sample)
