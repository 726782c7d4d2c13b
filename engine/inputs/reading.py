"""A planned photograph's pixels, if it is still the one that was planned."""

from __future__ import annotations

from .. import images
from ..artefact import sha256_bytes
from ..draws import Photograph
from ..images import Alpha, BadImage, Encoded, Pixels
from .places import Place, Probe, base


def read(place: Place, photo: Photograph, *, alpha: Alpha = "white") -> Pixels:
    """uint8 [H, W, 3], as `images.read_rgb`. Raises BadImage, with the reason "changed" where the file is not what the
    inventory says: by its length and the size of its image, and by mtime or SHA-256 where the inventory has them.
    """
    if photo.mtime_ns is not None or not place.remote:
        _compare(photo, place.probe(photo.path, 0))
    file = place.image(photo.path) if photo.sha256 is None else Encoded(base(photo.path), place.read(photo.path))
    if isinstance(file, Encoded):
        _same(photo, "bytes", photo.bytes, len(file.data))
        if photo.sha256 is not None and sha256_bytes(file.data) != photo.sha256:
            raise _changed(photo, "its bytes are others than when the run was planned")
    pixels = images.read_rgb(file, alpha=alpha, pixel_limit=photo.height * photo.width)
    height, width = pixels.shape[:2]
    if (height, width) != (photo.height, photo.width):
        said = f"it was {photo.width}x{photo.height} when the run was planned and decodes to {width}x{height}"
        raise _changed(photo, said)
    return pixels


def holds(place: Place, photo: Photograph) -> bool:
    """Whether a file is there as planned, by length and mtime; nothing is read."""
    try:
        _compare(photo, place.probe(photo.path, 0))
    except BadImage:
        return False
    return True


def _compare(photo: Photograph, probe: Probe) -> None:
    _same(photo, "bytes", photo.bytes, probe.bytes)
    if photo.mtime_ns is not None and photo.mtime_ns != probe.mtime_ns:
        raise _changed(photo, "it was written anew since the run was planned")


def _same(photo: Photograph, unit: str, planned: int, found: int) -> None:
    if planned != found:
        raise _changed(photo, f"it had {planned} {unit} when the run was planned and has {found}")


def _changed(photo: Photograph, said: str) -> BadImage:
    return BadImage("changed", f"{base(photo.path)}: {said}")
