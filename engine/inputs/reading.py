"""A planned photograph's pixels, if it is still the one that was planned."""

from __future__ import annotations

import errno

from .. import images
from ..artefact import sha256_bytes
from ..draws import Photograph
from ..images import Alpha, BadImage, Encoded, Pixels
from .folders import Place, base


def read(place: Place, photo: Photograph, *, alpha: Alpha = "white") -> Pixels:
    """uint8 [H, W, 3], as `images.read_rgb`. Raises MachineFault; BadImage, with the reason "changed" where the file is
    not what the inventory says: by its length and the size of its image, and by mtime or SHA-256 where those are known.
    """
    if photo.mtime_ns is not None or not place.remote:
        check(place, photo)
    file = Encoded(base(photo.path), place.patience.ask(photo.path, lambda: _whole(place, photo)))
    if photo.sha256 is not None and sha256_bytes(file.data) != photo.sha256:
        raise _changed(photo, "its bytes are others than when the run was planned")
    pixels = images.read_rgb(file, alpha=alpha, pixel_limit=photo.height * photo.width)
    height, width = pixels.shape[:2]
    if (height, width) != (photo.height, photo.width):
        said = f"it was {photo.width}x{photo.height} when the run was planned and decodes to {width}x{height}"
        raise _changed(photo, said)
    return pixels


def _whole(place: Place, photo: Photograph) -> bytes:
    """All planned bytes. Raises OSError where fewer came than there are."""
    data = place.read(photo.path)
    if len(data) != photo.bytes:
        check(place, photo)
        raise OSError(errno.EIO, f"{len(data)} of {photo.bytes} bytes came")
    return data


def check(place: Place, photo: Photograph) -> None:
    """Raises BadImage unless a file is there as planned, by length and mtime; nothing is read. Raises MachineFault."""
    probe = place.probe(photo.path, 0)
    _same(photo, "bytes", photo.bytes, probe.bytes)
    if photo.mtime_ns is not None and photo.mtime_ns != probe.mtime_ns:
        raise _changed(photo, "it was written anew since the run was planned")


def _same(photo: Photograph, unit: str, planned: int, found: int) -> None:
    if planned != found:
        raise _changed(photo, f"it had {planned} {unit} when the run was planned and has {found}")


def _changed(photo: Photograph, said: str) -> BadImage:
    return BadImage("changed", f"{base(photo.path)}: {said}")
