"""inventory.jsonl, beside plan.json: what was found where the photographs lie, a line an image.

With it a run goes on, or is repeated elsewhere, without looking at a million files again. It names no folder: moved or
copied images are the same images. The first line says what was asked, the last one holds the hash of all before it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

from ..artefact import write_lines_atomic
from ..objects import ObjectPath, Out
from .inventory import Identity
from .photographs import Entry, Photographs, Reject

INVENTORY = "inventory.jsonl"
FORMAT = "degrade-engine/inventory/1"
ROLES = ("hr", "reference")


@dataclass(frozen=True)
class Asked:
    """What decides which photographs are usable: another question has another inventory."""

    hr_size: int  # least height and width, in pixels
    reference_size: int | None  # None: no references
    identity: Identity
    pixel_limit: int
    pair_list: str | None = None  # SHA-256 of the list

    def to_json(self) -> dict[str, Any]:
        """The first line."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class Found:
    """What was found: the usable photographs of each role, and the rejects of both."""

    photographs: dict[str, Photographs]
    rejects: tuple[Reject, ...]


def write(out: Out, asked: Asked, found: Found) -> None:
    """Put the page into `out`, whole or not at all."""
    write_lines_atomic(out / INVENTORY, _lines(asked, found))


def read(out: Out, asked: Asked) -> Found | None:
    """The page in `out`; None where there is none, it answers another question, or it is not whole."""
    try:
        with _opened(out / INVENTORY) as file:
            head = file.readline()
            if json.loads(head) != asked.to_json():
                return None
            digest = hashlib.sha256(head)
            rejects: list[Reject] = []
            photographs = {role: Photographs(_entries(file, role, digest, rejects)) for role in ROLES}
            end = json.loads(file.readline() or "null")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None  # nobody's mistake: a torn page is as good as none, and the photographs are looked at again
    if end != {"sha256": digest.hexdigest()}:
        return None
    return Found(photographs, tuple(rejects))


def _opened(path: Out) -> IO[bytes]:
    return io.BytesIO(path.read_bytes()) if isinstance(path, ObjectPath) else open(path, "rb")


def _lines(asked: Asked, found: Found) -> Iterator[bytes]:
    digest = hashlib.sha256()

    def line(value: dict[str, Any]) -> bytes:
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        digest.update(data)
        return data

    yield line(asked.to_json())
    for role in ROLES:
        for one in found.photographs[role]:
            facts = zip(("mtime_ns", "sha256"), one[4:], strict=True)
            page = {"path": one.path, "bytes": one.bytes, "height": one.height, "width": one.width}
            yield line(page | {name: value for name, value in facts if value is not None})
        for reject in found.rejects:
            if reject.role == role:
                yield line(reject.to_json())
        yield line({"end": role})
    yield line({"sha256": digest.hexdigest()})


def _entries(lines: Iterator[bytes], role: str, digest: Any, rejects: list[Reject]) -> Iterator[Entry]:
    """The entries of a role up to its end; its rejects go into `rejects`."""
    for data in lines:
        digest.update(data)
        page = json.loads(data)
        if page == {"end": role}:
            return
        if "reason" in page:
            rejects.append(Reject(**page))
        else:
            yield Entry(**page)
    raise ValueError("the page ends early")
