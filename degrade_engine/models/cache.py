"""What the cache holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.engine_spec import sealed_engine_spec
from degrade_engine.engine.errors import DegradeError


@dataclass(frozen=True)
class Entry:
    """A folder of the cache. about: what it is, "broken" where its page cannot be read; size: bytes."""

    path: Path
    about: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """As `models --json` shows it."""
        return vars(self) | {"path": str(self.path)}


def entries(cache: Path) -> list[Entry]:
    """The engines and bundles in the cache; without what a killed build left, which the next one removes."""
    kinds: tuple[tuple[str, Callable[[Path], str]], ...] = (("engines", _engine), ("bundles", _bundle))
    return [
        Entry(folder, _about(folder, kind), size_of(folder))
        for name, kind in kinds
        for folder in sorted((cache / name).glob("*"))
        if folder.is_dir() and not folder.name.startswith(".")
    ]


def size_of(folder: Path) -> int:
    """Bytes of all files below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _about(folder: Path, of: Callable[[Path], str]) -> str:
    try:
        return of(folder)
    except DegradeError:
        return "broken"


def _engine(folder: Path) -> str:
    spec = sealed_engine_spec(folder)
    key = spec.key
    return (f"engine: {spec.kind}, {key.runtime} {key.version}, {key.precision_computed}, LR {key.lr_size}, "
            f"{key.batch} pairs x {key.candidates} candidates")  # fmt: skip


def _bundle(folder: Path) -> str:
    return f"bundle: {open_bundle(folder, verify=False).spec.kind}"
