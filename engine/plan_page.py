"""A plan's page, plan.json: what it says of photographs, and how two pages differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from .draws import Photograph


def summary(photographs: Sequence[Photograph]) -> dict[str, Any]:
    """An inventory in three facts: images, bytes, and a digest of every path, file size and image size."""
    digest, size = hashlib.sha256(), 0
    for one in photographs:
        size += one.bytes
        digest.update(f"{one.path}\0{one.bytes}\0{one.height}\0{one.width}\n".encode("utf-8", "surrogateescape"))
    return {"images": len(photographs), "bytes": size, "sha256": digest.hexdigest()}


def digest_of(lines: Iterable[str]) -> str:
    """SHA-256 of lines of text."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def pages_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    """The pages of a set that has grown, from the first to this one: each names the sizes before its own."""
    sizes: list[int] = [*page.get("grown", []), page["pairs"]]
    rest = {name: value for name, value in page.items() if name != "grown"}
    return [rest | {"pairs": pairs} | ({"grown": sizes[:n]} if n else {}) for n, pairs in enumerate(sizes)]


def difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """The first field in which two plans' pages differ, said in words; None when they are the same plan."""
    for field in [*now, *(key for key in before if key not in now)]:
        old, new = before.get(field), now.get(field)
        if old != new:
            return f"{field} was {_short(old)} and is now {_short(new)}"
    return None


def _short(value: Any) -> str:
    if isinstance(value, dict) and "images" in value:
        return f"{value['images']} images of {value['bytes']} bytes ({str(value['sha256'])[:8]})"
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
