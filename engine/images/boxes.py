"""The boxes of an AVIF, HEIC or JPEG XL (ISO/IEC 14496-12, 23008-12), and which colours the first two say to have."""

from __future__ import annotations

from collections.abc import Iterator

from .cicp import Said

Box = tuple[bytes, bytes]  # kind, contents


def walk(data: bytes) -> Iterator[Box]:
    """All boxes that lie side by side; what is torn ends them."""
    at = 0
    while at + 8 <= len(data):
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif length == 0:  # to the end of the file
            length = len(data) - at
        if length < head:
            return
        yield data[at + 4 : at + 8], data[at + head : at + length]
        at += length


def end(data: bytes) -> int:
    """Where the last box should end."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        length = int.from_bytes(data[at + 8 : at + 16], "big") if length == 1 else length
        if length < 8:  # 0: to the end of the file
            return len(data)
        at += length
    return at


def cicp(data: bytes) -> Said | None:
    """The colours of the file's own image by ITU-T H.273; None where it does not say. Gain maps, thumbnails
    and transparency have colours of their own, which do not count.
    """
    try:
        return _cicp(dict(walk(dict(walk(data))[b"meta"][4:])))
    except (KeyError, IndexError):
        return None


def _cicp(meta: dict[bytes, bytes]) -> Said | None:
    primary = meta[b"pitm"]
    item = int.from_bytes(primary[4:6] if primary[0] == 0 else primary[4:8], "big")
    properties = dict(walk(meta[b"iprp"]))
    known = list(walk(properties[b"ipco"]))
    for index in _associated(properties[b"ipma"], item):
        kind, contents = known[index - 1]
        if kind == b"colr" and contents[:4] == b"nclx":
            return Said(int.from_bytes(contents[4:6], "big"), int.from_bytes(contents[6:8], "big"))
    return None


def _associated(ipma: bytes, item: int) -> Iterator[int]:
    """The numbers of an item's properties, from 1."""
    wide_item, wide_index = ipma[0] >= 1, ipma[3] & 1
    at = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        size = 4 if wide_item else 2
        found, count = int.from_bytes(ipma[at : at + size], "big"), ipma[at + size]
        at += size + 1
        for _ in range(count):
            index = int.from_bytes(ipma[at : at + 2], "big") & 0x7FFF if wide_index else ipma[at] & 0x7F
            at += 2 if wide_index else 1
            if found == item and index:
                yield index


def hevc_pictures(data: bytes) -> list[bytes]:
    """The coded pictures of a HEIC: itself or its tiles, thumbnails and gain maps; [] where it cannot be told."""
    try:
        meta = dict(walk(dict(walk(data))[b"meta"][4:]))
        info = meta[b"iinf"]
        known = [entry for _, entry in walk(info[6 if info[0] == 0 else 8 :])]
        wide = [2 if entry[0] > 2 else 0 for entry in known]
        coded = {int.from_bytes(entry[4 : 6 + more], "big") for entry, more in zip(known, wide, strict=True)
                 if entry[8 + more : 12 + more] in (b"hvc1", b"hev1")}  # fmt: skip
        return [picture for item, picture in _located(meta[b"iloc"], data) if item in coded]
    except (KeyError, IndexError):
        return []


def _located(iloc: bytes, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each item that lies in the file itself, by its number (ISO/IEC 14496-12, 8.11.3)."""
    version, at = iloc[0], 6

    def take(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(iloc[at - size : at], "big")

    left = 2 * len(data)
    sizes = [iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if version else 0]
    for _ in range(take(4 if version == 2 else 2)):
        item = take(4 if version == 2 else 2)
        method = take(2) & 15 if version else 0
        take(2)
        base, picture = take(sizes[2]), b""
        for _ in range(take(2)):
            take(sizes[3])
            start = base + take(sizes[0])
            extent = data[start : start + take(sizes[1])]
            left -= len(extent)
            if left < 0 or at > len(iloc):
                raise IndexError("places that overlap")
            picture += extent
        if method == 0:
            yield item, picture
