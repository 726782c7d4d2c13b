"""The generators that `bench papers worth` compares: `generate` with a model or a degrader, or a folder of pairs that
something else has made."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from degrade_engine.engine.artefact import parse_json, read_bytes
from degrade_engine.engine.classical.degraders import DEGRADERS
from degrade_engine.engine.engine_spec import ENGINE_JSON, sealed_engine_spec
from degrade_engine.engine.errors import DegradeError

from ...rows import Row
from .data import Data
from .pairs import without_noise

LR_SIZE = 64
MODEL_FILES = (ENGINE_JSON, "bundle.json")


@dataclass(frozen=True)
class Generator:
    """what: a degrader, a model (its name, checkpoint, bundle or engine), or a folder of pairs; options: of `generate`,
    beside folders and counts."""

    name: str
    what: str
    options: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Generator:
        """[NAME=]WHAT [OPTIONS]. Raises DegradeError where nothing is named."""
        name, equals, rest = text.partition("=")
        if not equals or " --" in name:
            name, rest = "", text
        try:
            what, *options = shlex.split(rest)
        except ValueError:
            fact, wanted = f"--generator is {text!r}", "[NAME=]WHAT, then options of `generate`"
            raise DegradeError(fact, wanted=wanted) from None
        found = cls(name or Path(what).name, what, tuple(options))
        if without_noise(found.name)[1]:
            raise DegradeError(f"A generator is called {found.name!r}", wanted="a name without added noise")
        if found.of_pairs and options:
            raise DegradeError(f"{what} is a folder of pairs, and {options[0]} is for `generate`", mend="leave it out")
        return found

    @property
    def of_pairs(self) -> bool:
        """Whether the pairs are there already."""
        there = Path(self.what)
        return self.what not in DEGRADERS and there.is_dir() and not any((there / one).is_file() for one in MODEL_FILES)

    @property
    def asked(self) -> list[str]:
        """What rows say: without the folders of this machine."""
        return [Path(self.what).name, *(Path(word).name for word in self.options)]


@dataclass(frozen=True)
class Maker:
    """Makes the sets of pairs below `work`: the same crops of the same photographs for all that `generate` makes."""

    data: Data
    work: Path
    pairs: int
    threads: int

    def make(self, one: Generator) -> Path:
        """The folder of a generator's pairs, made where it is not whole. Raises DegradeError."""
        if one.of_pairs:
            return Path(one.what)
        folder = self.work / "sets" / file_name(one.name)
        run("generate", *self._source(one), *one.options, "--hr", self.data.hr, "--out", folder, "--pairs", self.pairs,
            "--seed", 0, "--scale", self.data.scale, "--threads", self.threads)  # fmt: skip
        return folder

    def _source(self, one: Generator) -> list[object]:
        if one.what in DEGRADERS:
            return ["--degrader", one.what, "--lr-size", LR_SIZE]
        engine = Path(one.what)
        if not (engine / ENGINE_JSON).is_file():
            engine = self.work / "engines" / file_name(one.what)
            run("build", one.what, "--lr-size", LR_SIZE, "--threads", self.threads, "-o", engine)
        spec = sealed_engine_spec(engine)
        if spec.lr_size != LR_SIZE:
            fact, wanted = f"The engine {engine} makes LR of {spec.lr_size} pixels", f"{LR_SIZE}: the same HR for all"
            raise DegradeError(fact, wanted=wanted, mend=f"build it with --lr-size {LR_SIZE}")
        source: list[object] = ["--engine", engine, "--no-save-candidates"]
        if not spec.model_kind.reads_reference:
            return source
        if self.data.lr is None:
            raise DegradeError(f"{one.name} reads references", wanted="--lr: photographs of the camera")
        return [*source, "--reference", self.data.lr]


def file_name(words: str) -> str:
    """Of a folder."""
    return re.sub(r"[\s,/\\]+", "-", words).strip("-.")


def plan_of(folder: Path) -> Row | None:
    """The plan of a set that `generate` made."""
    path = folder / "plan.json"
    plan: Row | None = parse_json(read_bytes(path), "plan.json") if path.is_file() else None
    return plan


def run(*arguments: object) -> None:
    """The command line, in a process of its own. Raises DegradeError with what it said."""
    command = [sys.executable, "-m", "degrade_engine", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DegradeError(f"degrade-engine {arguments[0]} failed: {(ended.stderr or ended.stdout).strip()[-500:]}")
